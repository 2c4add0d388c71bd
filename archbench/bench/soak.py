"""A day's requests in a minute: does a server hold on to something?

    archbench soak                       every server, 864,000 requests: ten per second for a day
    archbench soak --only event,threads  some of them
    archbench soak --requests 100000     fewer

Of 1,000 requests 800 are trivial, 100 want 4 KiB, 85 compute for 50 us, 10 wait for 1 ms and 5 read
4 KiB from the disk; a connection carries 50 of them. Beside them come, one after another, clients
that vanish within a head, while they wait and within a reply, that close too early, and that send
nonsense. After a tenth of the requests the server is warm: from then on, once its connections are
gone, it may have no descriptor, thread or process more than it had, and 4 MiB of memory (PSS of all
its processes) and 64 KiB per thread or process: each copies a page at some time that it shared
before. So a day tells a leak of 6 bytes per request (8 with 33 processes); --requests 100000 one
of 50.

The first usable core serves, the last one generates. Exit status 1: something grew, a request went
wrong, or a server did not get there in time.
"""

import contextlib
import json
import os
import socket
import struct
import tempfile
import threading
import time
import typing

from archbench.arguments import Parser
from archbench.bench.proc import descriptors, pss_kb, tasks, tree
from archbench.bench.rig import architecture, generate, unwind_on_sigterm
from archbench.bench.serving import room_for
from archbench.formats import abouts
from archbench.places import REPOSITORY
from archbench.runner import alone

DAY_REQUESTS = 10 * 86_400
CONNECTIONS = 24  # at a time, where the architecture can; beside them there is room for the abusers
PLACES = 32
SLICE_S = 5  # the generator is run again until the count is reached
TOLERANCE_KB = 4096
TASK_TOLERANCE_KB = 64
SETTLE_S = 20  # for the last connections to go, and workers without work to end
SAMPLE_S = 0.1
ABUSE_PAUSE_S = 0.01
PATIENCE_S = 10  # of one abuser
WORKLOAD = """
[workload]
question = Does a server hold on to something?
arrivals = closed
connections = {connections}
churn = 50
timeout = 10s

[class trivial]
weight = 800
request = /

[class large]
weight = 100
request = /work?body=4096&class=large

[class compute]
weight = 85
request = /work?cpu=hash:50us&class=compute

[class wait]
weight = 10
request = /work?io=timer:1ms&class=wait

[class disk]
weight = 5
request = /work?io=disk:4096&class=disk
"""


class Usage(typing.NamedTuple):
    """What a server holds: all its processes together."""

    pss_kb: int
    descriptors: int
    tasks: int  # threads, and so processes


def grown(first, last):
    """What is more than it may be, in words."""
    found = []
    if last.pss_kb > first.pss_kb + TOLERANCE_KB + TASK_TOLERANCE_KB * first.tasks:
        found.append("memory")
    if last.descriptors > first.descriptors:
        found.append("descriptors")
    if last.tasks > first.tasks:
        found.append("threads or processes")
    return found


def usage(root):
    """Now. Processes that end meanwhile are no part of it."""
    total = Usage(0, 0, 0)
    for pid in tree(root):
        with contextlib.suppress(OSError, TypeError):  # no more file, or an empty one
            one = Usage(pss_kb([pid]), descriptors(pid), tasks(pid))
            total = Usage(*(a + b for a, b in zip(total, one)))
    return total


def settled(root):
    """When descriptors and tasks have not changed for five samples."""
    alike, before, deadline = 0, usage(root), time.monotonic() + SETTLE_S
    while alike < 5 and time.monotonic() < deadline:
        time.sleep(SAMPLE_S)
        now = usage(root)
        alike = alike + 1 if now[1:] == before[1:] else 0
        before = now
    return before


def settled_to(root, first):
    """The same, and when nothing is more than at first, or patience ends: what grew does not go."""
    deadline = time.monotonic() + SETTLE_S
    now = settled(root)
    while grown(first, now) and time.monotonic() < deadline:
        time.sleep(SAMPLE_S)
        now = usage(root)
    return now


# ---------------------------------------------------------------- abusers


def vanish(sock):
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def request(target):
    return f"GET {target} HTTP/1.1\r\nHost: soak\r\n\r\n".encode()


def vanish_within_head(sock):
    sock.sendall(request("/")[:20])
    vanish(sock)


def vanish_while_waiting(sock):
    sock.sendall(request("/work?io=timer:1ms"))
    vanish(sock)


def vanish_within_reply(sock):
    sock.sendall(request("/work?body=1000000"))
    sock.recv(1000)
    vanish(sock)


def close_too_early(sock):
    sock.sendall(request("/")[:20])


def close_unread(sock):
    sock.sendall(request("/work?body=4096") * 3)


