"""What does one request cost the machine, apart from time?

CPU time of the whole server (user and system, all its threads and processes) and context switches,
each divided by the requests of the same window; CPU time at the speed at which the machine was
calibrated. Both axes are logarithmic: a step to the right is a factor. Architectures that share a
letter in one workload do not differ there by more than chance."""
from archbench.drawing import chart, style
from archbench.formats.run import NoData
from archbench.stats import groups

PANELS = (("cpu_us_per_request", "CPU time per request (µs)"),
          ("switches_per_request", "context switches per request"))
LEAST_SWITCHES = 1e-3  # drawn at this value when there were fewer
ROOM_FOR_LETTERS = 0.06  # of the axis, behind the last mark
SPREAD = 0.76  # of the distance between two workloads, shared by the architectures


def rankings(run, workloads, metric):
    """{workload: Ranking} of those where it was measured."""
    table = {}
    for workload in workloads:
        (point,) = run.points(workload)
        ranking = groups.rank(run, workload, point, metric)
        if ranking.entries:
            table[workload] = ranking
    return table


def estimates(table, workload):
    """{architecture: Estimate} in a table of rankings()."""
    return {e.name: e.estimate for e in table[workload].entries} if workload in table else {}


def widest(table):
    """(ratio, workload, cheapest, dearest) with the largest clear factor, or None."""
    gaps = []
    for workload, ranking in table.items():
        ends = ranking.ends()
        if ends and ends[2]:
            low, high, _ = ends
            ratio = high.estimate.value / max(low.estimate.value, LEAST_SWITCHES)
            gaps.append((ratio, workload, low.name, high.name))
    return max(gaps, default=None)


def finding(cpu, switches):
    gap = widest(cpu)
    if gap:
        ratio, workload, low, high = gap
        return (f"In {workload}, a request costs {high} {style.times(ratio)} "
                f"the CPU time of {low}")
    gap = widest(switches)
    if gap:
        return (f"The CPU time is alike; {gap[3]} switches {style.times(gap[0])} as often "
                f"as {gap[2]} in {gap[1]}")
    return "No clear difference in CPU time or context switches per request"


def panel(c, ax, table, workloads, archs, label):
    for row, workload in enumerate(workloads):
        for place, arch in enumerate(archs):
            e = estimates(table, workload).get(arch)
            if e is None:
                continue
            colour, marker = style.look(arch)
            y = row + SPREAD * ((place + 0.5) / len(archs) - 0.5)
            c.point(ax, max(c.saw(e).value, LEAST_SWITCHES), y, e, colour, marker, size=10,
                    vertical=False)
            c.words(ax, max(e.value, e.high or 0, LEAST_SWITCHES), y,
                    table[workload].mark(arch), pale=True)
        if row:
            ax.axhline(row - 0.5, color=style.FAINT, linewidth=1)
    ax.set_xscale("log")  # as far as the marks reach
    low, high = ax.get_xlim()
    high *= (high / low) ** ROOM_FOR_LETTERS
    chart.log_x(ax, low, high)
    c.name_rows(ax, workloads)
    ax.set_xlabel(label)


def draw_few(run, archs, workloads, tables):
    """A row per workload, a mark per architecture."""
    c = chart.Chart(run, cols=2, sharey=True)
    for ax, table, (_, label) in zip(c.axes, tables, PANELS):
        panel(c, ax, table, workloads, archs, label)
    c.key_architectures(archs)
    return c


def draw_crowd(run, archs, workloads, tables):
    """Too many marks to tell apart: a panel per workload, a row per architecture with its name."""
    c = chart.Chart(run, rows=2, cols=len(workloads), sharey=True,
                    height_in=2.9 + 2 * 0.29 * len(archs))
    places = [(table, label, w) for table, (_, label) in zip(tables, PANELS) for w in workloads]
    for k, (ax, (table, label, workload)) in enumerate(zip(c.axes, places)):
        of = estimates(table, workload)
        known = {a: of[a].at_least(LEAST_SWITCHES) for a in archs if a in of}
        values = [e.value for e in known.values()]
        if values:
            low, high = min(values) / 1.5, max(values)
            chart.log_x(ax, low, high * (high / low) ** 0.7)
        for row, arch in enumerate(archs):
            if arch in known:
                colour, marker = style.look(arch)
                c.point(ax, known[arch].value, row, c.saw(known[arch]), colour, marker, size=9,
                        vertical=False)
                c.words(ax, max(known[arch].value, known[arch].high or 0), row,
                        table[workload].label(arch, style.human(of[arch].value)), pale=True)
        c.name_rows(ax, archs)
        ax.tick_params(axis="y", labelsize=12)
        ax.tick_params(axis="x", which="both", labelbottom=False)  # each mark has its number
        ax.set_title(f"{label}\n{workload}" if k % len(workloads) == 0 else f"\n{workload}",
                     fontsize=15)
    return c


def draw(run):
    candidates = run.single_point_workloads()
    tables = [rankings(run, candidates, metric) for metric, _ in PANELS]
    workloads = [w for w in candidates if any(w in t for t in tables)]
    if not workloads:
        raise NoData("this run measured no cost per request")
    archs = style.in_order({a for t in tables for w in t for a in estimates(t, w)})
    layout = draw_crowd if len(archs) > chart.FEW else draw_few
    c = layout(run, archs, workloads, tables)
    groups.explain(c, {f"{w} ({label})": t[w] for t, (_, label) in zip(tables, PANELS) for w in t})
    return c.finish(finding(*tables))
