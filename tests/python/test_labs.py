#!/usr/bin/python3
"""docs/labs/ keeps its promises: each worksheet has its parts, its commands can be typed and take
less than two minutes, and its answer key is filled with what bench/labs has measured by them."""

import argparse
import contextlib
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import harness
from test_reading_order import commands, help_of, knows, load_bench, options_in

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "labs"
PARTS = ["What you need to know", "Predict", "Measure", "Explain", "Going further"]
BLANK = "______"
LIMIT_S = 120  # for all commands of a worksheet
WARMUP_S = 1  # of loadgen, unless it is told otherwise
NOT_PROGRAMS = {"for", "do", "done", "wait", "kill"}


labs = load_bench("labs")
measured = sys.modules["measured"]


def all_worksheets():
    return [labs.Worksheet(name) for name in labs.LABS]


def lines_of(script):
    """The script with each command on one line."""
    return re.sub(r"(?:\\|(?<=\|))\n\s*", " ", script)


def calls(script):
    """Its commands that call a program, without what sets a variable."""
    for command in commands(lines_of(script)):
        if command and command[0] not in NOT_PROGRAMS and not re.match(r"\w+=", command[0]):
            yield command


def all_calls():
    return [command for worksheet in all_worksheets() for command in calls(worksheet.script)]


def value_of(command, option, default=None):
    return command[command.index(option) + 1] if option in command else default


def seconds(text):
    return float(re.fullmatch(r"([\d.]+)s", text)[1])


def dry_run(command):
    """What the runner plans for a ./run_all.sh command, and how long that takes in seconds."""
    done = subprocess.run(["runner/run", "--build", harness.BUILD, "--dry-run", *command[2:]],
                          cwd=ROOT, capture_output=True, text=True, check=True)
    minutes, over_s = re.search(r"about (\d+):(\d\d),", done.stderr).groups()
    return done.stdout, 60 * int(minutes) + int(over_s)


def loadgen_s(words):
    warmup_s = seconds(value_of(words, "--warmup", f"{WARMUP_S}s"))
    return seconds(value_of(words, "-d")) + warmup_s


def duration_s(script):
    """How long the commands take, from what they are told: a line as often as its loop turns, a
    generator in the background until it is waited for."""
    total_s, turns, background_s = 0.0, 1, 0.0
    for line in lines_of(script).splitlines():
        words = shlex.split(line)
        if words[:1] == ["for"]:
            turns = len(words[3:-1])  # for NAME in WORD... do
        elif words == ["done"]:
            turns = 1
        elif words[:1] == ["sleep"]:
            total_s += turns * float(words[1])
            background_s = max(0.0, background_s - float(words[1]))
        elif words[:1] == ["build/loadgen"] and words[-1] == "&":
            background_s = loadgen_s(words)
        elif words[:1] == ["build/loadgen"]:
            total_s += turns * loadgen_s(words)
        elif words == ["wait", "$client"]:
            total_s += background_s
        elif words[:1] == ["./run_all.sh"]:
            total_s += dry_run(words)[1]
    return total_s


class Canned(labs.Results):
    """Results that are all the same number. `read` are the files that they would come from."""

    def __init__(self, number):
        super().__init__("nowhere")
        self.number, self.read = number, set()

    def anything(self):
        """An object in which each key leads to the number."""
        found = mock.MagicMock()
        found.__getitem__.side_effect = lambda key: (
            self.number if re.search(r"_(us|kb|rate|request)$|^(spawned|workers|dequeued)$", key)
            else found)
        return found

    def load(self, name):
        self.read.add(f"build/labs/{name}.json")
        return self.anything()

    def share_above(self, name, cls, limit_ms):
        self.read.add(f"--hgrm build/labs/{name}")
        return self.number

    def metrics(self, name):
        self.read.add(f"build/labs/{name}.txt")
        return self.anything()

    def cell(self, workload, point, server):
        self.read.add((workload, point, server))
        # Another number for each server, or the line through two of them would have no slope.
        return Canned(self.number * len(server)).anything()

    def quarters(self, workload, point, server):
        self.read.add((workload, point, server))
        return []


