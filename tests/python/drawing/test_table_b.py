"""Table B, over runs whose answers are known: each verdict from all sides."""
from archbench.tables.parts import guide_table
from synthetic import latencies
from table_case import Tables

UNTIMED = True  # it starts no server and measures no time


class HoldingRows(Tables):
    """B1 and B4."""
    def held(self, arch, point, rate, lost=0.0):
        self.rate("concurrency", point, arch, rate, connections=int(point), error_share=lost,
                  total=latencies(1e5, 6e5))

    def test_ten_thousand_are_held(self):
        self.held("event", "10000", 20000)
        row = self.row("b", "event holds 10,000 I/O")
        self.assertEqual(row["agreement"], "agree")
        self.assertEqual(row["measured"], "10,000 at a time, at 20,000/s [20,000, 20,000], "
                                          "p99 600 ms [600 ms, 600 ms]")

    def test_ten_thousand_are_not_held(self):
        self.held("event", "1000", 20000)
        self.held("event", "10000", 20000, lost=0.2)
        row = self.row("b", "event holds 10,000 I/O")
        self.assertEqual(row["agreement"], "disagree")
        self.assertIn("left 20 % of the requests without a reply; 1,000 it held", row["verdict"])

    def test_ten_thousand_were_not_asked_for(self):
        self.held("event", "1000", 20000)
        self.assertEqual(self.judged("b", "event holds 10,000 I/O"), "open")

    def test_none_are_held(self):
        self.held("event", "1000", 20000, lost=0.5)
        row = self.row("b", "event holds 10,000 I/O")
        self.assertEqual((row["measured"], row["agreement"]), ("none without errors", "disagree"))

    def test_others_have_no_claim(self):
        self.held("threads", "10000", 9000)
        row = self.row("b", "threads holds 10,000 I/O")
        self.assertEqual((row["guide"], row["agreement"]), ("no number", "open"))
        self.assertIn("threads held them", row["verdict"])

    def test_a_concurrency_is_no_rate(self):
        self.held("event", "10000", 20000)
        row = self.row("b", "are the loop's I/O throughput")
        self.assertEqual(row["formula"], "Little: 10,000 / 10.0 ms = 1,000,000/s")
        self.assertEqual(row["agreement"], "disagree")
        self.assertIn("would be 1,000,000/s by Little's law, and were 20,000/s. Of the 10,000 only "
                      "200 wait for their I/O at a time", row["verdict"])

    def test_too_few_clients_to_tell(self):
        self.held("event", "1000", 95000)
        row = self.row("b", "are the loop's I/O throughput")
        self.assertEqual(row["agreement"], "open")
        self.assertIn("1,000 clients cannot ask for more than 100,000/s", row["verdict"])

    def memory(self, arch, total_kb, workload="connections", busy=1000, open_now=1000):
        kinds = {"user": 0.5, "page_tables": 0.3, "kernel_stacks": 0.15, "sockets": 0.05}
        self.cells(workload, "base", arch, {
            "memory_total_kb_per_connection": total_kb, "connections": busy,
            **{f"memory_{k}_kb_per_connection": total_kb * share for k, share in kinds.items()}},
            memory={"connections": open_now})

    def test_64_kb_are_too_many(self):
        self.memory("event", 16)
        row = self.row("b", "event: a connection costs 64 KB")
        self.assertEqual(row["formula"], "24 GiB / 64 KiB = 393,000, 315,000 at 80 %")
        self.assertEqual(row["agreement"], "disagree")
        self.assertIn("user memory 8.00, page tables 4.80, kernel stacks 2.40, sockets of both "
                      "ends 0.800; 1,570,000 fit into this machine", row["measured"])
        self.assertIn("0.250 times the guide's 64, most of it user memory (8.00 KiB): 64 GB would "
                      "hold 4,190,000, enough", row["verdict"])

    def test_memory_was_predicted(self):
        self.memory("event", 16)
        self.memory("threads", 40)
        self.predict("connections", "base", "event", memory_kib_per_connection=12.3)
        self.predict("connections", "base", "threads", memory_kib_per_connection=None)
        for arch, model in ("event", "12.3 KiB"), ("threads", guide_table.NOTHING):
            self.assertEqual(self.row("b", f"{arch}: a connection costs 64 KB")["model"], model)

    def test_64_kb_are_too_few(self):
        self.memory("processes", 128)
        row = self.row("b", "processes: a connection costs 64 KB")
        self.assertEqual(row["agreement"], "disagree")
        self.assertIn("2.0 times the guide's 64", row["verdict"])
        self.assertIn("524,000, not the 1,000,000", row["verdict"])

    def test_64_kb_are_right(self):
        self.memory("threads", 60)
        self.assertEqual(self.judged("b", "threads: a connection costs 64 KB"), "agree")

    def test_less_than_nothing_is_noise(self):
        self.memory("threads", -3)
        self.assertEqual(self.judged("b", "threads: a connection costs 64 KB"), "open")

    def test_idle_connections_tell_when_nothing_better_does(self):
        self.memory("event", 16, workload="idle", busy=8, open_now=10008)
        self.assertIn("with 10,008 open",
                      self.row("b", "event: a connection costs 64 KB")["measured"])


