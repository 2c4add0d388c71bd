"""docs/reading-order.md says what is so: each server has its section, what a section names exists,
its commands can be typed, its diagrams can be drawn, and its lessons are those of archbench lessons."""
import argparse
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

from archbench.bench import lessons
import harness

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "reading-order.md"
NOT_YET = "Not measured yet"
SYSTEM = {"fork", "recv", "send", "close", "epoll_wait", "wait4", "_exit"}  # libraries' calls
SHELL = {"for", "do", "done", "time", "in"}
OPTIONAL = {"strace"}  # packages that the page says one may need
SERVER_COMMAND = re.compile(r"build/servers/\w+")


def sections(page):
    """The text of each server's section, by its name."""
    without_parts = re.sub(r"(?m)^# [A-Z].*\n", "", page)
    parts = re.split(r"(?m)^## \d+\. `(\w+)`: .*\n", without_parts)
    return dict(zip(parts[1::2], parts[2::2]))


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def help_of(program):
    option = "--help-all" if program.endswith("loadgen") else "--help"
    path = pathlib.Path(harness.BUILD) / pathlib.Path(program).relative_to("build")
    return subprocess.run([path, option], capture_output=True, text=True, check=True).stdout


def options_in(words):
    return [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]


def knows(help_text, option):
    return re.search(rf"(^|\s){re.escape(option)}(,|\s|$)", help_text, re.MULTILINE)


def commands(script):
    """The simple commands of a script, each a list of words."""
    inner = re.compile(r"\$\(([^()]*)\)")
    for line in [*inner.sub("1", script).splitlines(), *inner.findall(script)]:
        words = shlex.shlex(line, posix=True, punctuation_chars="|&;()")
        words.whitespace_split = True
        command = []
        for word in words:
            if re.fullmatch(r"[|&;()]+", word):
                yield command
                command = []
            elif command or word not in ("do", "time"):
                command.append(word)
        yield command


# ---------------------------------------------------------------- diagrams


TEXT = r"[^;#\n]*[^;#\s]"  # Mermaid ends a statement at ; and takes # for an entity
PARTICIPANT = re.compile(rf"participant (\w+) as ({TEXT})")
MESSAGE = re.compile(rf"(\w+)-?->>(\w+): ({TEXT})")
NOTE = re.compile(rf"Note (?:over|left of|right of) (\w+)(?:,(\w+))?: ({TEXT})")
OPENING = re.compile(rf"(alt|loop|opt|par) ({TEXT})")
BRANCH = re.compile(rf"(else|and) ({TEXT})")
BRANCH_OF = {"else": "alt", "and": "par"}


def complaints_on(diagram):
    """What keeps a diagram from being drawn, of the part of Mermaid that the page uses."""
    declared, used, open_blocks = set(), set(), []
    first, *lines = diagram.splitlines()
    if first != "sequenceDiagram":
        yield f"begins with {first!r}"
    for line in map(str.strip, lines):
        if match := PARTICIPANT.fullmatch(line):
            if match[1] in declared or used:
                yield f"declared twice or too late: {line}"
            declared.add(match[1])
        elif match := MESSAGE.fullmatch(line) or NOTE.fullmatch(line):
            names = {match[1], match[2]} - {None}
            used |= names
            if names - declared:
                yield f"not declared: {line}"
        elif match := OPENING.fullmatch(line):
            open_blocks.append(match[1])
        elif match := BRANCH.fullmatch(line):
            if not open_blocks or open_blocks[-1] != BRANCH_OF[match[1]]:
                yield f"outside of its block: {line}"
        elif line == "end":
            if not open_blocks:
                yield "an end of nothing"
            else:
                open_blocks.pop()
        else:
            yield f"not understood: {line!r}"
    if open_blocks:
        yield f"open at the end: {open_blocks}"
    if declared - used:
        yield f"never used: {sorted(declared - used)}"


class Checker(unittest.TestCase):
    """The checker of diagrams finds what is wrong with one."""

    GOOD = ("sequenceDiagram\n    participant A as a client\n    participant B as b\n"
            "    A->>B: GET /\n    alt room\n        B-->>A: 200\n    else none\n"
            "        Note over A,B: both wait\n    end\n")

    def test_accepts_a_good_one(self):
        self.assertEqual(list(complaints_on(self.GOOD)), [])

    def test_refuses_bad_ones(self):
        for old, new in (("sequenceDiagram", "flowchart"), ("participant B as b\n", "\n"),
                         ("A->>B", "A->>C"), ("A->>B", "A=>B"), (": GET /", ""),
                         ("GET /", "a; b"), ("GET /", "no #1"), ("    end\n", ""),
                         ("alt room", "loop room"), ("    alt room\n", ""),
                         ("Note over A,B", "Note over A,C"), ("Note over", "Note on"),
                         ("B-->>A: 200", "participant C as late"),
                         ("as b\n", "as b\n    participant C as idle\n")):
            with self.subTest(old=old, new=new):
                self.assertIn(old, self.GOOD)
                self.assertNotEqual(list(complaints_on(self.GOOD.replace(old, new))), [])