# ---------------------------------------------------------------- the worksheets


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
        named = re.compile(r"`((?:bench|common|docs|loadgen|model|servers|workloads)/[\w./-]+)`")
        for path in FOLDER.glob("*.md"):
            page = path.read_text(encoding="utf-8")
            for name in named.findall(page):
                self.assertTrue((ROOT / name).exists(), f"{path.name}: {name}")
            for function, server in re.findall(r"`(\w+)\(\)`\s+(?:in|of)\s+`(servers/\w+\.c)`",
                                               page):
                code = (ROOT / server).read_text(encoding="utf-8")
                self.assertRegex(code, rf"\b{function}\(", path.name)
            for module, function in re.findall(r"`model/(\w+)\.py`: `(\w+)`", page):
                code = (ROOT / "model" / f"{module}.py").read_text(encoding="utf-8")
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
                         else subprocess.check_output([ROOT / command[0], "--help"], text=True))
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
                    labs.write(copy, rows, 0.5)
                    written = copy.answers.read_text(encoding="utf-8")
                self.assertEqual([row[3] for row in rows_of(written)],
                                 [row.texts()[1] for row in rows])
                self.assertIn("the hypervisor took 50 %", " ".join(written.split()))
                self.assertEqual(re.sub(r"(?m)^[>|].*\n", "", written),
                                 re.sub(r"(?m)^[>|].*\n", "", key))


# ---------------------------------------------------------------- the tool


class Predictions(unittest.TestCase):
    def verdict(self, prediction, measured):
        return labs.Row(prediction, measured, "{:.1f} s").texts()

    def test_a_row_tells_prediction_measurement_and_verdict(self):
        self.assertEqual(self.verdict(labs.about(10, 0.2), 11.9),
                         ["10.0 s, give or take 20 %", "11.9 s", "holds"])
        self.assertEqual(self.verdict(labs.at_most(1), 1.1),
                         ["at most 1.0 s", "1.1 s", "**does not hold**"])
        self.assertEqual(self.verdict(labs.between(1, 2), float("inf")),
                         ["1.0 s to 2.0 s", "infinite", "**does not hold**"])

    def test_bounds(self):
        for prediction, right, wrong in ((labs.about(10, 0.2), (8, 12), (7.9, 12.1)),
                                         (labs.at_most(3), (-9, 3), (3.1, float("inf"))),
                                         (labs.at_least(3), (3, 99), (2.9,)),
                                         (labs.between(3, 5), (3, 5), (2.9, 5.1))):
            for value in right:
                self.assertEqual(self.verdict(prediction, value)[2], "holds", (prediction, value))
            for value in wrong:
                self.assertNotEqual(self.verdict(prediction, value)[2], "holds",
                                    (prediction, value))

    def test_known_predictions(self):
        """Little's law and the bathtub by hand, so that no parameter goes astray."""
        known = {"1-event-loop": ["40 %", "50.6 ms"],
                 "2-pool-size": ["300/s", "6.53 ms", "2.05 ms"],
                 "3-open-loop": ["200/s", "200 ms", "27.5 ms", "1020 ms", "at most 20.0 ms",
                                 "900 ms"],
                 "6-surge": ["900 ms", "1.07 s", "at most 1.00 ms", "40", "4"]}
        for name, expected in known.items():
            rows = labs.LABS[name](Canned(1.0))
            for row, text in zip(rows, expected):
                with self.subTest(lab=name, expected=text):
                    self.assertRegex(row.texts()[0], rf"^{re.escape(text)}(,|$| to)")


