"""What the tests of the runner and of cell share: workloads, made-up programs, and a folder of its own
for each test. Every process that a test starts carries a mark in its environment, by which those left
behind are found. BUILD names the folder with the programs (default: build)."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import textwrap
import time
import unittest
import uuid


ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
RUN = [ROOT / "bin" / "archbench", "run"]
MARK = "ARCHBENCH_TEST_MARK"
SLOW = float(os.environ.get("SLOW", "1"))
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
    question    = Is there an upstream to call?
    connections = 4
    upstream    = --delay 1ms
    [class call]
    request = /work?io=upstream:2ms&class=call
    [point slow]
    [point odd]
    upstream = --no-such-option
    [point dying]
    upstream = --fail 3
    [point none]
    call.request = /
    [point split]
    placement = split
    [point calm]
    arrivals = constant
    rate = 50
"""
# Stands before a real server: looks whether its upstream answers, and says so in server.log.
ASKS_UPSTREAM = """
    import os, socket, sys
    address = sys.argv[sys.argv.index("--upstream-address") + 1]
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as peer:
        peer.sendall(b"*1\\r\\n$4\\r\\nPING\\r\\n*3\\r\\n$5\\r\\nBLPOP\\r\\n$1\\r\\na\\r\\n"
                     b"$4\\r\\n0.01\\r\\n")
        print("heard", [peer.recv(100) for _ in range(2)], file=sys.stderr, flush=True)
    arguments = [word for word in sys.argv[1:] if word not in ("--upstream-address", address)]
    os.execv("SERVER", ["threads", *arguments])
"""
# Stands for build/cell: measures nothing, ends as verdicts.json says, and notes the order.
# It decides as the real one does.
FAKE_CELL = """
    import argparse, json, os, pathlib, sys
    if sys.argv[1:] == ["--about"]:
        os.execv("REAL", ["REAL", "--about"])
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
""".replace("REAL", str(BUILD / "cell"))
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
    path.unlink(missing_ok=True)  # it may be a link to the real program, which stays as it is
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
        (folder.parent / "cell").symlink_to(BUILD / "cell")  # it says what it decides
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
        return [*RUN, "--build", BUILD, "--results", self.results, *options]

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


class CellCase(RunnerTest):
    def read(self, path):
        return json.loads((self.folder / "cells" / path / "cell.json").read_text())

    def fake_server(self, text):
        """A build folder with the real programs and one made-up server."""
        (self.folder / "build/servers").mkdir(parents=True)
        for program in "loadgen", "upstream":
            (self.folder / "build" / program).symlink_to(BUILD / program)
        script(self.folder / "build/servers/fake", text)
        return self.folder / "build"
