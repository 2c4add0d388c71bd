"""What does a connection cost that is open and does next to nothing?

Memory that the machine lost per connection, by kind: the server's own memory (shared pages counted
once), page tables, kernel stacks, and the kernel memory of both socket ends. The dashed line is
what the guide assumes. Architectures that share a letter do not differ in the sum by more than
chance."""
from archbench.drawing import chart, style
from archbench.formats.run import NoData
from archbench.stats import groups
from archbench.stats.estimates import ranked

WORKLOAD = "connections"
GUIDE_KB = 64  # B4: a million connections in 64 GB
# Kinds are not architectures: they have colours of their own, light to dark, and hatches.
KINDS = (("user", "user memory", "#4477AA", ""),
         ("page_tables", "page tables", "#BBCC33", "//"),
         ("kernel_stacks", "kernel stacks", "#EE8866", "\\\\"),
         ("sockets", "sockets, other kernel objects", "#99DDFF", ".."))


def metric(kind):
    return f"memory_{kind}_kb_per_connection"


def fullest_point(run):
    """The point with most connections: it divides the fixed costs best."""
    def held(point):
        found = [run.estimate(WORKLOAD, point, a, "connections") for a in run.archs(WORKLOAD)]
        return max((e.value for e in found if e), default=0)
    return max(run.points(WORKLOAD), key=held), held


def finding(ranking):
    ends = ranking.ends()
    if ends is None:
        return "Memory per open connection"
    best, worst, differ = ends
    low, high = best.estimate.value, worst.estimate.value
    if not differ:
        return (f"No clear difference: an open connection costs about {style.human(high)} KiB "
                "everywhere")
    by = f": {style.times(high / low)}" if low > 0 else ""
    return (f"An open connection costs {style.human(low)} KiB in {best.name}, "
            f"{style.human(high)} KiB in {worst.name}{by}")


def bar(c, ax, row, parts, total, text):
    """One stack, with `text` behind. A part below zero is noise of an empty kind, and is drawn as
    nothing."""
    left = 0.0
    for (_, _, colour, hatch), e in zip(KINDS, parts):
        width = max(0.0, e.value) if e else 0.0
        ax.barh(row, width, left=left, height=0.66, hatch=hatch,
                color=colour if total.valid else "white",
                edgecolor="white" if total.valid else colour, linewidth=0.8 if total.valid else 2)
        left += width
    c.saw(total)
    if total.low is not None:
        for colour, width in (("white", 6), (style.INK, 2.5)):
            ax.plot([total.low, total.high], [row] * 2, color=colour, linewidth=width,
                    solid_capstyle="butt")
    mark = "" if total.valid else "  (INVALID)"
    end = max(left, total.value, total.high or 0)
    ax.annotate(f"{text}{mark}", (end, row), xytext=(10, 0), fontsize=18,
                textcoords="offset points", va="center", fontweight="bold",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 2})
    return end


def draw(run):
    run.need(WORKLOAD)
    point, held = fullest_point(run)
    archs = style.in_order(run.archs(WORKLOAD))
    totals = {a: run.estimate(WORKLOAD, point, a, metric("total")) for a in archs}
    archs = ranked(totals)
    ranking = groups.rank(run, WORKLOAD, point, metric("total"))
    if not any(totals.values()):
        raise NoData("this run measured no memory per connection")
    c = chart.Chart(run, height_in=max(chart.HEIGHT_IN, 2.4 + 0.55 * len(archs)))
    (ax,) = c.axes
    widest = GUIDE_KB
    for row, arch in enumerate(archs):
        if totals[arch] is None:
            ax.text(1, row, "not measured", color=style.GREY, va="center")
            continue
        parts = [run.estimate(WORKLOAD, point, arch, metric(kind)) for kind, *_ in KINDS]
        text = ranking.label(arch, style.human(totals[arch].value))
        widest = max(widest, bar(c, ax, row, parts, totals[arch], text))
    ax.axvline(GUIDE_KB, color=style.INK, linestyle="--", linewidth=2, zorder=0)
    ax.set_xlim(0, widest * 1.14)
    c.name_rows(ax, archs)
    ax.tick_params(axis="y", labelsize=18)
    ax.set_xlabel("memory per connection (KiB)")
    for _, label, colour, hatch in KINDS:
        c.key_area(label, facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0)
    c.key(f"the guide: {GUIDE_KB} KB", color=style.INK, linestyle="--", linewidth=2)
    groups.explain(c, {point: ranking})
    return c.finish(finding(ranking), f"{held(point):,.0f} connections, nearly idle")
