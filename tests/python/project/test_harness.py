#!/usr/bin/python3
"""Tests of the runner in harness/: what it does with a failure on a disturbed machine."""
import os
import signal
import time
import unittest

import harness


class Machine:
    """A sentinel that is told what it saw."""

    def __init__(self):
        self.lost = 0.0

    def lost_s(self):
        return self.lost


class Runner(unittest.TestCase):
    def setUp(self):
        self.machine, self.runs, self.said = Machine(), 0, []
        for owner, name, value in ((harness.Tally, "sentinel", self.machine),
                                   (harness.Tally, "say",
                                    lambda _, *lines: self.said.extend(lines)),
                                   (harness.suite, "REST_S", 0)):
            self.addCleanup(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)

    def outcome(self, body):
        """(passed, failed, runs) of one test; `body` gets its test case and which run it is."""
        def test_it(case):
            self.runs += 1
            body(case, self.runs)
        case = type("Case", (unittest.TestCase,), {"test_it": test_it})
        self.tally = harness.run_suite("x", unittest.TestSuite([case("test_it")]))
        return self.tally.passed, self.tally.failed(), self.runs

    def test_a_failure_is_final_when_nothing_disturbed_it(self):
        self.assertEqual(self.outcome(lambda case, run: case.assertEqual(run, 2)), (0, 1, 1))
        self.assertIn("FAIL  x: Case.test_it", self.said)

    def test_disturbed_it_runs_again(self):
        def body(case, run):
            self.machine.lost += 0.1
            case.assertEqual(run, 2)
        self.assertEqual(self.outcome(body), (1, 0, 2))
        self.assertEqual(len(self.said), 1)
        self.assertRegex(self.said[0], r"^again x: Case.test_it: the machine lost 0.10 s of 0\.")

    def test_errors_and_subtests_as_well(self):
        def body(case, run):
            self.machine.lost += 0.1
            for part in 1, 2:
                with case.subTest(part):
                    case.assertEqual(run, 3)
            if run < 3:
                raise ConnectionResetError
        self.assertEqual(self.outcome(body), (1, 0, 3))

    def test_a_mistake_in_a_test_is_no_disturbance(self):
        def body(case, run):
            self.machine.lost += 0.1
            body.missing(run)
        self.assertEqual(self.outcome(body), (0, 1, 1))

    def always_failing(self, lost_s):
        def body(case, _run):
            time.sleep(0.3)
            self.machine.lost += lost_s
            case.fail()
        return self.outcome(body)

    def test_not_for_ever(self):
        """A little disturbed to the end: then it is believed."""
        self.assertEqual(self.always_failing(0.025), (0, 1, harness.ATTEMPTS))

    def test_badly_disturbed_to_the_end(self):
        """Nobody can say, and it is said; but not of many tests."""
        self.assertEqual(self.always_failing(0.1), (0, 0, harness.ATTEMPTS))
        self.assertRegex(self.said[-1], "^undecided x: Case.test_it: ")
        self.assertEqual(harness.count_failed([self.tally] * harness.UNDECIDED_MAX), 0)
        self.assertEqual(harness.count_failed([self.tally] * (harness.UNDECIDED_MAX + 1)),
                         harness.UNDECIDED_MAX + 1)

    def test_a_success_is_one_at_once(self):
        def body(_case, _run):
            self.machine.lost += 0.1
        self.assertEqual(self.outcome(body), (1, 0, 1))


class Sentinel(unittest.TestCase):
    def test_it_sees_its_machine_stand_still(self):
        """Nobody can be sure that it sees nothing; but when it is stopped, it must see that."""
        sentinel = harness.Sentinel()
        before = sentinel.lost_s()
        os.kill(sentinel.pid, signal.SIGSTOP)
        time.sleep(0.2)
        os.kill(sentinel.pid, signal.SIGCONT)
        end = time.monotonic() + 5
        while sentinel.lost_s() - before < 0.15 and time.monotonic() < end:
            time.sleep(0.01)
        self.assertGreater(sentinel.lost_s() - before, 0.15)
