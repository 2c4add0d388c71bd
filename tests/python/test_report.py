#!/usr/bin/python3
"""The report: what it says, of runs whose answers are known; how the page is built; and what a real
browser makes of it, on a screen, a phone, a projector, paper, and with the keyboard alone."""
import csv
from html.parser import HTMLParser
import html
import json
from pathlib import Path
import re
import subprocess
import sys
import tempfile
import unittest

import browser
from test_plots import HGRM, PLOTS, REPOSITORY, Folder, SyntheticRun, build_full, latencies, \
    run_program  # which also puts plots/ on the path

from lib import chapters, headline, measures, percentile_lesson, sources, stats
from lib.run import Run
import report

FIGURES = ("small_multiples", "bimodal", "tail", "cpu_share", "heatmap", "surge", "load", "cost",
           "memory", "throughput", "stranger")
FINDING = "Beside slow ones, p99 < 1 ms & more: “{}”"
SVG = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:dc="http://purl.org/dc/elements/1.1/"
 width="921.6pt" height="{height}pt" viewBox="0 0 921.6 {height}">
<metadata><dc:title>{title}</dc:title></metadata>
<rect width="921.6" height="{height}" style="fill: #ffffff"/>
<circle cx="300" cy="200" r="90" style="fill: #0072b2"/></svg>
"""
MECHANISM = """; Who waits for whom?
;
; First paragraph about `short` requests,
; on two lines.
;
; Second one.
"""
GUIDE_ROW = {"id": "B2", "claim": "A core does so many", "guide": "20/s", "formula": "1 s / 50 ms",
             "model": "20/s", "measured": "19.8/s [19.7, 19.9]", "agreement": "agree",
             "verdict": "It does."}


def svg(stem, height=518.4):
    return SVG.format(height=height, title=html.escape(FINDING.format(stem)))


def build(folder):
    """A run with everything that a report can show; figures are stand-ins."""
    run = build_full(folder)
    (run / "figures").mkdir()
    for stem in FIGURES:
        (run / "figures" / f"{stem}.svg").write_text(svg(stem, 1400 if stem == "load" else 518.4))
    (run / "tables").mkdir()
    with open(run / "tables" / "b.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, GUIDE_ROW)
        writer.writeheader()
        writer.writerow(GUIDE_ROW)
    bimodal = run / "workloads" / "bimodal.ini"
    bimodal.write_text(MECHANISM + bimodal.read_text())
    (run / "predictions.json").write_text(json.dumps({
        "schema": "archbench-predictions/1", "cells": [
            {"workload": "cpu", "point": "base", "arch": "event", "capacity": 199,
             "bottleneck": "threads that compute", "achieved_rate": 199, "mean_us": 1},
            {"workload": "bimodal", "point": "base", "arch": "event", "capacity": 300,
             "bottleneck": "threads that compute",
             "classes": {"short": {"p99_us": 170000, "mean_us": 1}}}]}))
    return run


class Page(HTMLParser):
    """What of a page can be judged without a browser."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads, self.headings = [], [], [], []
        self.images, self.tables, self.columns, self.frames = [], [], [], []
        self.labels, self.languages, self.landmarks = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        of = dict(attrs)
        if "id" in of:
            self.ids.append(of["id"])
        if tag == "a":
            self.links.append(of["href"])
        elif "src" in of or "href" in of:
            self.loads.append(of.get("src") or of["href"])
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.images.append(of)
        if tag == "table":
            self.tables.append(None)
        if tag == "caption":
            self.tables[-1] = True
        if tag == "th":
            self.columns.append(of.get("scope"))
        if of.get("role") == "region":
            self.frames.append((of.get("tabindex"), of.get("aria-label")))
        self.labels += of.get("aria-labelledby", "").split()
        if tag == "html":
            self.languages.append(of.get("lang"))
        if tag in ("main", "nav", "header"):
            self.landmarks.append(tag)

    handle_startendtag = handle_starttag


class Built(unittest.TestCase):
    """The page of a full run, made once by the program itself."""

    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="archbench report ")
        cls.addClassCleanup(holder.cleanup)
        cls.folder = build(Path(holder.name) / "run")
        done = run_program(PLOTS / "report.py", cls.folder)
        assert done.returncode == 0, done.stderr
        cls.file = cls.folder / "report.html"
        cls.text = cls.file.read_text(encoding="utf-8")
        cls.page = Page(cls.text)

    def section(self, name):
        """The page from this section on to the next."""
        rest = self.text.partition(f'<section id="{name}"')[2]
        return rest.partition("<section ")[0]


