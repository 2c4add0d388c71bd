"""The report: what it says, of runs whose answers are known."""
import html
import re
import subprocess
import unittest

from archbench.drawing import measures
from archbench.formats import headers
from archbench.formats.run import Run
from archbench.formats.workload import Workload
from archbench.places import ENTRY, REPOSITORY
from archbench.report import chapters, draw, headline, percentile_lesson, sources
from archbench.stats import estimates
from report_case import MECHANISM
from synthetic import HGRM, Folder, SyntheticRun, latencies, run_program

UNTIMED = True  # it starts no server and measures no time


def cell(worse=1.0, leads=False, valid=True, letters=""):
    return headline.Cell(f"{worse:g}", "", letters, leads, valid, worse)


def column(name, **cells):
    best = next(a for a, c in cells.items() if c.leads)
    criterion = headline.Criterion(name, name, measures.RATE, "")
    return headline.Column(criterion, best, cells, "")


class Headline(Folder):
    def test_one_leads(self):
        found = [column("speed", hybrid=cell(leads=True), event=cell(4)),
                 column("price", event=cell(leads=True), hybrid=cell(1.5)),
                 column("room", hybrid=cell(leads=True), event=cell(7),
                        threads=cell(90, valid=False)),
                 column("noise", threads=cell(leads=True), hybrid=cell(1.2))]
        self.assertEqual(headline.answer(found), "hybrid is among the best in 2 of 4 measures, "
                         "more often than any other; its price is price, 1.5 times worse than in "
                         "event.")
        self.assertEqual(headline.widest(found),
                         "The widest gap is in room: 1 in hybrid, 7 in event, 7.0 times worse.")

    def test_who_leads_everywhere_costs_nothing_but_may_lack_a_measurement(self):
        found = [column("speed", hybrid=cell(leads=True), event=cell(4)),
                 column("room", hybrid=cell(leads=True), event=cell(3))]
        self.assertIn("nothing measured here speaks against it", headline.answer(found))
        found.append(column("price", event=cell(leads=True), threads=cell(2)))
        self.assertIn("there is no valid measurement of its price", headline.answer(found))

    def test_several_lead(self):
        found = [column("speed", hybrid=cell(leads=True), event=cell(4)),
                 column("price", event=cell(leads=True), hybrid=cell(1.5))]
        self.assertEqual(headline.answer(found), "event and hybrid are each among the best in 1 of "
                         "2 measures: for event, its price is speed, 4.0 times worse than in "
                         "hybrid; for hybrid, its price is price, 1.5 times worse than in event.")
        both = {a: cell(leads=True) for a in ("event", "hybrid")}
        self.assertEqual(headline.answer([column("speed", **both)]), "event and hybrid are each among "
                         "the best in 1 of 1 measures: nothing measured here speaks against them.")
        alike = {a: cell(leads=True) for a in ("event", "hybrid", "threads", "processes")}
        self.assertIn("Nothing here tells them apart", headline.answer([column("speed", **alike)]))
        self.assertEqual(headline.widest([column("speed", **alike)]), "")

    def test_infinitely_worse(self):
        found = [column("speed", hybrid=cell(leads=True), event=cell(estimates.math.inf))]
        self.assertIn("1 in hybrid, inf in event.", headline.widest(found))

    def test_nobody_to_compare_with(self):
        found = [column("speed", hybrid=cell(leads=True), event=cell(4, valid=False))]
        self.assertIn("does not answer it", headline.answer(found))
        self.assertEqual(headline.widest(found), "")

    def columns(self):
        """By heading, of a run in which two of four cores' worth is done at best."""
        s = SyntheticRun(self.folder / "run")
        for trial in (1, 2, 3):
            for arch, rate, cost in (("event", 197, 5000), ("hybrid", 391, 5100)):
                s.cell("cpu", "base", arch, trial, {"achieved_rate": rate + trial / 10,
                                                    "cpu_us_per_request": cost})
            for arch, p99 in (("event", estimates.math.inf), ("hybrid", 800 + trial)):
                s.cell("bimodal", "base", arch, trial, {"short": latencies(100, p99),
                                                        "slow": latencies(2e4, 9e4)})
        s.cell("bimodal", "base", "threads", 1, {"short": latencies(1, 5)}, ["steal 4 %"])
        return {c.criterion.heading: c for c in headline.columns(Run(s.write()))}

    def test_cells(self):
        found = self.columns()
        self.assertEqual(set(found), {"CPU efficiency", "p99 of short beside slow"})
        cpu, short = found["CPU efficiency"], found["p99 of short beside slow"]
        # 391.2 requests of 5 ms are 1.956 of 2 cores.
        self.assertEqual((cpu.best, cpu.cells["hybrid"].text), ("hybrid", "97.8 %"))
        self.assertEqual((cpu.cells["event"].text, cpu.cells["event"].leads), ("49.3 %", False))
        self.assertAlmostEqual(cpu.cells["event"].worse, 391.2 / 197.2)
        self.assertEqual((short.cells["event"].text, short.cells["event"].worse),
                         ("infinite", estimates.math.inf))
        self.assertEqual((short.cells["threads"].valid, short.cells["threads"].leads),
                         (False, False))
        self.assertTrue(short.cells["hybrid"].leads)

    def test_a_rate_is_worse_when_smaller_a_time_when_larger(self):
        self.assertEqual(headline.times_worse(50, 100, ascending=False), 2)
        self.assertEqual(headline.times_worse(200, 100, ascending=True), 2)
        self.assertEqual(headline.times_worse(0, 100, ascending=False), estimates.math.inf)


