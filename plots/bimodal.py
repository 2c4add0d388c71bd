#!/usr/bin/python3
"""How long does a short request wait when others are slow?

Response times of the short requests only, on a logarithmic scale: from p50 (small) to p99 (large).
The pale pair above a strong one, where measured, are the same short requests without slow
ones. The dashed line is the CPU time of one slow request: who crosses it has waited for a
whole one."""
from lib import chart, style
from lib.run import CPU_CLASSES, NoData
from lib.stats import extremes

WORKLOAD = "bimodal"


def slow_share(run, point):
    """The share of requests of this point that are not of the short class."""
    short = run.short_class(WORKLOAD)
    slow = everything = 0
    for arch in run.archs(WORKLOAD):
        for cls in run.classes(WORKLOAD):
            e = run.estimate(WORKLOAD, point, arch, "requests", cls)
            everything += e.value if e else 0
            slow += e.value if e and cls != short else 0
    return slow / everything if everything else 0


def split_points(run):
    """(point with the mix, point with short requests alone or None)."""
    shares = {p: slow_share(run, p) for p in run.points(WORKLOAD)}
    mixed = max(shares, key=lambda p: shares[p])
    alone = [p for p, s in shares.items() if s == 0 and p != mixed]
    return mixed, (alone or [None])[0]


def slow_cpu_us(run):
    """CPU time of one slow request, or None when the workload file does not say."""
    workload = run.workload(WORKLOAD)
    found = [workload.cpu_s(c) for c in workload.classes if c in CPU_CLASSES]
    return next((1e6 * s for s in found if s), None)


def percentiles(run, point, arch):
    """(p50, p99) of the short class in milliseconds; either may be None."""
    cls = run.short_class(WORKLOAD)
    found = (run.estimate(WORKLOAD, point, arch, f"response_{p}_us", cls) for p in ("p50", "p99"))
    return [e.scaled(1e-3) if e else None for e in found]


def finding(p99, cls):
    ends = extremes(p99)
    if ends is None:
        return f"Response time of {cls} requests beside slow ones"
    low, high, clear = ends
    if not clear:
        return f"No clear difference: beside slow requests, {cls} ones fare alike everywhere"
    return (f"Beside slow requests, the p99 of {cls} ones is "
            f"{style.duration(1e3 * p99[low].value)} in {low}, "
            f"{style.duration(1e3 * p99[high].value)} in {high}")


def pair(c, ax, y, arch, ends, right, pale=False):
    """One p50-p99 pair with its numbers."""
    colour, marker = style.look(arch)
    p50, p99 = ends
    at = [e.value if e.finite else right for e in ends]
    ax.plot(at, [y, y], color=colour, linewidth=3 if pale else 7, alpha=0.35,
            solid_capstyle="round", zorder=1)
    c.point(ax, at[0], y, c.saw(p50), colour, marker, size=6 if pale else 9, vertical=False)
    c.point(ax, at[1], y, c.saw(p99), colour, marker if p99.finite else ">",
            size=9 if pale else 16, vertical=False)
    text = style.duration(1e3 * p99.value) + (" alone" if pale else "")
    ax.annotate(text, (max(at[1], p99.high if p99.high and p99.finite else 0), y),
                xytext=(16, 0), textcoords="offset points", va="center",
                fontsize=13 if pale else 17, fontweight="normal" if pale else "bold",
                color=style.GREY if pale else style.INK, annotation_clip=False,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}, zorder=3)


def draw(run):
    run.need(WORKLOAD)
    cls = run.short_class(WORKLOAD)
    mixed, alone = split_points(run)
    archs = style.in_order(run.archs(WORKLOAD))
    rows = {a: percentiles(run, mixed, a) for a in archs}
    calm = {a: percentiles(run, alone, a) if alone else [None, None] for a in archs}
    pairs = [p for p in (*rows.values(), *calm.values()) if None not in p]
    values = [e.value for p in pairs for e in p if e.finite]
    if not values:
        raise NoData(f"no finite response times of class {cls} in workload {WORKLOAD}")
    c = chart.Chart(run, height_in=max(chart.HEIGHT_IN, 2.4 + 0.7 * len(archs)))
    (ax,) = c.axes
    ax.set_xscale("log")
    slow_us = slow_cpu_us(run)
    span = values + ([slow_us / 1e3] if slow_us else [])
    low, high = min(span), max(span)
    right = high * (high / low) ** 0.08
    for row, arch in enumerate(archs):
        if None in rows[arch]:
            ax.text(low, row, "not measured", color=style.GREY, va="center")
            continue
        pair(c, ax, row, arch, rows[arch], right)
        if None not in calm[arch]:
            pair(c, ax, row - 0.33, arch, calm[arch], right, pale=True)
    if slow_us:
        ax.axvline(slow_us / 1e3, color=style.INK, linestyle="--", linewidth=2, zorder=0)
        c.key(f"CPU time of one slow request: {style.duration(slow_us)}", color=style.INK,
              linestyle="--", linewidth=2)
    limits = (low / 1.4, right * (right / low) ** 0.17)
    ax.set_xlim(limits)
    chart.plain_log_axis(ax.xaxis, *limits)
    c.name_rows(ax, archs)
    ax.tick_params(axis="y", labelsize=18)
    ax.set_xlabel(f"response time of {cls} requests (ms): p50 small, p99 large")
    share = 100 * slow_share(run, mixed)
    return c.finish(finding({a: p[1] for a, p in rows.items()}, cls),
                    f"{share:.0f} % of the requests are slow; shown are the others")


if __name__ == "__main__":
    chart.main(draw, __file__)
