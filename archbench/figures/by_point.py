"""What do the workloads say that have no figure of their own?

One panel for each point of such a workload: the measure that answers its question, the best
architecture first. Every panel has its own logarithmic scale. Architectures that share a letter in a panel do
not differ by more than chance."""
from archbench.drawing import chart, dots, measures, style
from archbench.formats.run import NoData
from archbench.stats import groups

COLUMNS = 2
ROW_IN = 0.42


def workloads(run):
    """Those whose [report] asks for this figure."""
    return [w for w in run.workloads()
            if "by_point" in run.reported(w).get("figure", "").split()]


def ranking(run, workload, point):
    measure = measures.of_workload(run, workload)
    return groups.rank(run, workload, point, measure.metric, measure.cls(run, workload),
                       measure.ascending)


def finding(run, rankings):
    """Of {(workload, point): Ranking}: where best and worst are furthest apart."""
    gaps = []
    for (workload, point), ranked in rankings.items():
        ends = ranked.ends()
        if ends and ends[2] and min(e.estimate.value for e in ends[:2]) > 0:
            values = [e.estimate.value for e in ends[:2]]
            gaps.append((max(values) / min(values), workload, point, ends[0], ends[1]))
    if all(len(ranked.entries) < 2 for ranked in rankings.values()):
        return "One architecture in each of these workloads: there is nothing to compare"
    if not gaps:
        return "No clear difference between architectures in these workloads"
    _, workload, point, best, worst = max(gaps, key=lambda gap: gap[0])
    measure = measures.of_workload(run, workload)
    where = workload if point == "base" else f"{workload} at {point}"
    low, high = measure.text(best.estimate.value), measure.text(worst.estimate.value)
    return (f"The widest difference is in {where}: {best.name} has {low}, {worst.name} {high} "
            f"({measure.name(run, workload)})")


def panel(c, ax, run, workload, point, ranked):
    measure = measures.of_workload(run, workload)
    order = [entry.name for entry in ranked.entries]
    order += [a for a in style.in_order(run.archs(workload)) if a not in order]
    cls = measure.cls(run, workload)
    dots.draw(c, ax, {a: run.estimate(workload, point, a, measure.metric, cls) for a in order},
              lambda arch, e: ranked.label(arch, measure.text(e.value)),
              lambda arch: "not measured")
    ax.set_title(workload if point == "base" else f"{workload}, {point}", fontsize=15)
    ax.set_xlabel(measure.name(run, workload), fontsize=13)
    ax.tick_params(axis="x", which="both", labelbottom=False, length=0)
    ax.grid(False, axis="x")  # the values are beside the marks


def draw(run):
    places = [(w, p) for w in workloads(run) for p in run.points(w)]
    rankings = {place: ranking(run, *place) for place in places}
    if not any(ranked.entries for ranked in rankings.values()):
        raise NoData("this run has no workload whose [report] names this figure")
    columns = min(COLUMNS, len(places))
    rows = -(-len(places) // columns)
    most = max(len(run.archs(w)) for w, _ in places)
    c = chart.Chart(run, rows, columns,
                    height_in=max(chart.HEIGHT_IN, 1.9 + rows * (1.3 + ROW_IN * most)))
    for ax, (place, ranked) in zip(c.axes, rankings.items()):
        panel(c, ax, run, *place, ranked)
    for ax in c.axes[len(places):]:
        ax.set_visible(False)
    groups.explain(c, {" ".join(place): ranked for place, ranked in rankings.items()})
    return c.finish(finding(run, rankings), "each panel has its own logarithmic scale")
