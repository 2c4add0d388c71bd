"""Which of many rows really differ between two runs, from a few trials of each.

Three trials say little about the scatter of one row, but hundreds of rows say much about that of
rows like it. So a row's variance is drawn towards that of the others (moderated t statistics: Smyth
2004), what a whole group of rows has in common is set aside (the machine was faster that day), and
if the statistics of all rows scatter more than chance allows, as a drift between the runs makes
them, they are scaled down accordingly (empirical null: Efron 2004). Of the differences that remain
at most 5 % may be false (Benjamini and Hochberg 1995).

A row of single trials has no scatter of its own to show. It is judged by that of the rows of the
same metric that have some: trials of one cell, and the twins of a run (noise.py). What they know of
an unknown row is the same t, with as many degrees of freedom as those rows are alike (Smyth's d0).
Where they are too unlike for that, single trials are judged by each other: most rows have not
changed, so the scatter of their effects, taken robustly, is that of chance: that of all rows of the
metric, or of the row's own workload where it is larger. Its tails are taken to be as heavy as those
of t with two degrees of freedom, for some rows scatter many times as much as others.

A server that was changed shows it in all its cells, a little in each. So the effects of all cells
of a server are tested together as well, single trials among them: Wilcoxon's signed ranks, with the
estimate and interval of Hodges and Lehmann (1963); the chance of any false one among all servers
and metrics is 5 % (Holm 1979)."""
from collections import defaultdict
from dataclasses import dataclass
import math

import numpy as np
from scipy import special, stats

FALSE_SHARE = 0.05  # of the differences that are reported
FALSE_CHANCE = 0.05  # that any is reported of all servers where nothing has changed
LEVEL = 0.95
LEAST_FACTOR = 1.03  # a difference below this interests nobody, however sure it is
ROWS_FOR_POOL = 8  # of one metric, with scatter of their own: fewer tell nothing of the others
LEAST_FREEDOM = 2  # degrees of freedom, of a row and its like, below which its scatter is not known
TAILS = 2  # degrees of freedom of the t that effects of single trials are taken to follow
PROGRAMS_FOR_SHIFT = 3  # a group must have rows of so many to tell what they have in common
ROWS_FOR_NULL = 10
CELLS_FOR_OVERALL = 10  # fewer are too few for the normal approximation of signed ranks
MAD_TO_SD = 1.4826
MEDIAN_TO_MEAN = math.sqrt(math.pi / 2)  # how much farther a median scatters than a mean does


@dataclass(frozen=True)
class Row:
    """Positive values of one metric in two runs, a value per trial. `group`: rows that the machine
    would change together."""
    key: tuple
    group: tuple
    before: tuple
    after: tuple


@dataclass(frozen=True)
class Difference:
    row: Row
    ratio: float  # after / before, geometric means, less the shift of the group
    low: float  # its interval
    high: float
    p: float
    significant: bool
    known: bool  # False: too little is known of its scatter to say more than the ratio


@dataclass(frozen=True)
class Overall:
    """One metric of one server over all its cells."""
    what: tuple
    cells: int
    ratio: float  # after / before, less the shifts of the groups
    low: float  # its interval
    high: float
    p: float
    significant: bool


def trigamma_inverse(y):
    """x with trigamma(x) = y, by Newton's method (Smyth 2004, appendix)."""
    if y > 1e7:
        return 1 / math.sqrt(y)
    if y < 1e-6:
        return 1 / y
    x = 0.5 + 1 / y
    for _ in range(50):
        trigamma = special.polygamma(1, x)
        step = trigamma * (1 - trigamma / y) / special.polygamma(2, x)
        x += step
        if -step / x < 1e-8:
            break
    return x


def prior_of(variances, freedom):
    """(degrees of freedom, variance) that the rows' own variances are drawn towards: an F
    distribution fitted to the moments of their logarithms."""
    variances, freedom = np.asarray(variances, float), np.asarray(freedom, float)
    usable = (freedom > 0) & (variances > 0)
    if usable.sum() < 2:
        return 0.0, float(variances[usable][0]) if usable.any() else 0.0
    v, d = variances[usable], freedom[usable]
    e = np.log(v) - special.digamma(d / 2) + np.log(d / 2)
    spread = e.var(ddof=1) - special.polygamma(1, d / 2).mean()
    if spread <= 0:
        return math.inf, float(np.exp(e.mean()))
    d0 = 2 * trigamma_inverse(spread)
    return d0, float(np.exp(e.mean() + special.digamma(d0 / 2) - np.log(d0 / 2)))


