"""What an architecture can do with a load, from calibrated costs alone: nothing that was measured
of it enters.

An architecture is known here only by what its header says (--about): how many requests compute at a
time, and which waits hold up whoever serves. From these follow a capacity and a queue."""
from dataclasses import dataclass
import math

from archbench.formats.workload import option
from archbench.model import guide, queueing

# Of a connection between two programs of one host, both ends: socket, inode, dentry, file, without
# data under way. A constant of Linux, of which the runner counts what is not reclaimable.
SOCKETS_KIB = 5.5
# CPU time of a one-way message, as a share of that of a trivial request: it comes in a frame that is read
# together with others, and has no reply. With 50,000 messages per second it was 0.12 in `event`, the change of an
# order book included.
ONE_WAY = 0.1
LOOPS = ("event loops", "asynchronous")  # families whose workers share no queue


@dataclass(frozen=True)
class Demand:
    """What one class asks for. `rate` requests/s; in a closed loop only the proportions count."""
    name: str
    rate: float
    cpu_s: float = 0.0
    wait_s: float = 0.0  # timers, calls and statements
    waits: int = 0  # how many of them
    database_s: float = 0.0  # of these, statements, each of which needs a pooled connection
    statements: int = 0  # how many of them
    one_way: bool = False  # messages that want no reply


@dataclass(frozen=True)
class Costs:
    """What the calibration found, of one request and of one task among hundreds. 0: unknown."""
    request_s: float  # CPU time of a trivial request
    thread_wait_s: float = 0.0  # CPU time of a wait
    process_wait_s: float = 0.0
    thread_kib: float = 0.0
    process_kib: float = 0.0
    connection_kib: float = 0.0  # its state in the program


def costs_of(calibration):
    """Costs, from the keys of calibration.json. Older ones know nothing of tasks."""
    thread, process = (calibration.get(kind, {}) for kind in ("thread", "process"))
    return Costs(
        1e-6 * calibration["request_us"], 1e-6 * thread.get("wait_us", 0.0),
        1e-6 * process.get("wait_us", 0.0), thread.get("memory_kib", 0.0),
        process.get("memory_kib", 0.0), calibration.get("connection_kib", 0.0))


@dataclass(frozen=True)
class Server:
    """An architecture on a machine."""
    family: str
    lanes: float  # requests that compute at a time; math.inf: as many as there are
    blocks: frozenset  # of "compute", "timer", "upstream", "disk"
    cores: int
    overhead_s: float  # CPU time of a request beside its work and its waits
    peers: float = math.inf  # connections served at a time
    holds: float = math.inf  # requests under way at a time, waits included, whoever serves them
    wait_cost_s: float = 0.0  # CPU time of a wait, where a task sleeps and is woken
    connection_kib: float = 0.0  # memory of a connection, the kernel's part included; 0: unknown
    pool: float = math.inf  # connections to the database, of each process
    pools: int = 1  # processes that have such a pool

    def own_s(self, demand):
        """CPU time of a request beside its work and its waits."""
        return self.overhead_s * (ONE_WAY if demand.one_way else 1)

    def cpu_s(self, demand):
        """CPU time of a request, all in all."""
        return demand.cpu_s + self.own_s(demand) + demand.waits * self.wait_cost_s

    @property
    def computing(self):
        """Cores that computation can keep busy."""
        return min(self.lanes, self.cores)

    @property
    def has_loop_for_all(self):
        """One loop does everything but computation."""
        return "compute" not in self.blocks

    @property
    def waits_hold(self):
        """A waiting request keeps a lane."""
        return "timer" in self.blocks

    @property
    def queues(self):
        """How many queues the arrivals are split over."""
        return self.computing if self.family in LOOPS else 1


def number(value, options, default):
    """A count from --about: a number, "any", or the option that says it, whose value is the last
    one among `options` (as in "--workers=4"), or else its own ("--workers=200"), or `default`."""
    if value in (None, "any"):
        return math.inf
    if not isinstance(value, str):
        return value
    name, _, usual = value.partition("=")
    given = [option.split("=", 1)[1] for option in options if option.startswith(name + "=")]
    return int(given[-1] if given else usual or default)


