"""The guide's tables: numbers as text, rules of agreement, and what a run is asked."""
import math
import unittest

from archbench.stats.estimates import estimate
from archbench.tables.parts import guide_table
from table_case import Tables

UNTIMED = True  # it starts no server and measures no time


class Texts(unittest.TestCase):
    def test_an_estimate_says_its_interval_and_few_trials(self):
        told = guide_table.told
        self.assertEqual(told(estimate([192, 193, 194]), "/s"), "193/s [192, 194]")
        self.assertEqual(told(estimate([192, 194]), "/s"), "193/s [192, 194] (2 trials)")
        self.assertEqual(told(estimate([5]), " µs"), "5.00 µs (1 trial)")

    def test_comparisons_in_words(self):
        for value, expected, text in ((100, 100, "equal to"), (112, 100, "12 % above"),
                                      (69, 100, "31 % below"), (310, 100, "3.1 times"),
                                      (31, 100, "0.310 times"), (0, 100, "0 times"),
                                      (math.inf, 1, "infinitely far above")):
            self.assertEqual(guide_table.compared(value, expected), text)

    def test_times_and_shares(self):
        for value, text in ((0, "0 s"), (0.01, "10.0 ms"), (3153.6, "52.6 min"),
                            (math.inf, "infinite")):
            self.assertEqual(guide_table.seconds(value), text)
        for share, text in ((0, "0 %"), (0.456, "46 %"), (0.012, "1.2 %")):
            self.assertEqual(guide_table.percent(share), text)


class Rules(unittest.TestCase):
    def test_near_is_within_ten_percent(self):
        for values, expected in (([91], "agree"), ([109], "agree"), ([89], "disagree"),
                                 ([111], "disagree"), ([85, 88, 95], "open"),
                                 ([105, 112, 120], "open"), ([70, 80, 89], "disagree"),
                                 ([math.inf], "disagree")):
            self.assertEqual(guide_table.near(estimate(values), 100), expected, values)

    def test_below_needs_the_whole_interval(self):
        for values, expected in (([900], "agree"), ([1000], "disagree"), ([800, 900, 999], "agree"),
                                 ([900, 950, 1001], "open"), ([1000, 1100, 1200], "disagree"),
                                 ([900, 900, math.inf], "open")):
            self.assertEqual(guide_table.below(estimate(values), 1000), expected, values)


class Saturation(Tables):
    def test_a_closed_loop_always_asks_for_more(self):
        self.rate("io", "base", "event", 500)
        found = self.facts().saturation("io", "event")
        self.assertEqual((found.point, found.rate.value, found.at_least), ("base", 500, False))

    def test_an_open_loop_must_have_asked_for_more(self):
        self.rate("load", "50", "event", 650, offered_rate=660)
        self.assertIsNone(self.facts().saturation("load", "event"))

    def test_the_most_that_was_given_counts(self):
        self.rate("load", "50", "event", 640, offered_rate=700)
        self.rate("load", "110", "event", 600, offered_rate=1400)
        found = self.facts().saturation("load", "event")
        self.assertEqual((found.point, found.rate.value), ("50", 640))

    def test_answered_above_the_predicted_capacity(self):
        self.rate("load", "110", "event", 690, offered_rate=700)
        self.predict("load", "110", "event", capacity=660, bottleneck="cores")
        found = self.facts().saturation("load", "event")
        self.assertEqual((found.rate.value, found.at_least), (690, True))

    def test_invalid_trials_do_not_count(self):
        self.synthetic.cell("io", "base", "event", 1, {"achieved_rate": 500}, ["steal 4 %"])
        found = self.facts()
        self.assertIsNone(found.saturation("io", "event"))
        self.assertIn("No valid trial of event in io", found.why_unsaturated("io", "event"))


class Work(Tables):
    """What a point asks for, from its file."""
    def test_a_class_without_requests_asks_for_nothing(self):
        self.rate("cpu_share", "0", "event", 500)
        self.rate("cpu_time", "alone500", "event", 2)
        self.rate("cpu_time", "mix50", "event", 60)
        found = self.facts()
        self.assertEqual(found.cpu_of("cpu_share", "0"), (0, 0))
        self.assertEqual(found.cpu_of("cpu_time", "alone500"), (1, 0.5))
        self.assertEqual(found.wait_s("cpu_time", "alone500"), 0)
        self.assertEqual(found.cpu_of("cpu_time", "mix50"), (0.3, 0.05))
        self.assertAlmostEqual(found.cost_s("cpu_time", "mix50"), 0.015020)
        self.assertAlmostEqual(found.wait_s("cpu_time", "mix50"), 0.007)

    def test_a_thread_that_waits_costs_its_wait(self):
        about = {"family": "multi-threaded", "blocks": ["timer"], "tasks": "1 thread",
                 "computes": "any"}
        self.synthetic.manifest["servers"] = {"threads": about, "event": about | {"blocks": []}}
        self.synthetic.manifest["calibration"]["thread"] = {"wait_us": 10.0}
        self.rate("cpu_time", "mix50", "event", 60)
        found = self.facts()
        self.assertAlmostEqual(found.cost_s("cpu_time", "mix50", "threads"), 0.015020 + 0.7 * 10e-6)
        self.assertAlmostEqual(found.cost_s("cpu_time", "mix50", "event"), 0.015020)
