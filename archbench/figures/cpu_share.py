"""What does a growing share of CPU work do to the requests that need almost none?

The response time that 99 of 100 short requests stay below, against the share of requests that
compute. An architecture whose line stays flat keeps computing away from its short requests."""
from archbench.drawing import style, sweep
from archbench.formats.run import NoData, number_in
from archbench.stats.estimates import extremes

WORKLOAD = "cpu_share"


def share(run, point, arch, cpu_classes):
    """The share of CPU requests in percent: as the point is named, else as counted."""
    if number_in(point) is not None:
        return number_in(point)
    def requests(cls):
        e = run.estimate(WORKLOAD, point, arch, "requests", cls)
        return e.value if e else 0
    total = sum(requests(c) for c in run.classes(WORKLOAD))
    return 100 * sum(requests(c) for c in cpu_classes) / total if total else None


def series(run, arch, cls):
    cpu_classes = [c for c in run.classes(WORKLOAD) if c != cls]
    points = []
    for point in run.points(WORKLOAD):
        x = share(run, point, arch, cpu_classes)
        e = run.estimate(WORKLOAD, point, arch, "response_p99_us", cls)
        if e and x is not None:
            points.append((x, e.scaled(1e-3)))
    return sorted(points, key=lambda p: p[0])


def finding(lines, cls):
    """The share at which the architectures differ most, if they clearly do anywhere."""
    best = None
    for x in sorted({x for points in lines.values() for x, _ in points}):
        at = {a: dict(points).get(x) for a, points in lines.items()}
        ends = extremes(at)
        if ends and ends[2]:
            low, high, _ = ends
            if best is None or at[high].value / at[low].value > best[0]:
                best = (at[high].value / at[low].value, x, low, at[low], high, at[high])
    if best is None:
        return f"No clear difference in the p99 of {cls} requests at any CPU share"
    _, x, low, e_low, high, e_high = best
    return (f"At {x:g} % CPU work, the p99 of {cls} requests is "
            f"{style.duration(1e3 * e_low.value)} in {low}, "
            f"{style.duration(1e3 * e_high.value)} in {high}")


def draw(run):
    run.need(WORKLOAD)
    cls = run.short_class(WORKLOAD)
    lines = {a: series(run, a, cls) for a in run.archs(WORKLOAD)}
    if not any(lines.values()):
        raise NoData(f"no response times of class {cls} in workload {WORKLOAD}")
    c = sweep.draw(run, list(lines), [sweep.Measure(f"p99 of {cls} requests (ms)", (lines,))],
                   sweep.Axis("share of requests that compute (%)", sweep.points_in(lines),
                              ticks=True))
    return c.finish(finding(lines, cls))
