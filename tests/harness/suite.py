"""Test suites whose failures on a disturbed machine are run again."""

import re
import threading
import time
import unittest

from .machine import Sentinel


class Tally(unittest.TestResult):
    """Counts what passed and prints each failure when it happens.

    Many tests measure time, which they cannot while the machine is somebody else's. A failure is
    final if nothing disturbed the test; else the test is in `disturbed`, to be run again. One that
    is disturbed in its last attempt too, and badly, is `undecided`: neither passed nor failed."""

    TOLERATED_S = 0.02
    BADLY = 0.1  # of the test's duration
    # No lost time makes a test fail like this.
    MISTAKES = (AttributeError, ImportError, NameError, TypeError)
    output = threading.Lock()
    sentinel = None

    def __init__(self, label, verbose, final=True):
        super().__init__()
        self.label, self.verbose, self.final = label, verbose, final
        self.passed, self.disturbed, self.undecided = 0, [], []

    def startTest(self, test):
        super().startTest(test)
        self.begin = time.monotonic()
        self.lost_s = Tally.sentinel.lost_s()

    def is_disturbed(self, test, err):
        """Note it then, and say so."""
        if not isinstance(test, unittest.TestCase):  # a class that cannot be set up
            return False
        if issubclass(err[0], self.MISTAKES):
            return False
        lasted_s = time.monotonic() - self.begin
        lost_s = Tally.sentinel.lost_s() - self.lost_s
        if lost_s <= max(self.TOLERATED_S, self.BADLY * lasted_s * self.final):
            return False
        noted, word = (self.undecided, "undecided") if self.final else (self.disturbed, "again")
        if test not in noted:
            noted.append(test)
            self.say(f"{word} {self.name(test)}: the machine lost {lost_s:.2f} s of "
                     f"{lasted_s:.2f} s")
        return True

    def name(self, test):
        match = re.search(r"(\w+) \((?:\w+\.)*?(\w+)(?:\.\1)?\)(.*)", str(test), re.DOTALL)
        name = f"{match[2]}.{match[1]}{match[3]}" if match else str(test)
        return f"{self.label}: {name}"

    def say(self, *lines):
        with Tally.output:
            print(*lines, sep="\n", flush=True)

    def addSuccess(self, test):
        self.passed += 1
        if self.verbose:
            self.say(f"ok    {self.name(test)} ({time.monotonic() - self.begin:.2f} s)")

    def addFailure(self, test, err):
        if self.is_disturbed(test, err):
            return
        super().addFailure(test, err)
        self.say(f"FAIL  {self.name(test)}", self.failures[-1][1])

    def addError(self, test, err):
        if self.is_disturbed(test, err):
            return
        super().addError(test, err)
        self.say(f"FAIL  {self.name(test)}", self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        if err is not None and self.is_disturbed(test, err):
            return
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.say(f"FAIL  {self.name(subtest)}",
                     "".join(self._exc_info_to_string(err, subtest)))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say(f"skip  {self.name(test)}: {reason}")

    def add(self, other):
        self.passed += other.passed
        self.undecided += other.undecided
        self.failures += other.failures
        self.errors += other.errors
        self.unexpectedSuccesses += other.unexpectedSuccesses

    def failed(self):
        return len(self.failures) + len(self.errors) + len(self.unexpectedSuccesses)


UNDECIDED_MAX = 5  # of a whole suite; with more it says too little


def count_failed(tallies):
    """What failed; and where too much is undecided, that too."""
    undecided = sum(len(tally.undecided) for tally in tallies)
    return sum(tally.failed() for tally in tallies) + undecided * (undecided > UNDECIDED_MAX)


def watch_machine():
    """Before the first run_suite, while this process has one thread."""
    Tally.sentinel = Tally.sentinel or Sentinel()


ATTEMPTS = 3  # of a test that fails on a disturbed machine
REST_S = 1.0  # before another one: what disturbs a machine lasts for a moment


def run_suite(label, suite, verbose=False):
    """Run it, and again what failed while the machine was disturbed."""
    total = Tally(label, verbose)
    for attempt in range(1, ATTEMPTS + 1):
        if attempt > 1:
            time.sleep(REST_S)
        tally = Tally(label, verbose, final=attempt == ATTEMPTS)
        suite.run(tally)
        total.add(tally)
        suite = unittest.TestSuite(type(test)(test._testMethodName) for test in tally.disturbed)
        if not tally.disturbed:
            break
    return total