class Chapters(Folder):
    def setUp(self):
        super().setUp()
        self.synthetic = SyntheticRun(self.folder / "run")

    def read(self):
        return Run(self.synthetic.write())

    def test_every_workload_of_the_suite_has_its_place(self):
        """Its [report] says which claim it tests, by which measure, and what draws it: in words that
        whatever reads them knows."""
        places = []
        for path in sorted((REPOSITORY / "workloads").glob("*.ini")):
            said = Workload(path).section("report")
            with self.subTest(path.stem):
                self.assertIn(said["part"], list(chapters.PARTS)[:-1])
                self.assertIn(said["measure"], measures.BY_NAME)
                self.assertLessEqual(set(said["shows"].split()), set(headers.LOADS))
                self.assertLessEqual(set(said.get("figure", "").split()), set(draw.stems("figures")))
                self.assertIn(said.get("throughput", "no"), ["no"])
            places.append((said["part"], int(said["place"])))
        self.assertEqual(len(set(places)), len(places), "two have the same place")

    def test_parts_are_in_reading_order_and_strangers_come_last(self):
        for workload in ("zeal", "mix", "bimodal", "trivial"):
            self.synthetic.cell(workload, "base", "event", 1, {"achieved_rate": 1})
        of = {part.name: part.workloads for part in chapters.parts(self.read())}
        self.assertEqual(list(of), ["Blocking", "Cost", "More"])
        self.assertEqual((of["Blocking"], of["More"]), (("bimodal", "mix"), ("zeal",)))

    def test_a_figure_is_shown_with_the_only_workload_that_names_it(self):
        for workload in ("surge", "failure", "cold"):
            self.synthetic.cell(workload, "base", "event", 1, {"achieved_rate": 1})
        run = self.read()
        self.assertEqual(chapters.workload_of(run, "heatmap"), "surge")
        self.assertIsNone(chapters.workload_of(run, "by_point"), "two name it")
        self.assertIsNone(chapters.workload_of(run, "tail"), "bimodal has not run")

    def test_a_workload_of_a_user_needs_no_report_section(self):
        self.synthetic.cell("zeal", "base", "event", 1, {"achieved_rate": 1})
        file = self.synthetic.folder / "workloads" / "zeal.ini"
        for arrivals, measure in (("closed", measures.RATE), ("poisson", measures.TAIL)):
            file.write_text(f"[workload]\narrivals = {arrivals}\n")
            self.assertEqual(measures.of_workload(self.read(), "zeal"), measure)

    def test_mechanism(self):
        file = self.synthetic.folder / "workloads" / "io.ini"
        file.write_text(MECHANISM + "[workload]\n; no part of it\n")
        run = self.read()
        self.assertEqual(run.workload("io").mechanism,
                         ["First paragraph about `short` requests, on two lines.", "Second one."])
        self.assertEqual(run.workload("unheard-of").mechanism, [])

    def test_every_workload_of_the_suite_explains_itself(self):
        run = self.read()
        for path in (REPOSITORY / "workloads").glob("*.ini"):
            (run.folder / "workloads" / path.name).unlink(missing_ok=True)
            self.assertTrue(run.workload(path.stem).mechanism, path.stem)

    def test_command(self):
        planned = {"workload": "load", "file": "workloads/load.ini", "point": "10"}
        self.synthetic.manifest.update(seed=7, cells=[
            {**planned, "arch": "event-poll", "program": "event", "options": ["--multiplexer=poll"],
             "trial": 1},
            {**planned, "arch": "hybrid", "program": "hybrid", "options": [], "trial": 3},
            {**planned, "workload": "own", "file": "lab/my own.ini", "arch": "threads",
             "program": "threads", "options": [], "trial": 1}])
        run = self.read()
        self.assertEqual(chapters.command(run, "load"),
                         "./run_all.sh --workloads load --only event:--multiplexer=poll,hybrid --quick "
                         "--trials 3 --seed 7")
        self.assertEqual(chapters.command(run, "own"),
                         "./run_all.sh --workloads 'lab/my own.ini' --only threads --quick "
                         "--trials 1 --seed 7")

    def test_options_that_the_plan_adds_are_not_repeated(self):
        """With them the server would be called another one, prefork-64."""
        def planned(connections, *options, arch="prefork"):
            return {"workload": "load", "file": "workloads/load.ini", "point": str(connections),
                    "arch": arch, "program": "prefork", "trial": 1,
                    "options": [f"--workers={connections}", *options]}
        self.synthetic.manifest.update(cells=[
            planned(64), planned(8), planned(8, "--counters=tss", arch="prefork-tss")])
        self.assertIn(" --only prefork,prefork:--counters=tss --",
                      chapters.command(self.read(), "load"))

    def test_run_all_takes_the_command(self):
        self.synthetic.manifest.update(seed=7, cells=[
            {"workload": "bimodal", "file": "workloads/bimodal.ini", "point": "base",
             "arch": "event-poll", "program": "event", "options": ["--multiplexer=poll"], "trial": 2}])
        words = chapters.command(self.read(), "bimodal").split()[1:]
        done = run_program(ENTRY, "run", *words, "--dry-run", cwd=REPOSITORY)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("event-poll", done.stdout)

    def three_rates(self, point, **rates):
        for arch, rate in rates.items():
            for trial in (1, 2, 3):
                self.synthetic.cell("load", point, arch, trial, {"achieved_rate": rate + trial})

    def test_ranking(self):
        self.three_rates("70", event=600, hybrid=1200)
        self.synthetic.cell("load", "70", "threads", 1, {"achieved_rate": 9999}, ["steal 4 %"])
        self.synthetic.cell("load", "70", "processes", 1, {}, ["it did not start"])
        run = self.read()
        rows, note = chapters.ranking(run, "load", "70")
        self.assertEqual([(r.arch, r.value, r.trials, r.valid) for r in rows], [
            ("hybrid", "1,200/s [1,200/s, 1,200/s]", "3", True),
            ("event", "602/s [601/s, 603/s]", "3", True),
            ("threads", "10,000/s", "1 INVALID", False),
            ("processes", "not measured", "1 INVALID", False)])
        self.assertNotEqual(rows[0].letters, rows[1].letters)
        self.assertEqual(rows[0].ratio, "1.00")
        self.assertRegex(rows[1].ratio, r"^0\.501 \[0\.4\d+, 0\.5\d+\]$")
        self.assertEqual((rows[2].letters, rows[2].ratio), ("", ""))
        self.assertTrue(note)

    def test_the_last_point_with_a_valid_number_is_shown_first(self):
        self.three_rates("10", event=100)
        self.three_rates("70", event=600)
        self.synthetic.cell("load", "130", "event", 1, {"achieved_rate": 9}, ["steal 4 %"])
        of = chapters.chapter(self.read(), "load")
        self.assertEqual([r["point"] for r in of["rankings"]], ["70", "10", "130"])
        self.assertEqual((of["valid"], of["invalid"]), (6, 1))

    def test_values_have_their_units(self):
        for measure, value, text in (
                (measures.RATE, 1234, "1,230/s"), (measures.SHORT_TAIL, 1500, "1.50 ms"),
                (measures.CPU, 12.34, "12.3 µs"), (measures.MEMORY, 9.5, "9.50 KiB"),
                (measures.ERRORS, 0.02, "2.00 %"), (measures.TAIL, estimates.math.inf, "infinite")):
            self.assertEqual(measure.text(value), text)


