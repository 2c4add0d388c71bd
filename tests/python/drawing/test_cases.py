"""Case studies, over runs whose answers are known: the guide's table, figures, and their part of the report."""
import csv
from pathlib import Path
import tempfile
import unittest

from archbench.cases import case as cases
from archbench.cases import chat, spans, trading
from archbench.formats.run import NoData, Run
from archbench.report import case_chapters, report
from archbench.runner import plan
from archbench.tables.parts import guide_chat, guide_lists, guide_trading
from report_case import Page
from synthetic import Folder, SyntheticRun, build_full, draw, latencies, table_module
from synthetic_cases import CHAT, TRADING, CaseRun, add_chat, add_trading, build_cases, trades

UNTIMED = True  # it starts no server and measures no time


class Rows(Folder):
    """The tables, row by row."""

    def setUp(self):
        super().setUp()
        self.synthetic = CaseRun(self.folder / "run", "chat", "trading")

    def table(self, name):
        """{claim: row as a dict} of the case's table."""
        header, rows, text = cases.table_of(Run(self.synthetic.write()), cases.cases()[name])
        found = [dict(zip(header, row)) for row in rows]
        for row in found:
            self.assertTrue(all(row.values()), row)
            self.assertTrue(row["verdict"].endswith("."), row)
            self.assertIn(row["agreement"], ("agree", "disagree", "open"))
            self.assertIn(row["verdict"].replace("|", "\\|"), text)
        return {row["claim"]: row for row in found}

    def chat(self, **more):
        for trial in 1, 2, 3:
            add_chat(self.synthetic, trial, 1 + 0.01 * (trial - 2), **more)
        return self.table("chat")

    def trading(self, **more):
        for trial in 1, 2, 3:
            add_trading(self.synthetic, trial, 1 + 0.01 * (trial - 2), **more)
        return self.table("trading")


