"""Benchmarks of servers: against nginx and Apache, against each other, and against what a formula
predicts. Where nothing else is said the server has the first core and the generator the last one,
64 connections send the trivial request in a closed loop, and CPU time is that of the server's
processes, their ended children and threads included, over the generator's window."""

import contextlib
import json
import math
import os
import random
import statistics
import subprocess
import tempfile

from archbench.bench.proc import children, descriptors, process_cpu_s
from archbench.bench.rig import (CONNECTIONS, CORES, apache, architecture, bound, compare_speed,
                                 line, loadgen_command, median_and_range, nginx, server_speed,
                                 window)
from archbench.formats import abouts

COROUTINES_LOW = 0.85
POOL_WAIT_S = 0.02
POOL_SIZES = (8, 32)
POOL_CROWD = 4  # connections for each worker
MEMORY_CONNECTIONS = (1_000, 10_000)
GUIDE_KB = 64  # of a connection
BALANCE_CONNECTIONS = (64, 1_000)
BALANCE_LOAD = 0.7
DISK_RATE = 8  # requests per second that read
DISK_STEPS = "&".join(["io=disk:1m"] * 8)  # long enough to stand out of a restless machine
DISK_WORKLOAD = f"""
[workload]
question = Who waits while others read from the disk?
arrivals = poisson
connections = 64

[class short]
rate = 1000
request = /

[class disk]
rate = {DISK_RATE}
request = /work?{DISK_STEPS}&class=disk
"""
MEMORY_WORKLOAD = """
[workload]
question = What does a connection cost that has been used?
arrivals = poisson
rate = {rate}
connections = {connections}
ramp = 2000
placement = shared

[class short]
request = /
"""
MEMORY_SECONDS = 3
MEMORY_ENOUGH = 0.95  # of the connections: on a busy machine some forks may come late


# ---------------------------------------------------------------- means


def room_for(about, connections):
    """Options with which the server takes so many connections at a time. None: it never does."""
    peers = about.get("peers", math.inf)
    if isinstance(peers, str):
        return [peers.partition("=")[0], str(connections)]
    return [] if connections <= peers else None


def alternate(measures, rounds):
    """Measure each of {name: function} once per round, all of a round right after one another:
    {name: values}. The first round warms up; every other one goes backwards."""
    values = {name: [] for name in measures}
    for i in range(rounds + 1):
        for name in list(measures)[::-1 if i % 2 else 1]:
            value = measures[name]()
            if i:
                values[name].append(value)
    return values


def row(name, values, form, *more):
    """A name, the median and range of its values, and what else there is to say."""
    spread = (f"{statistics.median(values):10{form}} "
              f"({min(values):{form}} to {max(values):{form}})")
    print(f"  {name:24} {spread:38}", *more, flush=True)


def ratio_by_round(values, reference):
    return [a / b for a, b in zip(values, reference)]


def compare_servers(options, title, ours, peer, low, cores=CORES[-1:]):
    """ours and peer: (name, server, path). Rates and CPU time in pairs; `low` bounds the rates."""
    more = ("-w", str(len(cores)))

    def measure(server, path=""):
        return lambda: server_speed(options.build, server, options.seconds, *more, path=path,
                                    cores=cores)

    return compare_speed(title, (ours[0], measure(*ours[1:])), (peer[0], measure(*peer[1:])),
                         options.rounds, low)


# ---------------------------------------------------------------- peers


def bench_nginx2(options):
    """Both on two cores, which they share with a loadgen of two workers: equal for both, so the
    ratio of the rates holds, but they are not what the server alone would reach."""
    held = []
    cores = CORES[:2]
    for listen in ("shared", "reuseport"):
        with tempfile.TemporaryDirectory() as folder, \
                architecture(options.build, "multi_loop", "--workers", "2", "--listen", listen,
                             cores=cores) as ours, \
                nginx(folder, 2, listen == "reuseport", cores) as peer:
            held.append(compare_servers(options, f"nginx2: two workers, {listen} listener",
                                        ("multi_loop", ours), ("nginx", peer), 1, cores))
    return all(held)


def bench_uring(options):
    """The ring saves system calls: one io_uring_enter for many operations."""
    with tempfile.TemporaryDirectory() as folder, \
            architecture(options.build, "io_uring") as ours, nginx(folder) as peer, \
            architecture(options.build, "event") as event:
        held = [compare_servers(options, f"uring: io_uring against {name}, one core each",
                                ("io_uring", ours), (name, server), 1)
                for name, server in (("nginx", peer), ("event", event))]
    return all(held)


