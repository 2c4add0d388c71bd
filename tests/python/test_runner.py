#!/usr/bin/python3
"""The runner from outside: its plan, one cell, resuming, and that nothing is ever left behind.

BUILD names the folder with the programs (default: build). Every process that a test starts carries
a mark in its environment, by which those left behind are found.
"""
import csv
import datetime
import importlib.machinery
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
import unittest.mock
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
RUN = ROOT / "runner" / "run"
MARK = "ARCHBENCH_TEST_MARK"
SLOW = float(os.environ.get("SLOW", "1"))
sys.path.insert(0, str(RUN.parent))
import calm  # noqa: E402  (after the path is set)

runner = importlib.machinery.SourceFileLoader("runner_run", str(RUN)).load_module()

TINY = """
    [workload]
    question    = Does the runner work?
    arrivals    = constant
    rate        = 200
    connections = 4
    [class short]
    request = /
    [point a]
    [point b]
    rate = 300
    [smoke]
    warmup   = 50ms
    duration = 250ms
    [full]
    points   = a
    trials   = 2
"""
COMPUTE = """
    [workload]
    question    = How much CPU time is a millisecond of work?
    arrivals    = closed
    connections = 2
    [class cpu]
    request = /work?cpu=hash:5ms&class=cpu
"""
CALLS = """
    [workload]
    question    = Is there a backend to call?
    connections = 4
    backend     = --delay 1ms
    [class call]
    request = /work?io=backend:2ms&class=call
    [point slow]
    [point odd]
    backend = --no-such-option
    [point dying]
    backend = --fail 3
    [point none]
    call.request = /
    [point split]
    placement = split
    [point calm]
    arrivals = constant
    rate = 50
"""
# Stands before a real server: looks whether its backend answers, and says so in server.log.
ASKS_BACKEND = """
    import os, socket, sys
    address = sys.argv[sys.argv.index("--backend-address") + 1]
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as peer:
        peer.sendall(b"*1\\r\\n$4\\r\\nPING\\r\\n*3\\r\\n$5\\r\\nBLPOP\\r\\n$1\\r\\na\\r\\n"
                     b"$4\\r\\n0.01\\r\\n")
        print("heard", [peer.recv(100) for _ in range(2)], file=sys.stderr, flush=True)
    arguments = [word for word in sys.argv[1:] if word not in ("--backend-address", address)]
    os.execv("SERVER", ["threads", *arguments])
"""
# Stands for build/cell: measures nothing, ends as verdicts.json says, and notes the order.
FAKE_CELL = """
    import argparse, json, pathlib, sys
    parser = argparse.ArgumentParser()
    for name in "workload point name trial out".split():
        parser.add_argument("--" + name)
    parser.add_argument("--again", action="store_true")
    given = parser.parse_known_args()[0]
    here = pathlib.Path(__file__).parent
    name = f"{pathlib.Path(given.workload).stem}/{given.point} {given.name}.{given.trial}"
    with open(here / "order", "a") as file:
        print(name, file=file)
    place = pathlib.Path(given.out, name.replace(" ", "/"))
    place.mkdir(parents=True, exist_ok=True)
    path = place / "cell.json"
    attempt = 1
    if given.again and path.exists():
        attempt = json.loads(path.read_text())["attempt"] + 1
    verdicts = json.loads((here / "verdicts.json").read_text()).get(name, [])
    invalid = attempt <= len(verdicts) and not verdicts[attempt - 1]
    reasons = [f"disturbed {attempt}"] if invalid else []
    verdict = "INVALID" if invalid else "VALID"
    path.write_text(json.dumps({
        "schema": "archbench-cell/1", "server": given.name, "workload": "tiny",
        "point": given.point, "trial": int(given.trial), "attempt": attempt, "load": None,
        "cost": None, "memory": None, "validity": {"verdict": verdict, "reasons": reasons}}))
    print(": ".join([f"{verdict} {name}", *reasons]))
    sys.exit(invalid)
"""
CALIBRATION = {"request_us": 20.0, "parallel": 1.0, "units_per_ms": {"hash": 1000}}