class ChatRows(Rows):
    def test_every_line_of_the_guide_for_every_architecture(self):
        found = self.chat()
        for arch in CHAT:
            for line in ("messages per second", "database operations per second",
                         "connections to the database in use", "CPU cores", "memory",
                         "p50 of the time to delivery", "p99 of the time to delivery",
                         "overhead of the loop"):
                self.assertIn(f"{arch}: {line}", found)
        self.assertIn("hybrid: messages per second from one core to all", found)
        self.assertNotIn("event: messages per second from one core to all", found)

    def test_numbers_and_verdicts(self):
        found = self.chat()
        for claim, measured, agreement in (
                ("hybrid: messages per second", "250/s [248, 252]", "agree"),
                ("hybrid: database operations per second", "375/s [375, 375]", "agree"),
                ("hybrid: connections to the database in use", "37.0 [36.6, 37.4] in use; 5.0 % of the "
                 "operations waited for one, all of them 300 µs in the mean", "agree"),
                ("event: CPU cores", "0.990 [0.980, 1.00]", "agree"),
                ("event: memory", "9.10 KiB [9.01, 9.19] for each WebSocket, kernel and both ends included",
                 "disagree"),
                ("hybrid: p99 of the time to delivery", "9.00 ms [8.91 ms, 9.09 ms]", "agree"),
                ("event: p99 of the time to delivery", "240 ms [238 ms, 242 ms]", "disagree"),
                ("event: overhead of the loop", "900 µs", "agree"),
                ("hybrid: messages per second from one core to all", "1.75 [1.72, 1.79] times",
                 "disagree")):
            self.assertEqual((found[claim]["measured"], found[claim]["agreement"]),
                             (measured, agreement), claim)
        self.assertIn("no delivery was lost", found["event: messages per second"]["verdict"])
        self.assertIn("fill its one loop to 100 %, and it answered 243/s",
                      found["event: CPU cores"]["verdict"])

    def test_a_loop_with_five_milliseconds_of_its_own_has_too_many(self):
        self.synthetic.cell("chat", "quiet", "event", 9, {"write": latencies(110_000, 2e5)})
        row = self.table("chat")["event: overhead of the loop"]
        self.assertEqual((row["measured"], row["agreement"]), ("6.00 ms", "disagree"))

    def test_deliveries_that_were_lost_are_told(self):
        self.synthetic.cell("chat", "full", "event", 1, {"achieved_rate": 250, "total": {
            "deliveries_lost": 12, "deliveries_doubled": 3}})
        self.assertIn("12 deliveries were lost and 3 doubled",
                      self.table("chat")["event: messages per second"]["verdict"])

    def test_a_pool_that_is_not_needed_disagrees(self):
        row = self.chat(in_use=12.0)["hybrid: connections to the database in use"]
        self.assertEqual(row["agreement"], "disagree")
        self.assertIn("0.320 times what Little's law says", row["verdict"])

    def test_the_components_are_in_every_row_of_the_full_load(self):
        found = self.chat()
        for claim, row in found.items():
            if "one core to all" not in claim:
                self.assertEqual(row["components"], "redis 0.05 and postgresql 0.15 of 2 cores "
                                                    "(redis-server 7.0.15, bundled)", claim)

    def test_what_the_components_spoil_is_refused(self):
        """They take 0.6 of two cores, and the machine is full."""
        found = self.chat(parts=3.5)
        for line in "messages per second", "p99 of the time to delivery":
            row = found[f"threads: {line}"]
            self.assertEqual((row["measured"], row["agreement"]), ("refused", "open"))
            self.assertIn("is refused: the components used 0.700 of 2 cores, and all together 2.20",
                          row["verdict"])
        self.assertEqual(found["threads: CPU cores"]["agreement"], "agree")  # CPU time is not spoiled

    def test_a_number_that_the_run_refused_says_so(self):
        self.synthetic.cell("chat", "full", "event", 1, {"achieved_rate": 250}, validity={
            "verdict": "VALID", "reasons": [], "refused": {"total.delivery_*": "the generator lagged"}})
        row = self.table("chat")["event: p99 of the time to delivery"]
        self.assertEqual((row["measured"], row["agreement"]), ("not measured", "open"))
        self.assertEqual(row["verdict"],
                         "total.delivery_p99_us of event is refused: the generator lagged.")

    def test_an_invalid_cell_says_why(self):
        self.synthetic.cell("chat", "full", "event", 1, {"achieved_rate": 250}, ["a wrong digest"])
        self.synthetic.cell("chat", "quiet", "event", 1, {"write": latencies(105_000, 2e5)})
        self.assertEqual(self.table("chat")["event: messages per second"]["verdict"],
                         "No trial of event is valid: a wrong digest.")

    def test_what_the_model_said(self):
        self.synthetic.predict("chat", "full", "hybrid", capacity=490.0, bottleneck="cores",
                               achieved_rate=250.0, memory_kib_per_connection=8.5, classes={
                                   "write": {"mean_us": 106_000, "model": "M/D/1 loop"}},
                               database={"in_flight": 37.5, "pool": 50, "waiting": 0.0341,
                                         "wait_us": 136.0})
        self.synthetic.predict("chat", "full", "event", capacity=249.0, bottleneck="loop",
                               achieved_rate=249.0, classes={"write": {"mean_us": None, "model": "x"}},
                               database={"in_flight": 37.5, "pool": 30, "waiting": 1.0, "wait_us": None})
        found = self.chat()
        for claim, said in (
                ("hybrid: messages per second", "250/s; at most 490/s (cores)"),
                ("hybrid: database operations per second", "375/s"),
                ("hybrid: connections to the database in use",
                 "37.5 in flight; of 50, 3.4 % wait, 136 µs in the mean (M/D/c)"),
                ("event: connections to the database in use",
                 "37.5 in flight; of 30, 100 % wait, for ever (M/D/c)"),
                ("hybrid: memory", "8.50 KiB each"),
                ("hybrid: p99 of the time to delivery", "5.86 ms in the mean (M/D/1 loop)"),
                ("event: p99 of the time to delivery", "overloaded (x)"),
                ("hybrid: messages per second from one core to all", "–")):
            self.assertEqual(found[claim]["model"], said, claim)
        self.assertIn("where Erlang's formula gives 3.4 %",
                      found["hybrid: connections to the database in use"]["verdict"])

    def test_a_run_without_numbers_has_no_table(self):
        self.synthetic.cell("chat", "stored-first", "event", 1, {"achieved_rate": 250})
        with self.assertRaisesRegex(NoData, "nothing that the table of case chat is about"):
            self.table("chat")