class ComputingRows(Tables):
    """B2, B3, B6 and D1, on 2 cores."""

    def test_a_core_does_20_tasks(self):
        for rate, agreement in ((19.5, "agree"), (14, "disagree")):
            with self.subTest(rate=rate):
                self.setUp()
                self.rate("cpu_time", "alone50", "event", rate)
                row = self.row("b", "so many CPU tasks per second (cpu_time")
                self.assertEqual((row["formula"], row["agreement"]),
                                 ("1 / 50.0 ms = 20.0/s", agreement))

    def test_the_same_formula_for_5_ms(self):
        self.rate("cpu", "base", "event", 196)
        row = self.row("b", "so many CPU tasks per second (cpu:")
        self.assertEqual((row["formula"], row["agreement"]), ("1 / 5.00 ms = 200/s", "agree"))

    def test_no_core_need_be_set_aside(self):
        self.rate("cpu_time", "alone50", "hybrid", 39, cores_used=1.96)
        row = self.row("b", "hybrid: a loop and workers")
        self.assertEqual(row["formula"], "(2 cores, 1 for workers) x 20.0/s = 20.0/s")
        self.assertEqual((row["measured"], row["agreement"]),
                         ("39.0/s [39.0, 39.0], 1.96 cores used", "disagree"))
        self.assertIn("all 2 cores x 20.0/s = 40.0/s is what was measured", row["verdict"])

    def test_on_16_cores_the_core_set_aside_hardly_shows(self):
        self.cells("cpu_time", "alone50", "hybrid", {"achieved_rate": 315}, placement={
            "mode": "shared", "server_cores": list(range(16))})
        row = self.row("b", "hybrid: a loop and workers")
        self.assertEqual((row["formula"], row["agreement"]),
                         ("(16 cores, 15 for workers) x 20.0/s = 300/s", "agree"))
        self.assertNotIn("needs no core", row["verdict"])

    def test_one_core_is_set_aside(self):
        self.rate("cpu_time", "alone50", "hybrid", 20)
        row = self.row("b", "hybrid: a loop and workers")
        self.assertEqual(row["agreement"], "agree")
        self.assertNotIn("needs no core", row["verdict"])

    def test_a_loop_computes_on_one_core_and_threads_on_all(self):
        self.rate("cpu_time", "alone50", "event", 19.8)
        self.rate("cpu_time", "alone50", "threads", 39)
        for claim, formula in (("event: a single loop", "1 x 20.0/s = 20.0/s"),
                               ("threads: every core", "2 x 20.0/s = 40.0/s")):
            row = self.row("b", claim)
            self.assertEqual((row["formula"], row["agreement"]), (formula, "agree"))

    def test_ten_times_the_task(self):
        self.rate("cpu_time", "alone50", "hybrid", 39)
        self.rate("cpu_time", "alone500", "hybrid", 3.9)
        row = self.row("b", "hybrid: CPU tasks of 500 ms")
        self.assertEqual((row["formula"], row["agreement"]),
                         ("500 ms / 50.0 ms = 10.0 times less", "agree"))

    def test_ten_times_the_task_and_less_than_that(self):
        self.rate("cpu_time", "alone50", "hybrid", 39)
        self.rate("cpu_time", "alone500", "hybrid", 13)
        self.assertEqual(self.judged("b", "hybrid: CPU tasks of 500 ms"), "disagree")

    def mix(self, rates, p99_us):
        for point, rate, p99 in zip(("mix50", "mix500"), rates, p99_us):
            self.rate("cpu_time", point, "event", rate, io=latencies(1e4, p99))

    def test_d1_everything_is_ten_times_slower(self):
        self.mix((66, 6.6), (8e5, 8e6))
        self.predict("cpu_time", "mix50", "event", capacity=66.6, bottleneck="cores")
        self.predict("cpu_time", "mix500", "event", capacity=6.67, bottleneck="cores")
        row = self.row("d", "event: CPU tasks of 500 ms")
        self.assertEqual(row["formula"],
                         "20.0/s / 0.3 = 66.7/s, then 2.00/s / 0.3 = 6.67/s")
        self.assertEqual(row["model"], "at most 66.6/s (cores), then at most 6.67/s (cores)")
        self.assertEqual(row["agreement"], "agree")
        self.assertIn("wait for the computations as well: p99 800 ms, then 8.00 s", row["verdict"])

    def test_d1_latency_may_be_spared_when_throughput_is_not(self):
        self.mix((66, 6.6), (1.1e4, 1.5e4))
        self.assertIn("Those that only wait take no longer (p99 11.0 ms, then 15.0 ms)",
                      self.row("d", "event: CPU tasks of 500 ms")["verdict"])

    def test_d1_throughput_may_be_spared(self):
        self.mix((66, 60), (1.1e4, 1.1e4))
        self.assertEqual(self.judged("d", "event: CPU tasks of 500 ms"), "disagree")