def alive(mark):
    """Pids of all processes that carry the mark."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until(condition, limit_s=10):
    end = time.monotonic() + limit_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def script(path, text):
    path.write_text("#!/usr/bin/python3\n" + textwrap.dedent(text), encoding="utf-8")
    path.chmod(0o755)


class RunnerTest(unittest.TestCase):
    """A folder of its own, with workloads in it, and a mark."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="archbench-runner."))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.mark = uuid.uuid4().hex
        self.environment = dict(os.environ, **{MARK: self.mark})
        self.tiny = self.workload("tiny", TINY)
        self.results = self.folder / "results"

    def workload(self, name, text):
        path = self.folder / f"{name}.ini"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return str(path)

    def fake_servers(self, **abouts):
        """A build folder of servers that say what they are, and do nothing else."""
        folder = self.folder / "build" / "servers"
        folder.mkdir(parents=True)
        for name, keys in abouts.items():
            about = dict(name=name, ids=["A1"], family="made up", blocks=[], tasks="0",
                         computes="any", loc=60, summary="never serves.") | keys
            script(folder / name, f"print({json.dumps(json.dumps(about))})\n")
        return folder.parent

    def start(self, *command):
        return subprocess.Popen([str(part) for part in command], env=self.environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def do(self, *command):
        """Run to the end; returns status, stdout, stderr."""
        process = self.start(*command)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def runner(self, *options):
        return [RUN, "--build", BUILD, "--results", self.results, *options]

    def cell(self, server, workload, *options, build=BUILD):
        return [BUILD / "cell", "--build", build, "--server", server, "--workload", workload,
                "--out", self.folder / "cells", "--warmup", "50ms", *options]

    def assert_nothing_left(self):
        self.assertTrue(wait_until(lambda: not alive(self.mark)), "processes are left behind")

    def run_folder(self):
        return next((path for path in self.results.iterdir() if not path.is_symlink()), None)

    def cells(self, folder=None):
        folder = folder or self.run_folder()
        return sorted(folder.glob("cells/*/*/[!.]*/cell.json")) if folder else []


class PlanTest(RunnerTest):
    def plan(self, *options):
        status, out, err = self.do(*self.runner("--dry-run", "--workloads", self.tiny, *options))
        self.assertEqual(status, 0, err)
        return [" ".join(line.split()[:2]) for line in out.splitlines()]  # without options

    def expected(self, points, trials):
        paths = [path for path in (BUILD / "servers").iterdir()
                 if not path.suffix and os.access(path, os.X_OK)]
        abouts = [json.loads(self.do(path, "--about")[1]) for path in paths]
        servers = [about["name"] for about in abouts if about.get("peers") != 1]
        return sorted(f"tiny/{point} {server}.{trial}" for server, point, trial
                      in itertools.product(servers, points, range(1, trials + 1)))

    def test_every_cell_once(self):
        self.assertEqual(sorted(self.plan("--smoke", "--trials", "3")), self.expected("ab", 3))

    def test_a_profile_chooses_points_and_trials(self):
        self.assertEqual(sorted(self.plan("--full")), self.expected("a", 2))

    def test_a_workload_may_take_no_part_in_a_profile(self):
        absent = self.workload("absent", TINY + "    [quick]\n    points =\n")
        status, out, err = self.do(*self.runner("--dry-run", "--workloads",
                                                f"{self.tiny},{absent}", "--only", "threads"))
        self.assertEqual(status, 0, err)
        self.assertEqual({line.partition("/")[0] for line in out.splitlines()}, {"tiny"})
        self.assertRegex(err, r"workload \S+absent\.ini takes no part in profile quick\n")
        status, _, err = self.do(*self.runner("--dry-run", "--workloads", absent))
        self.assertEqual(status, 2)
        self.assertIn("nothing is left to run: ", err)
        self.assertIn("takes no part in profile quick", err.splitlines()[-1])
        self.assertIn("VALID absent/a", self.do(*self.cell("threads", absent, "--point", "a",
                                                           "--duration", "100ms"))[1])

    def planned_s(self, *options):
        """The expected duration that the plan of the matrix says."""
        minutes, seconds = re.search(r"cells, about (\d+):(\d+), until",
                                     self.do(*self.runner("--dry-run", *options))[2]).groups()
        return 60 * int(minutes) + int(seconds)

    def test_the_matrix_keeps_to_its_time(self):
        """Without what is built and drawn around it, and without repetitions."""
        self.assertLessEqual(self.planned_s("--smoke"), 36)
        self.assertLessEqual(self.planned_s("--quick"), 250)

    def test_the_full_matrix_has_five_trials_of_everything(self):
        out = self.do(*self.runner("--dry-run", "--full"))[1]
        trials = {}
        for line in out.splitlines():
            name, _, trial = " ".join(line.split()[:2]).rpartition(".")
            trials.setdefault(name, []).append(int(trial))
        self.assertEqual([n for n, seen in trials.items() if seen != [1, 2, 3, 4, 5]], [])

    def test_only_these_servers(self):
        self.assertEqual(sorted(self.plan("--smoke", "--only", "threads")),
                         ["tiny/a threads.1", "tiny/b threads.1"])

    def test_the_seed_is_the_order(self):
        options = ["--smoke", "--trials", "4", "--seed"]
        first = self.plan(*options, "1")
        self.assertEqual(first, self.plan(*options, "1"))
        self.assertNotEqual(first, self.plan(*options, "2"))

    def test_blocks_are_in_the_order_of_trials(self):
        trials = [int(name.rpartition(".")[2]) for name in self.plan("--smoke", "--trials", "3")]
        self.assertEqual(trials, sorted(trials))

    def test_blocks_are_not_in_the_order_of_names(self):
        names = self.plan("--smoke", "--trials", "3", "--seed", "1")
        self.assertNotEqual(names, sorted(names, key=lambda name: (name[-1], name)))

    def test_the_workloads_that_are_there(self):
        for profile in "--smoke", "--quick", "--full":
            status, out, err = self.do(*self.runner("--dry-run", profile))
            self.assertEqual(status, 0, err)
            names = {name.partition("/")[0] for name in out.split()}
            self.assertLessEqual({path.stem for path in (ROOT / "workloads").glob("*.ini")}, names)

    def test_workloads_that_are_not_of_the_matrix(self):
        examples = sorted((ROOT / "loadgen" / "examples").glob("*.ini"))
        self.assertTrue(examples)
        for path in examples:
            names = self.plan("--smoke", "--workloads", path)
            self.assertEqual({name.partition("/")[0] for name in names}, {path.stem})

    def test_what_cannot_be_planned_is_said(self):
        odd = self.workload("odd", TINY + "[quick]\npoints = a c\n")
        for options, word in ((["--only", "nobody"], "nobody"), (["--workloads", odd], "c"),
                              (["--workloads", "nothing"], "nothing")):
            status, _, err = self.do(*self.runner("--dry-run", *options))
            self.assertEqual(status, 2)
            self.assertRegex(err, rf"^runner/run: .*\b{word}\b")


class LineUpTest(RunnerTest):
    """Who takes part."""

    def setUp(self):
        super().setUp()
        self.build = self.fake_servers(event={}, threads={}, one=dict(peers=1),
                                       few=dict(peers="--workers"))

    def plan(self, text, *options):
        """(status, lines of the plan, stderr) of a workload with this text, once."""
        status, out, err = self.do(RUN, "--build", self.build, "--dry-run", "--workloads",
                                   self.workload("some", text), "--trials", "1", *options)
        return status, sorted(out.split("\n")[:-1]), err

    def names(self, text, *options):
        status, lines, err = self.plan(text, *options)
        self.assertEqual(status, 0, err)
        return [line.split()[1].removesuffix(".1") for line in lines]

    def base(self, **keys):
        """A workload with one point; keys of [workload]."""
        stated = "\n".join(f"{key} = {value}" for key, value in keys.items())
        return f"[workload]\n{stated}\n[class a]\nrequest = /\n"

    def test_a_profile_names_its_servers(self):
        text = self.base() + "[quick]\nservers = threads event\n"
        self.assertEqual(self.names(text), ["event", "threads"])
        self.assertEqual(self.names(text, "--full", "--only", "event,threads,one"),
                         ["event", "threads"])  # `one` cannot: there are ten connections

    def test_the_command_line_overrides_it(self):
        text = self.base(connections=1) + "[quick]\nservers = threads\n"
        self.assertEqual(self.names(text, "--only", "event"), ["event"])
        self.assertEqual(self.names(text, "--only", "event:--backend=poll"), ["event-poll"])
        self.assertEqual(self.names(text, "--only", "all"), ["event", "few", "one", "threads"])

    def test_a_variant_has_options_and_a_name(self):
        text = (self.base(connections=1) + "[quick]\n"
                "servers = event event:--backend=poll:--stack=64k:--loud event:--loud event\n")
        self.assertEqual(self.plan(text)[1],
                         ["some/base event-loud.1 --loud",
                          "some/base event-poll-64k-loud.1 --backend=poll --stack=64k --loud",
                          "some/base event.1"])

    def test_all_stands_for_every_server(self):
        text = self.base(connections=1) + "[quick]\nservers = all event:--backend=poll\n"
        self.assertEqual(self.names(text), ["event-poll", "event", "few", "one", "threads"])

    def test_what_is_not_built_is_left_out_with_a_word(self):
        text = self.base() + "[quick]\nservers = io_uring event coroutines:--x=1\n"
        status, lines, err = self.plan(text)
        self.assertEqual((status, lines), (0, ["some/base event.1"]))
        for name in "io_uring", "coroutines":
            self.assertRegex(err, rf"some\.ini without {name}, which is not built\n")

    def test_a_workload_without_any_server_is_an_error(self):
        for word, said in (("io_uring", "none of its servers is built: io_uring"),
                           ("event:backend", "'event:backend' is neither"),
                           ("event:--../x", "is neither"), ("event:--x=../y", "is neither")):
            status, lines, err = self.plan(self.base() + f"[quick]\nservers = {word}\n")
            self.assertEqual((status, lines), (2, []))
            self.assertRegex(err, rf"^runner/run: workload \S+some\.ini: .*{re.escape(said)}")

    def test_one_connection_at_a_time(self):
        sweep = self.base() + "[point 1]\nconnections = 1\n[point 2]\nconnections = 2\n"
        status, lines, err = self.plan(sweep, "--only", "one,event")
        self.assertEqual((status, lines), (0, ["some/1 event.1", "some/1 one.1", "some/2 event.1"]))
        self.assertIn("without one, which cannot serve so many connections at a time: "
                      "2 at point 2\n", err)

    def test_as_many_workers_as_connections_up_to_a_limit(self):
        sweep = self.base(connections=512) + "[point a]\n[point b]\nconnections = 513\n"
        status, lines, err = self.plan(sweep, "--only", "few")
        self.assertEqual((status, lines), (0, ["some/a few.1 --workers=512"]))
        self.assertIn("513 at point b", err)

    def test_a_stated_option_comes_after_the_computed_one(self):
        self.assertEqual(self.plan(self.base(), "--only", "few:--workers=3")[1],
                         ["some/base few-3.1 --workers=10 --workers=3"])

    def test_every_kind_of_connection_counts(self):
        one = self.base(connections=1)
        self.assertEqual(self.names(one, "--only", "one"), ["one"])
        for text in (self.base(connections=1, idle=1),
                     one + "connections = 1\n",
                     one + "[point p]\na.connections = 1\n",
                     one + "[point p]\nidle = 1\n",
                     one + "[quick]\nconnections = 2\n"):
            self.assertEqual(self.names(text, "--only", "one,event"), ["event"], text)
        text = self.base(connections=9) + "[quick]\nconnections = 1\n"
        self.assertEqual(self.names(text, "--only", "one"), ["one"])

    def test_nothing_left_to_run_is_an_error(self):
        status, _, err = self.plan(self.base(), "--only", "one")
        self.assertEqual(status, 2)
        self.assertRegex(err, "^runner/run: nothing is left to run: .* without one, which cannot")

    def test_a_number_that_is_none_is_said(self):
        for text in (self.base(connections="few"), self.base() + "[quick]\nconnections = x\n"):
            status, _, err = self.plan(text)
            self.assertEqual(status, 2)
            self.assertRegex(err, r"^runner/run: .*some\.ini: '\w+' is not a whole number")


class ArchitecturesTest(RunnerTest):
    def table(self, build):
        """[(row, first line of the summary below it)], without the heading."""
        status, out, err = self.do(ROOT / "runner" / "architectures", "--build", build)
        self.assertEqual(status, 0, err)
        lines = out.splitlines()
        return [(row, below.strip()) for row, below in itertools.pairwise(lines)
                if not row.startswith(" ") and below.startswith(" ")]

    def test_it_says_what_the_headers_say(self):
        found = {row.split()[0]: (row, summary) for row, summary in self.table(BUILD)}
        for name, (row, summary) in found.items():
            header = (ROOT / "servers" / f"{name}.c").read_text(encoding="utf-8")
            ids, family = (re.search(rf"^ \* {key}: +(.*)$", header, re.M)[1]
                           for key in ("Ids", "Family"))
            self.assertRegex(row, rf"^{name} +{ids} +{family} .* +\d+$")
            self.assertTrue(summary.startswith(re.match(r"/\* \w+: (.{20})", header)[1]), summary)
        for name, columns in (("threads", "all +1 thread +any +any"),
                              ("event", "compute disk +0 +1 +any"),
                              ("hybrid", "nothing +0 +--max-workers +any")):
            self.assertRegex(found[name][0], rf" {columns} +\d+$")

    def test_the_guides_order_and_aligned_columns(self):
        build = self.fake_servers(a=dict(ids=["A10"], loc=1000), d=dict(ids=["A2", "A9"], loc=7),
                                  c=dict(ids=["A10"], peers=1), b=dict(ids=[], peers="--workers"))
        rows = [row for row, _ in self.table(build)]
        self.assertEqual([row.split()[0] for row in rows], list("bdac"))
        self.assertEqual(len({len(row) for row in rows}), 1)
        for row, end in zip(rows, ("--workers +60", "any +7", "any +1000", "1 +60")):
            self.assertRegex(row, f" {end}$")

    def test_nothing_built_is_said(self):
        status, _, err = self.do(ROOT / "runner" / "architectures", "--build", self.folder)
        self.assertEqual(status, 2)
        self.assertRegex(err, "^runner/architectures: .*try make\n$")


class RunTest(RunnerTest):
    def test_a_variant_is_run_under_its_name(self):
        self.tiny = self.workload("tiny", TINY.replace(
            "[smoke]", "[smoke]\n    servers = event:--backend=poll\n    points = a"))
        status, _, err = self.do(*self.runner("--smoke", "--workloads", self.tiny))
        self.assertEqual(status, 0, err)
        self.assertEqual([path.parent.name for path in self.cells()], ["event-poll.1"])
        cell = json.loads(self.cells()[0].read_text())
        self.assertEqual(cell["server"], "event-poll")
        self.assertEqual(cell["command"]["server"][0].rpartition("/")[2], "event")
        self.assertIn("--backend=poll", cell["command"]["server"])
        self.assertIn("tiny,a,event-poll,1,", (self.run_folder() / "summary.csv").read_text())
        manifest = json.loads((self.run_folder() / "manifest.json").read_text())
        self.assertEqual(list(manifest["servers"]), ["event"])
        self.assertEqual(self.do(*self.runner("--resume", self.run_folder()))[0], 0)

    def test_a_run_leaves_what_is_documented(self):
        status, out, err = self.do(*self.runner("--smoke", "--workloads", self.tiny, "--only",
                                                "threads,event"))
        self.assertEqual(status, 0, err)
        folder = self.run_folder()
        self.assertEqual(os.readlink(self.results / "latest"), folder.name)
        manifest = json.loads((folder / "manifest.json").read_text())
        for key in ("run_id profile seed started finished environment calibration servers"
                    .split()):
            self.assertTrue(manifest[key], key)
        self.assertEqual(len(self.cells()), len(manifest["cells"]))
        self.assertIn(f"[{len(manifest['cells'])}/{len(manifest['cells'])}]", out)
        for name in "servers/threads", "loadgen", "cell":
            self.assertRegex(manifest["environment"]["binaries"][name], r"^[0-9a-f]{64}$")
        self.check_summary(folder)
        self.assert_nothing_left()

    def check_summary(self, folder):
        with open(folder / "summary.csv", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(list(rows[0]),
                         "workload point arch trial verdict class metric value".split())
        for path in self.cells(folder):
            cell = json.loads(path.read_text())
            mine = {(row["class"], row["metric"]): float(row["value"]) for row in rows
                    if (row["point"], row["arch"]) == (cell["point"], cell["server"])}
            self.assertEqual(mine["", "attempt"], cell["attempt"])
            load = cell["load"]
            self.assertEqual(mine["short", "requests"], load["classes"]["short"]["requests"])
            self.assertEqual(mine["total", "response_p99_us"], load["total"]["response"]["p99_us"])
            self.assertEqual(mine["", "cores_used"], cell["cost"]["cores_used"])

    def test_infinite_and_unknown_values(self):
        self.assertEqual(self.do(*self.runner("--smoke", "--workloads", self.tiny, "--only",
                                              "threads"))[0], 0)
        path = self.cells()[0]
        cell = json.loads(path.read_text())
        cell["load"]["classes"]["short"]["response"]["p99_us"] = None
        cell["cost"]["cpu_us_per_request"] = None
        path.write_text(json.dumps(cell))
        self.assertEqual(self.do(*self.runner("--resume", self.run_folder()))[0], 0)
        table = (self.run_folder() / "summary.csv").read_text()
        self.assertIn("tiny,a,threads,1,VALID,short,response_p99_us,inf\n".replace(
            "VALID", cell["validity"]["verdict"]), table)
        self.assertEqual(table.count("cpu_us_per_request"), 1)  # the other point's

    def test_killed_and_resumed(self):
        self.kill_and_resume([])

    def test_parent_killed_and_resumed(self):
        """As when run_all.sh is killed: bash dies, its child must not go on alone."""
        self.kill_and_resume(["bash", "-c", '"$@" --with-parent; true', "bash"])

    def kill_and_resume(self, parent):
        runner = self.start(*parent, *self.runner("--smoke", "--trials", "2", "--workloads",
                                                  self.tiny, "--only", "threads,processes"))
        self.assertTrue(wait_until(lambda: self.results.exists() and len(self.cells()) >= 2))
        runner.kill()
        runner.communicate()
        self.assert_nothing_left()
        finished = {path: path.stat().st_ino for path in self.cells() if self.is_settled(path)}
        self.assertLess(len(finished), 8)
        self.resume_and_check(finished, 8)

    @staticmethod
    def is_settled(path):
        """Not a disturbed one, which is going to be repeated."""
        return runner.attempts_left(runner.load_cell(path.parent)) == 0

    def resume_and_check(self, finished, total):
        """Resuming measures what is missing, and only that."""
        status, out, err = self.do(*self.runner("--resume", self.run_folder()))
        self.assertEqual(status, 0, err)
        self.assertIn(f"{total - len(finished)} cells to run", out)
        self.assertEqual(len(self.cells()), total)
        for path, inode in finished.items():
            self.assertEqual(path.stat().st_ino, inode, f"{path} was measured again")
        self.assertEqual(list(self.run_folder().glob("cells/*/*/.*")), [])

    def test_interrupted(self):
        for number in signal.SIGINT, signal.SIGTERM:
            shutil.rmtree(self.results, ignore_errors=True)
            runner = self.start(*self.runner("--smoke", "--trials", "9", "--workloads", self.tiny))
            self.assertTrue(wait_until(lambda: self.results.exists() and self.cells()))
            time.sleep(0.2)  # into the middle of the second one
            runner.send_signal(number)
            _, err = runner.communicate(timeout=10)
            self.assertEqual(runner.returncode, 130)
            self.assertIn("--resume", err)
            self.assertEqual(alive(self.mark), [])
            self.assertEqual(list(self.run_folder().glob("cells/*/*/.*")), [])

    def test_torn_cells_do_not_count(self):
        options = ["--smoke", "--workloads", self.tiny, "--only", "threads"]
        self.assertEqual(self.do(*self.runner(*options))[0], 0)
        torn, whole = self.cells()
        torn.write_text(torn.read_text()[:-100])
        temporary = torn.parent.parent / ".threads.1.tmp.1"
        temporary.mkdir()
        shutil.copy(whole, temporary)
        self.resume_and_check({whole: whole.stat().st_ino}, 2)

    def test_a_changed_program_is_recorded(self):
        self.assertEqual(self.do(*self.runner("--smoke", "--workloads", self.tiny, "--only",
                                              "threads"))[0], 0)
        path = self.run_folder() / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["environment"]["binaries"]["loadgen"] = "0" * 64
        path.write_text(json.dumps(manifest))
        status, _, err = self.do(*self.runner("--resume", self.run_folder()))
        self.assertEqual(status, 0)
        self.assertIn("program loadgen is another one", err)
        self.assertIn("program loadgen is another one",
                      json.loads(path.read_text())["resumed"][0]["changes"])

    def test_one_runner_at_a_time(self):
        first = self.start(*self.runner("--smoke", "--trials", "9", "--workloads", self.tiny))
        self.assertTrue(wait_until(lambda: self.results.exists() and self.cells()))
        status, _, err = self.do(*self.runner("--resume", self.run_folder()))
        self.assertEqual(status, 2)
        self.assertIn("another runner is at work", err)
        first.terminate()
        first.communicate()
        self.assertEqual(first.returncode, 130)

    def test_what_is_no_run_cannot_be_resumed(self):
        status, _, err = self.do(*self.runner("--resume", self.folder))
        self.assertEqual(status, 2)
        self.assertIn("is no run", err)


class CalmTest(unittest.TestCase):
    """Waiting for a machine that others leave alone."""

    def wait(self, budget_s, *shares):
        """(pauses, shares that were told, Patience) when the probes find these shares."""
        pauses, told, found = [], [], iter(shares)
        patience = calm.Patience(budget_s, lambda: next(found), pauses.append)
        patience.wait(told.append)
        return pauses, told, patience

    def test_a_calm_machine_is_not_waited_for(self):
        self.assertEqual(self.wait(60, 0.005)[:2], ([], []))

    def test_pauses_grow_a_little_until_it_is_calm(self):
        pauses, told, patience = self.wait(600, 0.4, 0.3, 0.2, 0.001)
        self.assertEqual((pauses, told), ([2, 4, 4], [0.4, 0.3, 0.2]))
        self.assertEqual(patience.waited_s, 10)

    def test_patience_runs_out_and_stays_so(self):
        pauses, _, patience = self.wait(9, *[1.0] * 9)
        self.assertEqual(pauses, [2, 4, 3])
        patience.wait(self.fail)
        self.assertEqual(patience.waited_s, 9)
        self.assertEqual(self.wait(0, 1.0)[0], [])

    def test_a_probe_that_fails_ends_all_the_same(self):
        """What stands behind the probe is the parent's to do, not the child's."""
        with unittest.mock.patch.object(calm, "lost_ns", side_effect=runner.Stopped):
            self.assertEqual(calm.lost_share(os.sched_getaffinity(0)), 0)

    def test_the_manifest_says_how_long_though_the_run_was_stopped(self):
        with tempfile.TemporaryDirectory() as name:
            folder, manifest = pathlib.Path(name), {"cells": []}
            for end in (runner.Stopped, None):
                def run_cells(planned, folder, arguments, waited):
                    waited(3)
                    if end:
                        raise end
                with (unittest.mock.patch.object(runner, "run_cells", run_cells),
                      unittest.mock.patch.object(runner, "finish_run"),
                      unittest.mock.patch.object(sys, "stderr")):
                    status = runner.carry_out(folder, manifest, None)
                self.assertEqual(status, 130 if end else 0)
            written = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            self.assertEqual(written["waited_s"], 6)

    def test_a_core_that_another_process_has_is_noticed(self):
        core = min(os.sched_getaffinity(0))
        hog = subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c",
                                "while True: pass"])
        try:
            shares = [calm.lost_share({core}) for _ in range(3)]
        finally:
            hog.kill()
            hog.wait()
        self.assertGreater(max(shares), 0.2)
        self.assertLessEqual(max(shares), 1)


