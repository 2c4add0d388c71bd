#!/usr/bin/python3
"""The rules of the house that no compiler checks. Prints one line for each breach; none: status 0.

CONTRIBUTING.md explains the rules. Each is a function below that takes a file and gives complaints."""

import ast
import os
import re
import subprocess
import sys

LINES_MAX = 450      # of a source file
FUNCTION_MAX = 60    # lines
FOLDER_MAX = 25      # files
SOURCES = (".c", ".h", ".py", ".sh", ".js", ".css", ".awk")

# Exceptions: where to split would be worse, and why. One that is no longer needed is a complaint.
LONG_FILES = {}
LONG_FUNCTIONS = {
    "loadgen/main.c:read_options": "one table, a row for each option; the variables are beside it",
}
LARGE_FOLDERS = {
    "tests/fuzz/corpus": "one input a file, as libFuzzer wants them",
    "workloads": "one question a file, of one form; the report puts them into chapters",
    "archbench/figures": "one figure a file, of one form; the report puts them into chapters",
}

# Who may use whom: a room, and the rooms or single headers that its files may include beside their
# own.
BASE, SOCKET, NEWS = "common/base", "common/websocket", "common/news"
WORK, SERVE = "common/work", "common/serve"
CALLS = "common/upstream"
CALIBRATE = "common/serve/calibrate.h"  # of the machine, which all must agree on
PLAN, BOOKS, JUDGE = "loadgen/plan", "loadgen/books", "loadgen/judge"
GENERATOR = (PLAN, BOOKS, "loadgen/worker", JUDGE, "loadgen/output")
ROOMS = {
    BASE: (),
    SOCKET: (BASE,),
    NEWS: (BASE, SOCKET),
    CALLS: (BASE, SOCKET, NEWS),
    WORK: (BASE, SOCKET, NEWS, CALLS),
    SERVE: (BASE, SOCKET, NEWS, CALLS, WORK),
    "servers": (BASE, SOCKET, NEWS, CALLS, WORK, SERVE),  # and never another server
    "services": (BASE,),
    PLAN: (BASE, WORK, CALIBRATE),
    BOOKS: (BASE, PLAN),
    "loadgen/worker": (BASE, "common/websocket/frame.h", PLAN, BOOKS),
    JUDGE: (BASE, PLAN, BOOKS),
    "loadgen/output": (BASE, PLAN, BOOKS, JUDGE),
    "loadgen": (BASE, WORK, *GENERATOR),
    "cell": (BASE, WORK, CALIBRATE, *GENERATOR),
    "bench": (BASE,),
}
# The same for the Python package, whose rooms are folders of archbench/.
PACKAGE = {
    "stats": (),
    "formats": ("stats",),
    "model": ("formats",),
    "drawing": ("formats", "stats"),
    "runner": ("formats", "model"),
    "tables": ("formats", "stats", "model", "drawing"),
    "figures": ("formats", "stats", "model", "drawing", "tables"),
    "cases": ("formats", "stats", "drawing", "tables"),
    "report": ("formats", "stats", "model", "drawing", "tables", "figures", "cases", "runner"),
    "bench": ("formats", "stats", "model", "runner"),
}

FORBIDDEN = {
    "an absolute home or work path": re.compile(r"(?<![\w.])/(home|root|work)/\w"),
    "trailing blanks": re.compile(r"[ \t]+$", re.MULTILINE),
}

