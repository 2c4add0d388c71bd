"""How many calls to a slow upstream can an architecture have under way?

Replies per second and p99 against the load, where every reply needs a call that takes its time
elsewhere. A dashed line is a ceiling: N calls at a time, for as many blocking workers or pooled
connections, of D seconds each are N / D per second. Look at who stops at a ceiling of its own, with
an idle CPU, and at who goes on."""
import math
import re

from archbench.drawing import style, sweep
from archbench.formats.names import server_of
from archbench.formats.run import NoData, number_in
from archbench.stats.estimates import extremes

WORKLOAD = "upstream"
SEVERAL_PROCESSES = ("processes", "prefork", "multi_loop")  # who starts processes, not threads


def is_closed(run):
    """In a closed loop the load is a number of connections, else a rate."""
    points = run.points(WORKLOAD)
    return run.arrivals(WORKLOAD, points[0] if points else "") == "closed"


def load_at(run, point, arch):
    """Where this point stands on the axis; None when unknown."""
    if is_closed(run):
        stated = run.workload(WORKLOAD).setting(point, "connections")
        return float(stated or number_in(point) or 0) or None
    offered = run.estimate(WORKLOAD, point, arch, "offered_rate")
    return offered.value if offered else None


def series(run, arch, number):
    """[(load, number(point))] of the points that have both."""
    found = [(load_at(run, p, arch), number(p)) for p in run.points(WORKLOAD)]
    return sorted(((x, y) for x, y in found if x and y), key=lambda p: p[0])


def call_s(run):
    """How long the calls of one request take by their own wish; None when the file does not say."""
    workload = run.workload(WORKLOAD)
    return next((s for s in map(workload.wait_s, workload.classes) if s), None)


def option(cell, name):
    """The number that an option of the server's command line has, the last one if there are
    several; None without it."""
    words = (cell.get("command") or {}).get("server") or []
    found = [re.fullmatch(rf"{name}[= ](\d+)", word)
             for word in [*words, *map(" ".join, zip(words, words[1:]))]]
    return next((int(m[1]) for m in reversed(found) if m), None)


def calls_at_once(cell, about):
    """How many calls the server of this cell can have under way: one for each worker where a call
    blocks its worker, and not more than its pool of connections to the upstream, of which each
    process has one. None when neither sets a limit, or when it is not known."""
    started = max(1, ((cell.get("exit") or {}).get("final") or {}).get("spawned", 1))
    workers = started if "upstream" in about.get("blocks", ()) else math.inf
    pool = option(cell, "--upstream-pool") or math.inf
    processes = started if about.get("name") in SEVERAL_PROCESSES else 1
    limit = min(workers, pool * processes)
    return None if math.isinf(limit) else limit


def ceiling(run, point, arch):
    """Replies per second that this architecture's limit on calls allows, when that is less than the
    load at this point asks for; else None."""
    about = run.manifest.get("servers", {}).get(server_of(arch), {})
    limits = [calls_at_once(cell, about) for cell in run.cells_at(WORKLOAD, point, arch)
              if (cell.get("exit") or {}).get("final")]
    load, wait_s = load_at(run, point, arch), call_s(run)
    if not limits or limits[0] is None or not load or not wait_s:
        return None
    asked = load / wait_s if is_closed(run) else load
    return limits[0] / wait_s if limits[0] / wait_s < asked else None


def finding(rates, ceilings):
    """Who is held at its ceiling, beside who serves most."""
    peaks = {a: max((e for _, e in line if e.valid), key=lambda e: e.value, default=None)
             for a, line in rates.items()}
    ends = extremes(peaks)
    if ends is None:
        return "Replies per second that need a call to an upstream"
    low, high, clear = ends
    if not clear:
        return "No clear difference: the upstream's delay limits all alike"
    held = f" (its ceiling: {style.human(ceilings[low][-1][1])})" if ceilings.get(low) else ""
    return (f"Waiting for an upstream, {high} serves up to {style.human(peaks[high].value)} "
            f"requests/s, {low} {style.human(peaks[low].value)}{held}")


def draw(run):
    run.need(WORKLOAD)
    archs = style.in_order(run.archs(WORKLOAD))
    def metric(arch, name, cls="", factor=1.0):
        def number(point):
            e = run.estimate(WORKLOAD, point, arch, name, cls)
            return e and e.scaled(factor)
        return series(run, arch, number)
    rates = {a: metric(a, "achieved_rate") for a in archs}
    if not any(rates.values()):
        raise NoData(f"no rates were measured in workload {WORKLOAD}")
    p99 = {a: metric(a, "response_p99_us", "total", 1e-3) for a in archs}
    ceilings = {a: series(run, a, lambda p, a=a: ceiling(run, p, a)) for a in archs}

    def limits(ax, family):
        for arch in family or archs:
            if ceilings[arch]:
                # The bar is all there is to see where one point alone is at the ceiling.
                ax.plot(*zip(*ceilings[arch]), color=style.look(arch)[0], linestyle="--",
                        linewidth=2.5, marker="_", markersize=44, markeredgewidth=2.5, zorder=1)

    unit = "connections" if is_closed(run) else "offered load (requests/s)"
    c = sweep.draw(run, archs, [
        sweep.Measure("good replies/s", (rates,), behind=[limits]),
        sweep.Measure("p99 response time (ms)", (p99,))],
        sweep.Axis(unit, sweep.points_in(rates), log=True))
    if any(ceilings.values()):
        c.key("ceiling: calls at a time / time of a call", color=style.GREY, linestyle="--",
              linewidth=2)
    return c.finish(finding(rates, ceilings), sweep.ends_early(run, WORKLOAD, archs))