class RepeatTest(RunnerTest):
    """Invalid cells are run again, but later."""

    def setUp(self):
        super().setUp()
        self.build = self.fake_servers(event={}, threads={})
        script(self.build / "cell", FAKE_CELL)
        (self.build / "calibration.json").write_text(json.dumps(CALIBRATION))
        self.will_be()

    def will_be(self, **verdicts):
        """How attempts end: a letter and a trial, as in `a1`, stand for a point of `threads`; all
        else is valid. 'no yes' is invalid at first and valid then."""
        told = {f"tiny/{key[0]} threads.{key[1:]}": [word == "yes" for word in text.split()]
                for key, text in verdicts.items()}
        (self.build / "verdicts.json").write_text(json.dumps(told))

    def measure(self, *options):
        """(stdout, names of the cells in the order in which they were run)"""
        (self.build / "order").write_text("")
        status, out, err = self.do(RUN, "--build", self.build, "--results", self.results,
                                   "--patience", "0", *options)
        self.assertEqual(status, 0, err)
        return out, (self.build / "order").read_text().split("\n")[:-1]

    def run_all(self, *options):
        return self.measure("--smoke", "--workloads", self.tiny, "--trials", "2", *options)

    def test_a_calm_run_repeats_nothing(self):
        out, order = self.run_all()
        self.assertEqual((len(order), len(set(order))), (8, 8))
        self.assertIn("; repeated: 0; still invalid: 0\n", out)

    def test_they_wait_for_the_end_of_their_block_and_then_of_the_run(self):
        self.will_be(a1="no yes", b1="no no yes", a2="no no no")
        out, order = self.run_all()
        first, second = order[:4], order[6:10]
        for trial, block in enumerate((first, second), 1):
            self.assertEqual(sorted(block), [f"tiny/{point} {server}.{trial}" for point in "ab"
                                             for server in ("event", "threads")])
        self.assertEqual(set(order[4:6]), {"tiny/a threads.1", "tiny/b threads.1"})
        self.assertEqual(order[10], "tiny/a threads.2")
        self.assertEqual(set(order[11:]), {"tiny/b threads.1", "tiny/a threads.2"})
        self.assertEqual(len(order), 13)
        self.assertEqual(out.splitlines()[-2].partition("; ")[2],
                         "repeated: 3; still invalid: 1")
        self.assertEqual(out.splitlines()[-1], "  tiny/a threads.2: disturbed 3")
        self.assertIn("tiny,a,threads,2,INVALID,,attempt,3\n",
                      (self.run_folder() / "summary.csv").read_text())

    def test_progress_counts_cells_and_says_which_attempt(self):
        self.will_be(a1="no yes")
        lines = self.run_all("--trials", "1")[0].splitlines()
        self.assertEqual([re.match(r"\[.*?\]", line)[0] for line in lines[1:-1]],
                         ["[1/4]", "[2/4]", "[3/4]", "[4/4]", "[4/4, attempt 2]"])
        self.assertRegex(lines[-2], r"^\[4/4, attempt 2\] VALID tiny/a threads.1 \(0:00 left\)$")

    def test_the_begin_says_how_much_and_until_when(self):
        out = self.run_all()[0]
        self.assertRegex(out, r"\A8 cells to run, about 0:0\d, until [\d: -]*\d\d:\d\d; "
                              r"results in \S+smoke\n")

    def test_resumed_where_attempts_are_left(self):
        self.will_be(a1="no no no", b1="no no no")
        self.run_all()
        path = self.run_folder() / "cells/tiny/a/threads.1/cell.json"
        path.write_text(path.read_text().replace('"attempt": 3', '"attempt": 1'))
        out, order = self.measure("--resume", self.run_folder())
        self.assertEqual(order, 2 * ["tiny/a threads.1"])  # not b, which has had its three
        self.assertIn("1 cells to run, ", out)
        self.assertIn("; repeated: 2; still invalid: 2\n", out)
        self.assertEqual(self.measure("--resume", self.run_folder())[1], [])

    def test_killed_before_the_repetitions(self):
        self.will_be(a1="no yes")
        self.run_all("--trials", "1")
        for server, point in ("threads", "a"), ("event", "b"):
            path = self.run_folder() / f"cells/tiny/{point}/{server}.1/cell.json"
            if server == "threads":  # as it was after the first attempt
                cell = json.loads(path.read_text())
                cell.update(attempt=1, validity={"verdict": "INVALID", "reasons": ["disturbed"]})
                path.write_text(json.dumps(cell))
            else:
                path.unlink()
        order = self.measure("--resume", self.run_folder())[1]
        self.assertEqual(order, ["tiny/b event.1", "tiny/a threads.1"])

    def refused(self, *words):
        status, out, err = self.do(RUN, "--build", self.build, "--resume", self.run_folder())
        self.assertEqual((status, out), (2, ""))
        self.assertEqual(len(err.splitlines()), 1)
        for word in words:
            self.assertIn(word, err)

    def change(self, path, **keys):
        data = json.loads(path.read_text()) | keys
        path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}))

    def test_a_run_of_another_version_is_not_gone_on_with(self):
        self.run_all()
        path = self.run_folder() / "manifest.json"
        self.change(path, schema="archbench-run/2")
        self.refused("manifest.json is archbench-run/2", "archbench-run/1", "measure anew")
        self.change(path, schema=None)
        self.refused("manifest.json is of no stated version", "archbench-run/1")

    def test_a_cell_of_another_version_is_not_replaced(self):
        self.run_all()
        path = self.run_folder() / "cells/tiny/a/threads.1/cell.json"
        self.change(path, schema="archbench-cell/2")
        self.refused("threads.1/cell.json is archbench-cell/2", "archbench-cell/1")
        self.assertEqual(json.loads(path.read_text())["schema"], "archbench-cell/2")

    def test_a_plan_of_another_kind_is_said(self):
        self.run_all()
        path = self.run_folder() / "manifest.json"
        cells = json.loads(path.read_text())["cells"]
        del cells[0]["program"]
        self.change(path, cells=cells)
        self.refused("cannot be gone on with", "program")

    def test_a_packed_run_is_not_gone_on_with(self):
        self.run_all()
        (self.run_folder() / "cells.jsonl.xz").touch()
        self.refused("is packed")


