"""What an architecture can do with a load, and the predictions of a run."""
import json
import math
import pathlib
import subprocess
import tempfile
import unittest

import numpy as np

from archbench.formats import former
from archbench.formats.workload import Workload
from archbench.model import architecture, demand, queueing
from archbench.model.architecture import Demand
from archbench.places import ENTRY, REPOSITORY
from simulated import simulate

UNTIMED = True  # it starts no server and measures no time


class Architectures(unittest.TestCase):
    """Predictions from what a server's header says, on two cores, 20 us of overhead."""

    ALL = ["compute", "timer", "upstream", "disk"]
    MIX = [Demand("io", 700, wait_s=0.010), Demand("cpu", 300, cpu_s=0.005)]

    def server(self, family, computes, blocks, *options, **more):
        costs = more.pop("costs", architecture.Costs(20e-6))
        about = dict(family=family, computes=computes, blocks=blocks, tasks="0") | more
        return architecture.server_of(about, options, 2, costs)

    def setUp(self):
        self.event = self.server("event loops", 1, ["compute", "disk"])
        self.loops = self.server("event loops", "--workers", ["compute", "disk"])
        self.threads = self.server("threads", "any", self.ALL)
        self.pool = self.server("threads", "--workers", self.ALL, "--workers=8")
        self.hybrid = self.server("loop and workers", "--max-workers", [])
        self.slots = self.server("messages", "--slots", [], holds="--slots=64")
        self.prefork = self.server("processes", "--workers", self.ALL, "--workers=16",
                                   "--workers=32", peers="--workers")

    def test_what_about_says(self):
        self.assertEqual((self.event.lanes, self.loops.lanes, self.threads.lanes, self.pool.lanes),
                         (1, 2, math.inf, 8))
        self.assertEqual((self.event.peers, self.prefork.peers), (math.inf, 32))
        few = self.server("messages", "--slots", [], "--slots=8", holds="--slots=64")
        self.assertEqual((self.event.holds, self.slots.holds, few.holds), (math.inf, 64, 8))

    def test_requests_that_are_held_while_they_wait(self):
        """64 at a time of 10 ms and 20 us each, whatever the cores could do."""
        waiting = [Demand("io", 1, wait_s=0.010)]
        self.assertAlmostEqual(architecture.capacity(self.slots, waiting), 64 / 0.01002)
        self.assertEqual(architecture.bottleneck(self.slots, waiting), "workers that wait")

    def test_capacity_of_a_mix(self):
        """300 of 1,000 requests compute for 5 ms: 1.52 ms each, on one core or on two."""
        for server, rate, why in ((self.event, 1 / 1.52e-3, "threads that compute"),
                                  (self.loops, 2 / 1.52e-3, "cores"),
                                  (self.threads, 2 / 1.52e-3, "cores"),
                                  (self.hybrid, 2 / 1.52e-3, "cores"),
                                  (self.pool, 8 / 8.52e-3, "workers that wait")):
            self.assertAlmostEqual(architecture.capacity(server, self.MIX), rate, places=6)
            self.assertEqual(architecture.bottleneck(server, self.MIX), why)

    def test_capacity_without_work(self):
        trivial = [Demand("short", 1)]
        self.assertAlmostEqual(architecture.capacity(self.hybrid, trivial), 50_000)
        self.assertEqual(architecture.bottleneck(self.hybrid, trivial), "loop")
        self.assertAlmostEqual(architecture.capacity(self.threads, trivial), 100_000)

    def test_a_pool_tops_out_at_workers_over_wait(self):
        waits = [Demand("io", 1, wait_s=0.020)]
        self.assertAlmostEqual(architecture.capacity(self.pool, waits), 8 / 0.02002)
        self.assertEqual(architecture.closed(self.pool, waits, 1000)[0],
                         architecture.capacity(self.pool, waits))
        self.assertAlmostEqual(architecture.closed(self.prefork, waits, 1000)[0], 32 / 0.02002)
        self.assertAlmostEqual(architecture.closed(self.event, waits, 500)[0], 500 / 0.02002)

    def test_whoever_sleeps_pays_for_each_wait(self):
        """Two waits of 5 us a thread, 9 a process, beside 20 us of request; nothing in a loop."""
        costs = architecture.Costs(20e-6, thread_wait_s=5e-6, process_wait_s=9e-6)
        waits = [Demand("io", 1, wait_s=0.020, waits=2)]
        for family, tasks, blocks, each_s in (("threads", "1 thread", self.ALL, 30e-6),
                                              ("processes", "1 process", self.ALL, 38e-6),
                                              ("event loops", "0", ["compute", "disk"], 20e-6)):
            server = self.server(family, "any", blocks, costs=costs, tasks=tasks)
            self.assertAlmostEqual(architecture.capacity(server, waits), 2 / each_s, places=3)
            self.assertAlmostEqual(architecture.open_loop(server, waits)["io"].mean_s,
                                   0.020 + each_s, delta=1e-7)
            self.assertAlmostEqual(architecture.closed(server, waits, 1)[0], 1 / (0.020 + each_s))

    def test_a_pool_tops_out_at_connections_over_statements(self):
        """1.5 statements of 100 ms each: 50 connections carry 333 requests/s, two pools of 50 667."""
        asked = [Demand("write", 1, wait_s=0.1, waits=1, database_s=0.1, statements=1),
                 Demand("read", 1, wait_s=0.2, waits=2, database_s=0.2, statements=2)]
        blocks = ["compute", "disk"]
        for family, computes, tasks, rate in (
                ("event loops", 1, "0", 50 / 0.15), ("event loops", "--workers", "0", 100 / 0.15),
                ("threads", "any", "1 thread", 50 / 0.15), ("processes", "any", "1 process", 100_000)):
            server = self.server(family, computes, blocks, "--database-pool=7", "--database-pool=50", tasks=tasks)
            self.assertAlmostEqual(architecture.capacity(server, asked), rate, places=3)
            self.assertEqual(architecture.bottleneck(server, asked) == "database pool", rate < 1000)
        free = self.server("threads", "any", blocks)
        self.assertAlmostEqual(architecture.capacity(free, asked), 100_000)

    def test_statements_wait_for_a_connection_as_erlang_says(self):
        asked = [Demand("write", 125, wait_s=0.1, waits=1, database_s=0.1, statements=1),
                 Demand("read", 125, wait_s=0.2, waits=2, database_s=0.2, statements=2)]
        for size, pools in ("50", 1), ("25", 2):
            loops = self.server("event loops", pools, ["compute", "disk"], "--database-pool=" + size)
            pool = architecture.database(loops, asked)
            self.assertAlmostEqual(pool.in_flight, 37.5)
            self.assertAlmostEqual(pool.waiting, queueing.erlang_c(37.5 / pools, int(size)))
            self.assertAlmostEqual(pool.wait_s, queueing.mmc_wait_s(375 / pools, 0.1, int(size)) / 2)
            found = architecture.open_loop(loops, asked)
            self.assertAlmostEqual(found["write"].mean_s, 0.1 + pool.wait_s, delta=1e-4)
            self.assertAlmostEqual(found["read"].mean_s, 0.2 + 2 * pool.wait_s, delta=1e-4)
            self.assertIsNone(found["write"].p99_s)  # more than one in a hundred waits
        large = self.server("event loops", 1, ["compute", "disk"], "--database-pool=64")
        self.assertIsNotNone(architecture.open_loop(large, asked)["write"].p99_s)
        small = self.server("event loops", 1, ["compute", "disk"], "--database-pool=30")
        self.assertEqual(architecture.open_loop(small, asked)["write"].mean_s, math.inf)
        processes = self.server("processes", "any", self.ALL, "--database-pool=1", tasks="1 process")
        self.assertEqual(architecture.database(processes, asked).waiting, 0)
        self.assertIsNone(architecture.database(self.event, self.MIX))

    def test_the_simulated_queue_in_front_of_a_pool(self):
        """M/D/c by formula against the same queue, simulated."""
        asked = [Demand("write", 375, wait_s=0.1, waits=1, database_s=0.1, statements=1)]
        server = self.server("event loops", 1, ["compute", "disk"], "--database-pool=40")
        waits = simulate(375, np.full(400_000, 0.1), 40, np.random.default_rng(3))
        self.assertAlmostEqual(architecture.database(server, asked).wait_s, waits.mean(),
                               delta=0.25 * waits.mean())

    def test_one_way_messages_cost_a_tenth(self):
        feed = [Demand("update", 50_000, one_way=True), Demand("trade", 1_000)]
        each_s = (50 * 2e-6 + 20e-6) / 51
        for server in self.event, self.hybrid:
            self.assertAlmostEqual(architecture.capacity(server, feed), 1 / each_s, places=3)
        found = architecture.open_loop(self.hybrid, feed)
        self.assertEqual(found["trade"].model, "M/G/1 loop")
        self.assertAlmostEqual(found["trade"].mean_s - found["update"].mean_s, 18e-6)
        services = np.random.default_rng(1).choice([2e-6, 20e-6], 400_000, p=[50 / 51, 1 / 51])
        waits = simulate(51_000, services, 1, np.random.default_rng(2))
        self.assertAlmostEqual(found["trade"].mean_s, waits.mean() + 20e-6, delta=2e-7)

    def test_memory_of_a_connection(self):
        costs = architecture.Costs(20e-6, thread_kib=28, process_kib=120, connection_kib=7)
        for tasks, kib in ("0", 0), ("1 thread", 28), ("1 process", 120):
            server = self.server("any", "any", [], costs=costs, tasks=tasks)
            self.assertAlmostEqual(server.connection_kib, 7 + architecture.SOCKETS_KIB + kib)
        self.assertEqual(self.server("any", "any", []).connection_kib, 0, "of an old calibration")

    def test_a_loop_makes_short_ones_wait_for_long_ones(self):
        demands = [Demand("short", 450), Demand("slow", 50, cpu_s=0.010)]
        services = [20e-6] * 9 + [0.01002]
        event = architecture.open_loop(self.event, demands)
        waits = simulate(500, np.random.default_rng(5).choice(services, 200_000), 1,
                         np.random.default_rng(6))
        self.assertAlmostEqual(event["short"].mean_s, waits.mean() + 20e-6, delta=0.0005)
        self.assertAlmostEqual(event["short"].p99_s, np.quantile(waits, 0.99), delta=0.003)
        self.assertAlmostEqual(event["slow"].mean_s - event["short"].mean_s, 0.010)
        hybrid = architecture.open_loop(self.hybrid, demands)
        self.assertLess(hybrid["short"].mean_s, 25e-6)
        self.assertGreater(hybrid["slow"].mean_s, 0.010)
        threads = architecture.open_loop(self.threads, demands)
        self.assertLess(threads["short"].mean_s, 40e-6)
        loops = architecture.open_loop(self.loops, demands)
        self.assertLess(loops["short"].mean_s, event["short"].mean_s / 2)
        self.assertEqual({r["short"].model for r in (event, hybrid, threads, loops)},
                         {"M/G/1 FCFS", "M/D/1 loop", "M/G/2 PS", "2 x M/G/1 FCFS"})

    def test_more_workers_than_cores_share_them(self):
        """200 workers on two cores are nearly a thread for each request; so they are on one core."""
        usual = self.server("threads", "--workers=200", self.ALL)
        self.assertEqual((usual.lanes, usual.computing), (200, 2))
        about = {"family": "threads", "blocks": self.ALL, "tasks": "0"}
        mix = [Demand("io", 70, wait_s=0.010), Demand("cpu", 30, cpu_s=0.010)]
        for cores in 1, 2:
            pool, threads = (
                architecture.open_loop(
                    architecture.server_of(about | {"computes": computes}, (), cores,
                                           architecture.Costs(20e-6)), mix)
                for computes in ("--workers=200", "any"))
            for name in "io", "cpu":
                self.assertAlmostEqual(pool[name].mean_s, threads[name].mean_s, delta=1e-6)
        few = self.server("threads", "--workers=200", self.ALL, "--workers=4")
        io = [Demand("io", 390, wait_s=0.010)]  # of the 400/s that four of them can hold
        self.assertGreater(architecture.open_loop(few, io)["io"].mean_s, 0.030)

    def test_waits_of_their_own_come_on_top(self):
        for server in self.event, self.threads, self.hybrid, self.pool:
            found = architecture.open_loop(server, [Demand("io", 1, wait_s=0.010)])
            self.assertAlmostEqual(found["io"].mean_s, 0.01002, delta=1e-5)

    def test_overload(self):
        for server in self.event, self.loops, self.threads, self.hybrid, self.pool, self.prefork:
            demands = [Demand("cpu", 500, cpu_s=0.005)]
            self.assertEqual(architecture.open_loop(server, demands)["cpu"].mean_s, math.inf)

    def test_a_class_without_requests_says_nothing(self):
        found = architecture.open_loop(self.event, [Demand("a", 10), Demand("b", 0, cpu_s=1)])
        self.assertEqual(list(found), ["a"])


