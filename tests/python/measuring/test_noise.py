"""The noise floor, from twins whose values are known."""
import math
import unittest

from archbench.stats import groups, noise


class TwinRun:
    """What noise and groups ask of a Run. values: {(workload, point, arch): numbers}."""

    def __init__(self, values):
        self.of = values

    def twins(self):
        return sorted((*key, key[2] + "-twin") for key in self.of
                      if (*key[:2], key[2] + "-twin") in self.of)

    def classes(self, _workload):
        return []

    def archs(self, workload):
        return sorted({a for w, _, a in self.of if w == workload and not a.endswith("-twin")})

    def values(self, workload, point, arch, _metric, _cls=""):
        return self.of.get((workload, point, arch), []), []


def run(here, elsewhere, others=()):
    """event at point a of workload w differs from its twin by the factor `here`, elsewhere by
    these."""
    values = {("w", "a", "event"): [100.0, 100.1, 99.9],
              ("w", "a", "event-twin"): [100.0 * here, 100.1 * here, 99.9 * here], **dict(others)}
    for number, factor in enumerate(elsewhere):
        values["v", str(number), "event"] = [5.0]
        values["v", str(number), "event-twin"] = [5.0 / factor]
    return TwinRun(values)


class Floor(unittest.TestCase):
    def test_that_of_the_twins_here(self):
        factor, why = noise.floor(run(1.2, [1.01, 1.02, 1.03]), "w", "a", "rate")
        self.assertAlmostEqual(factor, 1.2)
        self.assertEqual(why, "event and its twin differ by a factor of 1.2")

    def test_twins_that_come_out_equal_by_chance(self):
        """Then it is what is usual."""
        factor, _ = noise.floor(run(1.0, [1.05, 1.06, 1.07]), "w", "a", "rate")
        self.assertAlmostEqual(factor, (1.05 + 1.06) / 2)

    def test_where_there_are_no_twins_it_is_what_is_usual(self):
        factor, why = noise.floor(run(1.1, [1.02]), "u", "a", "rate")
        self.assertAlmostEqual(factor, 1.06)
        self.assertEqual(why, "twins differ by a factor of 1.06 elsewhere in this run")
        self.assertEqual(noise.floor(TwinRun({}), "u", "a", "rate"), (1.0, ""))

    def test_values_without_a_logarithm_say_nothing(self):
        for wrong in [], [0.0], [math.inf]:
            self.assertIsNone(noise.factor_between([1.0], wrong))

    def test_nothing_below_it_is_called_a_difference(self):
        """threads is 10 % above event for sure, by three steady trials; the twins are 20 % apart."""
        others = {("w", "a", "threads"): [110.0, 110.1, 109.9]}
        for here, letters in (1.2, {"event": "a", "threads": "a"}), (1.01, {"event": "b",
                                                                            "threads": "a"}):
            ranking = groups.rank(run(here, [1.0], others), "w", "a", "rate", ascending=False)
            self.assertEqual(ranking.letters(), letters)
            self.assertIn(f"event and its twin differ by a factor of {here:.3g}", ranking.note)