class ProgressTest(unittest.TestCase):
    """What is expected of the time that is left."""

    def progress(self, cells):
        """So many cells of a second each, none of them run yet."""
        planned = [runner.plan.Cell("event", "w", "w.ini", "p", trial, "0ms", "850ms", 0, 1,
                                    "event", ()) for trial in range(cells)]
        self.assertAlmostEqual(planned[0].expected_s, 1.0)
        return runner.Progress(planned, {cell.name: 3 for cell in planned})

    def end(self, progress, number, left, spent_s):
        with unittest.mock.patch("builtins.print"):
            progress.end(progress.planned[number], left, "INVALID" if left else "VALID", spent_s)

    def test_as_planned(self):
        progress = self.progress(10)
        self.assertAlmostEqual(progress.left_s(), 10)
        self.end(progress, 0, 0, 1.0)
        self.assertAlmostEqual(progress.left_s(), 9)

    def test_at_the_pace_of_those_before(self):
        progress = self.progress(10)
        self.end(progress, 0, 0, 1.0)
        self.end(progress, 1, 0, 2.0)
        self.assertAlmostEqual(progress.left_s(), 1.5 * 8)

    def test_with_repetitions_by_the_share_of_those_before(self):
        progress = self.progress(10)
        self.end(progress, 0, 2, 1.0)
        self.end(progress, 1, 0, 1.0)  # half of them invalid: 1 + 1/2 + 1/4 attempts of eight
        self.assertAlmostEqual(progress.left_s(), 8 * 1.75 + 1.5)  # and 1 + 1/2 of the first

    def test_durations_and_times(self):
        for duration_s, text in ((0, "0:00"), (59.6, "1:00"), (250, "4:10"), (12300, "3:25:00")):
            self.assertEqual(runner.as_clock(duration_s), text)
        self.assertRegex(runner.time_of_day(86400), r"^\d{4}-\d\d-\d\d \d\d:\d\d$")
        before = datetime.datetime.now().strftime("%H:%M")
        said = runner.time_of_day(0)
        self.assertIn(said, (before, datetime.datetime.now().strftime("%H:%M")))


