"""Statistics across the trials of one point."""
from dataclasses import dataclass, field
import math

import numpy as np

RESAMPLES = 2000
SEED = 1
LEVEL = 0.95  # that intervals are meant to have
# Without intervals (one trial), only a factor this large is called a difference.
FACTOR_WITHOUT_INTERVALS = 1.5
# Below this, intervals that do not touch still mean nothing to a user.
FACTOR_WITH_INTERVALS = 1.1


def median(values):
    """The median; the mean of the middle two for an even count. Infinite values sort last."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def outer_rank(trials):
    """The largest r such that the r-th smallest and the r-th largest of so many trials enclose the
    true median in at least LEVEL of all cases; 1 when no r does."""
    return max([1] + [r for r in range(1, trials // 2 + 1) if enclosing(r, trials) >= LEVEL])


def enclosing(rank, trials):
    """How often the order statistics `rank` from below and from above enclose the true median: each
    trial falls on either side of it like a coin."""
    outside = sum(math.comb(trials, k) for k in range(rank)) / 2 ** trials
    return 1 - 2 * outside


def coverage(trials):
    """How often the interval of bootstrap_median() holds the true median, at the least; 0 for one
    trial, that has none. 0.75 with 3 trials, 0.94 with 5, LEVEL or more from 6 on."""
    return enclosing(outer_rank(trials), trials) if trials > 1 else 0.0


def bootstrap_median(values):
    """(low, high): percentile bootstrap interval of the median, or None for one value.

    It is meant to hold the true median in 95 % of all cases. Up to 5 trials it is their range, and
    holds it less often: see coverage(). No interval without an assumption about the scatter could
    do better, for none can reach beyond the trials. From 6 on the bootstrap alone would hold it in
    88 % (7 trials) to 95 %; where it is too narrow it is widened to the order statistics that do
    hold it.

    Resamples are drawn with a fixed seed, so that a figure drawn twice is the same figure.
    Order statistics are picked, never interpolated: an infinite trial must stay infinite."""
    if len(values) < 2:
        return None
    data = np.sort(np.asarray(values, dtype=float))
    picks = np.random.default_rng(SEED).integers(0, len(data), (RESAMPLES, len(data)))
    medians = np.sort(np.median(data[picks], axis=1)).tolist()
    low, high = medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES) - 1]
    outer = outer_rank(len(data))
    return min(low, float(data[outer - 1])), max(high, float(data[-outer]))


@dataclass
class Estimate:
    """One metric of one point and architecture, over its trials.

    `value` is the median of the valid trials. When no trial is valid it is the median of the
    invalid ones, `valid` is False, and whoever shows it must say so."""

    value: float
    low: float = None  # the interval; None with fewer than two valid trials
    high: float = None
    trials: int = 0  # valid ones
    invalid: list = field(default_factory=list)  # values of the invalid trials

    @property
    def valid(self):
        return self.trials > 0

    @property
    def finite(self):
        return math.isfinite(self.value)

    def scaled(self, factor):
        """The same estimate in another unit."""
        return self._each(lambda x: x * factor)

    def at_least(self, floor):
        """The same estimate for a logarithmic axis, that has no place for less than `floor`."""
        return self._each(lambda x: max(x, floor))

    def _each(self, change):
        low, high = (None if x is None else change(x) for x in (self.low, self.high))
        return Estimate(change(self.value), low, high, self.trials, [change(x)
                                                                     for x in self.invalid])


def estimate(valid, invalid=()):
    """Summarise trials; None when there is nothing to summarise."""
    if not valid:
        return Estimate(median(invalid), invalid=list(invalid)) if invalid else None
    low, high = bootstrap_median(valid) or (None, None)
    return Estimate(median(valid), low, high, len(valid), list(invalid))


def ratio_of_medians(values, base):
    """How many times the median of `base` the median of `values` is; both are lists of valid
    trials. The interval comes from resampling both, for both scatter; there is none with fewer
    than two trials of either. It is meant to hold the true ratio in 95 % of all cases; of samples
    that scatter alike it does so in 90 % with 3 trials of each, in 97 % with 5 (simulated). None
    when a list is empty or the base's median is not above zero."""
    if not values or not base or median(base) <= 0:
        return None
    found = Estimate(median(values) / median(base), trials=min(len(values), len(base)))
    if found.trials > 1:
        random = np.random.default_rng(SEED)
        above, below = (np.median(random.choice(x, (RESAMPLES, len(x))), axis=1)
                        for x in (values, base))
        found.low, found.high = np.quantile(above / below, (0.025, 0.975)).tolist()
    return found


def clearly_above(high, low):
    """Is `high` above `low` by more than the trials scatter? Both must be valid."""
    if not (high.valid and low.valid) or not low.finite:
        return False
    if not high.finite:
        return True
    if high.low is None or low.high is None:
        return high.value > FACTOR_WITHOUT_INTERVALS * low.value
    return high.low > low.high and high.value > FACTOR_WITH_INTERVALS * low.value


def extremes(estimates):
    """(name of the smallest, name of the largest, is the difference clear?) among the valid
    estimates of {name: Estimate}; None with fewer than two."""
    valid = {k: e for k, e in estimates.items() if e is not None and e.valid}
    if len(valid) < 2:
        return None
    low = min(valid, key=lambda k: valid[k].value)
    high = max(valid, key=lambda k: valid[k].value)
    return low, high, clearly_above(valid[high], valid[low])


def ranked(estimates):
    """The names of {name: Estimate or None}, smallest value first; those without one last, as they
    came."""
    return sorted(estimates, key=lambda k: estimates[k].value if estimates[k] else math.inf)
