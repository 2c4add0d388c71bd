"""Paired benchmarks: ours and a peer take turns, and the ratio is taken pair by pair.

    archbench bench          all of them
    archbench bench NAME...  some of them:

    server       `event` against nginx `return 200`, both driven by wrk
    generator    loadgen with everything on (three classes, each with its own histograms, and a
                 digest checked in every reply) against wrk, which asks for one URL and looks at
                 nothing; closed loop, 64 connections, build/bench/answer on the other core, so
                 that the generator is the slower end; ratio at least 1.15
    event        the same for one URL against `event`, where the server may be the slower end;
                 ratio at least 1
    h2load       as generator, against `h2load --h1`; ratio at least 1
    bare         as generator, against build/bench/bare, which only sends and receives; ratio at
                 least 0.9
    flat         the generator's CPU time per request with 64 connections alone against 64 beside
                 9936 that idle; ratio from 0.85 to 1.15
    lag          how late an open loop sends, at 20,000/s and 50,000/s, without and with the
                 default spin, and the CPU share of each; with it p99 at most 100 us
    truth        median response at 20,000/s (Poisson) minus that of a closed loop with a single
                 connection, where nothing can queue; from -30 to 30 us
    connections  100,000 connections held, and each used; memory by kind (see connections.py)

  of servers, by loadgen (see serving.py):
    nginx2       multi_loop (two workers, one listener for both or one for each) against nginx with
                 two, on both cores, as the generator; ratio at least 1
    uring        io_uring against nginx, and against `event`; ratios at least 1
    coroutines   coroutines against `event`; ratio at least 0.85
    apache       threads and thread_pool against Apache's worker MPM; ratios at least 1
    pool         thread_pool and prefork with 8 and 32 workers that wait 20 ms for each request:
                 workers / 20 ms; measured over predicted from 0.9 to 1.02. event beside them, which
                 has more to do: connections / 20 ms, 0.85 to 1.02
    cost         the CPU time of every server per request, over iterative's
    memory       of every server per connection, 1,000 and 10,000 of them; a process at least as
                 much as a thread, and a thread as much as a descriptor of `event`
    churn        CPU time per request of processes, threads and prefork, each on a connection of its
                 own and on kept ones; a fork and a thread at least as much as an accept
    balance      multi_loop: 64 and 1,000 connections on its loops, one listener or one for each,
                 and p99 at 70 % load; one for each as even as chance, 0.9 to 1.1 times
    disk         p99 of short requests beside reads of the disk: io_uring, hybrid and threads at
                 most that of event, which stands still meanwhile as predicted

  of whole cases, on all cores, and only by name:
    endurance    the chat for --minutes, undisturbed and with Redis, PostgreSQL or a worker killed ten
                 times: every message is accounted for, and the memory is flat (see accounts.py)
    components   the chat and the commands of Redis, with real components and with the program that
                 takes their place, without a bound; --write puts the table into docs/cases/README.md

  of the verdict (see disturbed.py):
    verdict      cells that are disturbed on purpose: which numbers are refused though right, and kept
                 though wrong; no bound, and some minutes

Each prints the medians of ours and of the peer, and the median and range of the ratio; then each
bound and whether it holds. Exit status 1: one was missed. Bounds between generators, or between
servers, are on their rates; where `event` is the slower end those of generators are alike, and the
CPU time per request, printed beside them, is what tells them apart. The first usable core serves,
the last one generates. Absolute numbers are this machine's; quote the ratio. bench/README.md
says what each shows, and how long it takes.
"""

import statistics
import sys
import tempfile

from archbench.arguments import Parser
from archbench.bench import connections, disturbed, endurance, serving, stand_in
from archbench.bench.rig import (CONNECTIONS, CORES, answer, bare, bound, compare, compare_speed,
                                 event, h2load, in_turns, line, loadgen, loadgen_speed,
                                 median_and_range, nginx, unwind_on_sigterm, wrk)