# English as people in the field write it: what can be found of its opposite. Matched in comments
# and prose, not in code.
ENGLISH = {
    "'who' for what is no person, or without those before it":
        re.compile(r"(?:^|[.;:(*#|] )Who (?!(?:does|else|may|owns|writes|reads|decides|blocks)\b)\w+s\b"
                   r"|(?<=[;:] )who (?:waits|asks|has|is|was|comes|takes|gives|leaves)\b"),
    "'begin' as a noun": re.compile(r"\b(?:the|its|a) begin\b", re.IGNORECASE),
    "'for' in place of 'because'": re.compile(r", for (?:it|they|he|there|nobody|everybody|only|"
                                              r"each has|that is (?:where|what|how|why))\b"),
    "'stands' in place of 'is'": re.compile(r"\bstands? (?:in(?! for)|at|by|beside|between|behind|there|"
                                            r"here|once|above|below)\b"),
    "'the one or the other'": re.compile(r"\bin each (?:her|his)\b"),
}
PROSE = (".md", ".j2", ".1")
COMMENT = {".c": re.compile(r"/\*.*?\*/", re.DOTALL), ".h": re.compile(r"/\*.*?\*/", re.DOTALL),
           ".py": re.compile(r'#.*|"""(?:.|\n)*?"""'), ".ini": re.compile(r"^;.*", re.MULTILINE)}


def tracked():
    names = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout
    return [name for name in names.splitlines()
            if not name.startswith("results/") and os.path.isfile(name)]


def read(name):
    """The text of a file; None when it is none."""
    with open(name, "rb") as file:
        data = file.read()
    return None if b"\0" in data else data.decode()


def is_python(name, text):
    return name.endswith(".py") or text.startswith("#!/usr/bin/python3")


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def syntax(name, text):
    """Every Python script parses."""
    if is_python(name, text):
        try:
            ast.parse(text, name)
        except SyntaxError as error:
            yield f"{name}:{error.lineno}: {error.msg}"


def portability(name, text):
    """The repository names nothing of one machine, and lines end where they seem to."""
    if name.endswith((".svg", ".html")):
        return
    for what, pattern in FORBIDDEN.items():
        for match in pattern.finditer(text):
            yield f"{name}:{line_of(text, match.start())}: {what}"


def room_of(path, rooms):
    """The innermost of these rooms that holds the file; None when it is in none."""
    inside = [room for room in rooms if path.startswith(room + "/")]
    return max(inside, key=len, default=None)


def own_folder(name):
    """Where the parts of a server or service are, which nothing else includes."""
    return "/".join(name.split("/")[:2]) if name.count("/") > 1 else None


def includes(name, text):
    """C: includes between rooms go one way."""
    room = room_of(name, ROOMS)
    if not name.endswith((".c", ".h")) or room is None:
        return
    for match in re.finditer(r'^#include "([^"]+)"', text, re.MULTILINE):
        target = match[1]
        used = room_of(target, ROOMS)
        if room in ("servers", "services") and used == room:
            allowed = own_folder(target) == own_folder(name)
        else:
            allowed = used == room or used in ROOMS[room] or target in ROOMS[room]
        if not allowed:
            yield (f"{name}:{line_of(text, match.start())}: {room} must not include {target}")


def imported(tree, name):
    """(line, folder of archbench/ whose module is imported there), for every import of one."""
    package = name.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            paths = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) - node.level + 1] if node.level else []
            stem = above + (node.module.split(".") if node.module else [])
            paths = [stem + [alias.name] for alias in node.names]
        else:
            continue
        for path in paths:
            if len(path) > 1 and path[0] == "archbench" and path[1] in PACKAGE:
                yield node.lineno, path[1]


def imports(name, text):
    """Python: imports between the rooms of the package go one way."""
    parts = name.split("/")
    if parts[0] != "archbench" or len(parts) < 3 or parts[1] not in PACKAGE:
        return
    if not name.endswith(".py"):
        return
    for line, used in imported(ast.parse(text), name):
        if used != parts[1] and used not in PACKAGE[parts[1]]:
            yield f"{name}:{line}: archbench/{parts[1]} must not import archbench/{used}"


def length(name, text):
    """Files of a length that is read in one go."""
    lines = text.count("\n")
    long = name.endswith(SOURCES) and lines > LINES_MAX
    if long and name not in LONG_FILES:
        yield f"{name}: {lines} lines; {LINES_MAX} at most"
    if not long and name in LONG_FILES:
        yield f"{name}: needs no exception for its length any more"