class CellCase(RunnerTest):
    def read(self, path):
        return json.loads((self.folder / "cells" / path / "cell.json").read_text())

    def fake_server(self, text):
        """A build folder with the real programs and one made-up server."""
        (self.folder / "build/servers").mkdir(parents=True)
        for program in "loadgen", "backend":
            (self.folder / "build" / program).symlink_to(BUILD / program)
        script(self.folder / "build/servers/fake", text)
        return self.folder / "build"


class CellTest(CellCase):
    def documented_keys(self):
        """Names in the first column of the table in docs/formats.md."""
        text = (ROOT / "docs" / "formats.md").read_text()
        section = text.split("## Cell")[1].split("\n## ")[0]
        keys = set()
        for row in re.findall(r"^\| (`.*?) \|", section, re.M):
            keys |= set(re.findall(r"`(\w+)`", row))
        return keys

    def test_every_documented_key(self):
        self.do(*self.cell("threads", self.tiny, "--point", "b", "--duration", "250ms"))
        cell = self.read("tiny/b/threads.1")
        self.assertEqual(set(cell), self.documented_keys())
        self.assertEqual(set(cell["cost"]), set(
            "cpu_s cpu_us_per_request cores_used switches_voluntary switches_involuntary "
            "switches_per_request tasks".split()))
        kinds = set("user_kb page_tables_kb kernel_stacks_kb sockets_kb".split())
        for state in "before", "during":
            self.assertEqual(set(cell["memory"][state]), kinds)
        self.assertEqual(set(cell["memory"]["per_connection"]), kinds | {"total_kb"})
        self.assertEqual(set(cell["host"]), {"steal", "listen_overflows", "listen_drops",
                                             "hash_units_per_ms"})
        self.assertGreater(cell["host"]["hash_units_per_ms"], 0)
        self.assertEqual(set(cell["placement"]),
                         {"mode", "server_cores", "generator_cores", "realtime"})
        self.assertEqual(cell["memory"]["connections"], 4)
        self.assertEqual(sum(slot["connections"] for slot in cell["slots"]), 4)
        # The slots are read a moment after the sums, while the server goes on.
        self.assertAlmostEqual(sum(slot["requests"] for slot in cell["slots"]),
                               cell["counters"]["requests"], delta=3)
        helper = "thread" in BUILD.name  # ThreadSanitizer runs a thread of its own
        self.assertEqual(cell["cost"]["tasks"], 5 + helper)  # one that accepts, one per connection
        self.assertEqual(cell["memory"]["per_connection"]["kernel_stacks_kb"],
                         16 * (4 + helper) / 4)
        self.assertEqual(cell["exit"]["final"]["name"], "threads")
        self.assertEqual({path.name for path in (self.folder / "cells/tiny/b/threads.1").iterdir()}
                         - {"total.hgrm"},
                         {"cell.json", "short.hgrm", "timeseries.jsonl", "server.log",
                          "loadgen.log"})
        self.assert_nothing_left()

    def test_cpu_time_is_the_work_that_was_done(self):
        """5 ms of work are 5 ms of CPU time, whether threads, processes or one loop spend it. What
        5 ms are is asked anew for each try: a shared machine's speed changes within minutes."""
        compute = self.workload("compute", COMPUTE)
        calibration = self.folder / "calibration.json"
        self.environment["ARCHBENCH_CALIBRATION"] = str(calibration)
        for server in "threads", "processes", "event":
            for _ in range(4):
                self.do(BUILD / "calibrate", "--calibration", calibration)
                self.do(*self.cell(server, compute, "--duration", "600ms"))
                cost = self.read(f"compute/base/{server}.1")["cost"]
                if 0.8 < cost["cpu_us_per_request"] / 5000 < 1.25:
                    break
            else:
                self.fail(f"{server}: {cost}")
            if server == "event":
                self.assertLess(cost["cores_used"], 1.05)

    def test_options_for_every_server(self):
        """They come before those of this one, which hold: the last one counts."""
        stated = self.workload("stated", TINY.replace(
            "[class", "server_options = --workers=1  --stack=128k\n    [class"))
        self.do(*self.cell("threads", stated, "--point", "a", "--duration", "250ms", "--",
                           "--stack=64k"))
        command = self.read("stated/a/threads.1")["command"]["server"]
        self.assertEqual(command[-3:], ["--workers=1", "--stack=128k", "--stack=64k"])

    def test_a_killed_cell_leaves_nothing(self):
        for server in "processes", "threads":
            cell = self.start(*self.cell(server, self.tiny, "--point", "a", "--duration", "20s"))
            # cell, guard, server, generator, its worker, and threads or processes of the server
            self.assertTrue(wait_until(lambda: len(alive(self.mark)) >= 5))
            time.sleep(0.2)
            cell.kill()
            cell.communicate()
            self.assert_nothing_left()
            self.assertFalse((self.folder / f"cells/tiny/a/{server}.1").exists())

    def test_a_server_that_dies_makes_the_cell_invalid(self):
        build = self.fake_server("""
            import os, socket
            listener = socket.create_server(("127.0.0.1", 0))
            print("ready fake 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
            listener.accept()
            os.kill(os.getpid(), 11)
        """)
        status, out, _ = self.do(*self.cell("fake", self.tiny, "--point", "a", build=build))
        self.assertEqual(status, 1)
        self.assertRegex(out, "^INVALID tiny/a fake.1: .*died of signal 11")
        cell = self.read("tiny/a/fake.1")
        self.assertEqual(cell["validity"]["verdict"], "INVALID")
        self.assertEqual((cell["attempt"], cell["earlier_reasons"]), (1, []))
        self.assertEqual(cell["exit"]["status"], -11)
        self.assertIsNone(cell["cost"])
        self.assert_nothing_left()

    def test_one_more_attempt_remembers_the_invalid_one(self):
        build = self.fake_server(f"""
            import os, pathlib, sys
            mark = pathlib.Path("{self.folder}/healthy")
            if not mark.exists():
                sys.exit("not yet")
            os.execv("{BUILD}/servers/threads", ["threads", *sys.argv[1:]])
        """)
        attempt = self.cell("fake", self.tiny, "--point", "a", "--duration", "100ms", "--again",
                            build=build)
        for again, number in (True, 1), (True, 2), (False, 1), (True, 2):
            self.do(*[word for word in attempt if again or word != "--again"])
            self.assertEqual(self.read("tiny/a/fake.1")["attempt"], number)
        (self.folder / "healthy").touch()
        self.do(*attempt)
        cell = self.read("tiny/a/fake.1")
        self.assertEqual(cell["attempt"], 3)
        self.assertEqual([reason[:10] for reason in cell["earlier_reasons"]],
                         ["attempt 1:", "attempt 1:", "attempt 2:", "attempt 2:"])
        self.assertRegex(cell["earlier_reasons"][0], "^attempt 1: the server ended too early")
        log = (self.folder / "cells/tiny/a/fake.1/server.log").read_text()
        self.assertRegex(log, r"^not yet\nnot yet\nready threads ")

    def test_a_valid_or_torn_cell_is_no_past(self):
        attempt = self.cell("threads", self.tiny, "--point", "a", "--duration", "100ms", "--again")
        path = self.folder / "cells/tiny/a/threads.1/cell.json"
        path.parent.mkdir(parents=True)
        valid = {"attempt": 1, "earlier_reasons": [], "validity": {"verdict": "VALID",
                                                                   "reasons": []}}
        for text in "{", "[]", json.dumps(valid):
            path.write_text(text)
            self.do(*attempt)
            cell = self.read("tiny/a/threads.1")
            self.assertEqual((cell["attempt"], cell["earlier_reasons"]), (1, []))

    def test_an_invalid_set_up_is_one_line(self):
        for options, word in ((["--server", "nobody"], "nobody"), (["--point", "z"], "z"),
                              (["--workload", "/nowhere.ini"], "nowhere"),
                              (["--trial", "x"], "trial")):
            status, _, err = self.do(*self.cell("threads", self.tiny, "--point", "a", *options))
            self.assertEqual(status, 2)
            self.assertRegex(err, rf"^cell: .*{word}.*\n$")