class Reading(unittest.TestCase):
    """What the commands write is read as it was meant."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.results = labs.Results(self.folder)

    def put(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def test_percentiles(self):
        self.put("a.json", json.dumps({"total": {"response": {"p99_us": 1500, "p50_us": None}},
                                       "classes": {"x": {"response": {"p99_us": 3}}}}))
        self.assertEqual(self.results.percentile_ms("a", "p99"), 1.5)
        self.assertEqual(self.results.percentile_ms("a", "p50"), float("inf"))
        self.assertEqual(self.results.percentile_ms("a", "p99", "x"), 0.003)

    def test_share_above(self):
        head = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"
        self.put("a.x.hgrm", head + "0.1 0.0 1 1\n0.9 0.5 5 2\n1.1 0.7 7 3\n9.0 1.0 10 inf\n"
                                    "#[Max     =   9.0, Total count    =  10]\n")
        self.assertAlmostEqual(self.results.share_above("a", "x", 1), 0.4)
        self.assertAlmostEqual(self.results.share_above("a", "x", 10), 0.0)
        self.assertAlmostEqual(self.results.share_above("a", "x", 0.01), 1.0)

    def test_metrics(self):
        self.put("m.txt", "# HELP archbench_workers Workers in the pool.\narchbench_workers 7\n"
                          "archbench_spawned_total 40\n")
        self.assertEqual(self.results.metrics("m"), {"workers": 7, "spawned": 40})

    def test_a_cell_that_was_not_measured_ends_it_with_the_reason(self):
        self.put("results/latest/cells/w/base/s.1/cell.json",
                 json.dumps({"load": None, "validity": {"reasons": ["it died"]}}))
        with self.assertRaisesRegex(SystemExit, "it died"):
            self.results.cell("w", "base", "s")


class Tool(unittest.TestCase):
    def labs(self, *arguments, status=0):
        done = subprocess.run([ROOT / "bench" / "labs", "--build", harness.BUILD, *arguments],
                              capture_output=True, text=True, check=False,
                              timeout=120 * harness.SLOW)
        self.assertEqual(done.returncode != 0, status != 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_list(self):
        self.assertEqual([line.split()[0] for line in self.labs("--list").splitlines()],
                         list(labs.LABS))

    def test_dry_run_prints_the_commands_and_does_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            said = self.labs("--dry-run", "--port", "18765", "--out", out, "2", "4-memory")
            self.assertFalse(out.exists())
        self.assertIn("thread_pool --workers 6 --port 18765 &", said)
        self.assertIn(f"mkdir -p {out}/2\n", said)
        self.assertIn(f"--results {out}/results --quick --only event,", said)
        self.assertIn(f"{out}/results/latest/summary.csv", said)
        self.assertNotRegex(said, r"(?m)8080|^build/|[ '=](build|results)/")

    def test_adapted_changes_places_and_nothing_else(self):
        options = argparse.Namespace(build="B", out="O", port=1, seconds=None)
        for worksheet in all_worksheets():
            script = labs.adapted(worksheet.script, options)
            back = script.replace("runner/run --with-parent --build B --results O/results",
                                  "./run_all.sh cells").replace("O/results", "results")
            back = re.sub(r"\bO/", "build/labs/", re.sub(r"\bB/", "build/", back))
            back = re.sub(r"\bO\b(?!/)", "build/labs", back)
            back = re.sub(r"(--port |127\.0\.0\.1:)1\b(?!\.)", r"\g<1>8080", back)
            self.assertEqual(back, worksheet.script)

    def test_mistakes_are_told(self):
        self.assertIn("no lab is called 7", self.labs("7", status=1))
        self.assertIn("--write", self.labs("--write", "--seconds", "1", "1", status=1))

    def test_a_lab_can_be_done(self):
        """With short windows, in which the numbers mean nothing."""
        with tempfile.TemporaryDirectory() as folder:
            said = self.labs("--seconds", "0.3", "--out", folder, "1")
            self.assertTrue((pathlib.Path(folder) / "1" / "event-wait.json").exists())
        quantities = labs.Worksheet("1-event-loop").quantities
        for number, quantity in enumerate(quantities, 1):
            self.assertRegex(said, rf"(?m)^\| {number} \| {re.escape(quantity)} \| .*\d.* \| .*\d")

    def test_a_command_that_fails_ends_the_lab_and_the_servers(self):
        script = "sleep 300 &\necho $! >&2\nfalse\n"
        with tempfile.NamedTemporaryFile("r") as log:
            with self.assertRaisesRegex(SystemExit, "exit status 1"), \
                    contextlib.redirect_stderr(io.StringIO()):
                labs.run_script(script, log.name)
            pid = int(log.read())
        self.assertTrue(harness.wait_until(lambda: harness.proc_stat(pid) is None, 5))


if __name__ == "__main__":
    unittest.main()