def pool_of(about, options, lanes):
    """(connections to the database of a process, how many processes have so many). A process for each
    connection of a client has one statement under way, and never waits for a connection."""
    stated = option(" ".join(options), "--database-pool")
    if stated is None or about["tasks"] == "1 process":
        return math.inf, 1
    return int(stated), lanes if about["family"] in LOOPS else 1


def server_of(about, options, cores, costs):
    """Options that say how many default to the number of cores. Where a wait blocks, a task waits;
    a loop's waits are entries in a heap, and cost next to nothing."""
    blocks = frozenset(about["blocks"])
    wait_s = costs.process_wait_s if about["tasks"] == "1 process" else costs.thread_wait_s
    task_kib = {"0": 0.0, "1 thread": costs.thread_kib, "1 process": costs.process_kib}
    memory_kib = costs.connection_kib + SOCKETS_KIB + task_kib[about["tasks"]]
    lanes = number(about["computes"], options, cores)
    return Server(about["family"], lanes, blocks, cores, costs.request_s,
                  number(about.get("peers"), options, cores), number(about.get("holds"), options, 0),
                  wait_s if "timer" in blocks else 0.0,
                  memory_kib if costs.connection_kib else 0.0, *pool_of(about, options, lanes))


def mean(demands, value):
    """The mean of value(demand) over requests as they come."""
    total = sum(d.rate for d in demands)
    return sum(d.rate * value(d) for d in demands) / total


def limits(server, demands):
    """{what: requests/s}: each resource, were it the only one. The least is the capacity."""
    work_s = mean(demands, lambda d: d.cpu_s)
    wait_s = mean(demands, lambda d: d.wait_s)
    each_s = mean(demands, server.cpu_s)
    found = {"cores": server.cores / each_s}
    if server.has_loop_for_all:
        found["loop"] = 1 / mean(demands, server.own_s)
        if work_s:
            found["workers"] = server.computing / work_s
    else:
        found["threads that compute"] = server.computing / each_s
    held = server.holds
    if server.waits_hold:
        held = min(held, server.lanes, server.peers)
    if held < math.inf:
        found["workers that wait"] = held / (each_s + wait_s)
    database_s = mean(demands, lambda d: d.database_s)
    if database_s and server.pool < math.inf:
        found["database pool"] = server.pool * server.pools / database_s
    return found


def capacity(server, demands):
    return min(limits(server, demands).values())


def bottleneck(server, demands):
    found = limits(server, demands)
    return min(found, key=found.get)


def closed(server, demands, connections, think_s=0.0):
    """(throughput, mean response) of a closed loop: what the capacity and the number of connections
    allow at most."""
    demand_s = mean(demands, lambda d: server.cpu_s(d) + d.wait_s)
    users = min(connections, server.peers)
    return queueing.closed_bounds(users, demand_s, 1 / capacity(server, demands), think_s)


@dataclass(frozen=True)
class Pool:
    """The connections to the database under an open load."""
    in_flight: float  # statements under way in the mean, by Little's law
    waiting: float  # the share of statements that find no connection free
    wait_s: float  # for how long a statement waits for one, in the mean


def database(server, demands):
    """The Pool; None where nothing is asked of a database. Statements take a time that does not vary, so
    that a pool is M/D/c; with a pool in each process every one gets an equal part of the load."""
    rate = sum(d.rate * d.statements for d in demands)
    if not rate:
        return None
    service_s = sum(d.rate * d.database_s for d in demands) / rate
    in_flight = guide.in_flight(rate, service_s)
    if server.pool == math.inf:
        return Pool(in_flight, 0.0, 0.0)
    rate /= server.pools
    return Pool(in_flight, queueing.erlang_c(rate * service_s, server.pool),
                queueing.mgc_wait_s(rate, service_s, 0, server.pool))


@dataclass(frozen=True)
class Response:
    """Of one class, from arrival to reply, in seconds. p99_s: None where the model gives none."""
    mean_s: float
    p99_s: float
    model: str


def mixture(demands, own_s):
    return queueing.Mixture([d.rate for d in demands], [own_s(d) for d in demands])


