"""How long does a short request wait while others read the disk?

Response times of the short requests alone (p99 full, p50 dashed), against how much each of the
others reads; the disk delivers the same bytes per second everywhere. Look at whose line climbs with
the size of a read: there is no readiness for files, so a loop stands still until it is over,
unless it hands reads to workers or to the kernel."""
from archbench.drawing import style, sweep
from archbench.formats.run import NoData
from archbench.stats.estimates import extremes

WORKLOAD = "disk"
SLOW = "disk"  # the class that reads


def read_bytes(run, point):
    """What one reading request reads; 0 at a point without such requests."""
    workload = run.workload(WORKLOAD)
    if float(workload.setting(point, f"{SLOW}.rate", "1").rstrip("%")) == 0:
        return 0
    return workload.disk_bytes(point, SLOW)


def series(run, arch, cls, percentile):
    """[(bytes of a read, Estimate in ms)] of class `cls`."""
    found = [(read_bytes(run, p), run.estimate(WORKLOAD, p, arch, f"response_{percentile}_us", cls))
             for p in run.points(WORKLOAD)]
    return sorted(((x, e.scaled(1e-3)) for x, e in found if e), key=lambda p: p[0])


def finding(p99, cls):
    """At the largest read."""
    most = max((x for line in p99.values() for x, _ in line), default=0)
    at = {a: dict(line).get(most) for a, line in p99.items()}
    ends = extremes(at)
    if ends is None:
        return f"Response time of {cls} requests beside disk reads"
    low, high, clear = ends
    if not clear:
        return (f"No clear difference: beside reads of {style.size(most)}, {cls} requests fare "
                "alike everywhere")
    return (f"Beside reads of {style.size(most)}, the p99 of {cls} requests is "
            f"{style.duration(1e3 * at[low].value)} in {low}, "
            f"{style.duration(1e3 * at[high].value)} in {high}")


def draw(run):
    run.need(WORKLOAD)
    cls = run.short_class(WORKLOAD)
    archs = run.archs(WORKLOAD)
    p99, p50 = ({a: series(run, a, cls, p) for a in archs} for p in ("p99", "p50"))
    if not any(p99.values()):
        raise NoData(f"no response times of class {cls} in workload {WORKLOAD}")
    c = sweep.draw(run, archs, [sweep.Measure(f"response of {cls} requests (ms)", (p99, p50))],
                   sweep.Axis("size of one read from disk", sweep.points_in(p99), log=True,
                              name=style.size))
    c.key("p99", color=style.GREY, linestyle="-")
    c.key("p50", color=style.GREY, linestyle="--", linewidth=2)
    return c.finish(finding(p99, cls), sweep.ends_early(run, WORKLOAD, archs))