def bench_coroutines(options):
    """What the direct style costs over handlers: two switches of stacks for each await."""
    with architecture(options.build, "coroutines") as ours, \
            architecture(options.build, "event") as peer:
        return compare_servers(options, "coroutines: against event", ("coroutines", ours),
                               ("event", peer), COROUTINES_LOW)


def bench_apache(options):
    """Apache's worker MPM, too, gives a connection a thread for as long as it lives. It sends the
    same 3 bytes from a file, and two header fields more."""
    held = []
    for name, more in (("threads", []), ("thread_pool", ["--workers", str(CONNECTIONS)])):
        with tempfile.TemporaryDirectory() as folder, \
                architecture(options.build, name, *more) as ours, \
                apache(folder, 2 * CONNECTIONS) as peer:
            held.append(compare_servers(options, f"apache: {name} against the worker MPM",
                                        (name, ours), ("apache", peer, "ok"), 1))
    return all(held)


# ---------------------------------------------------------------- predictions


def bench_pool(options):
    """Little's law: W workers that wait D for each request answer W / D of them per second, whoever
    asks; a loop takes every connection's. A worker of prefork keeps its connection to the end, so
    there each request has a connection of its own, or most would never get a turn."""
    path = f"work?io=timer:{POOL_WAIT_S * 1000:g}ms"
    held = []
    for workers in POOL_SIZES:
        connections = POOL_CROWD * workers
        print(f"pool: {workers} workers wait {POOL_WAIT_S * 1000:g} ms for each request, "
              f"{connections} connections (requests/s)")
        cases = {"thread_pool": (["--workers", str(workers)], [], workers),
                 "prefork": (["--workers", str(workers)], ["--churn", "1"], workers),
                 "event": ([], [], connections)}

        def rate(name, cases=cases, connections=connections):
            with architecture(options.build, name, *cases[name][0]) as server:
                return server_speed(options.build, server, options.seconds, "-c",
                                    str(connections), *cases[name][1], path=path).rate

        rates = alternate({name: lambda name=name: rate(name) for name in cases}, options.rounds)
        for name, (_, _, at_once) in cases.items():
            predicted = at_once / POOL_WAIT_S
            ratio = statistics.median(rates[name]) / predicted
            row(name, rates[name], ",.0f", f"predicted {predicted:6,.0f}, ratio {ratio:.3f}")
            held.append(bound(ratio, 0.85 if name == "event" else 0.9, 1.02))
    return all(held)


def bench_cost(options):
    """The server that does nothing but its work is `iterative`; the rest is what the architecture
    adds, or, with many connections, saves: many replies for a wake-up."""
    servers = abouts.servers(options.build)

    def cpu_us(name, connections):
        more = room_for(servers[name], connections)
        with architecture(options.build, name, *more) as server:
            return server_speed(options.build, server, options.seconds, "-c",
                                str(connections)).cpu_us

    for connections in (1, CONNECTIONS):
        print(f"cost: us of CPU per request with {connections} connections, and over iterative "
              "with one")
        names = [name for name in servers if room_for(servers[name], connections) is not None]
        measures = {name: lambda name=name, n=connections: cpu_us(name, n) for name in names}
        measures["iterative"] = lambda: cpu_us("iterative", 1)
        values = alternate(measures, options.rounds)
        for name in sorted(values, key=lambda name: statistics.median(values[name])):
            ratios = ratio_by_round(values[name], values["iterative"])
            row(name, values[name], ".2f", f"ratio {median_and_range(ratios, '.2f')}")
    return True


# ---------------------------------------------------------------- connections


