#!/usr/bin/python3
"""The formulas of model/ against the guide's own results, closed forms and simulated queues."""
import heapq
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "model"))

import architecture
from architecture import Demand
import demand
import guide
import queueing


class Guide(unittest.TestCase):
    """Every result that the guide states, from its own numbers."""

    def test_b1_a_concurrency_is_a_rate_only_with_a_time(self):
        self.assertEqual(guide.rate_of_concurrency(guide.LOOP_CONCURRENCY, 0.1), 100_000)
        self.assertEqual(guide.in_flight(100_000, 0.1), guide.LOOP_CONCURRENCY)

    def test_b2_b3_cpu_tasks(self):
        self.assertEqual(guide.tasks_per_core(), 20)
        self.assertEqual(guide.cpu_tasks(), 300)
        self.assertEqual(guide.cpu_tasks(guide.Machine(1, guide.GIB)), 20)

    def test_b4_connections_in_memory(self):
        self.assertEqual(guide.connections(), 2**20)
        self.assertAlmostEqual(guide.connections(share=0.8), 838_860.8)
        self.assertAlmostEqual(guide.connections(guide.Machine(16, 64e9), 64e3), 1e6)
        self.assertAlmostEqual(guide.connections(guide.Machine(16, 64e9), 64e3, 0.8), 800_000)

    def test_b5_the_cap_that_the_guide_does_not_mention(self):
        self.assertAlmostEqual(guide.capped_by_cpu(guide.cpu_tasks(), 0.3), 1000)
        self.assertAlmostEqual(guide.downtime_s(0.9999) / 60, 52.56)

    def test_b6_ten_times_the_task_is_a_tenth_of_the_rate(self):
        self.assertEqual(guide.tasks_per_core(0.5), 2)
        self.assertAlmostEqual(guide.cpu_tasks(task_s=0.5), 30)

    def test_b8_black_friday(self):
        self.assertAlmostEqual(guide.cores_for(500_000 * 0.3, 0.050), 7500)
        self.assertAlmostEqual(guide.servers_for(500_000 * 0.3), 500)

    def test_b9_chat(self):
        messages = 10_000 * 1.5 / 60
        self.assertEqual(messages, 250)
        self.assertAlmostEqual(guide.in_flight(1.5 * messages, 0.1), 37.5)
        self.assertAlmostEqual(guide.pool_size(1.5 * messages, 0.1), 45)
        self.assertAlmostEqual(guide.cores_for(messages, 0.004), 1)

    def test_b10_images(self):
        machine = guide.Machine(16, 32 * guide.GIB)
        self.assertEqual(guide.concurrent_jobs(machine, 2, 2 * guide.GIB), 8)
        self.assertAlmostEqual(guide.rate_of_concurrency(8, 6), 4 / 3)

    def test_b11_gateway(self):
        self.assertAlmostEqual(guide.in_flight(1000 * 5, 0.3), 1500)
        self.assertAlmostEqual(guide.cores_for(1000 * 0.3, 0.002), 0.6)
        self.assertEqual(guide.fan_out_latency_s([0.1, 0.5, 0.2]), 0.5)

    def test_b13_flash_sale(self):
        self.assertAlmostEqual(guide.instances_for(400, 0.05), 20)


