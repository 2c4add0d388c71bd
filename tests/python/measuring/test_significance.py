"""Differences between runs, on samples of which the truth is known."""
import math
import unittest

import numpy as np
from scipy import stats

from archbench.stats import significance
from archbench.stats.significance import Row

UNTIMED = True  # it starts no server and measures no time


class Samples(unittest.TestCase):
    def setUp(self):
        self.rng = np.random.default_rng(11)

    def rows(self, count, sd=0.03, trials=3, drift=0.0, group_size=10, changed=()):
        """Rows whose trials scatter by sd; each run's rows are off by `drift` besides. changed:
        {index: factor}."""
        changed = dict(changed)
        made = []
        for i in range(count):
            level = math.exp(self.rng.normal(5, 2))
            own = sd * math.sqrt(stats.invgamma.rvs(8, scale=7, random_state=self.rng))
            runs = [tuple(level * factor * math.exp(self.rng.normal(0, drift) if drift else 0)
                          * np.exp(self.rng.normal(0, own, trials)))
                    for factor in (1.0, changed.get(i, 1.0))]
            made.append(Row((i,), (i // group_size,), *runs))
        return made

    def significant(self, rows):
        return {d.row.key[0] for d in significance.compare(rows)[0] if d.significant}

    def test_nothing_changed(self):
        """The same twice: hardly ever anything."""
        wrong = [len(self.significant(self.rows(200))) for _ in range(20)]
        self.assertLessEqual(np.mean(wrong), 0.5)

    def test_a_drift_between_the_runs_is_no_difference(self):
        """Twice the scatter of the trials, in each row on its own, as a machine's moods make it."""
        wrong = [len(self.significant(self.rows(200, drift=0.06))) for _ in range(20)]
        self.assertLessEqual(np.mean(wrong), 1)

    def test_a_whole_group_that_moves_is_a_shift(self):
        rows = self.rows(60, changed={i: 1.2 for i in range(20, 30)})
        found, shifts = significance.compare(rows)
        self.assertEqual({d.row.key[0] for d in found if d.significant}, set())
        self.assertAlmostEqual(shifts[(2,)], 1.2, delta=0.05)
        self.assertAlmostEqual(shifts[(0,)], 1.0, delta=0.05)

    def test_a_program_at_many_points_is_not_the_machine(self):
        """Of each group six rows are of one program, which was changed, and four are of four others:
        as rows they are the majority, as programs one of five."""
        changed = {i: 1.3 for i in range(100) if i % 10 < 6}
        rows = self.rows(100, changed=changed)
        found, shifts = significance.compare(
            rows, program=lambda row: 0 if row.key[0] in changed else row.key[0])
        for group in range(10):
            self.assertAlmostEqual(shifts[(group,)], 1.0, delta=0.05)
        ratios = [d.ratio for d in found if d.row.key[0] in changed]
        self.assertAlmostEqual(np.median(ratios), 1.3, delta=0.03)

    def test_a_program_that_is_alone_has_no_machine_beside_it(self):
        rows = self.rows(30, changed={i: 1.3 for i in range(30)})
        found, shifts = significance.compare(rows, program=lambda row: row.key[0] % 2)
        self.assertEqual(set(shifts.values()), {1.0})
        self.assertEqual(len([d for d in found if d.significant]), 30)

    def test_a_shift_is_no_surer_than_the_rows_it_comes_from(self):
        """Groups of four, of which two scatter by 20 % and two by 1 %: what the former have by
        chance is set aside for all four, and is no difference of the latter."""
        false = sum(len(self.significant(
            [Row((i,), (i // 4,), *np.exp(self.rng.normal(0, 0.2 if i % 4 < 2 else 0.01, (2, 5))))
             for i in range(80)])) for _ in range(25))
        self.assertLessEqual(false, 5)

    def test_what_changed_is_found_and_nothing_else(self):
        changed = {i: 1.1 for i in range(0, 200, 20)}
        hits, wrong = 0, 0
        for _ in range(10):
            found = self.significant(self.rows(200, sd=0.015, changed=changed))
            hits += len(found & set(changed))
            wrong += len(found - set(changed))
        self.assertGreaterEqual(hits, 95)
        self.assertLessEqual(wrong, 10)

    def test_intervals_cover(self):
        """95 % of them hold the true ratio, which is 1."""
        held = [d.low <= 1 <= d.high for _ in range(10)
                for d in significance.compare(self.rows(200))[0]]
        self.assertAlmostEqual(np.mean(held), 0.95, delta=0.025)

    def test_small_is_not_significant_however_sure(self):
        rows = self.rows(50, sd=0.0005, changed={7: 1.02, 8: 1.05})
        self.assertEqual(self.significant(rows), {8})

    def single(self, factor):
        return Row(("x",), ("x", 0), (1.0,), (factor,))

    def test_one_trial_is_judged_by_the_scatter_of_its_like(self):
        """Rows of 3 % scatter say that 9 is no chance, and that 1.05 may well be."""
        for factor, differs in (9.0, True), (1.05, False):
            last = significance.compare(self.rows(30) + [self.single(factor)])[0][-1]
            self.assertAlmostEqual(last.ratio, factor)
            self.assertEqual((last.known, last.significant), (True, differs))
            self.assertLess(last.low, factor)

    def test_single_trials_are_judged_by_each_other(self):
        """Where no row has any scatter of its own to show: most have not changed."""
        rows = [Row((i,), (i, 0), (1.0,), (math.exp(self.rng.normal(0, 0.05)),)) for i in range(40)]
        found = significance.compare(rows + [self.single(20.0)])[0]
        self.assertEqual([d.significant for d in found], [False] * 40 + [True])
        self.assertTrue(all(d.known for d in found))

    def test_a_few_single_trials_say_nothing(self):
        rows = [Row((i,), (i, 0), (1.0,), (1 + i / 10,)) for i in range(5)]
        self.assertEqual({(d.known, d.significant) for d in significance.compare(rows)[0]},
                         {(False, False)})

    def test_twins_bear_witness(self):
        """Single trials only, but ten pairs of twins that differ by 3 %."""
        twins = [Row((i,), (i, 0), tuple(np.exp(self.rng.normal(0, 0.03, 2))), ())
                 for i in range(10)]
        rows = [self.single(math.exp(self.rng.normal(0, 0.04))) for _ in range(30)]
        found = significance.compare(rows + [self.single(2.0)], witnesses=twins)[0]
        self.assertEqual([d.significant for d in found], [False] * 30 + [True])
        self.assertTrue(all(d.known for d in found))

    def test_single_trials_where_nothing_changed(self):
        """A hundred rows of three trials, and a hundred of one: hardly ever anything."""
        wrong = 0
        for _ in range(20):
            rows = self.rows(100, group_size=50) + self.rows(100, group_size=50, trials=1)
            wrong += len(self.significant(rows))
        self.assertLessEqual(wrong / 20, 0.5)

    def test_nothing_below_the_floor(self):
        rows = self.rows(50, sd=0.0005, changed={7: 1.08, 8: 1.2})
        found = significance.compare(rows, least=lambda row: 1.1)[0]
        self.assertEqual({d.row.key[0] for d in found if d.significant}, {8})

    def test_the_prior_is_found_again(self):
        """Variances drawn from a known distribution: 10 degrees of freedom around 0.04."""
        true = 0.04 * 10 / self.rng.chisquare(10, 5000)
        observed = true * self.rng.chisquare(4, 5000) / 4
        freedom, variance = significance.prior_of(observed, [4] * 5000)
        self.assertAlmostEqual(freedom, 10, delta=1.5)
        self.assertAlmostEqual(variance, 0.04, delta=0.003)
        same = 0.04 * self.rng.chisquare(4, 5000) / 4
        self.assertGreater(significance.prior_of(same, [4] * 5000)[0], 60)

    def test_false_discovery(self):
        """The example of the paper: 4 of 15."""
        p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240,
             0.4262, 0.5719, 0.6528, 0.7590, 1.0]
        self.assertEqual(significance.false_discovery(p[::-1])[::-1].tolist(),
                         [True] * 4 + [False] * 11)
        self.assertEqual(significance.false_discovery([]).tolist(), [])

    def test_holm(self):
        """0.01 <= 0.05 / 4 and 0.013 <= 0.05 / 3, but 0.03 > 0.05 / 2, which ends it."""
        self.assertEqual(significance.holm([0.03, 0.01, 0.04, 0.013]).tolist(),
                         [False, True, False, True])
        self.assertEqual(significance.holm([]).tolist(), [])

    def test_signed_ranks(self):
        """Of 1 to 12, two orders of signs in 4,096 are as extreme; the table's 95 % interval leaves
        out 13 averages at each end."""
        values = np.arange(1.0, 13.0)
        centre, low, high, p = significance.signed_ranks(values)
        self.assertEqual(centre, 6.5)
        averages = sorted((a + b) / 2 for k, a in enumerate(values) for b in values[k:])
        self.assertIn(low, averages[13:15])
        self.assertEqual(high, 13 - low)
        self.assertAlmostEqual(p, 2 / 2**12, delta=0.002)
        self.assertEqual(significance.signed_ranks(np.zeros(12))[0::3], (0, 1))

    def test_intervals_of_signed_ranks_cover(self):
        held = []
        for _ in range(1000):
            _, low, high, _ = significance.signed_ranks(self.rng.standard_t(5, 15) + 1)
            held.append(low <= 1 <= high)
        self.assertAlmostEqual(np.mean(held), 0.95, delta=0.02)

    def cells(self, changed=(), each=30):
        """Single trials of ten servers in so many workloads, two rows of each cell with the same
        disturbance, on a machine that is another one for each workload."""
        made = []
        for workload in range(each):
            shift = self.rng.normal(0, 0.1)
            for server in range(10):
                off = shift + self.rng.normal(0, 0.08) + math.log(dict(changed).get(server, 1))
                for cls in "ab":
                    level = math.exp(self.rng.normal(5, 2))
                    made.append(Row((server, workload), (workload, cls), (level,),
                                    (level * math.exp(off),)))
        return made

    @staticmethod
    def overall(rows):
        """Of rows of cells(), whose keys are (server, workload)."""
        return significance.overall(significance.compare(rows)[0], lambda row: row.key)

    def test_the_same_servers_twice(self):
        """Anything at all is found in one comparison of twenty."""
        wrong = 0
        for _ in range(100):
            found = self.overall(self.cells())
            self.assertEqual([o.cells for o in found], [30] * 10)
            wrong += any(o.significant for o in found)
        self.assertLessEqual(wrong, 10)

    def test_a_server_that_is_slower_in_each_cell(self):
        hits = 0
        for _ in range(20):
            found = [o for o in self.overall(self.cells({4: 1.1})) if o.significant]
            hits += [o.what for o in found] == [4] and found[0].low < 1.1 < found[0].high
        self.assertGreaterEqual(hits, 16)

    def test_few_cells_say_nothing_together(self):
        self.assertEqual(self.overall(self.cells(each=9)), [])

    def test_nothing_to_compare(self):
        self.assertEqual(significance.compare([]), ([], {}))
        self.assertEqual(significance.overall([], None), [])