class ChallengeRows(Tables):
    """B5."""

    def test_the_cap(self):
        self.rate("cpu_time", "alone50", "hybrid", 39)
        self.rate("cpu_time", "mix50", "hybrid", 128)
        row = self.row("b", "hybrid, cpu_time at mix50")
        self.assertIn("not said", row["guide"])
        self.assertEqual((row["formula"], row["agreement"]), ("20.0/s / 0.3 = 66.7/s", "agree"))
        self.assertIn("Alone, hybrid does 39.0/s of these tasks; / 0.3 = 130/s is the cap",
                      row["verdict"])

    def test_the_cap_does_not_hold(self):
        for mixed in (200, 100):
            with self.subTest(mixed=mixed):
                self.setUp()
                self.rate("cpu_time", "alone50", "hybrid", 39)
                self.rate("cpu_time", "mix50", "hybrid", mixed)
                self.assertEqual(self.judged("b", "hybrid, cpu_time at mix50"), "disagree")

    def test_the_cap_needs_the_rate_alone(self):
        self.rate("cpu_time", "mix50", "hybrid", 200)
        self.assertEqual(self.judged("b", "hybrid, cpu_time at mix50"), "open")

    def test_the_cap_from_the_load(self):
        self.rate("cpu", "base", "hybrid", 390)
        self.rate("load", "110", "hybrid", 1290, offered_rate=1450)
        self.assertEqual(self.judged("b", "hybrid, load"), "agree")

    def test_a_load_that_did_not_reach_the_cap_tells_nothing(self):
        self.rate("cpu", "base", "hybrid", 390)
        self.rate("load", "110", "hybrid", 1000, offered_rate=1000)
        self.predict("load", "110", "hybrid", capacity=900, bottleneck="cores")
        self.assertEqual(self.judged("b", "hybrid, load"), "open")

    def test_connections(self):
        for held, agreement in ((1000, "open"), (100_000, "agree")):
            with self.subTest(held=held):
                self.setUp()
                self.cells("connections", "base", "hybrid",
                           {"memory_total_kb_per_connection": 16, "connections": held})
                row = self.row("b", "hybrid holds 100,000")
                self.assertEqual(row["agreement"], agreement)
        self.assertEqual(row["formula"], "100,000 x 64 KiB = 6.1 GiB")

    def critical(self, arch, p99s, worst=900):
        for trial, p99 in enumerate(p99s, 1):
            self.synthetic.cell("bimodal", "base", arch, trial, {
                "short": {**latencies(100, p99), "response_max_us": worst},
                "slow": latencies(3e4, 9e4)})

    def test_critical_operations(self):
        for p99s, agreement in (((700, 800, 990), "agree"), ((1100, 1200, 1300), "disagree"),
                                ((900, 950, 1300), "open")):
            with self.subTest(p99s=p99s):
                self.setUp()
                self.critical("hybrid", p99s)
                row = self.row("b", "hybrid: critical operations")
                self.assertEqual(row["agreement"], agreement)
                self.assertNotIn("guaranteed", row["verdict"])

    def test_a_p99_is_no_guarantee(self):
        self.critical("hybrid", (700, 700), worst=3770)
        self.predict("bimodal", "base", "hybrid",
                     classes={"short": {"mean_us": 120, "p99_us": None, "model": "M/D/1 loop"}})
        row = self.row("b", "hybrid: critical operations")
        self.assertIn("the slowest took 3.77 ms, so nothing is guaranteed", row["verdict"])
        self.assertEqual(row["model"], "mean 120 µs (M/D/1 loop)")

    def test_critical_operations_of_others_are_no_claim(self):
        self.critical("event", (1e5, 1e5, 1e5))
        self.assertEqual(self.judged("b", "event: critical operations"), "open")

    def test_uptime(self):
        self.cells("failure", "base", "event", {"error_share": 0.1}, load={"duration_s": 3})
        row = self.row("b", "event: 99.99 % uptime")
        self.assertEqual((row["formula"], row["agreement"]),
                         ("0.01 % of a year = 52.6 min without service", "open"))
        self.assertIn("as much as 300 ms without service: 99.99 % leaves room for 10,500 a year",
                      row["verdict"])

    def test_uptime_without_loss(self):
        self.cells("failure", "base", "serverless", {"error_share": 0})
        self.cells("failure", "base", "hybrid", {"error_share": 0}, load={"duration_s": 3})
        self.assertIn("cost hybrid nothing", self.row("b", "hybrid: 99.99 % uptime")["verdict"])
