"""The report: how the page is built."""
import json
from pathlib import Path
import re
import tempfile
import unittest

from archbench.cases import case as cases
from archbench.formats.run import Run
from archbench.places import REPOSITORY
from archbench.report import report
from report_case import FIGURES, FINDING, GUIDE_ROW, Built, Page, svg
from synthetic import SyntheticRun, latencies

UNTIMED = True  # it starts no server and measures no time


class Drawings(unittest.TestCase):
    def test_slim_keeps_what_is_seen(self):
        self.assertEqual(
            report.slim('<g><!-- io\n -->\n  <path d="M 742.947305 33.8 \nL 1.234567"\n'
                        '   transform="scale(0.015625)"/></g>'),
            '<g> <path d="M742.9 33.8L1.234567" transform="scale(0.015625)"/></g>')

    def test_slim_shortens_names(self):
        """Those that others refer to; colours look like names and are none."""
        self.assertEqual(
            report.slim('<g id="figure_1"><path id="DejaVuSans-31"/><path id="m1" fill="#0072b2"/>'
                        '<use xlink:href="#DejaVuSans-31" x="63.623"/>'
                        '<use xlink:href="#m1" x="63.627" y="1.5"/></g>'),
            '<g><path id="i0"/><path id="i1" fill="#0072b2"/><use href="#i0" x="63"/>'
            '<use href="#i1" x="63.62" y="1.5"/></g>')

    def test_title_and_size(self):
        self.assertEqual(report.finding(svg("a")), FINDING.format("a"))
        self.assertEqual(report.size(svg("a", 1400)), (922, 1400))
        self.assertEqual((report.finding("<svg/>"), report.size("<svg/>")), (None, (16, 9)))


class ReferencePage(unittest.TestCase):
    """docs/reference-report.html, which opens without building anything."""

    def test_it_is_small_and_of_the_run_that_is_here(self):
        page = REPOSITORY / "docs" / "reference-report.html"
        run = json.loads((REPOSITORY / "results/reference/manifest.json").read_text("utf-8"))
        self.assertLess(page.stat().st_size, 4e6 + 0.5e6 * len(cases.cases()))
        self.assertIn(run["run_id"], page.read_text("utf-8"))


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
            "upstream", "idle",
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
                         "None: every cell that was measured is valid"):
            self.assertIn(expected, text)
        self.assertEqual([l for l in page.links if l[1:] not in page.ids], [])
