#!/usr/bin/python3
"""How much can each architecture serve, and what happens to latency on the way there?

Above: replies per second against the requests per second that arrive, whether or not the server
keeps up; the dotted line is a server that answers them all. Below: response times, p99 as a full
line and p50 as a dashed one. Look at where a curve leaves the dotted line: its latency turns
upwards there, the hockey stick."""
from lib import chart, style, sweep
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


def draw(run):
    run.need(WORKLOAD)
    archs = run.archs(WORKLOAD)
    throughput = {a: series(run, a, "achieved_rate") for a in archs}
    if not any(throughput.values()):
        raise NoData(f"no rates were measured in workload {WORKLOAD}")
    most = max(x for points in throughput.values() for x, _ in points)
    latency = tuple({a: series(run, a, f"response_{p}_us", "total", 1e-3) for a in archs}
                    for p in ("p99", "p50"))

    def all_answered(ax, _):
        ax.plot([0, most], [0, most], color=style.GREY, linestyle=":", linewidth=2)

    c = sweep.draw(run, archs, [
        sweep.Measure("good replies/s", (throughput,), log=False, behind=[all_answered]),
        sweep.Measure("response time (ms)", latency)],
        sweep.Axis("offered load (requests/s)", [most], from_zero=True), stacked=True)
    c.key("p99", color=style.GREY, linestyle="-")
    c.key("p50", color=style.GREY, linestyle="--", linewidth=2)
    c.key("every request answered", color=style.GREY, linestyle=":", linewidth=2)
    return c.finish(finding(throughput))


if __name__ == "__main__":
    chart.main(draw, __file__)
