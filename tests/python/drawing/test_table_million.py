"""D2 and B5: a million connections and the challenge, over runs whose answers are known."""
import re

from archbench.figures import scale
from archbench.formats.run import Run
from table_case import Tables

UNTIMED = True  # it starts no server and measures no time

SCALE = ("[workload]\narrivals = poisson\nrate = 20000\n[class short]\nrequest = /\n"
         "[point 10000]\nconnections = 10000\n[point 1000000]\nconnections = 1000000\n")
CHALLENGE = ("[workload]\narrivals = poisson\nrate = 90%\n[class io]\nrequest = /\n"
             "[class critical]\nconnections = 64\nrequest = /\n[point calm]\n[point kills]\n")
NO_ROOM = "1,000,000 threads, where the system has room for 32,768 tasks"


class Million(Tables):
    def setUp(self):
        super().setUp()
        for name, text in (("scale", SCALE), ("challenge", CHALLENGE)):
            (self.synthetic.folder / "workloads" / f"{name}.ini").write_text(text)
        self.synthetic.manifest["environment"]["limits"] = {"open_files": [1024, 20000]}
        self.synthetic.manifest["left_out"] = [
            f"workload workloads/scale.ini without threads, which cannot serve so many connections: "
            f"{NO_ROOM}, at point 1000000"]

    def held(self, point, arch, kb, cpu, copies=None):
        server = ["build/servers/x"] + [f"--processes={copies}"] * bool(copies)
        self.cells("scale", point, arch, {
            "memory_total_kb_per_connection": kb, "memory_user_kb_per_connection": 0.3,
            "cpu_us_per_request": cpu, "connections": int(point),
            "total": {"requests": 1, "response_p99_us": 400}}, trials=1,
            command={"server": server, "loadgen": ["build/loadgen", "-w", "51"]},
            load={"connection_use": {"used": int(point)}, "connect": {"p99_us": 8600}})

    def scale(self):
        self.held("10000", "event", 6.4, 16)
        self.held("1000000", "event", 6.5, 32, copies=56)
        self.held("10000", "threads", 45, 30)

    def test_what_is_in_the_way(self):
        self.scale()
        row = self.row("d", "Descriptors of a process")
        self.assertEqual(row["formula"], "1,000,000 connections; 20,000 descriptors for each process")
        self.assertIn("event: 1,000,000 of 1,000,000 connections used, by 56 server and 51 "
                      "generator processes", row["measured"])
        row = self.row("d", "Ports of a pair")
        self.assertEqual(row["formula"], "1,000,000 / 28,232 = 36 source addresses at least")
        row = self.row("d", "memory of connections")
        self.assertEqual(row["agreement"], "disagree")
        self.assertIn("6.50 KiB (1 trial) each, 6.2 GiB in all", row["measured"])
        row = self.row("d", "a request costs more CPU time")
        self.assertIn("2.0 times", row["verdict"])
        row = self.row("d", "a thread for each connection")
        self.assertEqual(row["agreement"], "agree")
        self.assertIn("threads: 10,000 of 10,000 connections used", row["measured"])
        self.assertIn(NO_ROOM, row["verdict"])

    def test_the_figure_says_who_holds_most_and_who_stops_where(self):
        self.scale()
        run = Run(self.written())
        drawn = scale.draw(run)
        self.assertIn("event holds 1,000,000 connections at 6.50 KiB each: 6.2 GiB", " ".join(drawn.title.split()))
        self.assertEqual(run.why_absent("scale", "1000000", "threads"), NO_ROOM)

    def test_the_challenge(self):
        for arch, p50, p99, lost in (("hybrid", 30, 900, 0.00005), ("event", 200, 1200, 0.3),
                                     ("io_uring", 9e4, 9e5, 0.01)):
            self.cells("challenge", "calm", arch, {"critical": {
                "response_p50_us": p50, "response_p99_us": p99}})
            self.cells("challenge", "kills", arch, {"error_share": lost}, kill={"count": 5})
        rows = self.rows("b")
        self.assertEqual([r["agreement"] for r in rows if "beside 100,000" in r["claim"]],
                         ["disagree", "disagree", "agree", "open"])  # event, io_uring, hybrid, threads
        self.assertEqual([r["agreement"] for r in rows if "dies each second" in r["claim"]],
                         ["disagree", "disagree", "agree", "open"])
        self.assertTrue(any(re.search(r"70 % answered, 5 processes killed", r["measured"])
                            for r in rows))
