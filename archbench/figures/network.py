"""How does the distance to the client change the worth of an event loop?

The same 2,000 requests per second, from clients ever farther away: by Little's law the server holds
rate times round trip connections, most of them silent. CPU time and context switches per request,
and the memory of all connections together. Look at whose line is not level: to that architecture a
connection costs something although nothing happens on it."""
from archbench.drawing import style, sweep
from archbench.formats.run import NoData
from archbench.formats.workload import seconds
from archbench.stats.estimates import extremes, ratio_of_medians

WORKLOAD = "network"
COST = "cpu_us_per_request"


def round_trip_ms(run, point):
    """The mean pause of a client at this point, '100ms' or 'exponential 100ms'."""
    return 1e3 * seconds(run.workload(WORKLOAD).setting(point, "think", point).split()[-1])


def series(run, arch, estimate_at):
    """[(round trip in ms, Estimate)], where estimate_at(point, arch) may be None."""
    found = [(round_trip_ms(run, p), estimate_at(p, arch)) for p in run.points(WORKLOAD)]
    return sorted(((x, e) for x, e in found if e), key=lambda p: p[0])


def memory_mib(cell):
    """What all connections of a cell took, from before the first one to the end of the window."""
    memory = cell.get("memory") or {}
    each_kb = (memory.get("per_connection") or {}).get("total_kb")
    return None if each_kb is None else each_kb * memory["connections"] / 1024


def growth(run, arch):
    """Estimate of the CPU time per request from the farthest clients, as a multiple of that from
    the nearest; None when one has no valid trial."""
    near, *_, far = sorted(run.points(WORKLOAD), key=lambda p: round_trip_ms(run, p))
    return ratio_of_medians(*(run.values(WORKLOAD, p, arch, COST)[0] for p in (far, near)))


def finding(run, archs):
    points = run.points(WORKLOAD)
    found = {a: growth(run, a) for a in archs} if len(points) > 1 else {}
    ends = extremes(found)
    if ends is None:
        return "CPU time, switches and memory against the distance of the clients"
    low, high, clear = ends
    trips = [round_trip_ms(run, p) for p in points]
    if not clear:
        return (f"From {min(trips):g} to {max(trips):g} ms of round trip, CPU time per request "
                "changes alike everywhere")
    return (f"At {max(trips):g} ms of round trip a request costs {high} "
            f"{style.times(found[high].value)} the CPU time of one at {min(trips):g} ms, {low} "
            f"{style.times(found[low].value)}")


def draw(run):
    run.need(WORKLOAD)
    archs = run.archs(WORKLOAD)
    def of(metric):
        return {a: series(run, a, lambda p, a: run.estimate(WORKLOAD, p, a, metric))
                for a in archs}
    memory = {a: series(run, a, lambda p, a: run.estimate_of(WORKLOAD, p, a, memory_mib))
              for a in archs}
    cost = of(COST)
    if not any(cost.values()):
        raise NoData(f"no CPU times were measured in workload {WORKLOAD}")
    c = sweep.draw(run, archs, [
        sweep.Measure("CPU time/request (µs)", (cost,)),
        sweep.Measure("switches/request", (of("switches_per_request"),)),
        sweep.Measure("memory of all (MiB)", (memory,))],
        sweep.Axis("round trip (ms)", sweep.points_in(cost), log=True))
    return c.finish(finding(run, archs), sweep.ends_early(run, WORKLOAD, archs))
