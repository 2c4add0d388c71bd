"""Predictions over measurements, histograms, winners, tails and fits in figures."""
import json

from archbench.formats.run import NoData
from archbench.model import queueing
from archbench.stats import estimates, histogram
from synthetic import INF, OneRun, figure, latencies, table_module

UNTIMED = True  # it starts no server and measures no time


def hgrm(rows, infinite=0):
    """Text as loadgen --hgrm writes it; `rows`: (ms, requests that took no longer)."""
    total = rows[-1][1] + infinite
    lines = [f"{ms:12.3f} {count / total:14.12f} {count:10d} {1 / (1 - count / (total + 1)):14.2f}"
             for ms, count in rows]
    return "\n".join(["       Value     Percentile TotalCount 1/(1-Percentile)", "", *lines,
                      f"#[Infinite = {infinite}]", ""])


def stats_of(counts):
    """A histogram in us of {ms: requests}."""
    return histogram.add({1000 * ms: n} for ms, n in counts.items())


class Maps(OneRun):
    """Predictions over measurements, histograms over time, winners, tails and fits, from runs whose
    answers are known."""
    # load

    def test_predictions_are_found_by_cell(self):
        self.synthetic.cell("load", "10", "event", 1, {"achieved_rate": 1})
        self.assertEqual(self.read().prediction("load", "10", "event"), {})
        self.synthetic.predict("load", "10", "event", capacity=5)
        found = self.read()
        self.assertEqual(found.prediction("load", "10", "event")["capacity"], 5)
        self.assertEqual(found.prediction("load", "10", "hybrid"), {})

    def test_who_was_offered_less_has_no_peak(self):
        """event met the heaviest load, hybrid nearly, threads half of it and validly no more."""
        def at(rate, *valid):
            return rate, estimates.estimate(list(valid), () if valid else (rate,))
        found = figure("load").peaks_of({
            "event": [at(500, 400), at(1000, 350)], "hybrid": [at(950, 940)],
            "threads": [at(500, 500), at(1000)]})
        self.assertEqual({a: e.value for a, e in found.items()}, {"event": 400, "hybrid": 940})
        self.assertEqual(figure("load").peaks_of({}), {})

    def test_capacities_that_agree_share_a_line(self):
        load = figure("load")
        found = load.alike({"event": 640, "hybrid": 1290, "threads": 1285, "actors": 1305})
        self.assertEqual(found, [(640, ["event"]), (1285, ["threads", "hybrid"]),
                                 (1305, ["actors"])])

    def test_predicted_curve_is_that_of_a_queue(self):
        """M/G/1: mean = service + A u / (1 - u), whichever points it was predicted at."""
        load = figure("load")
        def mean(u):
            return 10 + 3 * u / (1 - u)
        rates, ms = load.queueing_curve([(u, mean(u)) for u in (0.1, 0.4, 0.7)], 200)
        self.assertAlmostEqual(rates[0], 20)
        self.assertAlmostEqual(rates[-1], 200 * load.FULLEST)
        for rate, at in zip(rates, ms):
            self.assertAlmostEqual(at, mean(rate / 200), places=9)
        self.assertIsNone(load.queueing_curve([(0.5, 9.0)], 200))

    def test_predicted_mean_counts_classes_as_they_came(self):
        for point, slow_us in (("10", 5000), ("90", None)):
            self.synthetic.cell("load", point, "event", 1, {
                "achieved_rate": 1, "io": latencies(1, 2, 700), "cpu": latencies(1, 2, 300)})
            self.synthetic.predict("load", point, "event", capacity=100, utilisation=0.1, classes={
                "io": {"mean_us": 10000}, "cpu": {"mean_us": slow_us}})
        run = self.read()
        means = figure("load").predicted_means(run, "event")
        self.assertEqual(means, [(0.1, 8.5)])

    def test_load_without_predictions_has_no_lines_for_them(self):
        for point in ("10", "90"):
            self.synthetic.cell("load", point, "event", 1, {
                "offered_rate": int(point), "achieved_rate": int(point),
                "total": latencies(1e4, 2e4)})
        words = self.draws("load")
        self.assertNotIn("predicted: capacity, mean response", words)
        self.synthetic.predict("load", "90", "event", capacity=77)
        words = self.draws("load")
        self.assertIn("predicted: capacity, mean response", words)
        self.assertIn("77.0", words)

    # histograms

    def test_quantiles_of_added_histograms(self):
        both = histogram.add([{1: 90, 5: 9}, {1: 9, INF: 1}])
        self.assertEqual(both, {1: 99, 5: 9, INF: 1})
        self.assertEqual([histogram.quantile(both, q) for q in (0.5, 99 / 109, 0.95, 0.999)],
                         [1, 1, 5, INF])
        self.assertEqual(histogram.quantile(histogram.add([{1: 7, 5: 93}]), 0.07), 1)
        self.assertIsNone(histogram.quantile(histogram.add([]), 0.5))

    def test_bins_of_a_time_series(self):
        """Eight of equal width in a doubling; the first doubling is as wide as all below it."""
        for upper_us, lower_us in ((0.128, 0), (1.024, 0.896), (1.152, 1.024), (2.048, 1.92),
                                   (2.304, 2.048), (2097.152, 1966.08)):
            self.assertAlmostEqual(histogram.lower_edge_us(upper_us), lower_us, msg=upper_us)
        found = histogram.read_bins([[1966.08, 4], [2097.152, 3], [2359.296, 2], [None, 1]])
        self.assertEqual(found[INF], 1)
        self.assertEqual(histogram.share_above(found, 2000), 0.3)  # 2000 is inside the second bin
        self.assertEqual(histogram.share_above(found, 1966.08), 0.6)
        self.assertIsNone(histogram.share_above(histogram.add([]), 1))

    def surge(self, arch, trial, quarters, reasons=()):
        """A cell of the workload surge; `quarters`: the bins of the class short in each."""
        folder = self.synthetic.cell("surge", "base", arch, trial, {
            "short": latencies(1, 2), "cpu": latencies(1, 2)}, reasons)
        lines = [json.dumps({"time_s": (k + 1) / 4, "classes": {"short": {"histogram": bins}}})
                 for k, bins in enumerate(quarters)]
        (folder / "timeseries.jsonl").write_text("\n".join(lines) + "\n")

    def test_heat_map_adds_valid_trials_and_counts_the_surge(self):
        """The surge lasts from 0.5 to 1.5 s: quarters 2 to 5, counted from 0."""
        calm, bad = [[64, 10]], [[64, 1], [4096, 8], [None, 1]]
        for trial, in_surge in ((1, bad), (2, bad), (3, calm)):
            self.surge("event", trial, [calm, calm] + [in_surge] * 4 + [bad],
                       ["steal"] if trial == 3 else ())
            self.surge("hybrid", trial, [calm, calm, [[64, 9], [4096, 1]], calm, calm, calm, bad])
        heatmap, run = figure("heatmap"), self.read()
        cells, valid = histogram.cells_to_merge(run, "surge", "base", "event")
        columns = heatmap.over_time(run, cells, "short")
        self.assertTrue(valid)
        self.assertEqual(columns[0.5, 0.75], {64: 2, 4096: 16, INF: 2})
        held_up = heatmap.held_up(run, "event", "short", 2000)
        self.assertEqual((held_up.value, held_up.invalid), (0.9, [0.0]))
        words = self.draws("heatmap")
        self.assertEqual(words[0], "In the surge, 90.0 % of the short requests take longer than "
                                   "2.00 ms in event, 2.50 % in hybrid")
        self.assertLessEqual({"event", "hybrid", "upper edge: without a good reply",
                              "begin and end of the surge"}, set(words))

    def test_heat_map_of_invalid_trials_says_so(self):
        self.surge("event", 1, [[[64, 10]]] * 8, ["steal"])
        words = self.draws("heatmap")
        self.assertIn("event (INVALID)", words)
        self.assertIn("no valid trial", words)

    def test_heat_map_needs_histograms(self):
        folder = self.synthetic.cell("surge", "base", "event", 1, {"short": latencies(1, 2)})
        line = {"time_s": 0.25, "classes": {"short": {"achieved": 9}}}  # as once without them
        (folder / "timeseries.jsonl").write_text(json.dumps(line) + "\n")
        self.finds_nothing("heatmap", "has histograms of class short")

    def test_tail_adds_requests_and_not_percentiles(self):
        """990 fast in one trial, 10 slow of 100 in the other: the p99 of all is not their mean."""
        for trial, rows, lost in ((1, ((1, 990),), 0), (2, ((1, 90), (50, 99)), 1)):
            folder = self.synthetic.cell("bimodal", "base", "event", trial, {
                "short": latencies(1, 2)})
            (folder / "short.hgrm").write_text(hgrm(rows, lost))
        tail = figure("tail")
        found, trials = tail.merged(self.read(), "bimodal", "event", "short")
        self.assertEqual((found, trials), ({1000: 1080, 50000: 9, INF: 1}, 2))
        line = tail.line(found, trials)
        self.assertEqual([(x, e.value) for x, e in line],
                         [(2, 1), (4, 1), (10, 1), (20, 1), (40, 1), (100, 1)])

    def test_tail_ends_where_few_lie_beyond(self):
        tail = figure("tail")
        self.assertEqual(tail.line(stats_of({1: 999}), 1)[-1][0], 40)
        self.assertEqual(tail.line(stats_of({1: 1000}), 1)[-1][0], 100)
        self.assertEqual(tail.line(stats_of({1: 19}), 1), [])

    def test_tail_title(self):
        for arch, slow_ms, lost in (("event", 80, 0), ("hybrid", 2, 0), ("threads", 9, 30)):
            folder = self.synthetic.cell("bimodal", "base", arch, 1, {"short": latencies(1, 2)},
                                         ["steal"] if arch == "threads" else ())
            (folder / "short.hgrm").write_text(hgrm(((1, 900), (slow_ms, 1000)), lost))
        words = self.draws("tail")
        self.assertEqual(words[0], "One short request in 100 takes over 2.00 ms in hybrid, over "
                                   "80.0 ms in event")
        self.assertLessEqual({"50 %", "90 %", "99 %", "INVALID", "one valid trial"}, set(words))
        (self.folder / "run/cells/bimodal/base/event.1/short.hgrm").write_text(
            hgrm(((1, 900),), 100))
        self.assertIn("for ever in event", self.draws("tail")[0])

    # mix_map

    def mixes(self, rates, trials=3):
        """`rates`: {point: {arch: (replies/s, p99 of io in us or None)}}."""
        for point, archs in rates.items():
            for arch, (rate, p99) in archs.items():
                for trial in range(1, trials + 1):
                    w = 1 + 0.01 * trial
                    io = {"io": latencies(1, p99 * w)} if p99 else {}
                    self.synthetic.cell("mix_map", point, arch, trial,
                                        {"achieved_rate": rate * w, **io})

    def test_a_mix_has_a_winner_or_several(self):
        self.mixes({"8x0": {"event": (200, 900), "hybrid": (100, 300), "threads": (50, 950)},
                    "64x0": {"event": (200, 900), "hybrid": (199, 900), "threads": (50, 900)},
                    "64x100": {"event": (100, None), "hybrid": (200, None)}})
        mix_map, run = figure("mix_map"), self.read()
        rate = mix_map.fields(run, "achieved_rate", "", True)
        self.assertEqual({p: f.best for p, f in rate.items()}, {
            (8, 0): ("event",), (64, 0): ("event", "hybrid"), (64, 100): ("hybrid",)})
        self.assertAlmostEqual(rate[8, 0].factor, 2)
        p99 = mix_map.fields(run, "response_p99_us", "io", False)
        self.assertEqual(p99[8, 0].best, ("hybrid",))
        self.assertAlmostEqual(p99[8, 0].factor, 3)
        self.assertEqual(set(p99[64, 0].best), {"event", "hybrid", "threads"})
        self.assertNotIn((64, 100), p99)
        words = self.draws("mix_map")
        self.assertEqual(words[0], "event serves most in 1 of 3 mixes, hybrid 1; no clear winner "
                                   "in 1")
        self.assertLessEqual({"next: −50 %", "next: 3.0 ×", "no such", "no clear winner"},
                             set(words))

    def test_one_trial_needs_a_large_factor_to_win(self):
        self.mixes({"8x0": {"event": (140, None), "hybrid": (100, None)},
                    "8x30": {"event": (160, None), "hybrid": (100, None)}}, trials=1)
        rate = figure("mix_map").fields(self.read(), "achieved_rate", "", True)
        self.assertEqual([rate[8, s].best for s in (0, 30)], [("event", "hybrid"), ("event",)])

    def test_an_invalid_cell_wins_nothing(self):
        self.synthetic.cell("mix_map", "8x0", "event", 1, {"achieved_rate": 900}, ["steal"])
        self.synthetic.cell("mix_map", "8x0", "hybrid", 1, {"achieved_rate": 100})
        self.synthetic.cell("mix_map", "8x30", "event", 1, {"achieved_rate": 900}, ["steal"])
        rate = figure("mix_map").fields(self.read(), "achieved_rate", "", True)
        self.assertEqual((rate[8, 0].best, rate[8, 30].best), (("hybrid",), ()))
        words = self.draws("mix_map")
        self.assertEqual(words[0], "Which architecture serves most, by clients and share of computation")
        self.assertLessEqual({"alone", "no valid trial", "INVALID"}, set(words))

    def test_who_lets_requests_fail_wins_nothing(self):
        for point, arch, rate, share in (("8x0", "event", 200, 0.009), ("8x0", "hybrid", 900, 0.011),
                                         ("8x30", "event", 900, 0.5), ("8x30", "hybrid", 900, 0.02)):
            for trial in 1, 2, 3:
                self.synthetic.cell("mix_map", point, arch, trial,
                                    {"achieved_rate": rate, "error_share": share})
        rate = figure("mix_map").fields(self.read(), "achieved_rate", "", True)
        self.assertEqual((rate[8, 0].best, rate[8, 0].failing), (("event",), (("hybrid", 0.011),)))
        self.assertEqual((rate[8, 30].best, len(rate[8, 30].failing)), ((), 2))
        self.assertLessEqual({"nobody", "failed: hybrid 1 %"}, set(self.draws("mix_map")))

    # penalty

    def test_penalty_is_a_ratio_of_medians(self):
        for trial, (alone, mixed) in enumerate(((100, 900), (110, 1100), (120, 1000)), 1):
            for arch, share in (("event", 1), ("hybrid", 0.2)):
                self.synthetic.cell("cpu_share", "0", arch, trial, {"short": latencies(9, alone)})
                self.synthetic.cell("cpu_share", "30", arch, trial, {
                    "short": latencies(9, 5 * alone), "cpu": latencies(9, 9)})
                self.synthetic.cell("cpu_share", "70", arch, trial, {
                    "short": latencies(9, mixed * share), "cpu": latencies(9, 9)})
                self.synthetic.cell("cpu_share", "100", arch, trial, {"cpu": latencies(9, 9)})
        penalty, run = figure("penalty"), self.read()
        of = penalty.pair(run, "cpu_share")
        self.assertEqual((of.alone, of.mixed), ("0", "70"))
        found = penalty.multiple(run, of, "event")
        self.assertAlmostEqual(found.value, 1000 / 110)
        self.assertLess(found.low, found.value)
        self.assertEqual(self.draws("penalty")[0], "Among 70 % computing requests, the p99 of "
                         "short ones is 1.8 times that alone in hybrid, 9.1 times in event")

    def test_penalty_of_the_largest_read_and_of_invalid_and_lost_ones(self):
        for point, p99s in (("none", (100, 100)), ("256k", (900, 900)), ("8m", (INF, 300))):
            for trial, p99 in enumerate((*p99s, p99s[0]), 1):
                self.synthetic.cell("disk", point, "event", trial, {"short": latencies(9, p99)})
            self.synthetic.cell("disk", point, "hybrid", 1, {"short": latencies(9, 100)},
                                ["steal"] if point == "none" else ())
        self.synthetic.cell("disk", "8m", "threads", 1, {"short": latencies(9, 100)})
        penalty, run = figure("penalty"), self.read()
        of = penalty.pair(run, "disk")
        self.assertEqual((of.alone, of.mixed, of.among), ("none", "8m", "reads of 8 MiB"))
        event, hybrid = (penalty.multiple(run, of, a) for a in ("event", "hybrid"))
        self.assertEqual((event.value, event.low, event.trials), (INF, None, 3))
        self.assertEqual((hybrid.value, hybrid.valid), (1, False))
        self.assertIsNone(penalty.multiple(run, of, "threads"))
        words = self.draws("penalty")
        self.assertLessEqual({"∞  (100 µs → infinite)", "not measured at both", "INVALID"},
                             set(words))

    def test_penalty_needs_the_short_ones_alone(self):
        self.synthetic.cell("cpu_share", "70", "event", 1, {"short": latencies(9, 9),
                                                            "cpu": latencies(9, 9)})
        self.finds_nothing("penalty", "both alone and beside")

    # small_multiples

    def test_words_of_the_guide(self):
        for arch, rate in (("event", 1000), ("threads", 400)):
            self.synthetic.cell("io", "base", arch, 1, {
                "achieved_rate": rate, "total": latencies(1e4, 15e3 if arch == "event" else 4e4)})
        small, run = figure("small_multiples"), self.read()
        measurements = table_module("c1").Measurements(run)
        self.assertAlmostEqual(small.stretched(measurements, "event").value, 1.5)
        io = small.PANELS[0]
        self.assertEqual((io.edges, io.words), ((0.33, 0.75), ("Poor", "Moderate", "Excellent")))
        self.assertEqual(small.judged(measurements, io, "event")[1], "Excellent\nas the guide says")
        words = self.draws("small_multiples")
        self.assertEqual(words[0], "2 of the guide's 2 ratings hold")
        self.assertLessEqual({"Moderate", "4.00 ×", "not measured"}, set(words))

    def test_a_word_that_is_not_earned(self):
        for arch, rate in (("event", 200), ("threads", 1000)):
            self.synthetic.cell("io", "base", arch, 1, {"achieved_rate": rate})
        words = self.draws("small_multiples")
        self.assertEqual(words[0], "0 of the guide's 2 ratings hold; I/O throughput "
                                   "of event is Poor, not Excellent")
        self.assertIn("guide: Excellent", words)

    # scaling

    def concurrency(self, arch, connections, *law, reasons=()):
        for n in connections:
            self.synthetic.cell("concurrency", str(n), arch, 1,
                                {"achieved_rate": queueing.usl(n, *law)}, reasons)

    def test_scaling_finds_the_law_again(self):
        self.concurrency("threads", (1, 10, 100, 1000, 10000), 100, 1e-3, 4e-6)
        self.concurrency("event", (1, 10, 100, 1000), 100, 1e-4, 0)
        self.concurrency("hybrid", (1, 10, 100), 100, 1e-4, 0)
        scaling, run = figure("scaling"), self.read()
        lines = {a: scaling.concurrency.series(run, a, "achieved_rate")
                 for a in ("threads", "event", "hybrid")}
        found = scaling.fit(lines["threads"])
        self.assertAlmostEqual(found.single / 100, 1, 2)
        self.assertAlmostEqual(found.contention / 1e-3, 1, 1)
        self.assertAlmostEqual(found.coherence / 4e-6, 1, 1)
        self.assertAlmostEqual(found.peak / 500, 1, 1)
        self.assertIsNone(scaling.fit(lines["hybrid"]))
        words = self.draws("scaling")
        self.assertEqual(words[0], "By the fitted law, threads peaks at 500 connections, event "
                                   "grows up to 1,000")
        self.assertLessEqual({"not determined:", "3 valid points, needs 4", "no peak up to 1,000"},
                             set(words))

    def test_scaling_by_invalid_points_is_not_determined(self):
        self.concurrency("event", (1, 10, 100, 1000), 100, 1e-4, 0, reasons=["steal"])
        self.assertEqual(self.draws("scaling")[0],
                         "Too few points to fit the scalability law: it needs 4")

    def test_scaling_of_two_points_is_no_figure(self):
        self.concurrency("event", (100, 400), 100, 1e-4, 0)
        with self.assertRaisesRegex(NoData, "needs 4 points of workload concurrency, and this run "
                                            "has 2"):
            self.draws("scaling")

    def test_scaling_findings(self):
        scaling = figure("scaling")
        early, late, never = (scaling.Fit(100, 0, k) for k in (1e-4, 2.5e-5, 0))
        lasts = {"event": 1000, "threads": 1000, "hybrid": 50}
        for fits, text in (
                ({"event": early, "threads": late},
                 "event peaks at 100 connections, threads at 200"),
                ({"event": early}, "event peaks at 100 connections"),
                ({"event": never, "hybrid": early},
                 "throughput has no peak up to 1,000 connections")):
            self.assertEqual(scaling.finding(fits, lasts), f"By the fitted law, {text}")

    # network

    def test_network_by_round_trip(self):
        for arch, grows in (("event", 1), ("threads", 3)):
            for ms, held in ((100, 200), (1, 2)):
                self.synthetic.cell("network", f"{ms}ms", arch, 1, {
                    "cpu_us_per_request": 20 * (grows if ms == 100 else 1),
                    "switches_per_request": 1},
                    memory={"connections": held, "per_connection": {"total_kb": 512}})
        network, run = figure("network"), self.read()
        self.assertEqual([network.round_trip_ms(run, p) for p in ("1ms", "100ms")], [1, 100])
        cell, = run.cells_at("network", "100ms", "event")
        self.assertEqual(network.memory_mib(cell), 100)
        self.assertIsNone(network.memory_mib({"memory": None}))
        words = self.draws("network")
        self.assertEqual(words[0], "At 100 ms of round trip a request costs threads 3.0 times the "
                                   "CPU time of one at 1 ms, event 1.0 times")
        self.assertLessEqual({"CPU time/request (µs)", "switches/request", "memory of all (MiB)",
                              "round trip (ms)"}, set(words))

    def test_network_without_a_difference(self):
        for arch in ("event", "threads"):
            for point in ("1ms", "100ms"):
                self.synthetic.cell("network", point, arch, 1, {"cpu_us_per_request": 20})
        self.assertEqual(self.draws("network")[0], "From 1 to 100 ms of round trip, CPU time per "
                                                   "request changes alike everywhere")
