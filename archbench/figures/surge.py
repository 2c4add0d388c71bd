"""What happens to all other requests while ten times as many requests want to compute?

Good replies per second and response times (p99 full, p50 dashed) of the short requests alone,
quarter by quarter of a second; the surge of computing ones is grey. Look at how high a line climbs
in the grey, and how long after it the line takes to come down."""
from archbench.drawing import style, sweep
from archbench.formats import timeseries
from archbench.formats.run import NoData
from archbench.stats.estimates import estimate, extremes

WORKLOAD = "surge"


def over_time(run, arch, cls, key):
    """[(middle of the interval in s, Estimate over the trials)]. An interval without any reply has
    no latency: null in the file, as an infinite one is, so the replies tell which it is."""
    (point, *_) = run.points(WORKLOAD)
    found = {}
    for cell in run.cells_at(WORKLOAD, point, arch):
        kept = 0 if cell["validity"]["verdict"] == "VALID" else 1
        begin_s = 0.0
        for end_s, row in timeseries.rows_of(run, cell, cls):
            value = timeseries.number(row, key)
            if value is not None:
                middle_s = round((begin_s + end_s) / 2, 3)
                found.setdefault(middle_s, ([], []))[kept].append(value)
            begin_s = end_s
    return [(x, estimate(*found[x])) for x in sorted(found)]


def finding(p99, cls, spans):
    worst = {a: max((e for x, e in line if e.valid and any(b <= x <= e_s for b, e_s in spans)),
                    key=lambda e: e.value, default=None) for a, line in p99.items()}
    ends = extremes(worst)
    if ends is None:
        return f"The {cls} requests before, during and after the surge"
    low, high, clear = ends
    if not clear:
        return f"No clear difference: the surge does the same to {cls} requests everywhere"
    return (f"In the surge, the p99 of {cls} requests rises to "
            f"{style.duration(1e3 * worst[low].value)} in {low}, "
            f"{style.duration(1e3 * worst[high].value)} in {high}")


def draw(run):
    run.need(WORKLOAD)
    cls = run.short_class(WORKLOAD)
    archs = run.archs(WORKLOAD)
    rate, p99, p50 = ({a: over_time(run, a, cls, key) for a in archs}
                      for key in ("achieved", "p99_us", "p50_us"))
    if not any(rate.values()):
        raise NoData(f"no cell of workload {WORKLOAD} has a time series of class {cls}")
    spans = run.workload(WORKLOAD).surges

    def shade(ax, _):
        for begin, end in spans:
            ax.axvspan(begin, end, color="#e4e4e4", zorder=0, linewidth=0)

    c = sweep.draw(run, archs, [
        sweep.Measure(f"good replies/s of {cls}", (rate,), log=False, behind=[shade]),
        sweep.Measure(f"response of {cls} (ms)", (p99, p50), behind=[shade])],
        sweep.Axis("time (s)", sweep.points_in(rate), from_zero=True), stacked=True)
    c.key("p99", color=style.GREY, linestyle="-")
    c.key("p50", color=style.GREY, linestyle="--", linewidth=2)
    c.key_area("surge of computing requests", color="#e4e4e4")
    return c.finish(finding(p99, cls, spans))
