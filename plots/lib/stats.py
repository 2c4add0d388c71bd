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
    medians = sorted(median(row) for row in data[picks].tolist())
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
        def times(x):
            return None if x is None else x * factor
        return Estimate(self.value * factor, times(self.low), times(self.high), self.trials,
                        [times(x) for x in self.invalid])


def estimate(valid, invalid=()):
    """Summarise trials; None when there is nothing to summarise."""
    if not valid:
        return Estimate(median(invalid), invalid=list(invalid)) if invalid else None
    low, high = bootstrap_median(valid) or (None, None)
    return Estimate(median(valid), low, high, len(valid), list(invalid))


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
