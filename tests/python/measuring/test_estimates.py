"""Medians, their intervals, and when two of them differ."""
import unittest

import numpy as np

from archbench.stats import estimates
from synthetic import INF

UNTIMED = True  # it starts no server and measures no time


class Statistics(unittest.TestCase):
    def test_median_keeps_infinity(self):
        self.assertEqual(estimates.median([3, 1, 2]), 2)
        self.assertEqual(estimates.median([1, 2, 3, 4]), 2.5)
        self.assertEqual(estimates.median([1, INF, 2]), 2)
        self.assertEqual(estimates.median([1, INF, INF]), INF)

    def test_interval_is_repeatable_and_holds_the_median(self):
        values = [10, 11, 12, 13, 14, 50]
        low, high = estimates.bootstrap_median(values)
        self.assertEqual((low, high), estimates.bootstrap_median(values))
        self.assertLess(low, estimates.median(values))
        self.assertGreater(high, estimates.median(values))
        self.assertGreaterEqual(low, 10)
        self.assertLessEqual(high, 50)

    def test_interval_of_three_trials_is_their_range(self):
        self.assertEqual(estimates.bootstrap_median([5, 1, 3]), (1, 5))

    def test_interval_reaches_infinity_without_inventing_numbers(self):
        low, high = estimates.bootstrap_median([1, 2, INF])
        self.assertEqual((low, high), (1, INF))

    def test_interval_coverage(self):
        """Of 95 % intervals over 9 trials, about 95 % hold the true median (here 0)."""
        draws = np.random.default_rng(7).normal(size=(200, 9))
        intervals = [estimates.bootstrap_median(list(d)) for d in draws]
        covered = sum(low <= 0 <= high for low, high in intervals) / len(intervals)
        self.assertGreater(covered, 0.88)
        self.assertLess(covered, 1.0)

    def test_one_trial_has_no_interval(self):
        e = estimates.estimate([5.0])
        self.assertIsNone(e.low)
        self.assertTrue(e.valid)

    def test_invalid_trials_do_not_touch_the_median(self):
        e = estimates.estimate([1.0, 2.0, 3.0], [100.0])
        self.assertEqual((e.value, e.trials, e.invalid), (2.0, 3, [100.0]))
        alone = estimates.estimate([], [100.0])
        self.assertEqual(alone.value, 100.0)
        self.assertFalse(alone.valid)
        self.assertIsNone(estimates.estimate([]))

    def test_difference_needs_more_than_scatter(self):
        near = estimates.estimate([1.0, 1.2, 1.4]), estimates.estimate([1.3, 1.5, 1.7])
        far = estimates.estimate([1.0, 1.1, 1.2]), estimates.estimate([2.0, 2.1, 2.2])
        self.assertFalse(estimates.clearly_above(near[1], near[0]))
        self.assertTrue(estimates.clearly_above(far[1], far[0]))
        self.assertFalse(estimates.clearly_above(far[0], far[1]))
        self.assertFalse(estimates.clearly_above(estimates.estimate([], [9.0]), far[0]))
        self.assertTrue(estimates.clearly_above(estimates.estimate([INF]), far[0]))
