"""Which architecture gets most done, in which kind of work?

Good replies per second. Every panel is one workload with its own scale: compare inside a panel. A
dashed line is the rate that was asked for (open loop): nobody can be faster than that. Those of one
panel that share a letter do not differ by more than chance."""
from archbench.drawing import chart, style
from archbench.formats.run import NoData
from archbench.stats import groups

METRIC = "achieved_rate"
COLUMNS = 3


def estimates(run, workload):
    """Of every architecture of the run; None where it was not measured."""
    (point,) = run.points(workload)
    return {a: run.estimate(workload, point, a, METRIC) for a in run.archs()}


def ranking(run, workload):
    (point,) = run.points(workload)
    return groups.rank(run, workload, point, METRIC, ascending=False)


def finding(rankings):
    """Of {workload: Ranking}: where best and worst are furthest apart."""
    gaps = []
    for workload, ranked in rankings.items():
        ends = ranked.ends()
        if ends and ends[2] and ends[1].estimate.value > 0:
            best, worst, _ = ends
            ratio = best.estimate.value / worst.estimate.value
            gaps.append((ratio, workload, worst.name, best.name))
    if not gaps:
        return "No workload separates the architectures clearly"
    ratio, workload, low, high = max(gaps)
    return (f"The gap is widest in {workload}: {high} serves {style.times(ratio)} "
            f"the requests of {low}")


def panel(c, ax, workload, archs, of, ranked):
    tops = [v for e in of.values() if e for v in (e.value, e.high) if v]
    top = max(tops, default=1)
    for row, arch in enumerate(archs):
        e = of[arch]
        if e is None:
            ax.text(0.02 * top, row, "not measured", color=style.GREY, va="center", fontsize=13)
            continue
        colour, _ = style.look(arch)
        c.saw(e)
        ax.barh(row, e.value, height=0.68, color=colour if e.valid else "white", edgecolor=colour,
                linewidth=2, hatch=None if e.valid else "xx")
        if e.low is not None:
            ax.plot([e.low, e.high], [row, row], color=style.INK, linewidth=2,
                    solid_capstyle="butt")
        ax.text(max(e.value, e.high or 0) + 0.03 * top, row,
                ranked.label(arch, style.human(e.value)), va="center", fontsize=15,
                color=style.INK if e.valid else style.GREY,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    ax.set_xlim(0, top * 1.45)
    ax.set_title(workload)
    ax.locator_params(axis="x", nbins=3)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    c.name_rows(ax, archs)


def target(run, workload):
    """The rate asked for in an open loop, else None."""
    (point,) = run.points(workload)
    found = [run.estimate(workload, point, a, "target_rate") for a in run.archs(workload)]
    return next((e.value for e in found if e), None)


def draw(run):
    results = {w: estimates(run, w) for w in run.single_point_workloads()}
    results = {w: of for w, of in results.items() if any(of.values())}
    if not results:
        raise NoData("this run has no workload with a single point")
    archs = style.in_order({a for w in results for a in run.archs(w)})
    columns = 2 if len(results) in (2, 4) else min(COLUMNS, len(results))
    rows = -(-len(results) // columns)
    c = chart.Chart(run, rows, columns, sharey=True,
                    height_in=max(chart.HEIGHT_IN, rows * (1.2 + 0.42 * len(archs)) + 1.9))
    rankings = {w: ranking(run, w) for w in results}
    for ax, (workload, of) in zip(c.axes, results.items()):
        panel(c, ax, workload, archs, of, rankings[workload])
        rate = target(run, workload)
        if rate:
            ax.axvline(rate, color=style.GREY, linestyle="--", linewidth=2, zorder=0)
    for ax in c.axes[len(results):]:
        ax.set_visible(False)
    c.key_area("good replies per second", color=style.GREY)
    if any(target(run, w) for w in results):
        c.key("rate asked for", color=style.GREY, linestyle="--", linewidth=2)
    groups.explain(c, rankings)
    return c.finish(finding(rankings), "each panel has its own scale")
