"""Latency of the requests of one class beside those of a slow one: p50 and p99 per architecture,
and, pale above them, the same where the slow ones are left away."""
from archbench.drawing import chart, style
from archbench.formats.run import CPU_CLASSES, NoData
from archbench.stats import groups
from archbench.stats.estimates import ranked


def slow_share(run, workload, point):
    """The share of requests of this point that are not of the short class."""
    short = run.short_class(workload)
    slow = everything = 0
    for arch in run.archs(workload):
        for cls in run.classes(workload):
            e = run.estimate(workload, point, arch, "requests", cls)
            everything += e.value if e else 0
            slow += e.value if e and cls != short else 0
    return slow / everything if everything else 0


def split_points(run, workload):
    """(point with the largest share of slow requests, point with short ones alone or None)."""
    shares = {p: slow_share(run, workload, p) for p in run.points(workload)}
    mixed = max(shares, key=lambda p: shares[p])
    alone = [p for p, s in shares.items() if s == 0 and p != mixed]
    return mixed, (alone or [None])[0]


def slow_cpu_us(run, workload):
    """CPU time of one slow request, or None when the workload file does not say."""
    file = run.workload(workload)
    found = [file.cpu_s(c) for c in file.classes if c in CPU_CLASSES]
    return next((1e6 * s for s in found if s), None)


def percentiles(run, workload, point, arch):
    """(p50, p99) of the short class in milliseconds; either may be None."""
    cls = run.short_class(workload)
    found = (run.estimate(workload, point, arch, f"response_{p}_us", cls) for p in ("p50", "p99"))
    return [e.scaled(1e-3) if e else None for e in found]


def finding(ranking, cls, others):
    ends = ranking.ends()
    if ends is None:
        return f"Response time of {cls} requests beside {others}"
    best, worst, differ = ends
    if not differ:
        return f"No clear difference: beside {others}, {cls} requests fare alike everywhere"
    return (f"Beside {others}, the p99 of {cls} ones is "
            f"{style.duration(best.estimate.value)} in {best.name}, "
            f"{style.duration(worst.estimate.value)} in {worst.name}")


def p99_ranking(run, workload):
    """The Ranking by the p99 of the short class, in microseconds, where slow ones are most."""
    mixed, _ = split_points(run, workload)
    return groups.rank(run, workload, mixed, "response_p99_us", run.short_class(workload))


def rows_of(run, workload):
    """({arch: (p50, p99) in the mix}, {arch: the same alone}), smallest p99 first."""
    mixed, alone = split_points(run, workload)
    archs = style.in_order(run.archs(workload))
    rows = {a: percentiles(run, workload, mixed, a) for a in archs}
    rows = {a: rows[a] for a in ranked({a: p99 for a, (_, p99) in rows.items()})}
    calm = {a: percentiles(run, workload, alone, a) if alone else [None, None] for a in rows}
    return rows, calm


def _fill(c, ax, rows, calm, low, right, ranking):
    for row, arch in enumerate(rows):
        if None in rows[arch]:
            ax.text(low, row, "not measured", color=style.GREY, va="center")
            continue
        c.span(ax, row, arch, rows[arch], right,
               ranking.label(arch, style.duration(1e3 * rows[arch][1].value)))
        if None not in calm[arch]:
            c.span(ax, row - 0.33, arch, calm[arch], right,
                   style.duration(1e3 * calm[arch][1].value) + " alone", pale=True)


def draw(run, workload, others="slow requests"):
    """The finished Chart. `others`: what the slow ones are, in words."""
    run.need(workload)
    cls = run.short_class(workload)
    rows, calm = rows_of(run, workload)
    pairs = [p for p in (*rows.values(), *calm.values()) if None not in p]
    values = [e.value for p in pairs for e in p if e.finite]
    if not values:
        raise NoData(f"no finite response times of class {cls} in workload {workload}")
    c = chart.rows_chart(run, rows, 0.7 if any(None not in p for p in calm.values()) else 0.5)
    (ax,) = c.axes
    slow_us = slow_cpu_us(run, workload)
    span = values + ([slow_us / 1e3] if slow_us else [])
    low, high = min(span), max(span)
    right = high * (high / low) ** 0.08  # where the infinite ones stand
    limits = (low / 1.4, right * (right / low) ** 0.17)
    chart.log_x(ax, *limits)
    ranking = p99_ranking(run, workload)
    _fill(c, ax, rows, calm, low, right, ranking)
    if slow_us:
        ax.axvline(slow_us / 1e3, color=style.INK, linestyle="--", linewidth=2, zorder=0)
        c.key(f"CPU time of one slow request: {style.duration(slow_us)}", color=style.INK,
              linestyle="--", linewidth=2)
    c.name_rows(ax, list(rows))
    ax.set_xlabel(f"response time of {cls} requests (ms): p50 small, p99 large")
    share = 100 * slow_share(run, workload, split_points(run, workload)[0])
    groups.explain(c, {workload: ranking})
    return c.finish(finding(ranking, cls, others),
                    f"{share:.0f} % are {others}; shown are the others")
