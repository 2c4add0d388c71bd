"""The guide's questions, over runs whose answers are known."""
from table_case import Tables

UNTIMED = True  # it starts no server and measures no time


class Distance(Tables):
    """D3."""
    def at(self, arch, point, cost, kb=16, rate=1990):
        self.rate("network", point, arch, rate, cpu_us_per_request=cost,
                  connections={"1ms": 2, "500ms": 1000}[point], switches_per_request=2,
                  memory_total_kb_per_connection=kb)

    def ends(self, arch, near, far, **more):
        self.at(arch, "1ms", near, **more)
        self.at(arch, "500ms", far, **more)

    def test_the_advantage_grows(self):
        self.ends("event", 20, 22)
        self.ends("processes", 30, 66, kb=160)
        row = self.row("d", "beside processes")
        self.assertEqual(row["agreement"], "agree")
        self.assertIn("1.50 [1.50, 1.50] at 1.00 ms, 3.00 [3.00, 3.00] at 500 ms", row["measured"])
        self.assertIn("memory of all connections at 500 ms 156 MiB (event 15.6 MiB)",
                      row["measured"])
        self.assertIn("switches per request 2.00 and 2.00 (event 2.00 and 2.00)", row["measured"])
        self.assertIn("2 connections have become 1,000, and their memory is 10 times that of event",
                      row["verdict"])

    def test_the_advantage_shrinks(self):
        self.ends("event", 20, 40)
        self.ends("threads", 40, 44)
        self.assertEqual(self.judged("d", "beside threads"), "disagree")

    def test_no_clear_change(self):
        self.ends("event", 20, 20)
        self.ends("threads", 40, 41)
        self.assertEqual(self.judged("d", "beside threads"), "open")

    def test_one_distance_tells_nothing(self):
        self.ends("event", 20, 20)
        self.at("threads", "1ms", 40)
        row = self.row("d", "beside threads")
        self.assertEqual((row["measured"], row["agreement"]), ("not measured", "open"))

    def test_littles_law(self):
        for rate, agreement in ((1990, "agree"), (900, "disagree")):
            with self.subTest(rate=rate):
                self.setUp()
                self.ends("event", 20, 20, rate=rate)
                row = self.row("d", "rate x round trip")
                self.assertEqual((row["formula"], row["agreement"]),
                                 ("2,000/s x 500 ms = 1,000", agreement))