# ---------------------------------------------------------------- the page


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.page = PAGE.read_text(encoding="utf-8")
        cls.sections = sections(cls.page)
        cls.common = "\n".join(path.read_text(encoding="utf-8")
                               for path in (ROOT / "common").glob("*/*.[ch]"))
        cls.loadgen_help = help_of("build/loadgen")

    def source(self, name):
        alone = ROOT / "servers" / f"{name}.c"
        files = [alone] if alone.is_file() else sorted((ROOT / "servers" / name).glob("*.[ch]"))
        return "\n".join(file.read_text(encoding="utf-8") for file in files)

    def test_every_server_has_its_section(self):
        folders = {path.name for path in (ROOT / "servers").iterdir() if path.is_dir()}
        self.assertEqual(set(self.sections),
                         {path.stem for path in (ROOT / "servers").glob("*.c")} | folders)

    def test_sections_are_numbered(self):
        numbers = re.findall(r"^## (\d+)\.", self.page, re.MULTILINE)
        self.assertEqual(numbers, [str(i + 1) for i in range(len(self.sections))])

    def test_a_section_has_its_parts(self):
        for name, text in self.sections.items():
            with self.subTest(server=name):
                self.assertEqual(len(blocks(text, "mermaid")), 1)
                self.assertEqual(len(blocks(text, "sh")), 1)
                file = f"servers/{name}.c"
                if not (ROOT / file).is_file():
                    file = f"servers/{name}/{name}.c"
                self.assertIn(f"**Where to look** in `{file}`", text)
                self.assertEqual(text.count("**The experiment**"), 1)
                self.assertEqual(text.count("**What we measured**"), 1)
                self.assertRegex(blocks(text, "sh")[0], rf"^# one shell\nbuild/servers/{name}\b")

    def test_where_to_look_names_functions_that_are_there(self):
        for name, text in self.sections.items():
            with self.subTest(server=name):
                paragraph = re.search(r"\*\*Where to look\*\*.*?\n\n", text, re.DOTALL)[0]
                files = re.findall(r"`((?:servers|common)/[\w/]+\.[ch])`", paragraph)
                code = "\n".join((ROOT / file).read_text(encoding="utf-8") for file in files)
                functions = re.findall(r"`(\w+)\(\)`", paragraph)
                self.assertTrue(functions)
                for function in functions:
                    self.assertTrue(re.search(
                        rf"(?m)^[a-zA-Z_].*\b{function}\(.*\)\n{{|^{function}:|"
                        rf"^[a-zA-Z_].*\b{function}\([^;]*,\n", code), function)

    def test_functions_that_a_section_names_are_called_somewhere(self):
        for name, text in self.sections.items():
            with self.subTest(server=name):
                code = self.source(name) + self.common
                prose = re.sub(r"^```sh\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
                for function in set(re.findall(r"(?<![\w$])(\w+)\(\)", prose)) - SYSTEM:
                    self.assertTrue(re.search(rf"\b{function}\(|\b{function}\b[,)]", code),
                                    function)

    def test_constants_that_a_section_names_exist(self):
        for name, text in self.sections.items():
            with self.subTest(server=name):
                for constant in set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", text)):
                    self.assertIn(constant, self.source(name) + self.common)

    def test_diagrams_can_be_drawn(self):
        for name, text in self.sections.items():
            with self.subTest(server=name):
                self.assertEqual(list(complaints_on(blocks(text, "mermaid")[0])), [])

    def test_scripts_are_scripts_of_programs_that_exist(self):
        for name, text in self.sections.items():
            with self.subTest(server=name):
                script = blocks(text, "sh")[0]
                subprocess.run(["bash", "-n"], input=script, text=True, check=True)
                for command in commands(script):
                    if command and command[0] not in SHELL | OPTIONAL:
                        program = command[0]
                        if program.startswith("build/"):
                            program = f"{harness.BUILD}/{program.removeprefix('build/')}"
                        self.assertTrue(shutil.which(program), command)

    def test_options_exist(self):
        for name, text in self.sections.items():
            with self.subTest(server=name):
                for command in commands(blocks(text, "sh")[0]):
                    if command and command[0].startswith("build/"):
                        known = help_of(command[0])
                        for option in options_in(command[1:]):
                            self.assertTrue(knows(known, option), command)

    def test_options_in_the_text_exist(self):
        for name, text in self.sections.items():
            with self.subTest(server=name):
                for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text):
                    words = code.split()
                    program = (words[0] if SERVER_COMMAND.fullmatch(words[0])
                               else f"build/servers/{name}")
                    known = help_of(program) + self.loadgen_help
                    for option in options_in(words):
                        self.assertTrue(knows(known, option), code)

    def test_files_that_the_page_names_exist(self):
        named = re.findall(r"[\s`]((?:archbench|bench|bin|common|docs|servers|workloads)/[\w./-]*)", self.page)
        named += [f"docs/{target}" for target in re.findall(r"\]\(([\w./-]+)\)", self.page)]
        for name in named:
            self.assertTrue((ROOT / name).exists(), name)

    def test_servers_start_as_the_page_starts_them(self):
        spans = re.findall(r"`(build/servers/[^`]*)`", self.page)
        scripts = "\n".join(blocks(self.page, "sh"))
        for line in spans + re.findall(r"^build/servers/.*$", scripts, re.MULTILINE):
            program, *options = line.split("#")[0].split()
            path = f"{harness.BUILD}/{program.removeprefix('build/')}"
            with self.subTest(command=line), subprocess.Popen(
                    [path, *options, "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
                self.addCleanup(server.kill)
                self.assertRegex(server.stdout.readline(), r"^ready ")
                server.terminate()
                server.communicate(timeout=20 * harness.SLOW)
                self.assertEqual(server.returncode, 0)


class Lessons(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lessons = lessons
        cls.page = PAGE.read_text(encoding="utf-8")

    def test_page_and_script_have_the_same_ones_in_the_same_order(self):
        marks = re.findall(r"^<!-- lesson: ([\w-]+) -->$", self.page, re.MULTILINE)
        self.assertEqual(marks, ["machine", *self.lessons.LESSONS])

    def test_a_lesson_stands_in_its_servers_section(self):
        for name, text in sections(self.page).items():
            marks = re.findall(r"<!-- lesson: (\w+).* -->", text)
            self.assertTrue(marks and set(marks) == {name}, name)

    def test_predictions_are_numbers_with_bounds(self):
        for name, lesson in self.lessons.LESSONS.items():
            with self.subTest(lesson=name):
                self.assertRegex(lesson.prediction, r"\d")
                self.assertFalse(lesson.low is None and lesson.high is None)
                if None not in (lesson.low, lesson.high):
                    self.assertLess(lesson.low, lesson.high)

    def test_what_was_measured_was_predicted_so(self):
        """A line of the page whose prediction has changed since is to be measured anew."""
        for name, lesson in self.lessons.LESSONS.items():
            with self.subTest(lesson=name):
                line = " ".join(re.sub(r"(?m)^> ?", "", self.lessons.quoted(self.page, name)[1])
                                .split())
                if not line.startswith((NOT_YET, "Not measured:")):
                    self.assertIn(f"Predicted: {lesson.prediction}.", line)

    def test_bounds_are_inclusive_and_may_be_open(self):
        def holds(value, low, high):
            return self.lessons.holds(self.lessons.Lesson(None, low, high, ""), value)

        self.assertTrue(holds(1, 1, 2) and holds(2, 1, 2) and holds(-9, None, 2))
        self.assertTrue(holds(9, 1, None))
        self.assertFalse(holds(0.9, 1, None) or holds(2.1, None, 2))

    def line_of(self, measure, low=1, high=3):
        return self.lessons.line_of(self.lessons.Lesson(measure, low, high, "2"),
                                    argparse.Namespace(build=harness.BUILD))

    def test_a_line_tells_prediction_and_verdict(self):
        self.assertEqual(self.line_of(lambda _: (2, "`x` is 2")),
                         "`x` is 2. Predicted: 2. It holds.")
        self.assertEqual(self.line_of(lambda _: (4, "it is 4")),
                         "It is 4. Predicted: 2. It does not hold.")

    def test_what_cannot_be_measured_is_told(self):
        def measure(_):
            raise self.lessons.Skipped("no strace")

        self.assertEqual(self.line_of(measure), "Not measured: no strace.")

    def written(self, lines, text, **settings):
        """The page after a write of these lines to one with this text."""
        options = type("Options", (), {"rounds": 3, "seconds": 1, **settings})
        with tempfile.NamedTemporaryFile("w+", suffix=".md", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            kept, self.lessons.PAGE = self.lessons.PAGE, pathlib.Path(file.name)
            try:
                self.lessons.write(lines, options)
            finally:
                self.lessons.PAGE = kept
            file.seek(0)
            return file.read()

    def test_write_replaces_the_quotations_and_nothing_else(self):
        lines = {name: f"{name} {'word ' * 40}" for name in self.lessons.LESSONS}
        once = self.written(lines, self.page)
        for name in lines:
            self.assertRegex(once, rf"<!-- lesson: {name} -->\n> {name} word .*\n> word")
        self.assertLessEqual(max(map(len, re.findall(r"^> .*", once, re.MULTILINE))), 100)
        self.assertRegex(once, r"lesson: machine -->\n> Measured on \d+ cores")
        self.assertEqual(re.sub(r"(?m)^>.*\n", "", once), re.sub(r"(?m)^>.*\n", "", self.page))
        self.assertEqual(self.written(lines, once), once)

    def test_some_lines_are_written_only_beside_others_of_the_same_machine(self):
        lines = {name: "old" for name in self.lessons.LESSONS}
        page = self.written(lines, self.page)
        self.assertIn("<!-- lesson: event -->\n> new\n", self.written({"event": "new"}, page))
        with self.assertRaises(SystemExit):
            self.written({"event": "new"}, page, rounds=4)

    def test_a_page_without_the_mark_is_an_error(self):
        with self.assertRaises(SystemExit):
            self.lessons.quoted(self.page, "nowhere")
