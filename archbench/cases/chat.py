"""Company A: a chat for 10,000 people, on one server or several processes of it, with Redis and PostgreSQL."""
from archbench.cases import spans
from archbench.cases.case import Case, Figure
from archbench.cases.picture import Arrow, Box, Picture
from archbench.drawing import style, sweep
from archbench.formats.run import NoData, number_in
from archbench.stats.estimates import extremes
from archbench.tables.parts import guide_chat as rows_of

DELIVERY, POOL, SLOW = "chat", "chat_pool", "chat_slow"
LIMIT_MS = 50.0
QUIET_POINT, SLOW_POINT = "none", "slow-reader"  # of chat_slow
# Published by others (a pool of database connections, one core, short queries): requests/s, p99 in ms.
PUBLISHED = ("Published elsewhere for short queries on one core: synchronous 9,600/s; asynchronous with "
             "pools of 4, 16, 32: 31,700, 35,000, 33,400/s, p99 2.3, 4.4, 8.9 ms")

PICTURE = Picture(
    "Company A: a message is told to its room before it is stored",
    (Box("10,000 clients", ("500 rooms of 20", "1 WebSocket each"), 0.3, 1.55, 2.5, 1.5, "client"),
     Box("server", ("4 ms of computation", "for each message", "one process or several"), 4.9, 1.4, 2.8,
         1.8, "server"),
     Box("Redis", ("publish and subscribe",), 10.0, 3.0, 2.5, 1.1),
     Box("PostgreSQL", ("100 ms a statement", "pool of 50 connections"), 10.0, 0.35, 2.5, 1.1)),
    (Arrow("10,000 clients", "server", "250 messages/s", (1.0, 0.7), (0.0, 0.667), (0, 0.22)),
     Arrow("server", "10,000 clients", "5,000 deliveries/s\nwithin 50 ms", (0.0, 0.283), (1.0, 0.24),
           (0, -0.38)),
     Arrow("server", "Redis", "250/s\npublish", (1.0, 0.88), (0.0, 0.75), (-0.3, 0.38)),
     Arrow("Redis", "server", "250/s to each\nprocess", (0.0, 0.25), (1.0, 0.62), (0.6, -0.33)),
     Arrow("server", "PostgreSQL", "250 inserts/s\n125 reads/s", (1.0, 0.2), (0.0, 0.5),
           (-0.35, -0.42), True)),
    4.8)


def delivery_ends(run):
    """{arch: (p50, p99) of deliveries at the guide's load}"""
    def of(rank):
        return lambda arch: run.estimate(DELIVERY, rows_of.FULL, arch, f"delivery_{rank}_us", "total")
    return spans.pairs(run, run.archs(DELIVERY), of("p50"), of("p99"))


def draw_delivery(run):
    run.need(DELIVERY)
    found = delivery_ends(run)
    return spans.draw(run, found, "time from the moment a message was due to its delivery (ms): p50 small, "
                      "p99 large",
                      spans.ends(found, "At 250 messages/s the p99 of deliveries",
                                 "No clear difference: deliveries take as long everywhere"),
                      LIMIT_MS, "the guide: 50 ms")


def pool_line(run, arch, metric, cls="", factor=1.0):
    """[(pool, Estimate)] over the points pool-N."""
    found = ((number_in(p), run.estimate(POOL, p, arch, metric, cls)) for p in run.points(POOL))
    return sorted(((n, e.scaled(factor)) for n, e in found if n and e), key=lambda p: p[0])