class Drawings(unittest.TestCase):
    def test_slim_keeps_what_is_seen(self):
        self.assertEqual(
            report.slim('<g><!-- io\n -->\n  <path d="M 742.947305 33.8 \nL 1.234567"\n'
                        '   transform="scale(0.015625)"/></g>'),
            '<g> <path d="M 742.94 33.8 L 1.234567" transform="scale(0.015625)"/></g>')

    def test_title_and_size(self):
        self.assertEqual(report.finding(svg("a")), FINDING.format("a"))
        self.assertEqual(report.size(svg("a", 1400)), (922, 1400))
        self.assertEqual((report.finding("<svg/>"), report.size("<svg/>")), (None, (16, 9)))


class Structure(Built):
    def test_it_loads_nothing(self):
        self.assertEqual([load[:60] for load in self.page.loads if not load.startswith("data:")],
                         [])
        style = re.search("<style>(.*?)</style>", self.text, re.DOTALL).group(1)
        self.assertNotRegex(style, r"@import|url\(")
        self.assertNotRegex(self.text, r"<(iframe|object|embed|video|audio|base)\b")

    def test_links_stay_inside_and_arrive(self):
        self.assertGreater(len(self.page.links), 40)
        for link in self.page.links:
            self.assertEqual(link[0], "#")
            self.assertIn(link[1:], self.page.ids)

    def test_ids_are_unique(self):
        self.assertGreater(len(self.page.ids), 500)
        self.assertEqual(len(self.page.ids), len(set(self.page.ids)))
        self.assertLessEqual(set(self.page.labels), set(self.page.ids))

    def test_headings_do_not_skip_a_level(self):
        self.assertEqual(self.page.headings[0], 1)
        self.assertEqual(self.page.headings.count(1), 1)
        for before, after in zip(self.page.headings, self.page.headings[1:]):
            self.assertLessEqual(after, before + 1)

    def test_every_figure_is_there_once_with_its_finding_as_text(self):
        self.assertEqual(sorted(i["alt"] for i in self.page.images),
                         sorted(FINDING.format(stem) for stem in FIGURES))
        for image in self.page.images:
            self.assertEqual(image["width"], "922")
            self.assertIn(image["height"], ("518", "1400"))

    def test_tables_and_frames_say_what_they_are(self):
        self.assertGreater(len(self.page.tables), 20)
        self.assertTrue(all(self.page.tables))
        self.assertLessEqual(set(self.page.columns), {"row", "col"})
        for tabindex, label in self.page.frames:
            self.assertEqual(tabindex, "0")
            self.assertTrue(label)
        self.assertEqual(self.page.languages, ["en"])
        self.assertLessEqual({"main", "nav", "header"}, set(self.page.landmarks))

    def test_it_opens_with_the_question_the_answer_a_figure_and_a_table(self):
        at = [self.text.index(part) for part in (
            "Which server architecture, and what does it cost?</h1>",
            "hybrid is among the best in 4 of 5 measures, more often than any other; its price is "
            "CPU per request, 1.1 times worse than in event.",
            "220 times worse", 'id="figure-small_multiples"', 'class="answers"',
            'aria-label="Contents"', 'id="c1"', 'id="bimodal"', 'id="guide"',
            'id="percentiles"', 'id="invalid"', 'id="environment"', 'id="source"')]
        self.assertEqual(at, sorted(at))

    def test_parts_and_figures_are_in_reading_order(self):
        at = [self.text.index(f'id="{name}"') for name in (
            "part-Blocking", "bimodal", "figure-bimodal", "figure-tail", "mix", "cpu_share",
            "disk", "surge", "figure-surge", "figure-heatmap", "part-Waiting", "io", "concurrency",
            "backend", "idle",
            "part-Capacity", "cpu", "load", "balance", "part-Cost", "trivial", "figure-cost",
            "baseline", "connections", "figure-memory", "churn", "across", "figure-stranger",
            "figure-throughput")]
        self.assertEqual(at, sorted(at))
        self.assertNotIn('id="part-More"', self.text)

    def test_a_chapter(self):
        of = self.section("bimodal")
        for expected in (
                "Do short requests stay short while 10 % are slow?</h3>",
                "11 cells valid", 'href="#invalid-bimodal">1', "2 and 1 INVALID",
                "<p>First paragraph about <code>short</code> requests, on two lines.</p>",
                "<p>Second one.</p>", ">event: <code>drive</code></a>",
                ">170 ms</td>",  # what the model said of event
                "99th percentile of the response time of class short, smallest first",
                "./run_all.sh --workloads bimodal --only event,hybrid,processes,threads"):
            self.assertIn(expected, of)
        self.assertNotIn("Who waits for whom?", of)
        names = re.findall(r'<th scope="row"><span[^>]*>(\w+)<', of)
        self.assertEqual(names[:4], ["hybrid", "threads", "processes", "event"])

    def test_invalid_cells_have_their_reasons(self):
        of = self.section("invalid")
        for expected in ("p99 lag 700 us", "steal 4 %", "planned, but never finished"):
            self.assertIn(expected, of)
        self.assertIn("8 of them not valid", self.text)

    def test_the_guide_and_the_predictions(self):
        self.assertIn("Table C1", self.section("c1"))
        of = self.section("guide")
        for value in GUIDE_ROW.values():
            self.assertIn(value, of)
        of = self.section("predictions")
        self.assertIn("threads that compute", of)
        self.assertRegex(of, r'>199/s</td>\s*<td class="number">\s*194/s')

    def test_no_figures_no_histograms_no_more_than_a_cell(self):
        with tempfile.TemporaryDirectory() as folder:
            s = SyntheticRun(Path(folder) / "run")
            s.cell("strange", "base", "newcomer", 1, {"achieved_rate": 5, "total": latencies(1, 2)})
            text = report.render(Run(s.write()))
        page = Page(text)
        for expected in ("This run does not answer it", 'id="part-More"', "newcomer",
                         "None: every cell of this run is valid"):
            self.assertIn(expected, text)
        self.assertEqual([l for l in page.links if l[1:] not in page.ids], [])


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
                         "The dearest mistake is about room: 7 in event, 1 in hybrid, 7.0 times "
                         "worse.")

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
        alike = {a: cell(leads=True) for a in ("event", "hybrid", "threads", "processes")}
        self.assertIn("Nothing here tells them apart", headline.answer([column("speed", **alike)]))
        self.assertEqual(headline.widest([column("speed", **alike)]), "")

    def test_infinitely_worse(self):
        found = [column("speed", hybrid=cell(leads=True), event=cell(stats.math.inf))]
        self.assertIn("inf in event, 1 in hybrid.", headline.widest(found))

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
            for arch, p99 in (("event", stats.math.inf), ("hybrid", 800 + trial)):
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
                         ("infinite", stats.math.inf))
        self.assertEqual((short.cells["threads"].valid, short.cells["threads"].leads),
                         (False, False))
        self.assertTrue(short.cells["hybrid"].leads)

    def test_a_rate_is_worse_when_smaller_a_time_when_larger(self):
        self.assertEqual(headline.times_worse(50, 100, ascending=False), 2)
        self.assertEqual(headline.times_worse(200, 100, ascending=True), 2)
        self.assertEqual(headline.times_worse(0, 100, ascending=False), stats.math.inf)


