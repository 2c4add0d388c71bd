"""The servers' source files, for reading beside what was measured of them.

The report holds them whole, a line of code under an id of its own, so that its links work wherever
the file is opened. A function is looked up by its name when the report is made."""
from dataclasses import dataclass
import html
from pathlib import Path
import re
import subprocess

from archbench.drawing.style import in_order
from archbench.formats import headers
from archbench.formats.headers import files_of
from archbench.formats.names import server_of
from archbench.places import REPOSITORY

TOKEN = re.compile(r"""(?P<comment>/\*.*?\*/|//[^\n]*)
    |(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|<[\w./]+\.h>)
    |(?P<word>\b(?:auto|bool|break|case|char|const|continue|default|do|double|else|enum|extern|for
    |goto|if|inline|int|long|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned
    |void|volatile|while|_Noreturn|_Atomic)\b)
    |(?P<directive>^\#\w+)""", re.DOTALL | re.MULTILINE | re.VERBOSE)


@dataclass(frozen=True)
class Place:
    """A function and where it begins. `anchor` is the id of its first line in the report."""
    server: str
    file: str
    function: str
    line: int

    @property
    def anchor(self):
        return line_id(self.file, self.line)


def line_id(file, line):
    return f"{file}-L{line}"


def line_of(text, function):
    """The line, from 1, in which a function of this C source is defined; None without one."""
    found = re.search(rf"^[a-zA-Z][^\n;=]*\b{re.escape(function)}\([^;{{]*\)\s*\{{", text,
                      re.MULTILINE)
    return found and text.count("\n", 0, found.start()) + 1


def place(server, load):
    """The Place that shows what this server does with that kind of load, as its header names it;
    None without one."""
    function = headers.to_read(server, load)
    if function is None:
        return None
    for path in files_of(server):
        line = line_of(path.read_text(encoding="utf-8"), function)
        if line:
            return Place(server, path.name, function, line)
    return None


def places(archs, loads):
    """The Places of these architectures for these kinds of load; a variant is its server."""
    servers = dict.fromkeys(server_of(a) for a in in_order(archs))
    found = (place(server, load) for server in servers for load in loads)
    return list(dict.fromkeys(p for p in found if p))


def highlighted(text):
    """The lines of a C source as HTML. A comment over several lines is marked on each of them."""
    parts, end = [], 0
    for token in TOKEN.finditer(text):
        parts.append(html.escape(text[end:token.start()], quote=False))
        parts += [f'<i class="{token.lastgroup}">{html.escape(line, quote=False)}</i>'
                  if line.strip() else line for line in _with_ends(token.group())]
        end = token.end()
    parts.append(html.escape(text[end:], quote=False))
    return "".join(parts).rstrip("\n").split("\n")


def _with_ends(text):
    """The lines of a text and, between them, their ends: 'a', newline, 'b'."""
    return re.split(r"(\n)", text)


def source(server):
    """{server, path of its folder or only file, files: [{file, lines: [(id, HTML)]}]}; None when
    there is no file."""
    files = [{"file": path.name,
              "lines": [(line_id(path.name, n), line) for n, line in
                        enumerate(highlighted(path.read_text(encoding="utf-8")), 1)]}
             for path in files_of(server)]
    path = f"servers/{server}.c" if len(files) == 1 else f"servers/{server}/"
    return {"server": server, "path": path, "files": files} if files else None


def of_runs(runs):
    """source() of every server that took part in one of these runs, as far as there are files."""
    archs = {arch for run in runs for arch in run.archs()}
    servers = dict.fromkeys(server_of(a) for a in in_order(archs))
    return [s for s in map(source, servers) if s]


def _git(*command):
    """What git prints about this repository, or None where it has no answer."""
    try:
        done = subprocess.run(["git", "-C", str(REPOSITORY), *command], capture_output=True,
                              text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def differences(run):
    """A sentence when the servers shown are not, or may not be, those that were measured; else ''.

    The run knows the commit it was built from; a '+' behind it says that files had been changed."""
    commit = run.manifest.get("environment", {}).get("commit")
    if not commit:
        return "The run does not say from which commit it was built: the source may differ."
    names = _git("diff", "--name-only", commit.rstrip("+"), "--", "servers")
    if names is None:
        return f"The run was built from commit {commit}, which is not known here: the source may " \
               "differ."
    changed = [Path(name).name for name in names.split()]
    if changed:
        return f"Changed since the run's commit {commit[:12]}: {', '.join(changed)}."
    if commit.endswith("+"):
        return f"The run was built from commit {commit[:12]} and changes that no commit holds."
    return ""