class TradingRows(Rows):
    def test_numbers_and_verdicts(self):
        found = self.trading()
        for claim, measured, agreement in (
                ("event: market updates applied per second", "50,000/s [50,000, 50,000]", "agree"),
                ("hybrid: trades per second", "1,000/s [1,000, 1,000]", "agree"),
                ("hybrid: p99.9 of the response to a trade", "800 µs [792 µs, 808 µs]", "agree"),
                ("hybrid: longest response to a trade", "1.70 ms [1.68 ms, 1.72 ms]", "disagree"),
                ("event: p99 of the response to a trade", "1.90 ms [1.88 ms, 1.92 ms]", "disagree"),
                ("event: risk computations per second", "500/s [500, 500] in time, 0 late, 0 shed", "agree"),
                ("event: age of the market data that a trade meets", "45.0 µs [45.0 µs, 45.0 µs] in the mean; "
                 "1.0 % of the trades met data older than a millisecond", "open")):
            self.assertEqual((found[claim]["measured"], found[claim]["agreement"]),
                             (measured, agreement), claim)

    def test_computations_that_were_shed(self):
        row = self.trading(done=300)["hybrid: risk computations per second"]
        self.assertEqual((row["measured"], row["agreement"]),
                         ("300/s [300, 300] in time, 0 late, 200 shed", "disagree"))

    def test_computations_that_were_late(self):
        cell = {"load": {"duration_s": 2.0, "classes": {"risk": {
            "good": 900, "errors": 100, "missed": 300, "failed_attempts": {"status_5xx": 60}}}}}
        self.assertEqual(guide_trading.risk_counts(cell), (350.0, 100.0, 30.0, 20.0))
        self.assertIsNone(guide_trading.risk_counts({"load": None}))

    def test_each_tick_and_cross_has_a_verdict(self):
        found = self.trading()
        for entry in guide_lists.LISTS:
            row = found[f"{entry.arch}: {entry.says}"]
            self.assertEqual(row["guide"], f"a {entry.mark}")
            self.assertEqual(row["agreement"], "disagree" if "guaranteed" in entry.says else "agree")

    def test_ticks_and_crosses_that_are_not_earned(self):
        alike = {"achieved_rate": 51_500, "cores_used": 1.3, "cgroup_memory_peak_kb": 10_000,
                 "cpu_us_per_request": 20, "switches_per_request": 0.5, "trade": trades(100, 300, 400, 500)}
        for trial in 1, 2, 3:
            for arch in TRADING:
                self.synthetic.cell("trading", "full", arch, trial, alike)
                self.synthetic.cell("trading", "no-risk", arch, trial, {"trade": trades(99, 300, 2e3, 2e3)})
        self.synthetic.manifest["servers"]["processes"]["loc"] = 900
        found = self.table("trading")
        for entry in guide_lists.LISTS:
            row = found[f"{entry.arch}: {entry.says}"]
            earned = entry.says in ("no synchronisation", "critical operations are guaranteed below 1 ms")
            self.assertEqual(row["agreement"], "agree" if earned else "disagree", row)

    def test_lists_of_a_run_that_lacks_an_architecture_are_open(self):
        self.synthetic.cell("trading", "full", "hybrid", 1, {"achieved_rate": 51_500,
                                                             "trade": trades(60, 300, 800, 900)})
        found = self.table("trading")
        self.assertEqual(found["threads: needs synchronisation"]["agreement"], "open")
        self.assertIn("threads was not measured with a lock", found["threads: needs synchronisation"]["verdict"])
        self.assertEqual(found["processes: high memory use"]["measured"], "not measured")


class GuideTables(Folder):
    """Rows of case studies in the tables of the guide."""

    def rows(self, stem, run):
        header, rows, _ = table_module(stem).make(run)
        return [dict(zip(header, row)) for row in rows]

    def test_b7_and_b9(self):
        of = self.rows("b", Run(build_cases(self.folder / "run")))
        ids = {row["id"] for row in of if row["measured"] != "not measured"}
        self.assertEqual(ids, {"B7", "B9"})
        self.assertEqual(len([row for row in of if row["id"] == "B9"]), 34)

    def test_without_cases_they_are_open(self):
        of = self.rows("b", Run(build_full(self.folder / "run")))
        for row_id, name in ("B7", "trading"), ("B9", "chat"):
            (row,) = [row for row in of if row["id"] == row_id]
            self.assertEqual((row["agreement"], row["verdict"]),
                             ("open", f"This run has no case study {name}."))
        with self.assertRaisesRegex(NoData, "no case study chat"):
            self.rows("c4", Run(self.folder / "run"))

    def test_company_a(self):
        of = self.rows("c4", Run(build_cases(self.folder / "run", "chat")))
        self.assertEqual({row["id"] for row in of}, {"C4"})
        self.assertEqual(len(of), 9)
        self.assertTrue(all(row["claim"].startswith("hybrid: ") for row in of))


