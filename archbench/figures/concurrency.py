"""What becomes of throughput, switches and memory from one client to ten thousand?

Each client waits 10 ms for its reply and asks again at once; the dotted line is what the clients
ask for. Look at where a line leaves it: the server's housekeeping has taken over; then whether
switches or memory tell why. Memory is shown from 1,000 connections on: with fewer, it is the
server itself that one sees."""
from archbench.drawing import style, sweep
from archbench.formats.run import NoData, number_in
from archbench.stats.estimates import extremes

WORKLOAD = "concurrency"
ENOUGH_CONNECTIONS = 1000  # for memory per connection: see docs/formats.md


def connections_at(run, point):
    stated = run.workload(WORKLOAD).setting(point, "connections")
    return int(stated or number_in(point) or 0)


def series(run, arch, metric, fewest=1):
    """[(connections, Estimate)] from so many connections on."""
    found = [(connections_at(run, p), run.estimate(WORKLOAD, p, arch, metric))
             for p in run.points(WORKLOAD)]
    return sorted(((x, e) for x, e in found if e and x >= fewest), key=lambda p: p[0])


def asked_for(run, connections):
    """Replies per second if each took nothing but its own wait; None when it has none."""
    workload = run.workload(WORKLOAD)
    wait_s = next((s for s in map(workload.wait_s, workload.classes) if s), None)
    return connections / wait_s if wait_s else None


def finding(rates):
    """The most connections at which two architectures can be compared."""
    for x in reversed(sweep.points_in(rates)):
        ends = extremes({a: dict(line).get(x) for a, line in rates.items()})
        if ends is None:
            continue
        low, high, clear = ends
        clients = "one client" if x == 1 else f"{x:,} clients"
        if not clear:
            return f"With {clients} there is no clear difference in throughput"
        below, above = (dict(rates[a])[x].value for a in (low, high))
        return (f"With {clients} {high} serves {style.human(above)} requests/s, {low} "
                f"{style.human(below)}")
    return "Throughput, switches and memory against the number of clients"


def draw(run):
    run.need(WORKLOAD)
    archs = run.archs(WORKLOAD)
    rates = {a: series(run, a, "achieved_rate") for a in archs}
    if not any(rates.values()):
        raise NoData(f"no rates were measured in workload {WORKLOAD}")
    switches = {a: series(run, a, "switches_per_request") for a in archs}
    memory = {a: series(run, a, "memory_total_kb_per_connection", ENOUGH_CONNECTIONS)
              for a in archs}
    xs = sweep.points_in(rates)

    def demand(ax, _):
        ax.plot(xs, [asked_for(run, x) for x in xs], color=style.GREY, linestyle=":", linewidth=2)

    c = sweep.draw(run, archs, [
        sweep.Measure("good replies/s", (rates,), behind=[demand] if asked_for(run, 1) else []),
        sweep.Measure("switches/request", (switches,)),
        sweep.Measure("KiB/connection", (memory,))],
        sweep.Axis("connections", xs, log=True))
    if asked_for(run, 1):
        c.key("what the clients ask for", color=style.GREY, linestyle=":", linewidth=2)
    return c.finish(finding(rates), sweep.ends_early(run, WORKLOAD, archs))
