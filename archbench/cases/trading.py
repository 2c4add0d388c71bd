"""The trading platform: an order book that a market feed changes, trades that match in it, and risk
computations beside them."""
from archbench.cases import spans
from archbench.cases.case import Case, Figure
from archbench.cases.picture import Arrow, Box, Picture
from archbench.drawing import style, sweep
from archbench.formats.names import server_of
from archbench.formats.run import NoData, number_in
from archbench.stats.estimates import extremes
from archbench.tables.parts import guide_trading as rows_of

FULL, RATE, BURST = "trading", "trading_rate", "trading_burst"
LIMIT_MS = 1.0
LIMIT = (LIMIT_MS, "the guide: 1 ms")
WAYS = ("lock", "shard", "owner")  # values of --book
STEADY_POINT, BURST_POINT = "steady", "modulated"  # of trading_burst

PICTURE = Picture(
    "Trading: trades meet books that 50,000 updates/s change",
    (Box("market", ("4 connections", "one-way frames"), 0.3, 3.1, 2.6, 1.1, "client"),
     Box("traders", ("32 connections",), 0.3, 1.65, 2.6, 1.1, "client"),
     Box("risk desk", ("32 connections",), 0.3, 0.2, 2.6, 1.1, "client"),
     Box("server", ("takes requests, sends replies",), 5.2, 0.7, 3.0, 3.0, "server"),
     Box("order books", ("shared state: one lock,", "a lock each, or an owner"), 9.8, 2.5, 2.8, 1.2),
     Box("computation", ("a Monte Carlo of 1 ms", "each, in the loop or in", "workers beside it"), 9.8, 0.6,
         2.8, 1.4)),
    (Arrow("market", "server", "50,000 updates/s", (1.0, 0.5), (0.0, 0.85), (0.1, 0.3)),
     Arrow("traders", "server", "1,000 trades/s\nwithin 1 ms each", (1.0, 0.5), (0.0, 0.5), (0, 0.0),
           True),
     Arrow("risk desk", "server", "500 computations/s", (1.0, 0.5), (0.0, 0.15), (0.1, -0.3), True),
     Arrow("server", "order books", "51,000/s", (1.0, 0.8), (0.0, 0.5), (0, 0.25), True),
     Arrow("server", "computation", "500/s\n0.5 cores", (1.0, 0.2), (0.0, 0.5), (0, 0.4), True)),
    4.9)


def trade(run, workload, point, rank):
    return lambda arch: run.estimate(workload, point, arch, f"response_{rank}_us", "trade")


def is_way(arch):
    """A variant by its way to share the book, such as threads-shard?"""
    return arch.partition("-")[2] in WAYS


def at_full(run, archs):
    """{arch: (p99, p99.9) of trades at the guide's rates}"""
    return spans.pairs(run, archs, trade(run, FULL, rows_of.FULL, "p99"),
                       trade(run, FULL, rows_of.FULL, "p999"))


def draw_latency(run):
    run.need(FULL)
    found = at_full(run, [a for a in run.archs(FULL) if not is_way(a)])
    below = [a for a, (_, tail) in found.items() if tail.valid and tail.value < LIMIT_MS]
    alike = "No clear difference between the architectures in the p99.9 of trades"
    title = spans.ends(found, "At the guide's full rates the p99.9 of trades", alike)
    return spans.draw(run, found, "response to a trade (ms): p99 small, p99.9 large", title, *LIMIT,
                      "below 1 ms in " + ", ".join(below) if below else "in none of them below 1 ms")


def draw_book(run):
    """The ways to share the book beside each other, server by server."""
    run.need(FULL)
    ways = [a for a in run.archs(FULL) if is_way(a)]
    found = at_full(run, ways + [server_of(a) for a in ways if server_of(a) in run.archs(FULL)])
    if len(found) < 2:
        raise NoData("the book was shared in one way only")
    title = spans.ends(found, "With the book shared in different ways the p99.9 of trades",
                       "How the book is shared makes no clear difference to trades")
    return spans.draw(run, found, "response to a trade (ms): p99 small, p99.9 large", title, *LIMIT)