class Chapters(Folder):
    def setUp(self):
        super().setUp()
        self.synthetic = SyntheticRun(self.folder / "run")

    def read(self):
        return Run(self.synthetic.write())

    def test_every_workload_of_the_suite_has_its_place(self):
        names = {p.stem for p in (REPOSITORY / "workloads").glob("*.ini")}
        named = [w for part in chapters.PARTS for w in part.workloads]
        self.assertEqual(len(named), len(set(named)))
        self.assertLessEqual(names, set(named))
        self.assertEqual(set(named), set(measures.OF_WORKLOAD))
        self.assertEqual(set(named), set(chapters.KINDS))
        self.assertLessEqual({k for kinds in chapters.KINDS.values() for k in kinds},
                             set(sources.KINDS_OF_LOAD))
        self.assertLessEqual(set(chapters.WORKLOAD_OF_FIGURE.values()), names)

    def test_mechanism(self):
        file = self.synthetic.folder / "workloads" / "io.ini"
        file.write_text(MECHANISM + "[workload]\n; no part of it\n")
        run = self.read()
        self.assertEqual(chapters.mechanism(run, "io"),
                         ["First paragraph about `short` requests, on two lines.", "Second one."])
        self.assertEqual(chapters.mechanism(run, "unheard-of"), [])

    def test_every_workload_of_the_suite_explains_itself(self):
        run = self.read()
        for path in (REPOSITORY / "workloads").glob("*.ini"):
            (run.folder / "workloads" / path.name).unlink(missing_ok=True)
            self.assertTrue(chapters.mechanism(run, path.stem), path.stem)

    def test_command(self):
        planned = {"workload": "load", "file": "workloads/load.ini", "point": "10"}
        self.synthetic.manifest.update(seed=7, cells=[
            {**planned, "arch": "event-poll", "program": "event", "options": ["--backend=poll"],
             "trial": 1},
            {**planned, "arch": "hybrid", "program": "hybrid", "options": [], "trial": 3},
            {**planned, "workload": "own", "file": "lab/my own.ini", "arch": "threads",
             "program": "threads", "options": [], "trial": 1}])
        run = self.read()
        self.assertEqual(chapters.command(run, "load"),
                         "./run_all.sh --workloads load --only event:--backend=poll,hybrid --quick "
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
             "arch": "event-poll", "program": "event", "options": ["--backend=poll"], "trial": 2}])
        words = chapters.command(self.read(), "bimodal").split()[1:]
        done = run_program(REPOSITORY / "runner" / "run", *words, "--dry-run", cwd=REPOSITORY)
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
                (measures.ERRORS, 0.02, "2.00 %"), (measures.TAIL, stats.math.inf, "infinite")):
            self.assertEqual(measure.text(value), text)