def simulate(rate, services_s, servers, rng):
    """Waits in a FCFS queue of c servers: the definition, event by event."""
    free = [0.0] * servers
    now, waits = 0.0, np.empty(len(services_s))
    for i, (gap, service) in enumerate(zip(rng.exponential(1 / rate, len(services_s)), services_s)):
        now += gap
        begin = max(now, heapq.heappop(free))
        heapq.heappush(free, begin + service)
        waits[i] = begin - now
    return waits[len(waits) // 10:]


def simulate_ps(rate, services_s, servers, rng):
    """Responses where all share c servers equally, none with more than one to itself."""
    arrivals = np.cumsum(rng.exponential(1 / rate, len(services_s)))
    done, now, i = np.empty(len(services_s)), 0.0, 0
    heap, each = [], 0.0  # each: what a request that was there from the beginning would have had
    while i < len(services_s) or heap:
        speed = min(1.0, servers / len(heap)) if heap else 0.0
        ends = now + (heap[0][0] - each) / speed if heap else math.inf
        if i < len(services_s) and arrivals[i] <= ends:
            each += (arrivals[i] - now) * speed
            now = arrivals[i]
            heapq.heappush(heap, (each + services_s[i], i))
            i += 1
        else:
            each, now = heap[0][0], ends
            job = heapq.heappop(heap)[1]
            done[job] = now - arrivals[job]
    return done[len(done) // 10:]


class Queues(unittest.TestCase):
    REQUESTS = 200_000

    def setUp(self):
        self.rng = np.random.default_rng(7)

    def near(self, value, expected, share):
        self.assertAlmostEqual(value, expected, delta=share * abs(expected))

    def test_erlang(self):
        """The recursion against the formula as Erlang wrote it, and a value of his tables."""
        for offered, servers in (0.5, 1), (10, 10), (20, 30), (100, 117):
            terms = [offered**k / math.factorial(k) for k in range(servers + 1)]
            self.assertAlmostEqual(queueing.erlang_b(offered, servers), terms[-1] / sum(terms))
        self.assertAlmostEqual(queueing.erlang_b(10, 10), 0.2146, places=4)
        self.assertAlmostEqual(queueing.erlang_c(2, 3), 4 / 9)
        self.assertEqual(queueing.erlang_c(3, 3), 1)
        self.assertEqual(queueing.erlang_b(0, 3), 0)
        self.assertGreater(queueing.erlang_b(3000, 3000), 0, "no overflow")

    def test_one_server(self):
        """M/M/1 has closed forms for all of it."""
        rate, service = 70.0, 0.01
        mean = 1 / (1 / service - rate)
        self.assertAlmostEqual(queueing.mmc_wait_s(rate, service) + service, mean)
        for q in 0.5, 0.99, 0.9999:
            self.near(queueing.mmc_response_quantile_s(rate, service, 1, q),
                      -mean * math.log(1 - q), 1e-6)
        self.assertAlmostEqual(queueing.mg1_wait_s(rate, service, 1),
                               queueing.mmc_wait_s(rate, service))

    def test_several_servers_against_a_simulation(self):
        rate, service, servers = 160.0, 0.01, 2
        services = self.rng.exponential(service, self.REQUESTS)
        waits = simulate(rate, services, servers, self.rng)
        self.near(waits.mean(), queueing.mmc_wait_s(rate, service, servers), 0.08)
        self.near((waits > 0).mean(), queueing.erlang_c(rate * service, servers), 0.03)
        for q in 0.9, 0.99:
            self.near(np.quantile(waits, q),
                      queueing.mmc_wait_quantile_s(rate, service, servers, q), 0.1)
            self.near(np.quantile(waits + services[-len(waits):], q),
                      queueing.mmc_response_quantile_s(rate, service, servers, q), 0.1)

    def test_a_mixture_before_one_server(self):
        """Nine short requests and a long one: the mean alone says little, so quantiles too."""
        mixture = queueing.Mixture([90, 10], [0.0002, 0.010])
        rate = 0.6 / mixture.mean_s
        services = self.rng.choice(mixture.times_s, self.REQUESTS, p=mixture.weights)
        waits = simulate(rate, services, 1, self.rng)
        self.near(services.mean(), mixture.mean_s, 0.02)
        self.near(services.var() / services.mean()**2, mixture.scv, 0.03)
        self.near(waits.mean(), queueing.mg1_wait_s(rate, mixture.mean_s, mixture.scv), 0.08)
        for q in 0.5, 0.9, 0.99:
            found = (waits <= queueing.mg1_wait_quantile_s(rate, mixture, q)).mean()
            self.near(1 - found, 1 - q, 0.15 if q == 0.99 else 0.06)
        self.assertEqual(queueing.mg1_wait_quantile_s(rate, mixture, 0.3), 0)

    def test_constant_service(self):
        """M/D/1: P(wait <= t) = (1 - rho) e^(rate t) for t up to the service time (Erlang 1909)."""
        one = queueing.Mixture([1], [1.0])
        for t in 0.1, 0.5, 0.9:
            self.assertAlmostEqual(queueing.mg1_wait_cdf(0.5, one, t), 0.5 * math.exp(0.5 * t),
                                   places=4)
        self.assertAlmostEqual(queueing.mg1_wait_cdf(0.5, one, 0), 0.5)

    def test_several_servers_and_a_mixture(self):
        """An approximation: within a fifth of a simulation."""
        mixture = queueing.Mixture([70, 30], [0.001, 0.010])
        rate = 0.7 * 2 / mixture.mean_s
        waits = simulate(rate, self.rng.choice(mixture.times_s, self.REQUESTS, p=mixture.weights),
                         2, self.rng)
        self.near(waits.mean(), queueing.mgc_wait_s(rate, mixture.mean_s, mixture.scv, 2), 0.2)

    def test_sharing(self):
        """A short request shares for a short time only: its response is in proportion to it."""
        mixture = queueing.Mixture([90, 10], [0.001, 0.010])
        rate = 0.6 / mixture.mean_s
        services = self.rng.choice(mixture.times_s, self.REQUESTS // 4, p=mixture.weights)
        responses = simulate_ps(rate, services, 1, self.rng)
        for own in mixture.times_s:
            self.near(responses[services[-len(responses):] == own].mean(),
                      queueing.mg1_ps_response_s(rate, mixture.mean_s, own), 0.08)

    def test_sharing_several_servers(self):
        services = self.rng.exponential(0.01, self.REQUESTS // 4)
        responses = simulate_ps(160, services, 2, self.rng)
        self.near(responses.mean(), queueing.mgc_ps_response_s(160, 0.01, 0.01, 2), 0.08)
        self.assertEqual(queueing.mgc_ps_response_s(10, 0.01, 0.01, 1),
                         queueing.mg1_ps_response_s(10, 0.01, 0.01))

    def test_overload_has_no_steady_state(self):
        mixture = queueing.Mixture([1], [0.01])
        for value in (queueing.mmc_wait_s(200, 0.01, 2), queueing.mg1_wait_s(100, 0.01, 0),
                      queueing.mgc_wait_s(300, 0.01, 1, 2),
                      queueing.mg1_ps_response_s(100, 0.01, 1),
                      queueing.mgc_ps_response_s(200, 0.01, 1, 2),
                      queueing.mmc_response_quantile_s(200, 0.01, 2, 0.5),
                      queueing.mmc_wait_quantile_s(200, 0.01, 2, 0.5),
                      queueing.mg1_wait_quantile_s(100, mixture, 0.5)):
            self.assertEqual(value, math.inf)


class Scaling(unittest.TestCase):
    def test_bounds_of_a_closed_loop(self):
        self.assertEqual(queueing.closed_bounds(10, 0.1, 0.02), (50, 0.2))
        self.assertEqual(queueing.closed_bounds(2, 0.1, 0.02), (20, 0.1))
        self.assertEqual(queueing.closed_bounds(2, 0.1, 0, 0.1), (10, 0.1))

    def test_the_law_is_found_again(self):
        n = np.array([1, 2, 4, 8, 16, 32])
        noise = 1 + np.random.default_rng(3).normal(0, 0.01, len(n))
        data = queueing.usl(n, 1000, 0.05, 0.002) * noise
        single, contention, coherence = queueing.fit_usl(n, data)
        self.assertAlmostEqual(single, 1000, delta=40)
        self.assertAlmostEqual(contention, 0.05, delta=0.02)
        self.assertAlmostEqual(coherence, 0.002, delta=0.0006)
        self.assertAlmostEqual(queueing.usl_peak(0.05, 0.002), 21.8, delta=0.1)
        self.assertEqual(queueing.usl_peak(0.05, 0), math.inf)

    def test_linear_scaling(self):
        n = np.array([1, 2, 3, 4])
        _, contention, coherence = queueing.fit_usl(n, 500.0 * n)
        self.assertLess(contention, 1e-3)
        self.assertLess(coherence, 1e-3)


class Architectures(unittest.TestCase):
    """Predictions from what a server's header says, on two cores, 20 us of overhead."""

    ALL = ["compute", "timer", "fd", "disk"]
    MIX = [Demand("io", 700, wait_s=0.010), Demand("cpu", 300, cpu_s=0.005)]

    def server(self, family, computes, blocks, *options, **more):
        costs = more.pop("costs", architecture.Costs(20e-6))
        about = dict(family=family, computes=computes, blocks=blocks, tasks="0") | more
        return architecture.server_of(about, options, 2, costs)

    def setUp(self):
        self.event = self.server("event-driven", 1, ["compute", "disk"])
        self.loops = self.server("event-driven", "--workers", ["compute", "disk"])
        self.threads = self.server("multi-threaded", "any", self.ALL)
        self.pool = self.server("multi-threaded", "--workers", self.ALL, "--workers=8")
        self.hybrid = self.server("hybrid", "--max-workers", [])
        self.slots = self.server("serverless", "--slots", [], holds="--slots=64")
        self.prefork = self.server("multi-process", "--workers", self.ALL, "--workers=16",
                                   "--workers=32", peers="--workers")

    def test_what_about_says(self):
        self.assertEqual((self.event.lanes, self.loops.lanes, self.threads.lanes, self.pool.lanes),
                         (1, 2, math.inf, 8))
        self.assertEqual((self.event.peers, self.prefork.peers), (math.inf, 32))
        few = self.server("serverless", "--slots", [], "--slots=8", holds="--slots=64")
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
        for family, blocks, each_s in (("multi-threaded", self.ALL, 30e-6),
                                       ("multi-process", self.ALL, 38e-6),
                                       ("event-driven", ["compute", "disk"], 20e-6)):
            server = self.server(family, "any", blocks, costs=costs)
            self.assertAlmostEqual(architecture.capacity(server, waits), 2 / each_s, places=3)
            self.assertAlmostEqual(architecture.open_loop(server, waits)["io"].mean_s,
                                   0.020 + each_s, delta=1e-7)
            self.assertAlmostEqual(architecture.closed(server, waits, 1)[0], 1 / (0.020 + each_s))

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
request = /work?cpu=hash:2ms&io=backend:1.5s&cpu=json:3ms&class=cpu
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
        return demand.Workload(self.file).load(point, 2, 20e-6, **more)

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

    def test_every_workload_of_the_suite_can_be_read(self):
        files = sorted(pathlib.Path(ROOT, "workloads").glob("*.ini"))
        self.assertGreater(len(files), 10)
        for file in files:
            workload = demand.Workload(file)
            for point in workload.sections("point") or ["base"]:
                with self.subTest(file=file.name, point=point):
                    load = workload.load(point, 2, 20e-6)
                    self.assertGreater(sum(d.rate for d in load.demands), 0)

    def predict(self, *points):
        cells = [dict(workload="some", point=point, arch="event-x", program="event", connections=0,
                      options=[], file="workloads/some.ini", trial=trial)
                 for point in points for trial in (1, 2)]
        about = dict(family="event-driven", computes=1, blocks=["compute", "disk"], tasks="0")
        manifest = dict(schema="archbench-run/1", cells=cells, servers={"event": about},
                        calibration={"request_us": 20.0, "connection_kib": 7.0},
                        environment={"cores": {"usable": [0, 1]}})
        (self.folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        return subprocess.run([os.path.join(ROOT, "model", "predict"), self.folder],
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


if __name__ == "__main__":
    unittest.main()
