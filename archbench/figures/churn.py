"""What does it cost when connections do not last?

Left: CPU time per request over connections that last (small) and over one new connection for each
request (large). Right: how long connecting takes then, p50 and p99, as the client sees it. Look at
the length of the bars: it is the price of a connection, and of the thread or process that a
design makes for it."""
from archbench.drawing import chart, style
from archbench.formats.run import NoData
from archbench.stats.estimates import ranked

WORKLOAD = "churn"


def requests_per_connection(run, point):
    """0: the connections last."""
    return int(run.workload(WORKLOAD).setting(point, "churn") or 0)


def two_points(run):
    """(point whose connections last, point with the fewest requests for each)."""
    lives = {p: requests_per_connection(run, p) for p in run.points(WORKLOAD)}
    lasting = [p for p, n in lives.items() if n == 0]
    brief = sorted((p for p, n in lives.items() if n), key=lambda p: lives[p])
    if not lasting or not brief:
        raise NoData(f"workload {WORKLOAD} was not run both with lasting and with brief ones")
    return lasting[0], brief[0]


def connect_us(run, point, arch, percentile):
    """Time to connect, of the generator's JSON; None when no connection was made."""
    def number(cell):
        times = (cell.get("load") or {}).get("connect") or {}
        if not times.get("count"):
            return None
        us = times.get(f"{percentile}_us")
        return float("inf") if us is None else us
    return run.estimate_of(WORKLOAD, point, arch, number)


def price_us(lasting, brief):
    """What a request over a brief connection costs more, in µs of CPU; None when unknown."""
    return brief.value - lasting.value if lasting and brief else None


def finding(costs):
    prices = {a: price_us(*pair) for a, pair in costs.items()
              if None not in pair and pair[0].valid and pair[1].valid}
    if len(prices) < 2:
        return "CPU time per request with lasting and with brief connections"
    low, high = (f(prices, key=prices.get) for f in (min, max))
    if prices[low] <= 0 or prices[high] < 1.5 * prices[low]:
        return "A connection for each request costs about the same everywhere"
    return (f"A connection of its own costs a request {style.human(prices[low])} µs of CPU time "
            f"in {low}, {style.human(prices[high])} µs in {high}")


def panel(c, ax, rows, text, label):
    """Each row a pair; `text` puts one in words. One that lacks a half is said to."""
    known = [e.value for pair in rows.values() if None not in pair for e in pair
             if e.finite and e.value > 0]
    ax.set_xlabel(label)
    if known:
        chart.log_x(ax, min(known) / 1.3, max(known) * (max(known) / min(known)) ** 0.35 * 1.5)
    for row, (arch, pair) in enumerate(rows.items()):
        if None in pair:
            ax.text(0.02, row, "not measured", color=style.GREY, va="center", fontsize=13,
                    transform=ax.get_yaxis_transform())
        else:
            c.span(ax, row, arch, pair, max(known, default=1), text(*pair))
    c.name_rows(ax, list(rows))


def draw(run):
    run.need(WORKLOAD)
    lasting, brief = two_points(run)
    archs = style.in_order(run.archs(WORKLOAD))
    costs = {a: tuple(run.estimate(WORKLOAD, p, a, "cpu_us_per_request") for p in (lasting, brief))
             for a in archs}
    if not any(None not in pair for pair in costs.values()):
        raise NoData(f"no architecture was measured at both points of workload {WORKLOAD}")
    costs = {a: costs[a] for a in ranked({a: pair[1] for a, pair in costs.items()})}
    connect = {a: tuple(connect_us(run, brief, a, p) for p in ("p50", "p99")) for a in costs}
    c = chart.rows_chart(run, costs, 0.5, cols=2)
    left, right = c.axes
    panel(c, left, costs, lambda a, b: f"{style.human(a.value)} → {style.human(b.value)}",
          "CPU time per request (µs)")
    panel(c, right, connect, lambda _, p99: style.duration(p99.value), "time to connect (µs)")
    return c.finish(finding(costs), f"connections that carry {requests_per_connection(run, brief)} "
                    "request each, against those that last")