class Files(unittest.TestCase):
    """From a workload file to predictions in a run's folder."""

    TEXT = """
; a comment
[workload]
arrivals    = poisson          ; another
connections = 64
rate        = 70%
placement   = shared
[class io]
weight  = 70
request = /work?io=timer:10ms&class=io
[class cpu]
weight  = 30
connections = 6
request = /work?cpu=hash:2ms&io=upstream:1.5s&cpu=json:3ms&class=cpu
[point half]
rate = 35%
cpu.weight = 0
[point own]
io.rate = 100
cpu.rate = 10%
[point closed]
arrivals = closed
think = exponential 100ms
[point bursts]
arrivals = bursts
"""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "workloads").mkdir()
        self.file = self.folder / "workloads" / "some.ini"
        self.file.write_text(self.TEXT, encoding="utf-8")

    def load(self, point, **more):
        return demand.load(Workload(self.file), point, 2, 20e-6, former.DEFAULTS, **more)

    def rates(self, point):
        return {d.name: d.rate for d in self.load(point).demands}

    def test_demands(self):
        load = self.load("base")
        total = 0.7 * 2 / (0.3 * 0.005 + 20e-6)
        io, cpu = load.demands
        self.assertEqual((io.name, io.cpu_s, io.wait_s, io.waits), ("io", 0, 0.01, 1))
        self.assertEqual((cpu.name, cpu.cpu_s, cpu.wait_s, cpu.waits), ("cpu", 0.005, 1.5, 1))
        self.assertAlmostEqual(io.rate, 0.7 * total)
        self.assertAlmostEqual(cpu.rate, 0.3 * total)
        self.assertEqual((load.arrivals, load.connections, load.phased), ("poisson", 70, False))

    def test_points_override(self):
        self.assertAlmostEqual(self.rates("half")["io"], 0.35 * 2 / 20e-6)
        self.assertEqual(self.rates("half")["cpu"], 0)
        self.assertAlmostEqual(self.rates("own")["cpu"], 0.1 * 2 / 0.00502)
        self.assertEqual(self.rates("own")["io"], 100)
        closed = self.load("closed", connections=7)
        self.assertEqual((closed.arrivals, closed.connections, closed.think_s), ("closed", 13, 0.1))

    def test_statements_and_calls_of_a_redis_are_waits(self):
        (self.folder / "workloads" / "some.sql").write_text(
            "-- name: add  stand-in: 100ms\ninsert;\n-- name: look  stand-in: 50ms\nselect;\n")
        self.file.write_text(
            "[workload]\narrivals = poisson\nrate = 100\nupstream = --delay 2ms\n"
            "server_options = --sql=some.sql --database-pool=9\n[class a]\nrequest = "
            "/work?io=redis:publish:x&io=sql:add:x&io=sql:look&cpu=hash:4ms\n"
            "[class b]\nrequest = /work?io=upstream:5ms\n", encoding="utf-8")
        first, second = self.load("base").demands
        self.assertEqual((first.waits, first.statements, first.cpu_s), (3, 2, 0.004))
        self.assertAlmostEqual(first.wait_s, 0.152)
        self.assertAlmostEqual(first.database_s, 0.15)
        self.assertEqual((second.waits, second.statements), (1, 0))
        self.assertAlmostEqual(second.wait_s, 0.007)
        done = self.predict("base")
        self.assertEqual(done.returncode, 0, done.stderr)
        (said,) = json.loads((self.folder / "predictions.json").read_text())["cells"]
        self.assertAlmostEqual(said["database"]["in_flight"], 50 * 0.15)
        self.assertEqual(said["database"]["pool"], 9)
        self.assertAlmostEqual(said["database"]["waiting"], queueing.erlang_c(7.5, 9))
        self.assertAlmostEqual(said["capacity"], 9 / 0.075)
        self.assertEqual(said["bottleneck"], "database pool")
        self.assertEqual(set(said["classes"]), {"a", "b"})

    def test_without_statements_there_is_no_database(self):
        self.predict("half")
        (said,) = json.loads((self.folder / "predictions.json").read_text())["cells"]
        self.assertNotIn("database", said)

    def test_every_workload_of_the_suite_can_be_read(self):
        files = sorted(pathlib.Path(REPOSITORY, "workloads").rglob("*.ini"))
        self.assertGreater(len(files), 10)
        for file in files:
            workload = Workload(file)
            for point in workload.points or ["base"]:
                with self.subTest(file=file.name, point=point):
                    load = demand.load(workload, point, 2, 20e-6, former.DEFAULTS)
                    self.assertGreater(sum(d.rate for d in load.demands), 0)

    def predict(self, *points):
        cells = [dict(workload="some", point=point, arch="event-x", program="event", connections=0,
                      options=[], file="workloads/some.ini", trial=trial)
                 for point in points for trial in (1, 2)]
        about = dict(family="event loops", computes=1, blocks=["compute", "disk"], tasks="0")
        manifest = dict(schema="archbench-run/1", cells=cells, servers={"event": about},
                        calibration={"request_us": 20.0, "connection_kib": 7.0},
                        environment={"cores": {"usable": [0, 1]}})
        (self.folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        return subprocess.run([ENTRY, "predict", self.folder],
                              capture_output=True, text=True, check=False)

    def test_predictions_of_a_run(self):
        done = self.predict("base", "closed", "half", "bursts")
        self.assertEqual(done.returncode, 0, done.stderr)
        file = json.loads((self.folder / "predictions.json").read_text(encoding="utf-8"))
        self.assertEqual(file["schema"], "archbench-predictions/1")
        base, closed, half, bursts = file["cells"]  # one for both trials
        self.assertAlmostEqual(base["capacity"], 1 / 1.52e-3)
        self.assertEqual(base["bottleneck"], "threads that compute")
        self.assertAlmostEqual(base["utilisation"], 1.4)
        self.assertIsNone(base["classes"]["io"]["mean_us"], "overload: no steady state")
        self.assertIsNone(base["in_flight"])
        self.assertAlmostEqual(half["in_flight"], 1e-6 * half["offered_rate"]
                               * half["classes"]["io"]["mean_us"], msg="Little's law")
        self.assertAlmostEqual(base["memory_kib_per_connection"], 7 + architecture.SOCKETS_KIB)
        self.assertAlmostEqual(closed["achieved_rate"], 70 / (0.1 + 0.3 * 1.505 + 0.007 + 20e-6))
        self.assertAlmostEqual(half["utilisation"], 0.7)
        self.assertEqual(list(half["classes"]), ["io"])
        self.assertEqual(set(bursts) & {"classes", "achieved_rate"}, set(), "no formula for them")

    def test_a_modulated_rate_is_no_steady_state(self):
        keys = "io.burst_load = 4\nio.burst_length = 50ms\nio.burst_share = 10%\n"
        self.file.write_text(self.TEXT + "[point uneven]\nrate = 35%\n" + keys, encoding="utf-8")
        self.assertTrue(self.load("uneven").phased)
        self.predict("half", "uneven")
        file = json.loads((self.folder / "predictions.json").read_text(encoding="utf-8"))
        half, uneven = file["cells"]
        self.assertIn("classes", half)
        self.assertEqual(set(uneven) & {"classes", "achieved_rate"}, set(), "no formula for it")

    def test_the_generators_core_is_not_the_servers(self):
        for placement, cores in ("shared", 2), ("split", 1):
            text = self.TEXT.replace("= shared", f"= {placement}")
            self.file.write_text(text, encoding="utf-8")
            self.predict("half")
            file = json.loads((self.folder / "predictions.json").read_text(encoding="utf-8"))
            self.assertAlmostEqual(file["cells"][0]["offered_rate"], 0.35 * cores / 20e-6)

    def test_nothing_is_predicted_after_the_fact(self):
        cell = self.folder / "cells" / "some" / "base" / "event.1"
        cell.mkdir(parents=True)
        (cell / "cell.json").write_text("{}", encoding="utf-8")
        done = self.predict("base")
        self.assertEqual(done.returncode, 1)
        self.assertIn("too late", done.stderr)
        self.assertFalse((self.folder / "predictions.json").exists())
