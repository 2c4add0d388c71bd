"""A row for each architecture with two latencies: a small mark, a large one, and a limit as a line."""
import math

from archbench.drawing import chart, style
from archbench.formats.run import NoData
from archbench.stats.estimates import extremes, ranked


def pairs(run, archs, small, large):
    """{arch: (Estimate, Estimate) in ms}, best first by the second; small(arch) and large(arch) are
    Estimates in microseconds or None. Architectures that lack one are left out."""
    found = {a: (small(a), large(a)) for a in style.in_order(archs)}
    found = {a: tuple(e.scaled(1e-3) for e in pair) for a, pair in found.items() if all(pair)}
    return {a: found[a] for a in ranked({a: pair[1] for a, pair in found.items()})}


def ends(found, beside, alike):
    """A title: which of them have the smallest and the largest of the second values. `beside`: what they are,
    such as 'the p99 of trades'; `alike`: what to say when nobody differs."""
    values = {a: pair[1] for a, pair in found.items() if pair[1].valid}
    apart = extremes(values)
    if apart is None or not apart[2]:
        return alike
    low, high, _ = apart
    return (f"{beside} is {style.duration(1e3 * values[low].value)} in {low}, "
            f"{style.duration(1e3 * values[high].value)} in {high}")


def draw(run, found, label, title, limit_ms=None, limit_text="", subtitle=""):
    """The finished Chart of pairs()."""
    values = [e.value for pair in found.values() for e in pair if e.finite and e.value > 0]
    if not values:
        raise NoData("no finite latency of it was measured")
    c = chart.rows_chart(run, found, 0.5)
    (ax,) = c.axes
    shown = values + ([limit_ms] if limit_ms else [])
    low, high = min(shown), max(shown)
    right = high * max(high / low, 2) ** 0.08
    chart.log_x(ax, low / 1.4, right * max(right / low, 2) ** 0.25)
    for row, (arch, pair) in enumerate(found.items()):
        c.span(ax, row, arch, pair, right, words(pair))
    if limit_ms:
        ax.axvline(limit_ms, color=style.INK, linestyle="--", linewidth=2, zorder=0)
        c.key(limit_text, color=style.INK, linestyle="--", linewidth=2)
    c.name_rows(ax, list(found))
    ax.set_xlabel(label)
    return c.finish(title, subtitle)


def words(pair):
    """'0.42 ms, 1.90 ms' of both."""
    return ", ".join(style.duration(1e3 * e.value if math.isfinite(e.value) else e.value)
                     for e in pair)
