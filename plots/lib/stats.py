"""Statistics across the trials of one point."""
from dataclasses import dataclass, field
import math

import numpy as np

RESAMPLES = 2000
SEED = 1
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


def bootstrap_median(values):
    """(low, high): 95 % percentile bootstrap interval of the median, or None for one value.

    Resamples are drawn with a fixed seed, so that a figure drawn twice is the same figure.
    Order statistics are picked, never interpolated: an infinite trial must stay infinite."""
    if len(values) < 2:
        return None
    data = np.asarray(values, dtype=float)
    picks = np.random.default_rng(SEED).integers(0, len(data), (RESAMPLES, len(data)))
    medians = np.sort(np.median(data[picks], axis=1)).tolist()
    return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES) - 1]


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
    than two trials of either. None when a list is empty or the base's median is not above zero."""
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
