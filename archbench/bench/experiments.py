"""The experiments of docs/reading-order.md: each takes the options of the command, and returns the
number that was predicted and a sentence."""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

from archbench.bench import proc, usage
from archbench.bench.lesson_tools import (BOTH, SHARED, Skipped, beside_load, beside_request,
                                          both_serve, each, kb_per_connection, load, load_cost,
                                          median, median_costs, median_pair, probe_ms, repeat,
                                          reply_s, serve)
from archbench.bench.rig import generate, loadgen_command
from archbench.places import REPOSITORY


# ---------------------------------------------------------------- one flow for each connection


def iterative(options):
    with serve(options, "iterative", "--idle-timeout", "1s") as server:
        def wait_s():
            with socket.create_connection(("127.0.0.1", server.port)):
                time.sleep(0.1)
                return reply_s(server)

        beside, alone_ms = repeat(options, wait_s), repeat(options, lambda: reply_s(server)) * 1e3
    return beside, (f"`GET /` takes {alone_ms:.1f} ms, and {beside:.2f} s while one silent peer is "
                    "connected (`--idle-timeout 1s`)")


def processes(options):
    with serve(options, "processes") as server:
        def cost(*more):
            return lambda: load_cost(options, server, "", "-r500", "-c16", *more)

        churned, kept = median_costs(options, cost("--churn", "1"), cost())
    ratio = churned.cpu_us / kept.cpu_us
    return ratio, (f"a request costs {kept.cpu_us:.0f} us of CPU on a connection that is kept and "
                   f"{churned.cpu_us:.0f} us on one of its own, {ratio:.1f} times as much")


def prefork(options):
    with both_serve(options, ("prefork",), ("processes",)) as servers:
        ours, theirs = median_costs(options, *each(
            lambda server: load_cost(options, server, "", "-r500", "-c16", "--churn", "1"),
            servers))
    ratio = ours.cpu_us / theirs.cpu_us
    return ratio, (f"with a connection for each request, one costs {ours.cpu_us:.0f} us of CPU in "
                   f"`prefork` and {theirs.cpu_us:.0f} us in `processes`: the ratio is {ratio:.2f}")


def threads(options):
    ours, theirs = median_pair(options, lambda: kb_per_connection(options, "threads"),
                               lambda: kb_per_connection(options, "processes"))
    return ours / theirs, (f"a connection costs {ours:.0f} KiB in `threads` and {theirs:.0f} KiB "
                           f"in `processes`: the ratio is {ours / theirs:.2f}")


# ---------------------------------------------------------------- one flow for all


def event(options):
    connections, wait_ms = 250, 50
    with both_serve(options, ("event",), ("threads",)) as servers:
        results = {server: [] for server in servers}

        def cost(server):
            return usage.cost(server, lambda: results[server].append(load(
                options, server, f"work?io=timer:{wait_ms}ms", f"-c{connections}")))

        ours, theirs = median_costs(options, *each(cost, servers))
    # in_turns() leaves the first run out, too
    rate = median(result["achieved_rate"] for result in results[servers[0]][1:])
    return rate, (f"one thread answers {rate:,.0f} requests/s that wait {wait_ms} ms each, "
                  f"{connections} at a time, with {ours.switches:.2f} context switches per request "
                  f"(`threads`: {theirs.switches:.2f})")


def event_stall(options):
    with both_serve(options, ("event",), ("threads",)) as servers:
        def wait_ms(server):
            with beside_request(server, "/work?cpu=hash:500ms"):
                return reply_s(server) * 1e3

        ours, theirs = median_pair(options, *each(wait_ms, servers))
    return ours, ("0.1 s after a request for 500 ms of computation, on the same core, `GET /` "
                  f"takes {ours:.0f} ms in `event` and {theirs:.1f} ms in `threads`")


def system_calls(server, drive):
    """System calls per request, as strace counts them, while drive() runs."""
    if not shutil.which("strace"):
        raise Skipped("strace is not installed")
    with tempfile.NamedTemporaryFile("r") as table:
        strace = subprocess.Popen(["strace", "-c", "-f", "-p", str(server.process.pid), "-o",
                                   table.name], stderr=subprocess.PIPE, text=True)
        first = strace.stderr.readline()
        if "attached" not in first:
            strace.wait()
            raise Skipped(f"strace may not attach: {first.strip()}")
        before = usage.counters(server)["requests"]
        drive()
        requests = usage.counters(server)["requests"] - before
        strace.terminate()
        strace.communicate()
        total = table.read().splitlines()[-1].split()  # % time, seconds, usecs/call, calls
    return int(total[3]) / requests