class Figures(Folder):
    def setUp(self):
        super().setUp()
        self.run_of = Run(build_cases(self.folder / "run"))

    def test_findings(self):
        for figure, finding in (
                (chat.draw_delivery, "At 250 messages/s the p99 of deliveries is 9.00 ms in hybrid, 240 ms in "
                                     "event"),
                (chat.draw_pool, "A pool of 40 is enough, and then waiting in threads or in a loop makes no "
                                 "difference"),
                (chat.draw_slow, "Beside a subscriber that does not read, the p99 of the others is 2.20 ms in "
                                 "event, 80.0 ms in threads"),
                (trading.draw_latency, "At the guide's full rates the p99.9 of trades is 800 µs in hybrid, "
                                       "9.50 ms in processes"),
                (trading.draw_rate, "Up to 100 % of the guide's rates the p99 of trades is below 1 ms in "
                                    "hybrid"),
                (trading.draw_book, "With the book shared in different ways the p99.9 of trades is 5.00 ms in "
                                    "threads, 9.00 ms in threads-lock"),
                (trading.draw_burst, "Beside a feed in bursts the p99 of trades is 480 µs in hybrid, 2.00 ms in "
                                     "event")):
            self.assertEqual(figure(self.run_of).title.replace("\u00a0", " "), finding)

    def test_where_nobody_differs(self):
        alike = {"a": (1, 2), "b": (1, 2)}
        run = CaseRun(self.folder / "alike", "chat")
        for arch, (p50, p99) in alike.items():
            run.cell("chat", "full", arch, 1, {"total": {"delivery_p50_us": p50, "delivery_p99_us": p99}})
        found = chat.delivery_ends(Run(run.write()))
        self.assertEqual(spans.ends(found, "It", "No difference"), "No difference")

    def test_what_was_not_measured_is_left_out(self):
        run = CaseRun(self.folder / "bare", "chat")
        run.cell("chat", "full", "event", 1, {"achieved_rate": 250})
        paths, left_out = cases.save(Run(run.write()), "chat")
        made = {path.name for path in paths}
        self.assertEqual(made, {"table.csv", "table.md", "system.svg", "system.png"})
        self.assertEqual(len(left_out), 3)
        self.assertIn("figure pool of case chat: this run has no workload chat_pool", left_out)

    def test_the_pictures_have_their_numbers_and_no_text_outside(self):
        for case in cases.cases().values():
            drawn = case.picture.draw()
            texts = [text for ax in drawn.figure.axes for text in ax.texts]
            self.assertTrue(any(case.picture.arrows[0].label == text.get_text() for text in texts))
            renderer = drawn.figure.canvas.get_renderer()
            whole = drawn.figure.bbox
            for text in texts:
                box = text.get_window_extent(renderer)
                self.assertTrue(whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0
                                and box.y1 <= whole.y1, text.get_text())

    def test_no_label_of_an_arrow_is_on_a_box(self):
        for case in cases.cases().values():
            drawn = case.picture.draw()
            (ax,) = drawn.figure.axes
            renderer = drawn.figure.canvas.get_renderer()
            labels = {arrow.label for arrow in case.picture.arrows}
            for text in (text for text in ax.texts if text.get_text() in labels):
                x0, y0, x1, y1 = text.get_window_extent(renderer).transformed(
                    ax.transData.inverted()).extents
                for box in case.picture.boxes:
                    apart = (x1 <= box.x or x0 >= box.x + box.width or y1 <= box.y
                             or y0 >= box.y + box.height)
                    self.assertTrue(apart, f"{text.get_text()!r} on {box.name}")