class Sources(unittest.TestCase):
    def test_every_function_that_a_header_points_at_exists(self):
        self.assertEqual(len(headers.servers()), 15)
        for server, header in headers.servers().items():
            kinds = {word.rpartition("=")[0] for word in re.split(r",\s*", header["Read"])}
            self.assertLessEqual(kinds - {""}, set(headers.LOADS), server)
            for load in headers.LOADS:
                place = sources.place(server, load)
                self.assertIsNotNone(place, f"{server}: {load}: {header['Read']}")
                (path,) = (p for p in headers.files_of(server) if p.name == place.file)
                line = path.read_text().splitlines()[place.line - 1]
                self.assertRegex(line, rf"^\w.*\b{place.function}\(", server)

    def test_a_definition_is_no_declaration_and_no_call(self):
        text = ("static void work(void);\nint other(void)\n{\n    work();\n}\n"
                "static void\n")
        self.assertIsNone(sources.line_of(text, "work"))
        text += "static void work(struct a *a,\n                 int b)\n{\n}\n"
        self.assertEqual(sources.line_of(text, "work"), 7)
        self.assertIsNone(sources.line_of(text, "or"))

    def test_a_source_is_shown_letter_by_letter(self):
        for server in headers.servers():
            parts = sources.source(server)["files"]
            for path, part in zip(headers.files_of(server), parts, strict=True):
                lines = [html.unescape(re.sub(r"</?i[^>]*>", "", line))
                         for _, line in part["lines"]]
                self.assertEqual("\n".join(lines) + "\n", path.read_text(encoding="utf-8"))

    def test_what_is_marked_in_a_source(self):
        lines = sources.highlighted('/* int\n * a */ int x = "/* <s> */"; // if\n#include <a.h>\n')
        self.assertEqual(lines, [
            '<i class="comment">/* int</i>',
            '<i class="comment"> * a */</i> <i class="word">int</i> x = '
            '<i class="string">"/* &lt;s&gt; */"</i>; <i class="comment">// if</i>',
            '<i class="directive">#include</i> <i class="string">&lt;a.h&gt;</i>'])

    def note(self, commit):
        class Stub:
            manifest = {"environment": {"commit": commit}}
        return sources.differences(Stub)

    def test_another_source_than_was_measured_is_said(self):
        head = subprocess.run(["git", "log", "-1", "--format=%H", "--", "servers"], check=True,
                              cwd=REPOSITORY, capture_output=True, text=True).stdout.strip()
        dirty = subprocess.run(["git", "diff", "--name-only", head, "--", "servers"], check=True,
                               cwd=REPOSITORY, capture_output=True, text=True).stdout
        self.assertEqual(bool(self.note(head)), bool(dirty))
        self.assertIn("Changed" if dirty else "no commit holds", self.note(head + "+"))
        self.assertIn("not known here", self.note("0" * 40))
        self.assertIn("does not say", self.note(None))
        # The empty tree differs from any commit in all that there is.
        empty = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
        self.assertRegex(self.note(empty), f"Changed since .* {empty[:12]}: .*event.c")