def rate_line(run, arch, rank):
    found = ((number_in(p), trade(run, RATE, p, rank)(arch)) for p in run.points(RATE))
    return sorted(((x, e.scaled(1e-3)) for x, e in found if x and e), key=lambda p: p[0])


def rate_title(lines):
    """The largest share of the guide's rates at which each still answers within 1 ms."""
    held = {a: max((x for x, e in line if e.valid and e.value < LIMIT_MS), default=0)
            for a, line in lines.items() if line}
    if not held:
        return "The p99 of trades over the rate"
    best = max(held, key=held.get)
    if not held[best]:
        return "Nobody answers trades within 1 ms at the p99, at any of these rates"
    others = [a for a in held if held[a] == held[best]]
    return (f"Up to {held[best]:g} % of the guide's rates the p99 of trades is below 1 ms in "
            + ", ".join(style.in_order(others)))


def draw_rate(run):
    run.need(RATE)
    archs = style.in_order(run.archs(RATE))
    lines = {rank: {a: rate_line(run, a, rank) for a in archs} for rank in ("p99", "p999")}
    if not any(lines["p99"].values()):
        raise NoData(f"no trades were measured in workload {RATE}")
    xs = sweep.points_in(lines["p99"])

    def limit(ax, family):
        ax.axhline(LIMIT_MS, color=style.INK, linestyle="--", linewidth=2, zorder=0)
    c = sweep.draw(run, archs, [
        sweep.Measure(f"{text} of trades (ms)", (lines[rank],), behind=[limit])
        for rank, text in (("p99", "p99"), ("p999", "p99.9"))],
        sweep.Axis("% of the guide's rates", xs, from_zero=True, ticks=True))
    c.key(LIMIT[1], color=style.INK, linestyle="--", linewidth=2)
    return c.finish(rate_title(lines["p99"]), sweep.ends_early(run, RATE, archs))


def draw_burst(run):
    """The same mean rate as a steady feed (small) and in bursts (large)."""
    run.need(BURST)
    found = spans.pairs(run, run.archs(BURST), trade(run, BURST, STEADY_POINT, "p99"),
                        trade(run, BURST, BURST_POINT, "p99"))
    apart = extremes({a: pair[1] for a, pair in found.items()})
    alike = "A feed in bursts costs trades as much in every architecture"
    title = spans.ends(found, "Beside a feed in bursts the p99 of trades", alike) if apart else alike
    return spans.draw(run, found, "p99 of the response to a trade (ms): steady feed small, in bursts large",
                      title, *LIMIT)


TWO = "A row is an architecture: the p99 of trades is the small mark, the p99.9 the large one. "
CASE = Case(
    name="trading", id="B7", title="A trading platform",
    question="50,000 updates, 1,000 trades and 500 risk computations a second: does every trade take less "
             "than a millisecond?",
    picture=PICTURE,
    emulated="The market is a generator with a stated mix of orders, a risk computation a Monte Carlo of fixed "
             "size worth 1 ms, since the guide gives no time for it; market, traders and server share the cores "
             "of one machine.",
    rows=rows_of.rows,
    figures=(
        Figure("latency", TWO + "Look at who is left of the dashed line with both.", draw_latency),
        Figure("rate", "All three rates grow together, in per cent of the guide's. Look at where a line crosses "
               "the dashed one: beyond, the promise of 1 ms is broken.", draw_rate),
        Figure("book", TWO + "The same server with one lock for the book (lock), a lock for each part of it "
               "(shard), or one thread that has it (owner).", draw_book),
        Figure("burst", "The p99 of trades beside a steady feed is the small mark; beside one that comes in bursts, "
               "at the same mean rate, the large one.", draw_burst)),
    lessons=(
        "A trade waits for what is in front of it: a computation in the same loop is in front of every trade.",
        "A guarantee is about the longest response. One below 1 ms at the p99 leaves ten trades a second that "
        "may take any time.",
        "Shared state is a question of who waits for whom: one lock makes everybody wait for everybody, an owner "
        "makes all wait for a hand-over, and parts of the book only for their own.",
        "A fast trade on old data is no success: the age of the book is measured beside the latency."))