def split_queues(server, demands):
    """Each worker takes requests in the order in which they came to it."""
    total = sum(d.rate for d in demands) / server.queues
    own = {d.name: server.cpu_s(d) + d.wait_s * server.waits_hold for d in demands}
    services = mixture(demands, lambda d: own[d.name])
    wait_s = queueing.mg1_wait_s(total, services.mean_s, services.scv)
    p99_s = queueing.mg1_wait_quantile_s(total, services, 0.99)
    model = "M/G/1 FCFS" if server.queues == 1 else f"{server.queues} x M/G/1 FCFS"
    for d in demands:
        outside_s = d.wait_s * (not server.waits_hold)
        yield d.name, Response(wait_s + own[d.name] + outside_s, p99_s + own[d.name] + outside_s,
                               model)


def loop_and_workers(server, demands):
    """Short ones meet only the loop; what computes waits for a worker too."""
    total, own = sum(d.rate for d in demands), mixture(demands, server.own_s)
    loop_s = queueing.mg1_wait_s(total, own.mean_s, own.scv)
    loop = "M/G/1 loop" if any(d.one_way for d in demands) else "M/D/1 loop"
    heavy = [d for d in demands if d.cpu_s]
    queue_s = 0.0
    if heavy:
        services, rate = mixture(heavy, lambda d: d.cpu_s), sum(d.rate for d in heavy)
        queue_s = queueing.mgc_wait_s(rate, services.mean_s, services.scv, server.computing)
        if total * (mean(demands, lambda d: d.cpu_s) + own.mean_s) >= server.cores:
            queue_s = math.inf
    for d in demands:
        waits_s = queue_s if d.cpu_s else 0.0
        model = f"{loop}, M/G/{server.computing} workers" if d.cpu_s else loop
        yield d.name, Response(loop_s + server.own_s(d) + waits_s + d.cpu_s + d.wait_s, None, model)


def shared_queue(server, demands):
    """As many at a time as there are lanes, the others behind them in one queue. More lanes than
    cores share these: a request then holds its lane for as long as that lets it take."""
    total, lanes = sum(d.rate for d in demands), int(min(server.lanes, server.peers))
    own = {d.name: server.cpu_s(d) for d in demands}
    model = f"M/G/{lanes} FCFS"
    if lanes > server.cores:
        busy_s = mean(demands, server.cpu_s)
        own = {d.name: queueing.mgc_ps_response_s(total, busy_s, server.cpu_s(d), server.cores)
               for d in demands}
        model = f"M/G/{lanes} FCFS, M/G/{server.cores} PS"
    queue_s = math.inf
    if total < capacity(server, demands):
        services = mixture(demands, lambda d: own[d.name] + d.wait_s * server.waits_hold)
        queue_s = queueing.mgc_wait_s(total, services.mean_s, services.scv, lanes)
    for d in demands:
        yield d.name, Response(queue_s + own[d.name] + d.wait_s, None, model)


def shared_cores(server, demands):
    """Everybody runs, and the scheduler gives each its share of the cores."""
    total = sum(d.rate for d in demands)
    busy_s = mean(demands, server.cpu_s)
    for d in demands:
        shared_s = queueing.mgc_ps_response_s(total, busy_s, server.cpu_s(d), server.cores)
        yield d.name, Response(shared_s + d.wait_s, None, f"M/G/{server.cores} PS")


RARELY = 0.01  # a pool that makes fewer wait leaves the p99 as it is


def behind_pool(response, statements, pool):
    """A Response that also waits for connections to the database, once for each statement."""
    if not statements:
        return response
    p99_s = response.p99_s if pool.waiting <= RARELY else None
    return Response(response.mean_s + statements * pool.wait_s, p99_s, response.model)


def open_loop(server, demands):
    """{class: Response} to Poisson arrivals."""
    demands = [d for d in demands if d.rate]
    if server.has_loop_for_all:
        found = loop_and_workers(server, demands)
    elif server.lanes == 1 or server.family in LOOPS:
        found = split_queues(server, demands)
    elif min(server.lanes, server.peers) < math.inf:
        found = shared_queue(server, demands)
    else:
        found = shared_cores(server, demands)
    pool, asked = database(server, demands), {d.name: d.statements for d in demands}
    return {name: behind_pool(response, asked[name], pool) for name, response in found}