def memory_cell(build, folder, name, connections, more):
    """What build/cell says of memory per connection, and of how many it held."""
    workload = os.path.join(folder, f"memory{connections}.ini")
    with open(workload, "w", encoding="utf-8") as file:
        # The connection used longest ago is the next: the window uses each.
        file.write(MEMORY_WORKLOAD.format(rate=connections // 2, connections=connections))
    subprocess.run([f"{build}/cell", "--server", name, "--workload", workload, "--out", folder,
                    "--build", build, "--duration", f"{MEMORY_SECONDS}s", "--", *more],
                   stdout=subprocess.DEVNULL, check=False)
    path = f"{folder}/memory{connections}/base/{name}.1/cell.json"
    with open(path, encoding="utf-8") as file:
        return json.load(file)


MEMORY_KINDS = ("user_kb", "page_tables_kb", "kernel_stacks_kb", "sockets_kb")


def per_connection_kb(memory, in_advance):
    """KiB by kind. What a pool had made for its connections in advance was there before them."""
    each = {kind: memory["per_connection"][kind] for kind in MEMORY_KINDS}
    if in_advance:
        for kind in MEMORY_KINDS[:3]:
            each[kind] += memory["before"][kind] / memory["connections"]
    return each


def memory_row(name, cells, connections, in_advance):
    """One line; returns the median of all KiB per connection, or None when it held fewer."""
    each = [per_connection_kb(cell["memory"], in_advance) for cell in cells
            if cell["memory"] and cell["memory"]["connections"] >= MEMORY_ENOUGH * connections]
    if not each:
        reasons = cells[-1]["validity"]["reasons"]
        print(f"  {name:24} did not hold {connections:,}: {'; '.join(reasons)}", flush=True)
        return None
    totals = [sum(one.values()) for one in each]
    row(name, totals, ".1f",
        *(f"{statistics.median(one[kind] for one in each):9.1f}" for kind in MEMORY_KINDS))
    return statistics.median(totals)


def bench_memory(options):
    """By build/cell: memory of the server's processes and of the kernel, when all connections stand
    and each has been used, less that before the first. The sockets are those of both ends."""
    servers = abouts.servers(options.build)
    held = []
    for connections in MEMORY_CONNECTIONS:
        print(f"memory: KiB per connection, {connections:,} connections (guide: {GUIDE_KB})\n"
              f"  {'':24} {'total':38} {'user':>9} {'tables':>9} {'stacks':>9} {'sockets':>9}")
        totals = {}
        for name, about in servers.items():
            more = room_for(about, connections)
            if more is None:
                continue
            with tempfile.TemporaryDirectory() as folder:
                cells = [memory_cell(options.build, folder, name, connections, more)
                         for _ in range(min(options.rounds, 3))]
            totals[name] = memory_row(name, cells, connections, bool(more))
        held += [memory_order(totals, more, less)
                 for more, less in (("threads", "event"), ("processes", "threads"))]
    return all(held)


def memory_order(totals, more, less):
    """The guide: a process costs more than a thread, a thread more than a watched descriptor."""
    if not (totals.get(more) and totals.get(less)):
        line("bound", f"{more} over {less}: not both held them: MISSED")
        return False
    line("ratio", f"{totals[more] / totals[less]:.2f} ({more} over {less})")
    return bound(totals[more] / totals[less], 1, None)


def bench_churn(options):
    """What a connection costs that carries one request: `processes` forks for it, `threads` makes a
    thread, `prefork` only accepts; a kept one costs none of it."""
    print("churn: us of CPU per request, each on a connection of its own or all on kept ones")
    with contextlib.ExitStack() as stack:
        cases = {}
        for name in ("processes", "threads", "prefork"):
            # When one side has closed, the other may not know yet: room for the next.
            more = ["--workers", str(2 * CONNECTIONS)] if name == "prefork" else []
            server = stack.enter_context(architecture(options.build, name, *more))
            for kind, churn in (("each its own", ["--churn", "1"]), ("kept", [])):
                cases[f"{name}, {kind}"] = lambda server=server, churn=churn: server_speed(
                    options.build, server, options.seconds, *churn).cpu_us
        values = alternate(cases, options.rounds)
    for name in cases:
        row(name, values[name], ".1f")
    held = []
    for name in ("processes", "threads"):
        ratios = ratio_by_round(values[f"{name}, each its own"], values["prefork, each its own"])
        line("ratio", f"{median_and_range(ratios, '.2f')} ({name} over prefork, each its own)")
        held.append(bound(statistics.median(ratios), 1, None))
    return all(held)


# ---------------------------------------------------------------- balance


def imbalance(shares):
    """Largest over mean: 1 is even."""
    return max(shares) * len(shares) / sum(shares) if sum(shares) else math.nan


def chance_imbalance(connections, workers, samples=400):
    """The same, on average, when each connection goes to a worker by chance, as by a hash."""
    draw = random.Random(1)
    total = 0.0
    for _ in range(samples):
        shares = [0] * workers
        for _ in range(connections):
            shares[draw.randrange(workers)] += 1
        total += imbalance(shares)
    return total / samples


def balance_of(options, listen, connections, rate):
    """Imbalance of connections and of CPU time over the workers, and p99 in us, at this rate."""
    with architecture(options.build, "multi_loop", "--workers", str(len(CORES)), "--listen", listen,
                      cores=CORES) as server:
        workers = children(server.process.pid)
        idle = [descriptors(pid) for pid in workers]
        command = loadgen_command(options.build, server.url, options.seconds, "-w",
                                  str(len(CORES)), "-c", str(connections), "-r", str(int(rate)))
        result, before, after = window(
            command, options.seconds,
            lambda: [(descriptors(pid), process_cpu_s(pid)) for pid in workers], CORES)
        held = [now[0] - then for now, then in zip(after, idle)]
        spent_s = [now[1] - then[1] for now, then in zip(after, before)]
        p99_us = result["total"]["response"]["p99_us"]
        return imbalance(held), imbalance(spent_s), math.inf if p99_us is None else p99_us


def capacity(options, connections):
    workers = str(len(CORES))
    with architecture(options.build, "multi_loop", "--workers", workers, cores=CORES) as server:
        return server_speed(options.build, server, options.seconds, "-w", workers, "-c",
                            str(connections), cores=CORES).rate


def bench_balance(options):
    """The hash of reuseport is blind: as even as chance. Of one shared listener the loop that is
    awake takes whom it finds. The rate is a share of what the shared one reaches in a closed loop;
    server and generator share the cores."""
    held = []
    for connections in BALANCE_CONNECTIONS:
        rate = BALANCE_LOAD * capacity(options, connections)
        chance = chance_imbalance(connections, len(CORES))
        print(f"balance: {connections:,} connections on {len(CORES)} loops at {rate:,.0f} "
              f"requests/s ({BALANCE_LOAD:.0%}); busiest over mean, by chance {chance:.3f}")
        values = alternate({listen: lambda listen=listen, n=connections, rate=rate:
                            balance_of(options, listen, n, rate)
                            for listen in ("shared", "reuseport")}, options.rounds)
        for at, (what, form) in enumerate((("connections", ".3f"), ("CPU time", ".3f"),
                                           ("p99, us", ",.0f"))):
            for listen in values:
                row(f"{what}, {listen}", [value[at] for value in values[listen]], form)
        even = statistics.fmean(value[0] for value in values["reuseport"])
        line("reuseport", f"{even / chance:.3f} times chance")
        held.append(bound(even / chance, 0.9, 1.1))
    return all(held)


# ---------------------------------------------------------------- disk


def stalled_p99_us(short_us, read_us, reads_per_s):
    """p99 of short requests in a loop that every read stops for read_us. The share of them that
    comes while it stands is read_us x reads_per_s, and any part of the read is then still to come
    with equal chance: the one in a hundred that waits longest waits all but 0.01 / reads_per_s of
    it. Reads that follow on each other's heels are left out."""
    return short_us + max(0.0, read_us - 0.01 / reads_per_s * 1e6)


def bench_disk(options):
    """A loop that reads stops for all; a ring, or threads, let the device work meanwhile."""
    print(f"disk: p99 in us of short requests beside {DISK_RATE} per second that read 8 MiB, and "
          "the median of those")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "disk.ini")
        with open(path, "w", encoding="utf-8") as file:
            file.write(DISK_WORKLOAD)

        def classes(name, *more):
            with architecture(options.build, name) as server:
                command = loadgen_command(options.build, server.url, options.seconds, *more)
                return window(command, options.seconds, lambda: None)[0]["classes"]

        def measure(name):
            result = classes(name, "--workload", path)
            return (finite_us(result["short"], "p99_us"), finite_us(result["disk"], "p50_us"),
                    finite_us(result["short"], "p50_us"))

        names = ("event", "io_uring", "hybrid", "threads")
        for name in names:  # whoever reads first may have to make the file
            classes(name, "--workload", path)
        values = alternate({name: lambda name=name: measure(name) for name in names},
                           options.rounds)
    p99s = {name: [value[0] for value in values[name]] for name in names}
    for name in names:
        read_us = statistics.median(value[1] for value in values[name])
        row(name, p99s[name], ",.0f", f"read {read_us:,.0f} us")
    read_us, short_us = (statistics.median(value[at] for value in values["event"]) for at in (1, 2))
    predicted_us = stalled_p99_us(short_us, read_us, DISK_RATE)
    line("predicted", f"event {predicted_us:,.0f} us, "
                      f"ratio {statistics.median(p99s['event']) / predicted_us:.2f}")
    held = []
    for name in names[1:]:
        ratios = ratio_by_round(p99s[name], p99s["event"])
        line("ratio", f"{median_and_range(ratios, '.3f')} ({name} over event)")
        held.append(bound(statistics.median(ratios), None, 1))
    return all(held)


def finite_us(result, percentile):
    """Of the response; infinite when that many were not answered well."""
    value = result["response"][percentile]
    return math.inf if value is None else value


BENCHMARKS = {"nginx2": bench_nginx2, "uring": bench_uring, "coroutines": bench_coroutines,
              "apache": bench_apache, "pool": bench_pool, "cost": bench_cost,
              "memory": bench_memory, "churn": bench_churn, "balance": bench_balance,
              "disk": bench_disk}