class PercentileLesson(Folder):
    def example(self, **texts):
        s = SyntheticRun(self.folder / "run")
        for arch, text in texts.items():
            folder = s.cell("bimodal", "base", arch, 1, {"short": latencies(1, 2)})
            (folder / "short.hgrm").write_text(text)
        return percentile_lesson.lesson(Run(s.write()))

    def test_a_curve_ends_where_too_few_lie_beyond(self):
        curve = percentile_lesson.curve("event", {0.1: 500, 0.4: 400, 2: 90, 9: 9, 12: 1})
        self.assertEqual(curve.points, ((0.5, 0.1), (0.9, 0.4), (0.99, 2)))
        self.assertEqual((curve.at(0.5), curve.at(0.6), curve.at(0.999)), (0.1, 0.4, None))

    def test_requests_without_a_reply_lie_beyond_all_others(self):
        curve = percentile_lesson.curve("event", {1: 800, 2: 200, estimates.math.inf: 1000})
        self.assertEqual(curve.points, ((0.4, 1), (0.5, 2)))

    def test_the_two_that_part_the_most(self):
        slow, slower = (HGRM.replace(" 2.000 0.99", f" {ms} 0.99") for ms in ("5.000", "8.000"))
        found = self.example(hybrid=HGRM, threads=slow, event=slower)
        self.assertEqual([c["arch"] for c in found["curves"]], ["hybrid", "event"])
        self.assertEqual((found["share"], found["worst_tail"], found["one_in"]),
                         ("99", "8.00 ms", "100"))
        self.assertEqual([c["tail"] for c in found["curves"]], ["2.00 ms", "8.00 ms"])

    def test_equal_steps_are_equal_factors(self):
        frame = percentile_lesson.Frame([percentile_lesson.curve("event", {1: 9000, 100: 1000})])
        self.assertAlmostEqual(frame.x(0.99) - frame.x(0.9), frame.x(0.9) - frame.x(0))
        self.assertAlmostEqual(frame.y(1) - frame.y(10), frame.y(10) - frame.y(100))

    def test_too_few_requests_for_a_tail(self):
        """60 of them: ten lie beyond 83 %, and none of the curves shows one in ten."""
        few = ("  Value Percentile TotalCount 1/(1-Percentile)\n\n"
               "  1.000 0.500000000000 30 2.00\n  2.000 0.833333333333 50 6.00\n"
               "  3.000 1.000000000000 60\n#[Max = 3.000, Total count = 60]\n")
        self.assertIsNone(self.example(hybrid=few, event=few))

    def test_without_histograms(self):
        s = SyntheticRun(self.folder / "run")
        s.cell("io", "base", "event", 1, {"achieved_rate": 1, "io": latencies(1, 2)})
        self.assertIsNone(percentile_lesson.lesson(Run(s.write())))
