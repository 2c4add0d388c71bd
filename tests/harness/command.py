"""The command line of a black-box suite."""

import argparse
import concurrent.futures
import resource
import sys
import unittest

from .case import ServerCase
from .servers import Server, find_targets
from .suite import count_failed, run_suite, watch_machine


def suite_of(case, target, pattern):
    """The tests of `case` for `target` whose Class.name contains the pattern."""
    if not case.suits(target):
        return unittest.TestSuite()
    bound = type(case.__name__, (case,), {"target": target})
    names = unittest.TestLoader().getTestCaseNames(bound)
    return unittest.TestSuite(bound(name) for name in names
                              if pattern in f"{case.__name__}.{name}")


def calibrate(targets):
    """Calibration wants a quiet machine: have it measured before anything runs in parallel."""
    for target in targets[:1]:
        try:
            with Server(target) as server:
                server.get("/work?cpu=hash:1ms")
        except AssertionError as error:  # the tests will show what of theirs this breaks
            print(f"{target.label}: calibration: {str(error).splitlines()[0]}", flush=True)


def is_theme(thing):
    """Is it a class of tests over servers, and not their base?"""
    return isinstance(thing, type) and issubclass(thing, ServerCase) and thing is not ServerCase


def main(description, cases, variants=lambda target: [target], jobs=8):
    """Run these themes over all servers and their variants."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("servers", nargs="*", metavar="SERVER", help="default: all")
    parser.add_argument("-k", dest="pattern", default="", help="only tests named like this")
    parser.add_argument("-v", dest="verbose", action="store_true", help="name what passed, too")
    arguments = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    targets = find_targets(arguments.servers)
    watch_machine()
    calibrate(targets)
    work = [(case.alone, target.label, suite_of(case, target, arguments.pattern))
            for case in cases for base in targets for target in variants(base)]
    work = [item for item in work if item[2].countTestCases()]

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        together = [pool.submit(run_suite, label, suite, arguments.verbose)
                    for alone, label, suite in work if not alone]
        tallies = [future.result() for future in together]
    tallies += [run_suite(label, suite, arguments.verbose)
                for alone, label, suite in work if alone]
    passed = sum(tally.passed for tally in tallies)
    failed = count_failed(tallies)
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not passed else 0)