def pool_title(rates):
    peaks = {a: max((e for _, e in line if e.valid), key=lambda e: e.value, default=None)
             for a, line in rates.items()}
    least = {a: next((n for n, e in line if e.valid and e.value >= 0.95 * peaks[a].value), None)
             for a, line in rates.items() if peaks[a]}
    if not least:
        return "Messages per second over the size of the pool"
    apart = extremes(peaks)
    sizes = sorted(set(least.values()))
    needed = f"{sizes[0]:g}" if len(sizes) == 1 else f"{sizes[0]:g} to {sizes[-1]:g}"
    if apart and apart[2]:
        low, high, _ = apart
        return (f"A pool of {needed} is enough; then {high} answers {style.human(peaks[high].value)} "
                f"messages/s and {low} {style.human(peaks[low].value)}")
    return f"A pool of {needed} is enough, and then waiting in threads or in a loop makes no difference"


def draw_pool(run):
    run.need(POOL)
    archs = style.in_order(run.archs(POOL))
    rates = {a: pool_line(run, a, "achieved_rate") for a in archs}
    if not any(rates.values()):
        raise NoData(f"no rates were measured in workload {POOL}")
    p99 = {a: pool_line(run, a, "response_p99_us", "total", 1e-3) for a in archs}
    sizes = sweep.points_in(rates)
    each_s = rows_of.STATEMENTS * rows_of.DATABASE_S

    def ceiling(ax, family):
        ax.plot(sizes, [n / each_s for n in sizes], color=style.GREY, linestyle="--", linewidth=2, zorder=1)
    c = sweep.draw(run, archs, [sweep.Measure("messages/s", (rates,), behind=[ceiling]),
                                sweep.Measure("p99 response time (ms)", (p99,))],
                   sweep.Axis("connections to the database, for each process", sizes, log=True))
    c.key("pool / (1.5 x 100 ms)", color=style.GREY, linestyle="--", linewidth=2)
    return c.finish(pool_title(rates), PUBLISHED)


def draw_slow(run):
    """Deliveries to the others, without the slow subscriber (small) and beside it (large)."""
    run.need(SLOW)

    def at(point):
        return lambda arch: run.estimate(SLOW, point, arch, "delivery_p99_us", "total")
    found = spans.pairs(run, run.archs(SLOW), at(QUIET_POINT), at(SLOW_POINT))
    return spans.draw(run, found, "p99 of deliveries (ms): without the slow subscriber small, beside it large",
                      spans.ends(found, "Beside a subscriber that does not read, the p99 of the others",
                                 "One subscriber that does not read costs the others nothing"))


CASE = Case(
    name="chat", id="B9", title="A chat for 10,000 people",
    question="Do 10,000 people on WebSockets, 250 messages a second, fit one core, a pool of 50 and 50 ms?",
    picture=PICTURE,
    emulated="The 4 ms are a hash computation, the 100 ms a pg_sleep in each statement (or the stand-in's "
             "delay where PostgreSQL is not installed); clients, server, Redis and PostgreSQL share the cores "
             "of one machine.",
    rows=rows_of.rows,
    figures=(
        Figure("delivery", "A row is an architecture: the median delivery is the small mark, the p99 the "
               "large one. Look at who is left of the dashed line, which is the guide's limit.",
               draw_delivery),
        Figure("pool", "48 clients that send their next message soon after the last reply. Along the dashed "
               "line the pool is the limit: whoever waits, waits for a connection. Look at the size from which the "
               "rate leaves the line and the p99 stops falling.",
               draw_pool),
        Figure("slow", "The p99 of deliveries to those that do read, alone and beside one that does not. Where "
               "both marks meet, the slow one costs nobody but itself.", draw_slow)),
    lessons=(
        "Little's law sizes a pool for the mean; the share that waits is a matter of chance, and Erlang's "
        "formula gives it. A pool of 50 for 37.5 in flight is a decision on that share.",
        "What a message needs in sum says nothing of how long it takes to be delivered: the order of the "
        "steps does. Published before it is stored, it does not wait for the database.",
        "250 messages of 4 ms fill one core, so one loop that computes is full: more cores help only an "
        "architecture that can put the computation on them.",
        "1 KB for a WebSocket is what a program keeps at best; the kernel's sockets cost several times that."))
