"""Queues and the guide's formulas against the guide's own results, closed forms and simulation."""
import math
import unittest

import numpy as np

from archbench.model import guide, queueing
from simulated import simulate, simulate_ps

UNTIMED = True  # it starts no server and measures no time


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
