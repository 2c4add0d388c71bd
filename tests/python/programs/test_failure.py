"""Tests of cells in which a process of the server is killed (the workload's key `kill`)."""

import json
import re
import unittest

from runner_case import BUILD, CellCase

KILL = """
    [workload]
    question    = What does a death cost?
    arrivals    = poisson
    connections = 8
    rate        = 800
    timeout     = 500ms
    kill        = 300ms
    [class short]
    request = /work?io=timer:8ms&class=short
    [point early]
    [point late]
    rate  = 300
    kill  = 700ms
    churn = 5
    short.request = /work?cpu=hash:500us&io=timer:8ms&class=short
    [point never]
    rate  = 300
    kill  = 0
    churn = 5
    short.request = /work?cpu=hash:500us&io=timer:8ms&class=short
"""
# What other programs on the machine do to a cell; the tests are not about that.
DISTURBED = "the generator sent late|stolen by the hypervisor"
# The real server once; what is started in its place says why it cannot.
ONLY_ONCE = """
    import os, pathlib, sys
    been = pathlib.Path("BEEN")
    if been.exists():
        sys.exit("cannot use the port")
    been.touch()
    os.execv("SERVER", ["threads", *sys.argv[1:]])
"""
# Says that it is ready, serves nobody, and has ended before it can be killed.
SHORT_LIVED = """
    import socket, time
    listener = socket.create_server(("127.0.0.1", 0))
    print("ready fake 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    time.sleep(0.25)
"""


class FailureTest(CellCase):
    def setUp(self):
        super().setUp()
        self.file = self.workload("failure", KILL)

    def measure(self, server, *options, point="early", **more):
        """The cell, and the lines of its time series."""
        status, _, err = self.do(*self.cell(server, self.file, "--point", point, "--duration",
                                            "900ms", *options, **more))
        self.assertIn(status, (0, 1), err)
        folder = self.folder / "cells" / "failure" / point / f"{server}.1"
        series = folder / "timeseries.jsonl"
        lines = series.read_text().splitlines() if series.exists() else []
        self.assert_nothing_left()
        return self.read(f"failure/{point}/{server}.1"), [json.loads(line) for line in lines]

    def assert_valid(self, cell):
        reasons = cell["validity"]["reasons"]
        self.assertFalse([text for text in reasons if not re.search(DISTURBED, text)])

    def assert_all_counted(self, cell):
        """What the servers counted are the replies that came in the window."""
        replies = cell["load"]["achieved_rate"] * cell["load"]["duration_s"]
        self.assertAlmostEqual(cell["counters"]["requests"], replies, delta=15)

    def check_accounts(self, cell, series):
        """Each request has one outcome, failures are of the interval of the blow and the next, and
        at the end all connections are there again."""
        total, errors = cell["load"]["total"], cell["load"]["errors"]
        self.assert_valid(cell)
        self.assertEqual(total["good"] + sum(errors.values()), total["requests"])
        self.assertEqual(cell["memory"]["connections"], 8)
        self.assertEqual([row["errors"] for row in series if row["time_s"] < 0.3], [0])
        self.assertEqual([row["errors"] for row in series if row["time_s"] > 0.75], [0])
        self.assertGreater(series[-1]["achieved"], 500)

    def test_a_worker_takes_its_connection_along(self):
        cell, series = self.measure("prefork", "--", "--workers=8")
        self.assertAlmostEqual(cell["kill"]["at_s"], 0.3, delta=0.1)
        self.assertEqual({key: cell["kill"][key] for key in ("pid_was", "restarted", "back_s")},
                         {"pid_was": "worker", "restarted": False, "back_s": None})
        self.check_accounts(cell, series)
        self.assertEqual(cell["load"]["connection_use"]["reconnects"], 1)
        self.assertLessEqual(sum(cell["load"]["errors"].values()), 1)
        self.assertEqual(cell["counters"]["crashed"], 1)
        self.assertEqual(len(cell["slots"]), 10)  # of the parent, 8 workers, and the new one
        self.assertEqual(cell["exit"]["status"], 0)

    def test_a_single_process_dies_with_all_and_is_started_again(self):
        for server in "threads", "event":
            with self.subTest(server=server):
                cell, series = self.measure(server)
                self.check_restarted(cell, series)

    def check_restarted(self, cell, series):
        kill, load = cell["kill"], cell["load"]
        self.assertEqual((kill["pid_was"], kill["restarted"]), ("server", True))
        self.assertTrue(0 < kill["back_s"] < 0.6, kill)
        self.check_accounts(cell, series)
        self.assertGreaterEqual(load["connection_use"]["reconnects"], 8)
        failed = sum(load["errors"].values())
        self.assertGreater(failed, 0)  # 6 of 8 connections are busy at any moment
        self.assertEqual(sum(load["errors"][kind] for kind in ("reset", "closed", "connect")),
                         failed)
        self.assert_all_counted(cell)
        self.assertEqual(cell["counters"]["connections"], 8)
        self.assertEqual(cell["counters"]["closed"], 8)
        self.assertIsNone(cell["slots"])
        self.assertEqual(cell["exit"]["final"]["connections"], 8)
        self.assertEqual(cell["command"]["server"][1:3], ["--port", "0"])

    def test_costs_are_those_of_both_processes(self):
        """A request costs what it costs in a server that lives on, though most of the window is the
        dead one's. Its threads end all the time, so each of their switches could count twice."""
        cells = [self.measure("threads", point=point)[0] for point in ("late", "never")]
        self.assertEqual([cell["kill"] is None for cell in cells], [False, True])
        for cell in cells:
            self.assert_all_counted(cell)
        killed, living = [(cell["cost"]["cpu_us_per_request"],
                           cell["cost"]["switches_voluntary"] / cell["counters"]["requests"])
                          for cell in cells]
        self.assertTrue(0.6 < killed[0] / living[0] < 1.7, (killed, living))
        self.assertTrue(0.7 < killed[1] / living[1] < 1.4, (killed, living))

    def test_one_that_cannot_be_started_again_makes_the_cell_invalid(self):
        build = self.fake_server(ONLY_ONCE.replace("BEEN", str(self.folder / "been"))
                                 .replace("SERVER", str(BUILD / "servers/threads")))
        cell, _ = self.measure("fake", build=build)
        self.assertEqual((cell["kill"]["pid_was"], cell["kill"]["restarted"]), ("server", False))
        self.assertIsNone(cell["kill"]["back_s"])
        self.assertRegex(cell["validity"]["reasons"][0], "the server ended too early")
        log = self.folder / "cells/failure/early/fake.1/server.log"
        self.assertIn("cannot use the port", log.read_text())

    def test_a_server_that_ends_by_itself_is_still_too_early(self):
        cell, _ = self.measure("fake", build=self.fake_server(SHORT_LIVED))
        self.assertIsNone(cell["kill"])
        self.assertRegex(cell["validity"]["reasons"][0], "the server ended too early")

    def test_the_kill_must_lie_in_the_window(self):
        status, _, err = self.do(*self.cell("threads", self.file, "--point", "early", "--duration",
                                            "300ms"))
        self.assertEqual(status, 2)
        self.assertRegex(err, r"^cell: .*kill = 0\.3s is not before the end of the window, 0\.3s\n$")
