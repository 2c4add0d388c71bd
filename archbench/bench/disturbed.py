"""Known answers for the verdict: cells that are disturbed on purpose, beside the same cells left
alone.

Each number of a disturbed cell is either refused or kept, and either right or wrong: wrong when it
is off by more than the stated share from all that the undisturbed cells gave. What should not happen
is counted: refused though right, and kept though wrong. docs/method.md has the table."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

from archbench.bench.rig import CORES, line
from archbench.formats import summary

STATED_SHARE = 0.10  # that a number may be off and still count as right
# Cells without a disturbance: those that the others are compared with, and as many again, which show
# how much of what looks wrong is chance.
ALONE, CONTROL = "alone", "none"
WARMUP, DURATION = "300ms", "1s"
JUDGED = ("response_p50_us", "response_p90_us", "response_p99_us", "achieved_rate", "error_share",
          "cpu_us_per_request", "switches_per_request")
PERIOD_S = 0.010  # of a hog that takes a share of a core
# What is asked: a light and a saturating load, waits, computations, reads of the disk, and a delay
# that is known beforehand.
CASES = {
    "light": ("event", "arrivals = poisson\nrate = 2000\nconnections = 64\nplacement = split",
              "/"),
    "closed": ("event", "arrivals = closed\nconnections = 64\nplacement = split", "/"),
    "planted": ("event", "arrivals = poisson\nrate = 1000\nconnections = 64\nplacement = split",
                "/work?io=timer:20ms"),
    "waits": ("threads", "arrivals = closed\nconnections = 64\nplacement = split",
              "/work?io=timer:10ms"),
    "computes": ("hybrid", "arrivals = poisson\nrate = 50%\nconnections = 64\nplacement = shared",
                 "/work?cpu=hash:2ms"),
    "reads": ("threads", "arrivals = closed\nconnections = 16\nplacement = split",
              "/work?io=disk:4k"),
}


def generators():
    """Pids of load generators that run now."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text(encoding="ascii") == "loadgen\n":
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


class Stopper(threading.Thread):
    """Stops the generator for 5 ms in every 100, from its own core: what it takes to do that is not
    the server's. It looks for the generator until there is one, and again when it is gone."""

    def __init__(self):
        super().__init__(daemon=True)
        self.over, self.pids = threading.Event(), []

    def run(self):
        os.sched_setaffinity(0, CORES[-1:])  # of this thread
        while not self.over.wait(0.095):
            self.pids = self.pids or generators()
            if self.send(signal.SIGSTOP):
                time.sleep(0.005)
                self.send(signal.SIGCONT)

    def send(self, number):
        """False: there is none any more."""
        try:
            for pid in self.pids:
                os.kill(pid, number)
        except ProcessLookupError:
            self.pids = []
        return bool(self.pids)

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self.over.set()
        self.join()


class Hog:
    """A process that takes a share of a core and lets nobody of normal priority have it."""

    def __init__(self, core, share):
        self.core, self.share, self.process = core, share, None

    def __enter__(self):
        code = ("import os, sys, time\n"
                "core, share, period = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])\n"
                "os.sched_setaffinity(0, {core})\n"
                "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))\n"
                "while True:\n"
                "    end = time.monotonic() + share * period\n"
                "    while time.monotonic() < end: pass\n"
                "    time.sleep((1 - share) * period)\n")
        self.process = subprocess.Popen([sys.executable, "-c", code, str(self.core),
                                         str(self.share), str(PERIOD_S)])

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Writer:
    """Writes and flushes beside, so that the disk is slow."""

    def __init__(self, folder):
        self.command = ["dd", "if=/dev/zero", f"of={folder}/beside", "bs=4M", "count=100000",
                        "oflag=direct,sync", "status=none"]
        self.folder, self.process = folder, None

    def __enter__(self):
        self.process = subprocess.Popen(["timeout", "20", *self.command])
        time.sleep(0.2)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        pathlib.Path(self.folder, "beside").unlink(missing_ok=True)


def disturbances(folder):
    """{name: (makes one, the cases that it is tried on)}. The server's core is the first, the
    generator's the last."""
    server, generator = CORES[0], CORES[-1]
    usual = ("light", "closed", "planted", "waits", "computes")
    return {
        "generator stopped for 5 ms in 100": (Stopper, usual),
        **{f"hog: {share:.0%} of the server's core": (lambda s=share: Hog(server, s), usual)
           for share in (0.03, 0.10, 0.30)},
        **{f"hog: {share:.0%} of the generator's core": (lambda s=share: Hog(generator, s), usual)
           for share in (0.03, 0.10, 0.30)},
        "somebody writes to the disk": (lambda: Writer(folder), ("reads", "light")),
    }


