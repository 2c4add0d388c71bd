"""How evenly do the workers behind one port share connections and requests?

Each mark is a worker: its share of the connections that are open (left) and of the requests that
were answered (right). All trials are shown. Look at how far the marks of a row lie from the dashed
line, where each would have the same. Rows that share a letter do not differ by more than chance in
what their busiest worker has."""
from archbench.drawing import chart, style
from archbench.formats.run import NoData
from archbench.stats import groups
from archbench.stats.estimates import estimate
from archbench.stats.slots import excess, shares

WORKLOAD = "balance"
KINDS = (("connections", "share of the open connections (%)"),
         ("requests", "share of the requests (%)"))


def rows_of(run):
    """[(arch, point)]: one row each, fewest connections first within an architecture."""
    return [(a, p) for a in style.in_order(run.archs(WORKLOAD)) for p in run.points(WORKLOAD)
            if any(shares(c.get("slots"), "requests") for c in run.cells_at(WORKLOAD, p, a))]


def row_name(row):
    arch, point = row
    return f"{arch}\n{point} connections"


def busiest(run, row, kind):
    """Estimate of excess() over the trials of a row."""
    arch, point = row
    return run.estimate_of(WORKLOAD, point, arch, lambda c: excess(c.get("slots"), kind))


def ranking(run, rows, kind):
    """The Ranking of the rows by their busiest worker, the most even first."""
    return groups.compare({row_name(row): valid_excesses(run, row, kind) for row in rows})


def valid_excesses(run, row, kind):
    """excess() of each valid trial of a row."""
    found = [excess(cell.get("slots"), kind) for cell in run.cells_at(WORKLOAD, row[1], row[0])
             if cell["validity"]["verdict"] == "VALID"]
    return [x for x in found if x is not None]


def finding(run, rows):
    found = {row: busiest(run, row, "requests") for row in rows}
    found = {row: e for row, e in found.items() if e and e.valid}
    if not found:
        return "How workers share connections and requests"
    (arch, point) = worst = max(found, key=lambda r: found[r].value)
    if found[worst].value < 1.2:
        return "The workers share evenly: the busiest has at most 1.2 times its part"
    return (f"With {point} connections, the busiest worker of {arch} does "
            f"{style.times(found[worst].value)} its fair share")


def panel(c, ax, run, rows, kind, label, ranked):
    workers = set()
    for y, row in enumerate(rows):
        arch, point = row
        colour, marker = style.look(arch)
        for cell in run.cells_at(WORKLOAD, point, arch):
            found = shares(cell.get("slots"), kind) or []
            workers.add(len(found))
            for share in found:
                valid = cell["validity"]["verdict"] == "VALID"
                one = estimate(*([share], []) if valid else ([], [share]))
                c.point(ax, share, y, one, colour, marker, size=11, vertical=False)
        e = busiest(run, row, kind)
        if e:
            c.saw(e)
            c.words(ax, 100, y, ranked.label(row_name(row), f"{style.human(e.value)} ×"))
    for n in workers - {0}:
        ax.axvline(100 / n, color=style.INK, linestyle="--", linewidth=2, zorder=0)
    ax.set_xlim(-2, 138)
    ax.set_xticks([0, 25, 50, 75, 100])
    ax.set_xlabel(label)
    c.name_rows(ax, [row_name(row) for row in rows])


def draw(run):
    run.need(WORKLOAD)
    rows = rows_of(run)
    if not rows:
        raise NoData(f"no cell of workload {WORKLOAD} tells what each worker did")
    c = chart.rows_chart(run, rows, 0.8, cols=2)
    rankings = {kind: ranking(run, rows, kind) for kind, _ in KINDS}
    for ax, (kind, label) in zip(c.axes, KINDS):
        panel(c, ax, run, rows, kind, label, rankings[kind])
    c.key("fair share", color=style.INK, linestyle="--", linewidth=2)
    c.key("N ×: the busiest worker's share over the fair one", linestyle="")
    groups.explain(c, rankings)
    return c.finish(finding(run, rows))
