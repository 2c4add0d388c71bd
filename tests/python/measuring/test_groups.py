"""Statistics across trials: groups in rankings and intervals, on samples of which the truth is
known."""
import itertools
import math
import random
import unittest

import numpy as np
from scipy import stats as scipy_stats

from archbench.stats import estimates, groups
from archbench.stats.groups import compare, letter_display
from archbench.tables import overview

UNTIMED = True  # it starts no server and measures no time
INF = math.inf
NAMES = "pqrstuvwxyzABCDE"


def spread_alike(level, sd, trials):
    """So many values around a level, whose logarithms have exactly this standard deviation."""
    pattern = np.arange(trials) - (trials - 1) / 2
    return list(level * np.exp(sd * pattern / pattern.std(ddof=1)))


class AgainstTables(unittest.TestCase):
    def test_quantiles(self):
        """Studentized range, upper 5 %, as statistics books print it."""
        for means, freedom, expected in ((3, 10, 3.877), (4, 8, 4.529), (2, 2, 6.085),
                                         (16, 32, 5.24), (3, INF, 3.314)):
            self.assertAlmostEqual(groups.critical(means, freedom), expected, delta=0.005)

    def test_margin_by_hand(self):
        """Three of three trials, s = 0.1: 4.339 x 0.1 / sqrt(3) = 0.2505, the test's yardstick for
        differences of logarithms."""
        samples = {name: spread_alike(100, 0.1, 3) for name in "abc"}
        found = groups.levels(samples)
        self.assertEqual([level.freedom for level in found.values()], [6, 6, 6])
        self.assertAlmostEqual(groups.margin(found["a"], found["b"], 3), 0.2505, delta=0.0005)
        for factor, letters in ((1.27, "aab"), (1.30, "aab"), (1.28, "aab")):
            far = {**samples, "c": spread_alike(100 * factor, 0.1, 3)}
            expected = letters if math.log(factor) > 0.2505 else "aaa"
            self.assertEqual("".join(compare(far).letters().values()), expected, factor)

    def test_is_tukeys_test_where_variances_agree(self):
        """With 3, 3, 5, 5 trials: Tukey and Kramer. 12 degrees of freedom."""
        samples = {name: spread_alike(level, 0.05, trials) for name, level, trials in
                   (("a", 10, 3), ("b", 10.9, 3), ("c", 11.6, 5), ("d", 13, 5))}
        theirs = scipy_stats.tukey_hsd(*(np.log(x) for x in samples.values()))
        interval = theirs.confidence_interval(0.95)
        ours = compare(samples)
        for k, entry in enumerate(ours.entries):
            self.assertAlmostEqual(entry.ratio.value, math.exp(theirs.statistic[k, 0]))
            if k:
                self.assertAlmostEqual(entry.ratio.low, math.exp(interval.low[k, 0]), 4)
                self.assertAlmostEqual(entry.ratio.high, math.exp(interval.high[k, 0]), 4)
        letters = ours.letters()
        for (i, a), (j, b) in itertools.combinations(enumerate(samples), 2):
            self.assertEqual(not set(letters[a]) & set(letters[b]), theirs.pvalue[i, j] < 0.05,
                             (a, b))
        self.assertEqual(letters, {"a": "a", "b": "ab", "c": "b", "d": "c"})

    def test_scatter_that_differs_as_chance_makes_it_is_pooled(self):
        """The margin of two that scatter less than the mean variance is Tukey's exactly."""
        samples = {n: spread_alike(1, sd, 3) for n, sd in zip("abc", (0.05, 0.052, 0.07))}
        pooled = math.sqrt((0.05 ** 2 + 0.052 ** 2 + 0.07 ** 2) / 3)
        found = groups.levels(samples)
        self.assertAlmostEqual(groups.margin(found["a"], found["b"], 3),
                               4.339 * pooled / math.sqrt(3), delta=0.0005)

    def test_own_scatter_counts(self):
        """One that scatters widely differs from nobody; it does not hide how the others differ."""
        samples = {"a": [10, 10.1, 10.2], "b": [12, 12.1, 12.2], "c": [6, 11, 25],
                   "d": [14, 14.1, 14.3], "e": [17, 17.2, 17.3]}
        letters = compare(samples).letters()
        self.assertEqual(len({letters[n] for n in "abde"}), 4)
        self.assertLessEqual(set("".join(letters[n] for n in "abde")), set(letters["c"]))

    def test_letters_in_a_row_are_brief_in_figures(self):
        told = ("", "a", "abc", "abcdef", "abce", "ABCDE")
        self.assertEqual([groups.brief(letters) for letters in told],
                         ["", "a", "abc", "a–f", "abce", "ABCDE"])

    def test_a_lucky_scatter_does_not_count(self):
        """Two that scatter by 3 % where six others scatter by 15 to 20 % prove nothing: with 3
        trials, that is chance. With no others it is a difference."""
        lucky = {"a": spread_alike(10, 0.03, 3), "b": spread_alike(12, 0.03, 3)}
        self.assertEqual(compare(lucky).letters(), {"a": "a", "b": "b"})
        others = {n: spread_alike(11, sd, 3)
                  for n, sd in zip("cdefgh", (0.2, 0.15, 0.18, 0.2, 0.16, 0.17))}
        samples = {**lucky, **others}
        self.assertEqual(set(compare(samples).letters().values()), {"a"})