from archbench.places import REPOSITORY
from archbench.runner import alone

IDLE_CONNECTIONS = 10_000 - CONNECTIONS
LAG_RATES = (20_000, 50_000)
LAG_LIMIT_US = 100
TRUTH_RATE = 20_000
TRUTH_LIMIT_US = 30

# A digest to look up and to check. The work is done once, to have a reply to repeat.
CLASSES = [f"/work?cpu=hash:1ms&class={name}" for name in "abc"]
CLASSES_WORKLOAD = f"""
[workload]
question = What do several classes and digests cost the generator?
arrivals = closed
connections = {CONNECTIONS}

[class a]
weight = 70
request = {CLASSES[0]}

[class b]
weight = 20
request = {CLASSES[1]}

[class c]
weight = 10
request = {CLASSES[2]}
"""


def bench_server(options):
    with tempfile.TemporaryDirectory() as folder, event(options.build) as ours, \
            nginx(folder) as peer:
        return compare("server: trivial request, one core each, driven by wrk",
                       ("event", lambda: wrk(ours.url, options.seconds).rate),
                       ("nginx", lambda: wrk(peer.url, options.seconds).rate),
                       options.rounds, "requests/s")


def compare_loadgen(title, options, peer, low):
    """loadgen with everything on against a peer: (name, function of the server's port and URL)."""
    with answer(options.build, CLASSES[0]) as server, \
            tempfile.NamedTemporaryFile("w", suffix=".ini", encoding="utf-8") as workload:
        workload.write(CLASSES_WORKLOAD)
        workload.flush()
        url = server.url.rstrip("/") + CLASSES[0]
        return compare_speed(title, ("loadgen", lambda: loadgen_speed(options.build, url,
                                                                      options.seconds,
                                                                      "--workload", workload.name)),
                             (peer[0], lambda: peer[1](server.port, url)), options.rounds, low)


def bench_generator(options):
    return compare_loadgen("generator: three classes and their digests, against one URL", options,
                           ("wrk", lambda _, url: wrk(url, options.seconds)), 1.15)


def bench_event(options):
    with event(options.build) as server:
        return compare_speed("event: one URL of `event`",
                             ("loadgen", lambda: loadgen_speed(options.build, server.url,
                                                               options.seconds)),
                             ("wrk", lambda: wrk(server.url, options.seconds)), options.rounds, 1)


def bench_h2load(options):
    return compare_loadgen("h2load: the same, over HTTP/1.1", options,
                           ("h2load", lambda _, url: h2load(url, options.seconds)), 1)


def bench_bare(options):
    return compare_loadgen("bare: the same, against a client that only sends and receives", options,
                           ("bare", lambda port, _: bare(options.build, port, options.seconds)),
                           0.9)


def cpu_us_per_request(options, url, *more):
    """CPU time of the generator, in us, for each good request."""
    result = loadgen(options.build, url, options.seconds, *more)
    return sum(result["generator"]["busy"]) * result["duration_s"] / result["good"] * 1e6


def bench_flat(options):
    with event(options.build) as server:
        idle = ("--idle", str(IDLE_CONNECTIONS))
        return compare(f"flat: {CONNECTIONS} busy connections, beside {IDLE_CONNECTIONS} idle ones",
                       ("beside idle", lambda: cpu_us_per_request(options, server.url, *idle)),
                       ("alone", lambda: cpu_us_per_request(options, server.url)),
                       options.rounds, "us of CPU per request", ".3f", 0.85, 1.15)


def report_lag(name, results):
    """Medians over the runs. Returns the lag's p99 in us."""
    def median(key):
        return statistics.median(key(result) for result in results)

    p50_us = median(lambda result: result["total"]["lag"]["p50_us"])
    p99_us = median(lambda result: result["total"]["lag"]["p99_us"])
    cpu = median(lambda result: sum(result["generator"]["busy"]) + spin_share(result))
    line(name, f"lag p50 {p50_us:7.1f} us   p99 {p99_us:7.1f} us   CPU {cpu:6.1%}   of it spin "
               f"{median(spin_share):6.1%}")
    return p99_us


