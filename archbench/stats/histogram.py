"""Histograms of response times as {upper bound in us: count}. They merge by addition; a request
without a good reply counts at math.inf."""
from collections import Counter
import math

BINS_PER_DOUBLING = 8
FIRST_DOUBLING = 10  # 2^10 ns
ROUNDING = 1e-9  # of a share times a count: 0.99 x 100 must not become 100


def add(histograms):
    """One histogram of all requests."""
    found = Counter()
    for histogram in histograms:
        found.update(histogram)
    return found


def quantile(histogram, share):
    """The smallest bound that at least this share of the requests does not exceed; None of an
    empty histogram."""
    rank = share * histogram.total() - ROUNDING
    below = 0
    for bound in sorted(histogram):
        below += histogram[bound]
        if below >= rank:
            return bound
    return None


def read_bins(pairs):
    """What a line of a time series has: [[upper bound in us or null, count], ...]."""
    return add({math.inf if bound is None else bound: count} for bound, count in pairs)


def lower_edge_us(upper_us):
    """Where a bin of a time series begins: there are eight equally wide ones in each doubling from
    1024 ns on, and as wide ones below (docs/loadgen-json.md). Infinite has no other edge."""
    if math.isinf(upper_us):
        return math.inf
    doubling = math.ceil(math.log2(upper_us * 1e3 * (1 - ROUNDING))) - 1
    return upper_us - 2 ** max(FIRST_DOUBLING, doubling) / BINS_PER_DOUBLING / 1e3


def share_above(histogram, limit_us):
    """The share of a time series' requests that surely took `limit_us` or more: those in the bin
    that holds the limit do not count. None of an empty histogram."""
    total = histogram.total()
    slow = sum(n for bound, n in histogram.items() if lower_edge_us(bound) >= limit_us)
    return slow / total if total else None


def of_class(run, cells, cls):
    """The histogram in us of a class in these cells together, from what the generator left beside
    them; empty when it left nothing."""
    return +add({bound: count} for cell in cells for bound, count in run.histogram(cell, cls))


def cells_to_merge(run, workload, point, arch):
    """(cells, are they valid?): the valid trials; where there are none, the others, to be shown as
    what they are."""
    cells = run.cells_at(workload, point, arch)
    valid = [c for c in cells if c["validity"]["verdict"] == "VALID"]
    return valid or cells, bool(valid)