class Simulated(unittest.TestCase):
    def setUp(self):
        self.rng = np.random.default_rng(5)

    def samples(self, count, trials, uneven=0.0, effects=()):
        """Trials that scatter by 5 %, the standard deviations by a factor exp(uneven) around that;
        effects: factors of the first ones."""
        sd = 0.05 * np.exp(self.rng.normal(0, uneven, count))
        logs = self.rng.normal(size=(count, trials)) * sd[:, None]
        logs[:len(effects)] += np.log(effects)[:, None] if len(effects) else 0
        return dict(zip(NAMES, np.exp(logs).tolist()))

    def error_rate(self, count, trials, uneven, rankings=400):
        wrong = sum(bool(groups.differences(groups.levels(self.samples(count, trials, uneven))))
                    for _ in range(rankings))
        return wrong / rankings

    def test_nobody_differs(self):
        """Family-wise error: in 5 % of the rankings at most is anybody called different, whether
        all scatter alike or not. Tolerance: three standard errors of 400 rankings."""
        limit = 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
        for count, trials, uneven in itertools.product((4, 16), (3, 5), (0, 0.5)):
            rate = self.error_rate(count, trials, uneven)
            self.assertLessEqual(rate, limit, (count, trials, uneven))
            self.assertGreater(rate, 0.002, (count, trials, uneven))

    def test_clear_differences_are_found(self):
        """Half again as much, with 5 % of scatter, among 8, from 3 trials."""
        found = 0
        for _ in range(100):
            letters = compare(self.samples(8, 3, effects=(1.5,))).letters()
            found += all(not set(letters["p"]) & set(letters[n]) for n in letters if n != "p")
        self.assertGreaterEqual(found, 95)

    def test_ratios_hold_the_truth_together(self):
        """In 95 % of the rankings at least, every interval to the best holds the true ratio."""
        effects = np.array([1, 1.1, 1.3, 2])
        held = 0
        for _ in range(400):
            entries = compare(self.samples(4, 3, effects=effects)).entries
            true = {n: e / effects[NAMES.index(entries[0].name)] for n, e in zip(NAMES, effects)}
            held += all(e.ratio.low <= true[e.name] * (1 + 1e-9) and
                        true[e.name] <= e.ratio.high * (1 + 1e-9) for e in entries)
        self.assertGreaterEqual(held / 400, 0.95 - 3 * math.sqrt(0.05 * 0.95 / 400))

    def test_letters_and_ratios_agree(self):
        for _ in range(50):
            best, *others = compare(self.samples(6, 3, 0.5, (1.02, 1.2, 1.4))).entries
            for e in others:
                apart = not e.ratio.low <= 1 <= e.ratio.high and e.ratio.value > 1.03
                self.assertEqual(apart, not set(e.letters) & set(best.letters))


class Letters(unittest.TestCase):
    def test_a_chain(self):
        """First and last differ, the middle from neither."""
        self.assertEqual(letter_display("abc", {frozenset("ac")}),
                         {"a": "a", "b": "ab", "c": "b"})

    def test_share_a_letter_if_and_only_if_not_different(self):
        chance = random.Random(3)
        for _ in range(300):
            names = NAMES[:chance.randint(1, 9)]
            density = chance.random()
            apart = {frozenset(pair) for pair in itertools.combinations(names, 2)
                     if chance.random() < density}
            letters = letter_display(names, apart)
            for a, b in itertools.combinations(names, 2):
                self.assertEqual(bool(set(letters[a]) & set(letters[b])),
                                 frozenset((a, b)) not in apart)
            self.assertTrue(all(letters.values()))
            self.assertTrue(letters[names[0]].startswith("a"))
            members = [{n for n in names if letter in letters[n]}
                       for letter in set("".join(letters.values()))]
            self.assertFalse(any(a < b for a in members for b in members), "not absorbed")

    def test_more_columns_than_the_alphabet_has(self):
        names = [f"{side}{k}" for k in range(6) for side in "ab"]  # 2^6 columns
        apart = {frozenset((f"a{k}", f"b{k}")) for k in range(6)}
        letters = letter_display(names, apart)
        self.assertEqual(len(set("".join(letters.values()))), 64)
        self.assertFalse(set(letters["a3"]) & set(letters["b3"]))

    def test_nobody(self):
        self.assertEqual(letter_display([], set()), {})


