#!/usr/bin/python3
"""How much can each architecture serve, and what happens to latency on the way there?

Above: replies per second against the requests per second that arrive, whether or not the server
keeps up; the dotted line is a server that answers them all. Below: response times, p99 as a full
line and p50 as a dashed one. Where a curve leaves the dotted line, its latency turns upwards: the
hockey stick."""
from lib import chart, style
from lib.run import NoData
from lib.stats import extremes

WORKLOAD = "load"


def series(run, arch, metric, cls="", factor=1.0):
    """[(offered rate, Estimate)]: x is the measured rate of arrivals, not the point's name."""
    points = []
    for point in run.points(WORKLOAD):
        offered = (run.estimate(WORKLOAD, point, arch, "offered_rate")
                   or run.estimate(WORKLOAD, point, arch, "target_rate"))
        e = run.estimate(WORKLOAD, point, arch, metric, cls)
        if offered and e:
            points.append((offered.value, e.scaled(factor)))
    return sorted(points, key=lambda p: p[0])


def finding(throughput):
    peaks = {a: max((e for _, e in points if e.valid), key=lambda e: e.value, default=None)
             for a, points in throughput.items()}
    ends = extremes(peaks)
    if ends is None:
        return "Throughput and latency against offered load"
    low, high, clear = ends
    if not clear:
        return (f"No clear difference: all saturate near {style.human(peaks[high].value)} "
                "requests/s")
    return (f"{high} serves up to {style.human(peaks[high].value)} requests/s, {low} up to "
            f"{style.human(peaks[low].value)}")


def thousands(value, _):
    return f"{value:,.0f}"


def draw(run):
    run.need(WORKLOAD)
    archs = style.in_order(run.archs(WORKLOAD))
    throughput = {a: series(run, a, "achieved_rate") for a in archs}
    if not any(throughput.values()):
        raise NoData(f"no rates were measured in workload {WORKLOAD}")
    c = chart.Chart(run, rows=2, height_in=chart.room(9.0, archs), crowd=len(archs), sharex=True,
                    gridspec_kw={"height_ratios": [1, 1.25]})
    upper, lower = c.axes
    offered = [x for points in throughput.values() for x, _ in points]
    upper.plot([0, max(offered)], [0, max(offered)], color=style.GREY, linestyle=":", linewidth=2)
    for arch, points in throughput.items():
        colour, marker = style.look(arch)
        upper.plot([x for x, _ in points], [e.value for _, e in points], color=colour,
                   linewidth=3 * c.fineness)
        for x, e in points:
            c.point(upper, x, c.saw(e).value, e, colour, marker)
    upper.set_ylim(0)
    upper.set_xlim(0, max(offered) * 1.02)
    upper.yaxis.set_major_formatter(thousands)
    lower.xaxis.set_major_formatter(thousands)
    upper.set_ylabel("good replies/s")
    c.lines(lower, *({a: series(run, a, f"response_{p}_us", "total", 1e-3) for a in archs}
                     for p in ("p99", "p50")))
    lower.set_ylabel("response time (ms)")
    lower.set_xlabel("offered load (requests/s)")
    c.key_architectures(archs)
    c.key("p99", color=style.GREY, linestyle="-")
    c.key("p50", color=style.GREY, linestyle="--", linewidth=2)
    c.key("every request answered", color=style.GREY, linestyle=":", linewidth=2)
    return c.finish(finding(throughput))


if __name__ == "__main__":
    chart.main(draw, __file__)