def moderated(variance, freedom, prior):
    """(variance, degrees of freedom) of a row after it was drawn towards the prior."""
    d0, s0 = prior
    if math.isinf(d0):
        return s0, math.inf
    total = d0 + freedom
    return ((d0 * s0 + freedom * variance) / total if total else 0.0), total


def shifts(rows, effects, errors, program):
    """{group: (what its rows have in common, its standard error)}: the median of the effects on its
    programs. All rows of a program count as one: one that was changed alone must not be taken for
    the machine because it is there under two names, or at many points. A few rows that scatter do
    not tell the shift well, and then nobody can be said to differ from it."""
    groups = defaultdict(lambda: defaultdict(list))
    for row, effect, error in zip(rows, effects, errors):
        groups[row.group][program(row)].append((effect, error))
    return {group: shift([of_program(np.array(found)) for found in programs.values()])
            for group, programs in groups.items()}


def of_program(found):
    """(mean effect, its standard error) of rows with these (effect, standard error)."""
    effects, errors = found.T
    return float(effects.mean()), math.sqrt(float(np.mean(errors**2)) / len(errors))


def shift(programs):
    """Of one group, on whose programs this was the effect, with its standard error."""
    if len(programs) < PROGRAMS_FOR_SHIFT:
        return 0.0, 0.0
    effects, errors = np.transpose(programs)
    error = math.sqrt(float(np.mean(errors**2)) / len(errors))
    return float(np.median(effects)), MEDIAN_TO_MEAN * error


def false_discovery(p_values, share=FALSE_SHARE):
    """Which hypotheses to reject so that at most `share` of them are rejected wrongly."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    passes = p[order] <= share * np.arange(1, len(p) + 1) / len(p)
    chosen = np.zeros(len(p), bool)
    if passes.any():
        chosen[order[:np.flatnonzero(passes)[-1] + 1]] = True
    return chosen


def logs(values):
    return np.log(np.asarray(values, float))


def within(row):
    """(variance, degrees of freedom) of a row's trials around the mean of their run."""
    parts = [logs(values) for values in (row.before, row.after) if len(values)]
    freedom = sum(len(x) - 1 for x in parts)
    squares = sum(float(((x - x.mean())**2).sum()) for x in parts)
    return (squares / freedom if freedom else 0.0), freedom


def standard_error(row, variance):
    return math.sqrt(variance * (1 / len(row.before) + 1 / len(row.after)))


def null_scale(t):
    """How much wider than chance the bulk of the statistics is; 1 when it is not."""
    if len(t) < ROWS_FOR_NULL:
        return 1.0
    return max(1.0, MAD_TO_SD * float(np.median(np.abs(t - np.median(t)))))


def metric_of(row):
    """What rows must have in common to be alike in their scatter: the last word of their group."""
    return row.group[-1]


def priors(rows, witnesses):
    """{metric: (degrees of freedom, variance)} as prior_of(), each of the rows and witnesses of
    that metric, where these are enough, else of all."""
    everyone = [(metric_of(r), *within(r)) for r in [*rows, *witnesses]]
    common = prior_of([v for _, v, _ in everyone], [d for *_, d in everyone])
    found = {}
    for metric in {m for m, *_ in everyone}:
        own = [(v, d) for m, v, d in everyone if m == metric and d > 0 and v > 0]
        found[metric] = prior_of(*zip(*own)) if len(own) >= ROWS_FOR_POOL else common
    return found


def is_known(row, scatter, prior):
    """Does the row itself, or do those of its metric, say how it scatters?"""
    if min(len(row.before), len(row.after)) >= 2:
        return True
    return prior[0] + scatter[1] >= LEAST_FREEDOM and prior[1] > 0


def pooled(rows, statistics, known):
    """The statistics (effect, error, degrees of freedom), where rows that are not known have got
    those of their metric's single trials, which says how many they must be; and who is known
    now."""
    residuals = defaultdict(list)
    for row, (effect, *_), sure in zip(rows, statistics, known):
        if not sure:
            residuals[metric_of(row)].append(effect)
            residuals[row.group[0], metric_of(row)].append(effect)
    scales = {of: float(np.median(np.abs(found))) / stats.t.ppf(0.75, TAILS)
              for of, found in residuals.items() if len(found) >= ROWS_FOR_POOL}
    together = []
    for row, statistic, sure in zip(rows, statistics, known):
        scale = 0.0 if sure else scales.get(metric_of(row), 0.0)
        scale = scale and max(scale, scales.get((row.group[0], metric_of(row)), 0.0))
        together.append(((statistic[0], scale, TAILS) if scale else statistic, sure or scale > 0))
    return zip(*together) if together else ((), ())


