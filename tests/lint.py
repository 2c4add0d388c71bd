#!/usr/bin/python3
"""What no compiler checks: every Python script parses, and the repository names nothing of one machine."""

import ast
import re
import subprocess
import sys

FORBIDDEN = {
    "an absolute home or work path": re.compile(r"(?<![\w.])/(home|root|work)/\w"),
    "trailing blanks": re.compile(r"[ \t]+$", re.MULTILINE),
}


def tracked():
    names = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout
    return [name for name in names.splitlines() if not name.startswith("results/")]


def is_python(name, text):
    return name.endswith(".py") or text.startswith("#!/usr/bin/python3")


def complaints(name):
    with open(name, "rb") as file:
        data = file.read()
    if b"\0" in data:
        return
    text = data.decode()
    if is_python(name, text):
        try:
            ast.parse(text, name)
        except SyntaxError as error:
            yield f"{name}:{error.lineno}: {error.msg}"
    if name.endswith((".svg", ".html")):
        return
    for what, pattern in FORBIDDEN.items():
        for match in pattern.finditer(text):
            yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {what}"


def main():
    found = [line for name in tracked() for line in complaints(name)]
    print("\n".join(found), end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