def io_uring(options):
    with both_serve(options, ("io_uring",), ("event",)) as servers:
        def calls(server):
            return system_calls(server, lambda: load(options, server, ""))

        ours, theirs = median_pair(options, *each(calls, servers))
    return ours, (f"with 64 busy connections `io_uring` makes {ours:.2f} system calls per request, "
                  f"`event` {theirs:.2f}")


def io_uring_disk(options):
    readers, path = 32, "work?io=disk:256k"
    with both_serve(options, ("io_uring",), ("event",)) as servers:
        for server in servers:
            reply_s(server, "/" + path)  # makes the file, the first time

        def wait_ms(server):
            with beside_load(options, server, path, readers):
                return probe_ms(server, "/")

        ours, theirs = median_pair(options, *each(wait_ms, servers))
    return ours / theirs, (f"beside {readers} peers that have 256 KiB read from the disk, `GET /` "
                           f"takes {ours:.2f} ms in `io_uring` and {theirs:.2f} ms in `event`: the "
                           f"ratio is {ours / theirs:.2f}")


def coroutines(options):
    with both_serve(options, ("coroutines",), ("event",)) as servers:
        ours, theirs = median_costs(options, *each(
            lambda server: load_cost(options, server, "work?io=timer:10ms", "-r5000", "-c128"),
            servers))
    ratio = ours.cpu_us / theirs.cpu_us
    return ratio, (f"a request that waits 10 ms costs {ours.cpu_us:.1f} us of CPU in `coroutines` "
                   f"and {theirs.cpu_us:.1f} us in `event`: the ratio is {ratio:.2f}")


def coroutines_memory(options):
    ours, theirs = median_pair(options, lambda: kb_per_connection(options, "coroutines"),
                               lambda: kb_per_connection(options, "event"))
    return ours - theirs, (f"a connection costs {ours:.1f} KiB in `coroutines` and {theirs:.1f} "
                           f"KiB in `event`: a stack of 32 KiB adds {ours - theirs:.1f} KiB")


def multi_loop(options):
    with both_serve(options, ("multi_loop", "--workers", "2", "--listen", "reuseport"),
                    ("event",), BOTH) as servers:
        ours, theirs = median_pair(options, *each(
            lambda server: load(options, server, "work?cpu=hash:5ms", "-c32", *SHARED)
            ["achieved_rate"], servers))
    return ours / theirs, (f"two loops answer {ours:.0f} requests/s that compute for 5 ms, one "
                           f"loop {theirs:.0f}: {ours / theirs:.2f} times as many")


def busiest_share(options, listen):
    """Of 64 connections, made one after the other: the share that the busiest of 4 loops has."""
    with serve(options, "multi_loop", "--workers", "4", "--listen", listen, cores=BOTH) as server, \
            contextlib.ExitStack() as stack:
        def sockets():
            loops = sorted(proc.children(server.process.pid))
            return [len(os.listdir(f"/proc/{pid}/fd")) for pid in loops]

        before = sockets()
        for _ in range(64):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            time.sleep(0.002)
        grown = [b - a for a, b in zip(before, sockets())]
        return max(grown) / sum(grown)


def multi_loop_balance(options):
    hashed, shared = median_pair(options, lambda: busiest_share(options, "reuseport"),
                                 lambda: busiest_share(options, "shared"))
    return hashed, (f"of 64 connections made one after the other the busiest of 4 loops has "
                    f"{hashed:.0%} with a listener for each loop, {shared:.0%} with a shared one")


# ---------------------------------------------------------------- a loop in front, threads behind


def thread_pool(options):
    with serve(options, "thread_pool", "--workers", "16") as server:
        rate = repeat(options, lambda: load(options, server, "work?io=timer:20ms")["achieved_rate"])
    return rate, f"16 workers answer {rate:.0f} requests/s of 64 clients that wait 20 ms each"


def leader_followers(options):
    pool = ("--workers", "4")
    with both_serve(options, ("leader_followers", *pool), ("thread_pool", *pool)) as servers:
        ours, theirs = median_costs(options, *each(
            lambda server: load_cost(options, server, "", "-r2000"), servers))
    return ours.switches / theirs.switches, (
        f"a trivial request at 2,000/s costs {ours.switches:.1f} context switches and "
        f"{ours.cpu_us:.0f} us of CPU in `leader_followers`, {theirs.switches:.1f} and "
        f"{theirs.cpu_us:.0f} us in `thread_pool`")