class Rankings(unittest.TestCase):
    def test_no_reply_is_last_by_fact(self):
        for ascending in (True, False):
            ranking = compare({"lost": [1, INF, 1], "a": [5, 5.1, 5.2], "gone": [INF, INF, INF],
                               "b": [5.1, 5.0, 5.2]}, ascending)
            self.assertEqual([e.name for e in ranking.entries][2:], ["lost", "gone"])
            self.assertEqual(ranking.letters(), {"a": "a", "b": "a", "lost": "b", "gone": "b"})
            self.assertEqual(ranking.entries[-1].ratio.value, INF)
            self.assertIn("without a reply in some trial, thus in a group of their own: lost, gone",
                          ranking.note)

    def test_zero_is_a_fact_too(self):
        samples = {"a": [1, 1.1, 1.2], "none": [0, 0, 0], "hardly": [0, 0.1, 0]}
        ranking = compare(samples)
        self.assertEqual(ranking.letters(), {"none": "a", "hardly": "", "a": "b"})
        self.assertEqual({e.ratio.valid for e in ranking.entries}, {False})
        down = compare(samples, False)
        self.assertEqual(down.letters(), {"a": "a", "hardly": "", "none": "b"})
        self.assertEqual([e.ratio.value for e in down.entries if e.name == "none"], [0])

    def test_small_is_no_difference_however_sure(self):
        samples = {"a": [100, 100.01, 100.02], "b": [102, 102.01, 102.02],
                   "c": [104, 104.01, 104.02]}
        self.assertEqual(compare(samples).letters(), {"a": "a", "b": "ab", "c": "b"})
        same = {"a": [100] * 3, "b": [104] * 3, "c": [100] * 3}
        self.assertEqual(compare(same).letters(), {"a": "a", "c": "a", "b": "b"})

    def test_one_trial_is_too_few(self):
        ranking = compare({"a": [1], "b": [9]})
        self.assertEqual(ranking.note, "one trial each: too few to say who differs")
        self.assertEqual(ranking.letters(), {"a": "", "b": ""})
        self.assertAlmostEqual(ranking.entries[1].ratio.value, 9)
        self.assertIsNone(ranking.entries[1].ratio.low)
        mixed = compare({"a": [1, 1.01, 1.02], "b": [9], "c": [2, 2.01, 2.03]})
        self.assertEqual(mixed.letters(), {"a": "a", "c": "b", "b": ""})
        self.assertIn("to say: b", mixed.note)

    def test_note_names_what_chance_could_do(self):
        """Three of three trials, s = 0.1: exp(0.2505) = 1.28."""
        samples = {name: spread_alike(100, 0.1, 3) for name in "abc"}
        self.assertEqual(compare(samples).note,
                         "with 3 trials, factors below about 1.28 are within chance")
        samples["d"] = samples["a"] * 2
        self.assertIn("with 3 to 6 trials", compare(samples).note)

    def test_nothing_to_compare(self):
        self.assertEqual(compare({}), groups.Ranking([], ""))
        alone = compare({"a": [1, 2], "b": []})
        self.assertEqual((alone.letters(), alone.note),
                         ({"a": "a"}, "one alone: nobody to compare with"))

    def test_ends(self):
        far = compare({"a": [1, 1.01, 1.02], "b": [2, 2.01, 2.03]})
        self.assertEqual([far.ends()[0].name, far.ends()[1].name, far.ends()[2]], ["a", "b", True])
        self.assertIsNone(far.ends(leaving_out=("a",)))
        near = compare({"a": [1, 1.2, 1.4], "b": [1.3, 1.5, 1.7]})
        self.assertFalse(near.ends()[2])
        for value, differ in ((1.4, False), (1.6, True), (INF, True)):
            self.assertEqual(compare({"a": [1], "b": [value]}).ends()[2], differ)

    def test_label(self):
        ranking = compare({"a": [1, 1.01, 1.02], "b": [9]})
        self.assertEqual([ranking.label(n, "1 ms") for n in ("a", "b", "absent")],
                         ["1 ms  a", "1 ms", "1 ms"])


class FakeRun:
    """What rank() asks of a Run. `values`: {architecture: (valid, invalid)}"""
    def __init__(self, values):
        self.of = values

    def archs(self, _workload):
        return list(self.of)

    def twins(self):
        return []

    def values(self, _workload, _point, arch, _metric, _cls):
        return self.of[arch]