class BackendTest(CellCase):
    """What a server calls is started with it, and ends after it."""

    def setUp(self):
        super().setUp()
        self.calls = self.workload("calls", CALLS)
        self.build = self.fake_server(ASKS_BACKEND.replace("SERVER",
                                                           str(BUILD / "servers/threads")))

    def measure(self, point, build, *options):
        """(status, line, the cell)"""
        status, out, _ = self.do(*self.cell("fake", self.calls, "--point", point, "--duration",
                                            "250ms", *options, build=build))
        self.assert_nothing_left()
        return status, out, self.read(f"calls/{point}/fake.1")

    def test_it_runs_while_the_server_does(self):
        cell = self.measure("slow", self.build)[2]
        backend = cell["backend"]
        self.assertEqual(backend["options"], "--delay 1ms")
        self.assertEqual(cell["command"]["backend"][-4:], ["--port", "0", "--delay", "1ms"])
        self.assertGreaterEqual(backend["final"]["calls"], 1)
        self.assertGreaterEqual(backend["cpu_s"], 0)
        self.assertLess(backend["cpu_s"], 0.25)
        folder = self.folder / "cells/calls/slow/fake.1"
        self.assertIn(r"heard [b'+PONG\r\n', b'*-1\r\n']", (folder / "server.log").read_text())
        self.assertIn("ready backend 127.0.0.1:", (folder / "backend.log").read_text())
        self.assertNotIn("backend", " ".join(cell["validity"]["reasons"]))
        spin = cell["command"]["loadgen"].index("--spin")
        self.assertEqual(cell["command"]["loadgen"][spin + 1], "0")

    def test_none_is_started_that_nobody_calls(self):
        self.do(*self.cell("threads", self.calls, "--point", "none", "--duration", "250ms"))
        cell = self.read("calls/none/threads.1")
        self.assertIsNone(cell["backend"])
        self.assertIsNone(cell["command"]["backend"])
        self.assertNotIn("--backend-address", cell["command"]["server"])
        self.assertFalse((self.folder / "cells/calls/none/threads.1/backend.log").exists())

    def test_a_server_that_calls_it(self):
        if "--backend-pool" not in self.do(BUILD / "servers/threads", "--help")[1]:
            self.skipTest("the servers call no backend")
        self.do(*self.cell("threads", self.calls, "--point", "slow", "--duration", "250ms"))
        cell = self.read("calls/slow/threads.1")
        self.assertEqual(cell["load"]["total"]["errors"], 0)
        self.assertGreater(cell["load"]["total"]["good"], 10)
        self.assertGreaterEqual(cell["backend"]["final"]["calls"], cell["load"]["total"]["good"])
        self.assertGreater(cell["backend"]["cpu_s"], 0)

    def test_one_that_cannot_start_makes_the_cell_invalid(self):
        status, out, cell = self.measure("odd", self.build)
        self.assertEqual(status, 1)
        self.assertRegex(out, "^INVALID calls/odd fake.1: the backend ended too early .*status 2")
        self.assertIsNone(cell["command"]["server"])
        self.assertIsNone(cell["cost"])
        self.assertIsNone(cell["backend"]["cpu_s"])
        self.assertIn("no-such-option",
                      (self.folder / "cells/calls/odd/fake.1/backend.log").read_text())

    def test_one_that_dies_makes_the_cell_invalid(self):
        (self.build / "backend").unlink()
        script(self.build / "backend", f"""
            import os, subprocess, sys, time
            backend = subprocess.Popen(["{BUILD}/backend", *sys.argv[1:]])
            time.sleep({0.7 * SLOW})
            backend.kill()
            os.kill(os.getpid(), 9)
        """)
        begun = time.monotonic()
        status, out, cell = self.measure("dying", self.build, "--duration", "20s")
        self.assertEqual(status, 1)
        self.assertRegex(out, "the backend ended too early .*; the backend died of signal 9")
        self.assertEqual(cell["exit"]["status"], 0)  # the server was asked to end, and did
        self.assertLess(time.monotonic() - begun, 20)

    def test_its_cores_are_the_generators_or_anybodys(self):
        for point, beside in ("split", "loadgen"), ("slow", "threads"):
            cell = self.start(*self.cell("fake", self.calls, "--point", point, "--duration", "20s",
                                         build=self.build))
            pids = wait_until(lambda: self.running({"backend", "loadgen", "threads"}), 30)
            cores = {name: os.sched_getaffinity(pid) for name, pid in pids.items()}
            self.assertEqual(cores["backend"], cores[beside], point)
            cell.kill()
            cell.communicate()
            self.assert_nothing_left()

    def running(self, names):
        """Pids of these programs, by their names, once all are there."""
        found = {}
        for pid in alive(self.mark):
            try:
                found[pathlib.Path(f"/proc/{pid}/comm").read_text().strip()] = pid
            except OSError:
                continue
        return {name: found[name] for name in names} if names <= set(found) else None

    def test_one_without_time_to_spare_makes_the_cell_invalid(self):
        (self.build / "backend").unlink()
        script(self.build / "backend", """
            import hashlib, signal, socket, sys, threading
            listener = socket.create_server(("127.0.0.1", 0))
            print("ready backend 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            def answer():
                while True:
                    peer, _ = listener.accept()
                    peer.recv(1000)
                    peer.sendall(b"+PONG\\r\\n")
                    peer.close()
            def compute():
                while True:
                    hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 100000)
            for work in [answer] + 8 * [compute]:
                threading.Thread(target=work, daemon=True).start()
            while True:
                signal.pause()
        """)
        for _ in range(4):  # on a busy machine it may not get a core
            _, out, cell = self.measure("calm", self.build, "--duration", "600ms")
            busy = cell["backend"]["cpu_s"] / cell["load"]["duration_s"]
            if busy > 0.95:
                self.assertRegex(out, r"the backend was \d+ % busy")
                break
            if busy < 0.85:
                self.assertNotIn("the backend was", out)

    def test_a_killed_cell_leaves_none(self):
        cell = self.start(*self.cell("fake", self.calls, "--point", "slow", "--duration", "20s",
                                     build=self.build))
        # cell, guard, backend, server, generator, its worker
        self.assertTrue(wait_until(lambda: len(alive(self.mark)) >= 6, 30))
        cell.kill()
        cell.communicate()
        self.assert_nothing_left()

    def test_it_must_be_built(self):
        (self.build / "backend").unlink()
        status, _, err = self.do(*self.cell("fake", self.calls, "--point", "slow",
                                         build=self.build))
        self.assertEqual(status, 2)
        self.assertRegex(err, r"^cell: no backend '.*/backend': .*\n$")


if __name__ == "__main__":
    unittest.main()