def hybrid(options):
    with both_serve(options, ("hybrid",), ("event",), BOTH) as servers:
        def p99_ms(server):
            result = load(options, server, "", "--workload", f"{REPOSITORY}/workloads/bimodal.ini",
                          "--server-cores", "2", *SHARED)
            return result["classes"]["short"]["response"]["p99_us"] / 1e3

        ours, theirs = median_pair(options, *each(p99_ms, servers))
    return ours / theirs, (
        f"beside requests that compute for 20 ms, short ones have a p99 of {ours:.2f} ms in "
        f"`hybrid` and {theirs:.0f} ms in `event`: the ratio is {ours / theirs:.3f}")


def staged(options):
    """The queues are seen through /metrics, which itself goes through them."""
    clients, depth, path = 16, 2, "work?cpu=hash:20ms"
    with serve(options, "staged", "--workers", "1", "--depth", str(depth)) as server:
        def most_queued():
            with beside_load(options, server, path, clients):
                return max(usage.counters(server)["queued"] for _ in range(3))

        queued = max(most_queued() for _ in range(options.rounds))
        response_ms = repeat(options, lambda: load(options, server, path, f"-c{clients}")
                             ["total"]["response"]["p50_us"] / 1e3)
        shed = usage.counters(server)["shed"]
    return queued, (f"with {clients} clients and room for {depth} in front of each stage, {queued} "
                    f"requests are queued at most and {shed} are shed; a client waits "
                    f"{response_ms:.0f} ms for 20 ms of computation")


def active_object(options):
    with both_serve(options, ("active_object", "--workers", "4", "--cores", "2"),
                    ("hybrid", "--min-workers", "2", "--max-workers", "2"), BOTH) as servers:
        for server in servers:
            reply_s(server, "/work?io=disk:4k")

        def wait_ms(server):
            with beside_load(options, server, "work?cpu=hash:20ms", 8):
                return probe_ms(server, "/work?io=disk:4k")

        ours, theirs = median_pair(options, *each(wait_ms, servers))
    return ours, ("while 8 clients ask for 20 ms of computation each, a disk read takes "
                  f"{ours:.1f} ms in `active_object` and {theirs:.1f} ms in `hybrid`")


def actors(options):
    with both_serve(options, ("actors",), ("threads",)) as servers:
        ours, theirs = median_costs(options, *each(
            lambda server: load_cost(options, server, "", "-r2000"), servers))
    return ours.switches, (
        f"a trivial request at 2,000/s costs {ours.switches:.1f} context switches and "
        f"{ours.cpu_us:.0f} us of CPU in `actors`, {theirs.switches:.1f} and "
        f"{theirs.cpu_us:.0f} us in `threads`")


# ---------------------------------------------------------------- flows that come and go


def serverless(options):
    with serve(options, "serverless", "--cold-start", "200ms", "--keep-alive", "300ms") as server:
        def instances():
            return len(proc.children(server.process.pid))

        def pair():
            time.sleep(1)
            return instances(), reply_s(server) * 1e3, reply_s(server) * 1e3

        idle, cold, warm = map(median, zip(*(pair() for _ in range(options.rounds))))
    return cold, (f"after a second of silence there are {idle} instances; the first `GET /` takes "
                  f"{cold:.0f} ms (`--cold-start 200ms`), the second {warm:.1f} ms")


CRASHES_WORKLOAD = """
[workload]
question = Who notices that a function crashes?
arrivals = closed
connections = 1

[class bad]
connections = 4
request = /work?class=bad

[class good]
connections = 4
request = /work?class=good
"""


def serverless_crash(options):
    with serve(options, "serverless", "--cold-start", "1ms", "--retry-base", "2ms", "--crash",
               "bad:100", cores=BOTH) as server, \
            tempfile.NamedTemporaryFile("w", suffix=".ini", encoding="utf-8") as workload:
        workload.write(CRASHES_WORKLOAD)
        workload.flush()
        result = json.loads(generate(loadgen_command(
            options.build, server.url, options.seconds, "--workload", workload.name, *SHARED)))
        crashed = usage.counters(server)["crashed"]
        letters = usage.counters(server)["dead_letters"]
    bad, good = result["classes"]["bad"], result["classes"]["good"]
    return good["errors"], (
        f"while {bad['errors']:,} of {bad['requests']:,} requests for a function fail that always "
        f"crashes ({crashed:,} instances, {letters:,} dead letters kept), {good['errors']} of "
        f"{good['requests']:,} for another one fail")
