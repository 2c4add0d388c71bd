"""docs/labs/ keeps its promises: each worksheet has its parts, its commands can be typed and take
less than two minutes, and its answer key is filled with what archbench labs has measured."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest
from unittest import mock

import harness
from archbench.bench import labs, measured
from labs_case import (BLANK, FOLDER, LIMIT_S, PARTS, ROOT, Canned, all_calls, all_worksheets,
                       dry_run, duration_s, lines_of, value_of)
from test_reading_order import help_of, knows, options_in


class Worksheets(unittest.TestCase):
    def test_every_page_is_a_lab_and_every_lab_is_in_the_index(self):
        pages = {path.name for path in FOLDER.glob("*.md")} - {"README.md"}
        self.assertEqual(pages, {f"{name}{end}" for name in labs.LABS
                                 for end in (".md", ".answers.md")})
        index = (FOLDER / "README.md").read_text(encoding="utf-8")
        listed = re.findall(r"^\| (\d+) \| \[.*?\]\(([\w.-]+)\) \|", index, re.MULTILINE)
        self.assertEqual(listed, [(str(number), f"{name}.md")
                                  for number, name in enumerate(labs.LABS, 1)])

    def test_they_are_numbered_and_have_their_parts_in_order(self):
        for number, worksheet in enumerate(all_worksheets(), 1):
            with self.subTest(lab=worksheet.name):
                self.assertTrue(worksheet.name.startswith(f"{number}-"))
                self.assertTrue(worksheet.title.startswith(f"Lab {number}: "))
                self.assertRegex(worksheet.page, r"\A# .*\n\n[^#\n]")
                headings = re.findall(r"^## (.*)$", worksheet.page, re.MULTILINE)
                self.assertEqual(headings, PARTS)

    def test_there_is_a_place_for_each_prediction_and_none_is_given_away(self):
        for worksheet in all_worksheets():
            with self.subTest(lab=worksheet.name):
                table = worksheet.section("Predict")
                rows = re.findall(r"^\| (\d+) \|(.*)\|$", table, re.MULTILINE)
                self.assertGreaterEqual(len(rows), 5)
                for number, (label, cells) in enumerate(rows, 1):
                    _, formula, *blanks = [cell.strip() for cell in cells.split(" | ")]
                    self.assertEqual((label, blanks), (str(number), [BLANK, BLANK]))
                    self.assertTrue(formula)

    def test_questions_and_their_answers(self):
        for worksheet in all_worksheets():
            with self.subTest(lab=worksheet.name):
                questions = re.findall(r"^(\d+)\. ", worksheet.section("Explain"), re.MULTILINE)
                key = worksheet.answers.read_text(encoding="utf-8")
                self.assertTrue(4 <= len(questions) <= 6)
                self.assertEqual(questions, [str(i + 1) for i in range(len(questions))])
                self.assertEqual(re.findall(r"^\*\*(\d+)\.\*\* ", key, re.MULTILINE), questions)
                self.assertIn("**Going further.**", key)
                for answer in re.split(r"^\*\*\d+\.\*\* ", key, flags=re.MULTILINE)[1:]:
                    self.assertRegex(answer, r"\*Refuted\s+if\*")

    def test_files_and_functions_that_are_named_exist(self):
        named = re.compile(r"`((?:archbench|bench|bin|common|docs|loadgen|model|servers|workloads)/[\w./-]+)`")
        for path in FOLDER.glob("*.md"):
            page = path.read_text(encoding="utf-8")
            for name in named.findall(page):
                self.assertTrue((ROOT / name).exists(), f"{path.name}: {name}")
            for function, server in re.findall(r"`(\w+)\(\)`\s+(?:in|of)\s+`(servers/[\w/]+\.c)`",
                                               page):
                code = (ROOT / server).read_text(encoding="utf-8")
                self.assertRegex(code, rf"\b{function}\(", path.name)
            for module, function in re.findall(r"`archbench/model/(\w+)\.py`:\s+`(\w+)`", page):
                code = (ROOT / "archbench" / "model" / f"{module}.py").read_text(encoding="utf-8")
                self.assertIn(f"def {function}(", code)


class Commands(unittest.TestCase):
    def test_scripts_are_scripts(self):
        for worksheet in all_worksheets():
            subprocess.run(["bash", "-n"], input=worksheet.script, text=True, check=True)

    def test_programs_exist(self):
        for command in all_calls():
            with self.subTest(command=command):
                program = command[0]
                if program.startswith("build/"):
                    program = f"{harness.BUILD}/{program.removeprefix('build/')}"
                self.assertTrue(shutil.which(program, path=f"{os.environ['PATH']}:{ROOT}")
                                or os.access(ROOT / program, os.X_OK))

    def test_options_exist(self):
        for command in all_calls():
            with self.subTest(command=command):
                if "/" not in command[0]:
                    continue
                known = (help_of(command[0]) if command[0].startswith("build/")
                         else subprocess.check_output(
                             [ROOT / command[0], *command[1:2 if command[0] == "bin/archbench" else 1],
                              "--help"], text=True))
                for option in options_in(command[1:]):
                    self.assertTrue(knows(known.replace(" | ", " "), option), option)

    def test_workloads_have_the_points(self):
        for command in all_calls():
            with self.subTest(command=command):
                file = value_of(command, "--workload")
                if file:
                    text = (ROOT / file).read_text(encoding="utf-8")
                    self.assertIn(f"[point {value_of(command, '--point')}]", text)

    def test_the_runner_can_plan_them(self):
        """Nobody is left out, and the workloads are there."""
        for command in all_calls():
            with self.subTest(command=command):
                if command[0] == "./run_all.sh":
                    plan, _ = dry_run(command)
                    for word in value_of(command, "--only").split(","):
                        name = re.sub(r":--[\w-]+=", "-", word)  # of a variant
                        self.assertRegex(plan, rf" {name}\.1\b")

    def test_they_take_as_long_as_the_index_says_and_less_than_two_minutes(self):
        index = (FOLDER / "README.md").read_text(encoding="utf-8")
        for worksheet in all_worksheets():
            with self.subTest(lab=worksheet.name):
                stated_s = int(re.search(rf"\({worksheet.name}\.md\).* (\d+) s \|", index)[1])
                self.assertLess(abs(stated_s - duration_s(worksheet.script)), 10)
                self.assertLess(stated_s, 0.8 * LIMIT_S)

    def test_what_is_measured_is_what_the_commands_have_written(self):
        for name, lab in labs.LABS.items():
            script, results = lines_of(labs.Worksheet(name).script), Canned(1.0)
            script = re.sub(r"tee (\S+)\$workers.txt",  # what its loop runs through
                            r"tee \g<1>9.txt \g<1>10.txt \g<1>16.txt", script)
            lab(results)
            self.assertTrue(results.read)
            for source in results.read:
                with self.subTest(lab=name, source=source):
                    if isinstance(source, str):
                        self.assertRegex(script, rf"{re.escape(source)}(?!\S)")
                    else:
                        workload, point, server = source
                        plan = "".join(dry_run(shlex.split(line))[0]
                                       for line in script.splitlines() if "./run_all" in line)
                        self.assertRegex(plan, rf"(?m)^{workload}/{point} {server}\.1\b")


# ---------------------------------------------------------------- the answer keys


def rows_of(key):
    """The cells of the measured table."""
    lines = measured.block(key, "measured: rows")[1].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


class Answers(unittest.TestCase):
    def test_they_are_filled(self):
        for worksheet in all_worksheets():
            with self.subTest(lab=worksheet.name):
                key = worksheet.answers.read_text(encoding="utf-8")
                machine = measured.block(key, "measured: machine")[1]
                self.assertRegex(machine, r"^> Measured on \d+ cores")
                rows = rows_of(key)
                self.assertEqual([row[:2] for row in rows],
                                 [[str(number), quantity] for number, quantity
                                  in enumerate(worksheet.quantities, 1)])
                for row in rows:
                    self.assertRegex(row[2], r"\d")
                    self.assertRegex(row[3], r"\d|^infinite$")
                    self.assertIn(row[4], ("holds", "**does not hold**"))

    def test_they_state_the_predictions_of_today(self):
        """One that has changed since is to be measured anew. Those that are computed from what was
        measured differ between two results, and are left out."""
        for worksheet in all_worksheets():
            with self.subTest(lab=worksheet.name):
                key = worksheet.answers.read_text(encoding="utf-8")
                lab = labs.LABS[worksheet.name]
                once, again = ([row.texts()[0] for row in lab(Canned(number))]
                               for number in (1.0, 2.0))
                for stated, first, second in zip(rows_of(key), once, again, strict=True):
                    if first == second:
                        self.assertEqual(stated[2], first)

    def test_write_replaces_table_and_machine_and_nothing_else(self):
        for worksheet in all_worksheets():
            with self.subTest(lab=worksheet.name):
                key = worksheet.answers.read_text(encoding="utf-8")
                rows = labs.LABS[worksheet.name](Canned(3.0))
                with tempfile.NamedTemporaryFile("w+", suffix=".md", encoding="utf-8") as file:
                    file.write(key)
                    file.flush()
                    copy = mock.Mock(answers=pathlib.Path(file.name),
                                     quantities=worksheet.quantities)
                    labs.write(copy, rows, measured.Stolen(0.5, 0.02))
                    written = copy.answers.read_text(encoding="utf-8")
                self.assertEqual([row[3] for row in rows_of(written)],
                                 [row.texts()[1] for row in rows])
                self.assertIn("the hypervisor took 50 %", " ".join(written.split()))
                self.assertEqual(re.sub(r"(?m)^[>|].*\n", "", written),
                                 re.sub(r"(?m)^[>|].*\n", "", key))
