"""The lines of timeseries.jsonl, interval by interval: docs/loadgen-json.md."""
import math


def rows_of(run, cell, cls):
    """[(end of the interval in s, what the generator wrote of class `cls`)]; [] without a file."""
    return [(row["time_s"], row["classes"][cls]) for row in run.timeseries(cell)
            if cls in row.get("classes", {})]


def number(row, key):
    """A rate as it is; a latency in ms, infinite when all there was in the interval failed, None
    when nothing ended in it."""
    if not key.endswith("_us"):
        return row[key]
    if row[key] is None:
        return math.inf if row["errors"] else None
    return 1e-3 * row[key]