def spin_share(result):
    """CPU share that the workers spent waiting for the next arrival with their eyes open."""
    spin = result["generator"]["spin"]
    return sum(spin) if isinstance(spin, list) else spin


def unsaturated(results):
    """Whether connections were free when requests were due. Otherwise requests waited for the
    server, none was late by the generator's fault, and the lag says nothing."""
    count = sum(result["generator"]["saturated"] for result in results)
    if count:
        line("MISSED", f"the server could not take the rate in {count} of {len(results)} runs")
    return count == 0


def bench_lag(options):
    holds = True
    with event(options.build) as server:
        for rate in LAG_RATES:
            print(f"lag: Poisson arrivals at {rate:,}/s, the generator on a core of its own")

            def run(*more, rate=rate):
                return loadgen(options.build, server.url, options.seconds, "-r", str(rate), *more)

            spinning, sleeping = zip(*in_turns(run, lambda: run("--spin", "0"), options.rounds))
            p99_us = report_lag("with spin", spinning)
            report_lag("no spin", sleeping)
            holds &= bound(p99_us, None, LAG_LIMIT_US, " us") and unsaturated(spinning)
    return holds


# Where a generator waits in whole milliseconds, as wrk2's event loop does, the median of the open
# loop is up to a millisecond too high; wrk2 is not in Debian, so the truth is asked of a closed
# loop instead.
def bench_truth(options):
    def median_us(url, *more):
        result = loadgen(options.build, url, options.seconds, *more)
        return result["total"]["response"]["p50_us"]

    print(f"truth: median response at {TRUTH_RATE:,}/s minus that of one connection in a closed "
          "loop")
    with event(options.build) as server:
        pairs = in_turns(lambda: median_us(server.url, "-r", str(TRUTH_RATE)),
                         lambda: median_us(server.url, "-c1"), options.rounds)
    differences_us = [a - b for a, b in pairs]
    line("open loop", f"{statistics.median(a for a, _ in pairs):12.1f} us")
    line("closed loop", f"{statistics.median(b for _, b in pairs):12.1f} us")
    line("difference", median_and_range(differences_us, ".1f"))
    return bound(statistics.median(differences_us), -TRUTH_LIMIT_US, TRUTH_LIMIT_US, " us")


BENCHMARKS = {"server": bench_server, "generator": bench_generator, "event": bench_event,
              "h2load": bench_h2load, "bare": bench_bare, "flat": bench_flat, "lag": bench_lag,
              "truth": bench_truth,
              "connections": lambda options: connections.bench(options.build, options.connections),
              **serving.BENCHMARKS, "verdict": disturbed.bench_verdict,
              "endurance": endurance.bench, "components": stand_in.bench}
BY_NAME = ("endurance", "components")  # they take too long to be among all


def main(words):
    parser = Parser("bench", __doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME",
                        help="default: all but those of whole cases")
    parser.add_argument("--build", default=str(REPOSITORY / "build"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--connections", type=int, default=100_000,
                        help="how many `connections` holds")
    endurance.add_options(parser)
    parser.add_argument("--write", action="store_true",
                        help="put the table of `components` into its page")
    parser.add_argument("--quick", action="store_true",
                        help="one round of a second each, to see that it works")
    options = parser.parse_args(words)
    if options.quick:
        options.rounds, options.seconds = 1, 1
        options.minutes, options.clients = 0.1, 200
    if len(CORES) < 2:
        sys.exit("two cores are needed: one serves, one generates")
    unwind_on_sigterm()
    with alone.measuring():
        held = [BENCHMARKS[name](options)
                for name in options.names or [name for name in BENCHMARKS if name not in BY_NAME]]
    return 0 if all(held) else 1
