"""What the experiments of lessons.py share: servers, load beside which something is measured, and
medians."""
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import threading
import time

from archbench.bench import usage
from archbench.bench.rig import (CORES, Server, end, in_turns, loadgen, loadgen_command, pinned,
                                 raw_reply)
from archbench.formats import abouts

BOTH = CORES[:2]
SHARED = ("--realtime", "--spin", "0")  # a generator that takes little from a core it shares
HELD = 200  # connections, where memory is the question


class Skipped(Exception):
    """The experiment cannot be done here."""


def serve(options, name, *more, cores=CORES[:1]):
    path = f"{options.build}/servers/{name}"
    if not os.access(path, os.X_OK):
        raise Skipped(f"`{name}` is not built")
    return Server([path, "--port", "0", *more], cores=cores)


def median(values):
    return statistics.median(values)


def repeat(options, measure):
    return median(measure() for _ in range(options.rounds))


def median_pair(options, first, second):
    """The medians of two measurements that take turns."""
    return [median(values) for values in zip(*in_turns(first, second, options.rounds))]


def median_costs(options, first, second):
    """The same for two that return a Cost: the medians of its fields."""
    return [usage.Cost(*map(median, zip(*costs)))
            for costs in zip(*in_turns(first, second, options.rounds))]


@contextlib.contextmanager
def both_serve(options, first, second, cores=CORES[:1]):
    """Two servers at a time, of which one is idle: (name, option...) of each."""
    with serve(options, *first, cores=cores) as one, serve(options, *second, cores=cores) as other:
        yield [one, other]


def reply_s(server, path="/"):
    """How long a peer waits for a reply on a connection of its own."""
    begin_s = time.monotonic()
    if not raw_reply(server.port, path).startswith(b"HTTP/1.1 200 "):
        sys.exit(f"{server.url}: no good reply to {path}")
    return time.monotonic() - begin_s


@contextlib.contextmanager
def beside_request(server, path):
    """With a request under way, for 0.1 s already."""
    thread = threading.Thread(target=raw_reply, args=(server.port, path))
    thread.start()
    time.sleep(0.1)
    yield
    thread.join()


@contextlib.contextmanager
def beside_load(options, server, path, connections):
    """With a closed loop under way that asks for `path`."""
    command = loadgen_command(options.build, server.url + path, 60, f"-c{connections}", *SHARED)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               preexec_fn=pinned(CORES[-1]))
    try:
        time.sleep(0.5)
        yield
    finally:
        end(process, 5)


def probe_ms(server, path, count=25):
    """Median time to a reply, one after the other, with pauses in which the load moves on."""
    def once():
        time.sleep(0.007)
        return reply_s(server, path) * 1e3

    return median(once() for _ in range(count))


def kb_per_connection(options, name, *more):
    """Memory that a connection costs which has carried a request."""
    stack_kib = abouts.decided(options.build)["kernel_stack_kib"]
    with serve(options, name, *more) as server, contextlib.ExitStack() as stack:
        before = usage.memory_kb(server, stack_kib)
        for _ in range(HELD):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            peer.sendall(b"GET / HTTP/1.1\r\nHost: lesson\r\n\r\n")
            peer.recv(4096)
        return (usage.memory_kb(server, stack_kib) - before) / HELD


def load(options, server, path, *more):
    """What loadgen says of a run; patient, so that a busy machine makes it slow and not wrong."""
    return loadgen(options.build, server.url + path, options.seconds, "--timeout", "30s", "--drain",
                   "30s", *more)


def load_cost(options, server, path, *more):
    """The server's cost per request in such a run."""
    return usage.cost(server, lambda: load(options, server, path, *more))


def each(measure, servers):
    """A measurement of no argument for each of the servers."""
    return [lambda server=server: measure(server) for server in servers]