class OfARun(unittest.TestCase):
    RUN = FakeRun({"bad": ([], [7.0]), "worse": ([], [1.0, 9.0]), "b": ([3, 3.1, 3.2], [1.0]),
                   "a": ([1, 1.01, 1.02], []), "unmeasured": ([], [])})

    def test_invalid_ones_come_last_without_letters(self):
        ranking = groups.rank(self.RUN, "io", "base", "rate")
        self.assertEqual([(e.name, e.letters, e.estimate.valid, e.ratio.valid)
                          for e in ranking.entries],
                         [("a", "a", True, True), ("b", "b", True, True),
                          ("worse", "", False, False), ("bad", "", False, False)])
        down = groups.rank(self.RUN, "io", "base", "rate", ascending=False)
        self.assertEqual([e.name for e in down.entries], ["b", "a", "bad", "worse"])
        self.assertEqual([e.name for e in ranking.ends()[:2]], ["a", "b"])

    def test_only_some(self):
        ranking = groups.rank(self.RUN, "io", "base", "rate", archs=["bad"])
        self.assertEqual(ranking.note, "no valid trial")
        self.assertIsNone(ranking.ends())
        self.assertEqual(groups.rank(self.RUN, "io", "base", "rate", archs=[]).note, "")


class Legend(unittest.TestCase):
    def keys(self, **rankings):
        said = []

        class FakeChart:
            def key(self, label, **_look):
                said.append(label)
        groups.explain(FakeChart(), rankings)
        return said

    def test_letters_are_explained_where_there_are_any(self):
        lettered = compare({"a": [1, 1.1], "b": [2, 2.2]})
        silent = compare({"a": [1], "b": [2]})
        self.assertEqual(self.keys(io=lettered), [groups.KEY, lettered.note])
        self.assertEqual(self.keys(io=silent), [silent.note])
        self.assertEqual(self.keys(io=lettered, cpu=lettered), [groups.KEY])
        self.assertEqual(self.keys(io=lettered, cpu=silent),
                         [groups.KEY, "too few trials to say who differs in cpu"])
        self.assertEqual(self.keys(io=silent, cpu=silent), ["too few trials to say who differs"])


class Overview(unittest.TestCase):
    """How the table of everything shows groups."""

    def test_letters_stand_behind_the_value(self):
        entry = compare({"a": spread_alike(10, 0.01, 3), "b": spread_alike(20, 0.01, 3)}).entries[1]
        self.assertRegex(overview.with_interval(entry.estimate, entry.letters),
                         r"^20\.0 \[19\.8, 20\.2\] b$")
        cells = list(overview.numbers([entry.estimate, None], [entry, None]))
        self.assertEqual(len(cells), 14)
        self.assertEqual((cells[0], cells[3], cells[4], cells[7:]), ("20", "b", "2", [""] * 7))

    def test_nothing_is_claimed_of_what_is_not_valid(self):
        ranking = groups.rank(OfARun.RUN, "io", "base", "rate", archs=["bad", "a"])
        bad = ranking.entries[1]
        self.assertEqual(overview.with_interval(bad.estimate, bad.letters), "(7.00)")
        self.assertEqual(list(overview.numbers([bad.estimate], [bad]))[3:], [""] * 4)


class Intervals(unittest.TestCase):
    """What intervals hold of the truth, in many samples: to within three standard errors."""
    DRAWS = 600

    def setUp(self):
        self.rng = np.random.default_rng(17)

    def tolerance(self, share):
        return 3 * math.sqrt(share * (1 - share) / self.DRAWS) + 0.005

    def test_of_a_median(self):
        """Samples with a long tail; the true median is 1."""
        for trials in (2, 3, 5, 6, 7, 9):
            draws = np.exp(self.rng.normal(0, 0.5, (self.DRAWS, trials)))
            intervals = [estimates.bootstrap_median(list(d)) for d in draws]
            held = np.mean([low <= 1 <= high for low, high in intervals])
            stated = estimates.coverage(trials)
            self.assertGreater(held, stated - self.tolerance(stated), trials)
            if trials < 6:
                self.assertAlmostEqual(held, stated, delta=self.tolerance(stated))
            else:
                self.assertGreaterEqual(stated, 0.95)

    def test_stated_coverage(self):
        self.assertEqual([estimates.coverage(n) for n in (1, 2, 3, 4, 5)],
                         [0, 0.5, 0.75, 0.875, 0.9375])
        self.assertAlmostEqual(estimates.coverage(9), 1 - 2 * (1 + 9) / 2 ** 9)  # second and eighth

    def test_of_a_ratio_of_medians(self):
        for trials, expected in ((3, 0.90), (5, 0.97)):
            held = 0
            for _ in range(self.DRAWS):
                above, below = np.exp(self.rng.normal(0, 0.1, (2, trials))).tolist()
                e = estimates.ratio_of_medians([2 * x for x in above], below)
                held += e.low <= 2 <= e.high
            self.assertAlmostEqual(held / self.DRAWS, expected, delta=self.tolerance(expected))