class Part(unittest.TestCase):
    """The part of the report: of a run of cases, and of a run beside which they are kept."""

    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="archbench-cases-")
        cls.addClassCleanup(holder.cleanup)
        cls.folder = Path(holder.name)
        cls.alone = build_cases(cls.folder / "alone", seed=7)
        done = draw(cls.alone, "chat", "trading", "report")
        assert done.returncode == 0, done.stderr
        cls.text = (cls.alone / "report.html").read_text(encoding="utf-8")

    def test_of_a_run_of_cases(self):
        page = Page(self.text)
        for link in page.links:
            self.assertIn(link[1:], page.ids)
        self.assertEqual(len(page.ids), len(set(page.ids)))
        for before, after in zip(page.headings, page.headings[1:]):
            self.assertLessEqual(after, before + 1)
        for expected in ('id="cases"', 'id="case-chat"', 'id="figure-chat-system"',
                         'id="figure-trading-rate"', 'id="chat_pool"', "A chat for 10,000 people (B9)",
                         "./run_all.sh --cases chat --quick --seed 7", "What to learn:",
                         "./run_all.sh --cases chat --workloads chat_pool --only",
                         "redis 0.05 and postgresql 0.15 of 2 cores"):
            self.assertIn(expected, self.text)
        self.assertNotIn('id="part-More"', self.text)
        self.assertNotIn("in a run of its own", self.text)

    def test_every_figure_is_there_once(self):
        alts = [image["alt"] for image in Page(self.text).images]
        self.assertEqual(len(alts), len(set(alts)))
        self.assertEqual(len(alts), 9)

    def beside(self):
        """A reference run, and a case that was measured on another day with other programs."""
        main = SyntheticRun(self.folder / "main")
        main.cell("trivial", "base", "event", 1, {"achieved_rate": 5, "total": latencies(1, 2)})
        main.manifest["environment"]["binaries"] = {"cell": "a", "loadgen": "b"}
        build_cases(self.folder / "main-cases" / "chat", "chat", started="2026-12-24T00:00:00Z",
                    environment={"kernel": "6.2.0", "cpu": "Example CPU", "cores": 2,
                                 "binaries": {"cell": "a", "loadgen": "c"}},
                    calibration={"request_us": 25.0})
        return main.write()

    def test_a_case_that_is_kept_beside_a_run(self):
        folder = self.beside()
        done = draw(folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = (folder / "report.html").read_text(encoding="utf-8")
        page = Page(text)
        for expected in ("in a run of its own", "2026-12-24T00:00:00Z", "kernel: 6.2.0 for the case, 6.1.0 for "
                         "the rest", "1 programs were others, among them loadgen",
                         "the calibration was another one", 'id="trivial"', 'id="chat_slow"'):
            self.assertIn(expected, text)
        for link in page.links:
            self.assertIn(link[1:], page.ids)
        self.assertNotIn('id="case-trading"', text)
        self.assertIn("left out: trading: this run has no case study trading", done.stdout)
        with open(folder / "tables" / "b.csv", newline="", encoding="utf-8") as file:
            self.assertIn("B9", {row["id"] for row in csv.DictReader(file) if row["agreement"] == "agree"})

    def test_nothing_differs_within_a_run(self):
        run = Run(self.alone)
        for case, holder in case_chapters.held(run):
            self.assertIs(holder, run)
            self.assertEqual(case_chapters.different(run, holder), [])
            self.assertTrue(case_chapters.table(run, case))

    def test_differences_are_told_in_few_words(self):
        for key, here, there, text in (
                ("cpu", {"model": "Example", "mhz": "2445.4", "cache": "512 KB", "hypervisor": True},
                 {"model": "Other", "mhz": None}, "cpu: Example, 2445.4 MHz, 512 KB of cache for the case, "
                 "Other for the rest"),
                ("commit", "a" * 40, "b" * 40, f"commit: {'a' * 9} for the case, {'b' * 9} for the rest"),
                ("kernel", "6.2.0 #1 SMP", "6.1.0 #7 SMP", "kernel: 6.2.0 for the case, 6.1.0 for the rest"),
                ("flags", "cc -O2", "cc -O3", "other flags of the compiler")):
            self.assertEqual(case_chapters.change(key, here, there), text)

    def test_components_are_a_column_where_there_are_any(self):
        with_them, without = self.text.split('id="case-trading"')
        self.assertIn('<th scope="col">components</th>', with_them)
        self.assertNotIn('<th scope="col">components</th>', without)

    def test_without_cases_there_is_no_such_part(self):
        main = SyntheticRun(self.folder / "plain")
        main.cell("trivial", "base", "event", 1, {"achieved_rate": 5, "total": latencies(1, 2)})
        self.assertNotIn('id="cases"', report.render(Run(main.write())))


class Declared(unittest.TestCase):
    """What the modules say agrees with the workloads."""

    def test_every_case_has_its_workloads(self):
        there = plan.cases()
        self.assertEqual(set(there), set(cases.cases()))
        for name, case in cases.cases().items():
            stated = [plan.read_workload(file).case for file in there[name]]
            self.assertEqual({keys["id"] for keys in stated}, {case.id})
            self.assertEqual({keys["title"] for keys in stated}, {case.title})
            self.assertEqual([int(keys["order"]) for keys in stated], list(range(1, len(stated) + 1)))

    def test_points_that_figures_and_rows_name_are_there(self):
        points = {file.stem: plan.read_workload(file).points
                  for files in plan.cases().values() for file in files}
        for workload, named in (("chat", (guide_chat.FULL, guide_chat.QUIET)), ("chat_scale", ("over",)),
                                ("chat_slow", (chat.QUIET_POINT, chat.SLOW_POINT)),
                                ("trading", (guide_trading.FULL, guide_lists.NO_RISK)),
                                ("trading_burst", (trading.STEADY_POINT, trading.BURST_POINT))):
            self.assertLessEqual(set(named), set(points[workload]))
        self.assertEqual([p for p in points["chat_pool"] if not p.startswith("pool-")], [])
        self.assertTrue(all(p.isdigit() for p in points["trading_rate"]))