def measure(build, folder, name, number):
    """One cell: {(class, metric): (value, refused)}. An invalid one has refused everything."""
    server, keys, request = CASES[name]
    file = pathlib.Path(folder, f"{name}.ini")
    file.write_text(f"[workload]\n{keys}\n[class all]\nrequest = {request}\n", encoding="utf-8")
    subprocess.run([f"{build}/cell", "--build", build, "--server", server, "--workload", file,
                    "--out", folder, "--trial", str(number), "--warmup", WARMUP, "--duration",
                    DURATION, "--again"], stdout=subprocess.DEVNULL, check=False)
    path = pathlib.Path(folder, name, "base", f"{server}.{number}", "cell.json")
    cell = json.loads(path.read_text(encoding="utf-8"))
    return {(cls, metric): (value, summary.verdict(cell, cls, metric) != "VALID")
            for cls, metric, value in summary.metrics(cell) if metric in JUDGED and cls != "all"}


def is_wrong(value, alone):
    """Is it off by more than the stated share of it from all that undisturbed cells gave?"""
    low, high = min(alone), max(alone)
    if low == high == 0:
        return value > 0
    return not low / (1 + STATED_SHARE) <= value <= high / (1 - STATED_SHARE)


class Counts:
    """How many numbers were (refused, wrong), and which were judged wrongly."""

    def __init__(self):
        self.cells = 0
        self.of = dict.fromkeys([(r, w) for r in (True, False) for w in (True, False)], 0)
        # (case, metric) -> [factor by which it was off]: kept though wrong, refused though right
        self.missed, self.spoiled = {}, {}

    def take(self, case, numbers, alone):
        """A cell's numbers; `alone`: (case, number) -> its values without disturbance."""
        self.cells += 1
        for key, (value, refused) in numbers.items():
            others = alone.get((case, key))
            if others is None:
                continue
            wrong = is_wrong(value, others)
            self.of[refused, wrong] += 1
            if wrong != refused:
                errors = self.missed if wrong else self.spoiled
                errors.setdefault((case, key[1]), []).append(factor_off(value, others))

    def add(self, other):
        self.cells += other.cells
        for key, count in other.of.items():
            self.of[key] += count

    def row(self, name):
        """A line of a Markdown table."""
        total = max(1, sum(self.of.values()))
        false, missed = self.of[True, False], self.of[False, True]
        return (f"| {name} | {self.cells} | {total} | {self.of[True, True]} | "
                f"{self.of[False, False]} | {false} ({false / total:.1%}) | "
                f"{missed} ({missed / total:.1%}) |")


def factor_off(value, alone):
    """How many times the larger is of it and the median of the others."""
    middle = sorted(alone)[len(alone) // 2]
    low, high = sorted((value, middle))
    return high / low if low > 0 else float("inf")


def measure_all(build, folder, rounds, planned):
    """{name: [(case, numbers)]}. What a machine does by itself changes from minute to minute, so
    every round has some of each."""
    found = {}
    for number in range(1, rounds + 1):
        for name, (make, cases) in planned.items():
            for case in cases:
                with make():
                    numbers = measure(build, folder, case, number)
                found.setdefault(name, []).append((case, numbers))
    return found


def kept(cells, at_least):
    """{(case, (class, metric)): values} of cells left alone: what was not refused in enough of
    them."""
    found = {}
    for case, numbers in cells:
        for key, (value, refused) in numbers.items():
            if not refused:
                found.setdefault((case, key), []).append(value)
    return {what: values for what, values in found.items() if len(values) >= at_least}


def judged(cells, alone):
    """The Counts of one disturbance."""
    counts = Counts()
    for case, numbers in cells:
        counts.take(case, numbers, alone)
    return counts


def list_errors(name, counts):
    """What was judged wrongly, and how often."""
    for word, errors in (("kept though wrong", counts.missed),
                         ("refused though right", counts.spoiled)):
        for (case, metric), factors in sorted(errors.items()):
            line(f"{name}, {case}", f"{metric} {word} {len(factors)} times, off by a factor of "
                 f"{max(factors):.2f} at most")


def bench_verdict(options):
    """Every disturbance on every case that it may touch, `rounds` times."""
    every = Counts()
    with tempfile.TemporaryDirectory() as folder:
        planned = {ALONE: (contextlib.nullcontext, CASES),
                   CONTROL: (contextlib.nullcontext, CASES), **disturbances(folder)}
        cells = measure_all(options.build, folder, options.rounds, planned)
    alone = kept(cells.pop(ALONE), options.rounds // 2 + 1)
    found = {name: judged(numbers, alone) for name, numbers in cells.items()}
    print("| disturbance | cells | numbers | refused and wrong | kept and right | refused though "
          "right | kept though wrong |\n|---|---|---|---|---|---|---|")
    for name, counts in found.items():
        print(counts.row(name))
        if name != CONTROL:
            every.add(counts)
    print(every.row("all disturbances"))
    for name, counts in found.items():
        list_errors(name, counts)
    return True