def compare(rows, least=lambda row: LEAST_FACTOR, witnesses=(), program=lambda row: row.key):
    """[Difference] in the order of rows, and {group: shift factor}. `least(row)`: the factor below
    which nothing is called a difference. `witnesses`: Rows of which only the scatter counts.
    `program(row)`: rows with the same one would change together if it were changed."""
    effects = [float(logs(r.after).mean() - logs(r.before).mean()) for r in rows]
    scatter = [within(r) for r in rows]
    prior = priors(rows, witnesses)
    known = [is_known(r, s, prior[metric_of(r)]) for r, s in zip(rows, scatter)]

    drawn = [moderated(*s, prior[metric_of(r)]) for r, s in zip(rows, scatter)]
    errors = [standard_error(row, variance) for row, (variance, _) in zip(rows, drawn)]
    common = shifts(rows, effects, errors, program)
    statistics = []
    for row, effect, error, (_, freedom) in zip(rows, effects, errors, drawn):
        centre, beside = common[row.group]
        statistics.append((effect - centre, math.hypot(error, beside), freedom))
    statistics, known = pooled(rows, statistics, known)
    scale = null_scale(np.array([e / s for (e, s, _), k in zip(statistics, known) if k and s > 0]))

    found = []
    for row, (effect, error, freedom), sure in zip(rows, statistics, known):
        error *= scale
        spread = stats.t if math.isfinite(freedom) else stats.norm
        shape = (freedom,) if math.isfinite(freedom) else ()
        p = float(2 * spread.sf(abs(effect) / error, *shape)) if sure and error > 0 else math.nan
        half = error * spread.ppf((1 + LEVEL) / 2, *shape) if sure else math.nan
        found.append((row, effect, half, p, sure))
    tested = [i for i, entry in enumerate(found) if not math.isnan(entry[3])]
    chosen = dict(zip(tested, false_discovery([found[i][3] for i in tested])))
    return [Difference(row, math.exp(effect), math.exp(effect - half), math.exp(effect + half), p,
                       bool(chosen.get(i, False)) and abs(effect) >= math.log(least(row)), sure)
            for i, (row, effect, half, p, sure) in enumerate(found)], \
        {group: math.exp(centre) for group, (centre, _) in common.items()}


def signed_ranks(effects):
    """(Hodges-Lehmann estimate, low, high, p) of the centre of effects, which are symmetric about
    it: p for a centre of 0."""
    n = len(effects)
    i, j = np.triu_indices(n)
    walsh = np.sort((effects[i] + effects[j]) / 2)
    reach = stats.norm.ppf((1 + LEVEL) / 2) * math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    k = max(0, math.floor(n * (n + 1) / 4 - reach))
    p = stats.wilcoxon(effects, zero_method="zsplit", mode="approx").pvalue if effects.any() else 1
    return float(np.median(walsh)), float(walsh[k]), float(walsh[-1 - k]), float(p)


def holm(p_values, error=FALSE_CHANCE):
    """Which hypotheses to reject so that the chance of any false rejection is at most `error`."""
    order = np.argsort(p_values)
    bounds = error / np.arange(len(p_values), 0, -1)
    passes = np.logical_and.accumulate(np.asarray(p_values, float)[order] <= bounds)
    chosen = np.zeros(len(p_values), bool)
    chosen[order[passes]] = True
    return chosen


def overall(differences, belongs):
    """[Overall] of those with cells enough, the surest first. `differences`: of all rows, as
    compare() found them. belongs(row): (what, cell), where the rows of one cell count as one, for
    they have their disturbances in common."""
    found = defaultdict(lambda: defaultdict(list))
    for difference in differences:
        what, cell = belongs(difference.row)
        found[what][cell].append(math.log(difference.ratio))
    means = {what: np.array([np.mean(several) for several in cells.values()])
             for what, cells in found.items() if len(cells) >= CELLS_FOR_OVERALL}
    tested = {what: signed_ranks(own) for what, own in means.items()}
    chosen = holm([p for *_, p in tested.values()])
    together = [Overall(what, len(means[what]), *np.exp((centre, low, high)).tolist(), p,
                        bool(sure) and abs(centre) >= math.log(LEAST_FACTOR))
                for (what, (centre, low, high, p)), sure in zip(tested.items(), chosen)]
    return sorted(together, key=lambda o: o.p)