NO_HEAD = ("}", "/", "#", " *")  # what a line above a function begins with


def c_functions(text):
    """(line, name, lines) of each function: clang-format puts its braces into the first column."""
    lines = text.split("\n")
    begin = None
    for number, line in enumerate(lines):
        if line == "{":
            begin = number
        elif line == "}" and begin is not None:
            head = begin
            while head > 0 and lines[head - 1] and not lines[head - 1].startswith(NO_HEAD):
                head -= 1
            signature = " ".join(lines[head:begin])
            found = re.search(r"(\w+)\s*\(", signature)
            yield head + 1, found[1] if found else signature, number - head + 1
            begin = None


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.name, node.end_lineno - node.lineno + 1


def functions(name, text):
    """Functions of a length that fits a screen."""
    if name.endswith(".c"):
        found = c_functions(text)
    elif is_python(name, text):
        found = python_functions(text)
    else:
        return
    for line, function, lines in found:
        key = f"{name}:{function}"
        if lines > FUNCTION_MAX and key not in LONG_FUNCTIONS:
            yield f"{name}:{line}: {function} has {lines} lines; {FUNCTION_MAX} at most"
        if lines <= FUNCTION_MAX and key in LONG_FUNCTIONS:
            yield f"{name}:{line}: {function} needs no exception for its length any more"


def dialect(name, text):
    """One dialect of C: the project's headers come before the system's, and sizeof of an expression
    has no brackets."""
    if name.endswith((".c", ".h")):
        system = re.search(r"^#include <", text, re.MULTILINE)
        for match in re.finditer(r'^#include "', text, re.MULTILINE):
            if system and match.start() > system.start():
                yield f"{name}:{line_of(text, match.start())}: a header of ours after the system's"
        for match in re.finditer(r"\bsizeof\((?!struct |union |enum |char|int|unsigned|long|short|"
                                 r"double|float|bool|void|u?int\d|size_t|ssize_t|\w+_t\b|ev_|"
                                 r"redis)", text):
            yield f"{name}:{line_of(text, match.start())}: sizeof of an expression in brackets"


def prose(name, text):
    """(where it begins, what it says) of all that is written for people."""
    suffix = os.path.splitext(name)[1]
    if suffix in PROSE:
        yield 0, text
    elif suffix in COMMENT:
        for match in COMMENT[suffix].finditer(text):
            yield match.start(), match[0]


def english(name, text):
    """Sentences as people in the field write them."""
    for begin, words in prose(name, text):
        flowing = re.sub(r"\n[ *;#]*", lambda gap: " " + " " * (len(gap[0]) - 1), words)
        for what, pattern in ENGLISH.items():
            for match in pattern.finditer(flowing):
                yield (f"{name}:{line_of(text, begin + match.start())}: {what}: "
                       f"'{' '.join(match[0].split())}'")


RULES = (syntax, portability, includes, imports, length, functions, dialect, english)


def folders(names):
    """Folders of a size that is seen at a glance."""
    count = {}
    for name in names:
        folder = os.path.dirname(name) or "."
        count[folder] = count.get(folder, 0) + 1
    for folder, files in sorted(count.items()):
        if files > FOLDER_MAX and folder not in LARGE_FOLDERS:
            yield f"{folder}/: {files} files; {FOLDER_MAX} at most"
    for folder in LARGE_FOLDERS:
        if folder in count and count[folder] <= FOLDER_MAX:
            yield f"{folder}/: needs no exception for its size any more"


def forgotten(names):
    """Exceptions for files that are not there."""
    for key in [*LONG_FILES, *(key.partition(":")[0] for key in LONG_FUNCTIONS)]:
        if key not in names:
            yield f"{key}: is not there, but has an exception"


def complaints(name):
    text = read(name)
    if text is not None:
        for rule in RULES:
            yield from rule(name, text)


def main():
    names = tracked()
    found = [line for name in names for line in complaints(name)]
    found += [*folders(names), *forgotten(names)]
    print("\n".join(found), end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