class Sources(unittest.TestCase):
    SERVERS = sorted(p.stem for p in (REPOSITORY / "servers").glob("*.c"))

    def test_every_function_that_is_pointed_at_exists(self):
        self.assertEqual(sorted(sources.MECHANISMS), self.SERVERS)
        for server, functions in sources.MECHANISMS.items():
            self.assertLessEqual(set(functions) - {""}, set(sources.KINDS_OF_LOAD), server)
            for kind in sources.KINDS_OF_LOAD:
                place = sources.place(server, kind)
                self.assertIsNotNone(place, f"{server}: {kind}: {functions}")
                line = sources.path_of(server).read_text().splitlines()[place.line - 1]
                self.assertRegex(line, rf"^\w.*\b{place.function}\(", server)

    def test_a_definition_is_no_declaration_and_no_call(self):
        text = ("static void work(void);\nint other(void)\n{\n    work();\n}\n"
                "static void\n")
        self.assertIsNone(sources.line_of(text, "work"))
        text += "static void work(struct a *a,\n                 int b)\n{\n}\n"
        self.assertEqual(sources.line_of(text, "work"), 7)
        self.assertIsNone(sources.line_of(text, "or"))

    def test_a_source_is_shown_letter_by_letter(self):
        for server in self.SERVERS:
            text = sources.path_of(server).read_text(encoding="utf-8")
            lines = [html.unescape(re.sub(r"</?i[^>]*>", "", line))
                     for _, line in sources.source(server)["lines"]]
            self.assertEqual("\n".join(lines) + "\n", text)

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
        curve = percentile_lesson.curve("event", {1: 800, 2: 200, stats.math.inf: 1000})
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


CONTRASTS = """(() => {
  document.querySelectorAll("details").forEach(d => d.open = true);
  const parse = c => { const n = c.match(/[\\d.]+/g).map(Number);
                       return n.length > 3 && n[3] === 0 ? null : n.slice(0, 3); };
  const light = c => { const [r, g, b] = c.map(v => { v /= 255;
      return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor); if (c) return c; }
    return [255, 255, 255]; };
  const seen = {};
  for (const e of document.body.querySelectorAll("*")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    if (["SCRIPT", "STYLE", "title"].includes(e.tagName)) continue;
    const style = getComputedStyle(e);
    const text = parse(e.ownerSVGElement ? style.fill : style.color), back = behind(e);
    const [a, b] = [light(text), light(back)].sort((x, y) => y - x);
    seen[text + " on " + back] = [(a + .05) / (b + .05), e.tagName + "." + e.className];
  }
  return seen;
})()"""
CUT_OFF = """[...document.querySelectorAll("body *")].filter(e => {
  const style = getComputedStyle(e);
  return ["auto", "scroll"].includes(style.overflowX) && e.scrollWidth > e.clientWidth + 1 &&
         e.tabIndex !== 0; }).map(e => e.className || e.tagName)"""
WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"


class InABrowser(Built):
    """Debian's chromium, without a window."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.close)

    def show(self, width=1280, height=900, fragment="", **how):
        self.browser.look(width, height, **how)
        self.browser.open(self.file, fragment)

    def ask(self, script):
        return self.browser.evaluate(script)

    def test_it_asks_for_nothing_and_complains_of_nothing(self):
        self.show()
        self.assertEqual(self.browser.requested(), [self.file.resolve().as_uri()])
        self.assertEqual(self.browser.complaints(), [])
        broken = self.ask("[...document.images].filter(i => !i.naturalWidth).map(i => i.alt)")
        self.assertEqual(broken, [])

    def test_no_width_makes_the_page_scroll_sideways(self):
        self.show()
        self.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
        for width in (320, 390, 768, 1280, 1920):
            self.browser.look(width, 844, touch=width < 800)
            needed, there = self.ask(WIDTHS)
            self.assertEqual(there, width)
            self.assertLessEqual(needed, there)
            self.assertEqual(self.ask(CUT_OFF), [], width)

    def test_text_grows_with_the_screen(self):
        sizes = []
        self.show()
        for width in (390, 1280, 1920):
            self.browser.look(width, 900)
            sizes.append(self.ask("parseFloat(getComputedStyle(document.querySelector"
                                  "('.answer')).fontSize)"))
        self.assertGreaterEqual(sizes[0], 16)
        self.assertGreaterEqual(sizes[2], 28)
        self.assertEqual(sizes, sorted(sizes))

    def colours(self):
        return self.ask("[getComputedStyle(document.body).backgroundColor, "
                        "getComputedStyle(document.body).color, "
                        "getComputedStyle(document.images[0]).filter]")

    def test_dark_is_dark(self):
        self.show()
        page, ink, image = self.colours()
        self.assertEqual((page, image), ("rgb(255, 255, 255)", "none"))
        self.browser.look(1280, 900, dark=True)
        dark_page, dark_ink, dark_image = self.colours()
        self.assertLess(sum(map(int, re.findall(r"\d+", dark_page))), 120)
        self.assertGreater(sum(map(int, re.findall(r"\d+", dark_ink))), 600)
        self.assertNotEqual(ink, dark_ink)
        self.assertIn("invert", dark_image)
        as_drawn = self.ask("[...document.images].filter(i => getComputedStyle(i).filter === "
                            "'none').map(i => i.closest('figure').id)")
        self.assertEqual(as_drawn, ["figure-heatmap"])

    def test_contrast_is_enough_for_all_text_in_both_modes(self):
        """4.5 is what WCAG 2 asks for (level AA)."""
        self.show()
        for dark in (False, True):
            self.browser.look(1280, 900, dark=dark)
            found = self.ask(CONTRASTS)
            self.assertGreater(len(found), 8)
            poor = {pair: where for pair, where in found.items() if where[0] < 4.5}
            self.assertEqual(poor, {}, f"dark: {dark}")

    def test_the_keyboard_reaches_the_skip_link_first_and_sees_where_it_is(self):
        self.show()
        focus = ("(() => { const e = document.activeElement, b = e.getBoundingClientRect(); "
                 "return [e.getAttribute('href') || e.id, b.left >= 0 && b.width > 0, "
                 "getComputedStyle(e).outlineStyle]; })()")
        self.browser.press("Tab")
        self.assertEqual(self.ask(focus), ["#main", True, "solid"])
        self.browser.press("Enter")
        self.assertEqual(self.ask(focus)[0], "main")
        self.browser.press("Tab")
        self.assertEqual(self.ask("document.activeElement.closest('figure').id"),
                         "figure-small_multiples")
        self.assertEqual(self.ask(focus)[2], "solid")

    def test_a_screen_reader_hears_a_name_for_everything_it_stops_at(self):
        self.show()
        tree = self.browser.send("Accessibility.getFullAXTree")["nodes"]
        stops = [n for n in tree if not n.get("ignored") and n.get("role", {}).get("value") in
                 ("link", "button", "image", "region", "navigation", "table", "img")]
        self.assertGreater(len(stops), 60)
        nameless = [n for n in stops if not n.get("name", {}).get("value", "").strip()]
        self.assertEqual([n["role"]["value"] for n in nameless], [])

    def test_a_link_into_closed_source_opens_it(self):
        self.show()
        self.ask("document.querySelector('#bimodal a[href^=\"#event.c-L\"]').click()")
        shown = self.ask("""new Promise(done => requestAnimationFrame(() => {
            const line = document.querySelector(location.hash.replace('.', '\\\\.'));
            const box = line.getBoundingClientRect();
            done([line.closest("details").open, box.top >= 0 && box.bottom <= innerHeight,
                  line.textContent]); }))""")
        self.assertEqual(shown, [True, True, "static void drive(struct peer *peer)"])

    def test_the_copy_button(self):
        self.show()
        press = ("(async () => { document.querySelector('#bimodal button').click(); "
                 "await new Promise(done => setTimeout(done, 50)); "
                 "return document.getElementById('said').textContent; })()")
        command = self.ask("document.querySelector('#bimodal .command code').textContent")
        self.assertTrue(command.startswith("./run_all.sh --workloads bimodal "))
        self.ask("navigator.clipboard.writeText = async text => { window.copied = text; }")
        self.assertEqual((self.ask(press), self.ask("window.copied")), ("copied", command))
        self.ask("navigator.clipboard.writeText = () => Promise.reject(); "
                 "document.execCommand = () => false")
        self.assertIn("selected", self.ask(press))
        self.assertEqual(self.ask("String(getSelection())"), command)

    def test_without_scripts_nothing_promises_what_it_cannot_do(self):
        self.browser.send("Emulation.setScriptExecutionDisabled", value=True)
        try:
            self.show()
            self.assertEqual(self.ask("[...document.querySelectorAll('button')]"
                                      ".filter(b => b.offsetParent).length"), 0)
        finally:
            self.browser.send("Emulation.setScriptExecutionDisabled", value=False)

    def test_nothing_moves_for_who_does_not_like_it(self):
        behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
        self.show()
        self.assertEqual(self.ask(behaviour), "auto")
        self.browser.send("Emulation.setEmulatedMedia", features=[])
        self.assertEqual(self.ask(behaviour), "smooth")

    def test_paper(self):
        """A4 within margins of 15 mm is 180 x 267 mm: 680 x 1009 CSS pixels."""
        self.show(680, 1009, dark=True, media="print")
        self.assertEqual(self.colours()[::2], ["rgb(255, 255, 255)", "none"])
        hidden = self.ask("['nav', 'button', '#source', '.skip', 'details:not([open])'].filter("
                          "s => document.querySelector(s).offsetParent)")
        self.assertEqual(hidden, [])
        sizes = self.ask("[...document.images].map(i => [i.clientWidth, i.clientHeight])")
        self.assertEqual(len(sizes), len(FIGURES))
        for width, height in sizes:
            self.assertTrue(300 < width <= 680 and 200 < height <= 1009, sizes)
        needed, there = self.ask(WIDTHS)
        self.assertLessEqual(needed, there)
        paper = self.browser.pdf()
        pages = len(re.findall(rb"/Type /Page\b", paper))
        self.assertTrue(8 <= pages <= 40, pages)
        # Each figure is tagged with its alternative text; one more is drawn by the page itself.
        self.assertEqual(len(re.findall(rb"/Alt [(<]", paper)), len(FIGURES) + 1)


class MissingBrowser(unittest.TestCase):
    def test_it_says_how_to_get_one(self):
        program, browser.PROGRAM = browser.PROGRAM, "/nonexistent/chromium"
        self.addCleanup(setattr, browser, "PROGRAM", program)
        with self.assertRaisesRegex(browser.Failed, "deps.sh test installs"):
            browser.Browser()


if __name__ == "__main__":
    unittest.main()