def send_nonsense(sock):
    sock.sendall(b"NONSENSE\r\n\r\n")
    while sock.recv(4096):
        pass


def ask_what_is_not(sock):
    sock.sendall(request("/work?foo=1"))
    sock.recv(4096)


ABUSES = (vanish_within_head, vanish_while_waiting, vanish_within_reply, close_too_early,
          close_unread, send_nonsense, ask_what_is_not)


class Abusers:
    """One after another, in a thread, for a `with` statement. `count` is how many there were."""

    def __init__(self, port):
        self.port, self.count, self.over = port, 0, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.wait(ABUSE_PAUSE_S):
            with socket.socket() as sock, contextlib.suppress(ConnectionError, socket.timeout):
                sock.settimeout(PATIENCE_S)
                sock.connect(("127.0.0.1", self.port))
                ABUSES[self.count % len(ABUSES)](sock)
            self.count += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


# ---------------------------------------------------------------- the run


class Soak:
    """The requests of one server, counted over slices of time."""

    def __init__(self, build, server, workload, limit_s):
        self.server, self.deadline = server, time.monotonic() + limit_s
        self.command = [f"{build}/loadgen", "-w1", "--warmup", "0", "--quiet", "--json", "-",
                        "--workload", workload]
        self.sent = self.failed = self.abused = 0
        self.rate = 2000.0  # a guess until the first slice

    def slice(self, count):
        """As long as `count` requests may take."""
        seconds = min(SLICE_S, max(0.05, count / self.rate))
        result = json.loads(generate([*self.command, "-d", f"{seconds:.2f}s", self.server.url]))
        self.sent += result["requests"]
        self.failed += result["requests"] - result["good"]
        self.rate = max(100.0, result["requests"] / seconds)

    def go_on(self, requests):
        """Until so many have been sent in all. False: not before the deadline."""
        with Abusers(self.server.port) as abusers:
            while self.sent < requests and time.monotonic() < self.deadline:
                self.slice(requests - self.sent)
        self.abused += abusers.count
        return self.sent >= requests


def prime(port, connections):
    """A read of the disk on each of so many connections at a time: a worker opens the file when it
    first needs it, and in a pool the last one might come late."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_S))
                 for _ in range(connections)]
        for sock in socks:
            sock.sendall(request("/work?io=disk:4096"))
        for sock in socks:
            sock.recv(4096)


def soak(options, name, about, folder):
    """One server: prints its line. Returns whether all is well."""
    connections = CONNECTIONS if about.get("peers") != 1 else 1
    workload = os.path.join(folder, f"{name}.ini")
    with open(workload, "w", encoding="utf-8") as file:
        file.write(WORKLOAD.format(connections=connections))
    begin = time.monotonic()
    more = room_for(about, PLACES) or []
    with architecture(options.build, name, *more) as server:
        prime(server.port, PLACES if connections > 1 else 1)
        run = Soak(options.build, server, workload, options.limit)
        in_time = run.go_on(options.requests // 10)
        first = settled(server.process.pid)
        in_time = run.go_on(options.requests) and in_time
        last = settled_to(server.process.pid, first)
    status = server.process.wait()
    wrong = ([f"{what} grew" for what in grown(first, last)] +
             ([f"{run.failed} requests failed"] if run.failed else []) +
             ([] if in_time else [f"not in {options.limit:g} s"]) +
             ([f"exit status {status}"] if status else []))
    print(f"{name:17} {run.sent:9,} {run.abused:6,} {time.monotonic() - begin:5.0f}   " +
          "   ".join(f"{a:7,} {b:7,}" for a, b in zip(first, last)) +
          f"   {', '.join(wrong) or 'ok'}", flush=True)
    return not wrong


def main(words):
    parser = Parser("soak", __doc__)
    parser.add_argument("--build", default=str(REPOSITORY / "build"))
    parser.add_argument("--requests", type=int, default=DAY_REQUESTS, help="to each server")
    parser.add_argument("--only", metavar="NAMES", help="servers, separated by commas")
    parser.add_argument("--limit", type=float, default=180, metavar="S", help="for one server")
    options = parser.parse_args(words)
    unwind_on_sigterm()
    servers = abouts.servers(options.build)
    names = options.only.split(",") if options.only else list(servers)
    for name in set(names) - set(servers):
        parser.error(f"no server '{name}' in {options.build}/servers")
    print(f"{'':17} {'':9} {'':6} {'':5}   {'PSS, KiB':>15}   {'descriptors':>15}   {'tasks':>15}\n"
          f"{'server':17} {'requests':>9} {'abused':>6} {'s':>5}" +
          f"   {'warm':>7} {'end':>7}" * 3)
    with tempfile.TemporaryDirectory() as folder, alone.measuring():
        well = [soak(options, name, servers[name], folder) for name in names]
    return 0 if all(well) else 1
