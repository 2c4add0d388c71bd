"""Many connections, held and each used: what do they cost, and at which end?

One `event` process holds as many connections as descriptors and ports to one address allow, so
several share the load, and as many workers of one loadgen drive them. Memory is read before the
first connection, when all stand but none has carried a request, and when each has:

    servers     proportional set size of the server processes
    generator   that of loadgen and its workers, all of it: their histograms too
    kernel      unreclaimable slab, TCP buffers and page tables of the whole host: on loopback the
                sockets of both ends

The kernel's part is the host's, so nothing else should run meanwhile.
"""

import contextlib
import json
import math
import os
import re
import resource
import select
import socket
import subprocess
import sys
import tempfile
import time

from rig import CORES, bound, end, event, line, pinned

RATE = 10_000  # requests per second over all connections
RAMP = 20_000  # connections made per second
PATIENCE_S = 60  # for what should take no time
PAGE_KB = resource.getpagesize() // 1024
PORTS = 25_000  # of the 28,232 that Linux chooses from for one address by default


def per_process():
    """Connections that one server or worker takes, with descriptors to spare."""
    return min(PORTS, resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 9 // 10)


# ---------------------------------------------------------------- memory


def read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def field_kb(path, name):
    return int(re.search(rf"^{name}:\s+(\d+) kB", read(path), re.MULTILINE)[1])


def children(pid):
    """Direct children: the workers of a loadgen."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it may have ended since
            if int(read(f"/proc/{entry}/stat").rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry))
    return found


def pss_kb(pids):
    """Pages that n processes share count 1/n for each."""
    return sum(field_kb(f"/proc/{pid}/smaps_rollup", "Pss") for pid in pids)


def kernel_kb():
    with contextlib.suppress(OSError):  # root may have counts that are kept per core settled
        read("/proc/sys/vm/stat_refresh")
    tcp_pages = int(re.search(r"^TCP:.* mem (\d+)", read("/proc/net/sockstat"), re.MULTILINE)[1])
    return (field_kb("/proc/meminfo", "SUnreclaim") + field_kb("/proc/meminfo", "PageTables") +
            tcp_pages * PAGE_KB)


def sample_kb(servers, generator=None):
    """Memory by kind."""
    workers = [generator, *children(generator)] if generator else []
    return {"servers": pss_kb(server.process.pid for server in servers),
            "generator": pss_kb(workers), "kernel": kernel_kb()}


# ---------------------------------------------------------------- the run


class Generator:
    """A loadgen that tells of its window, for a `with` statement (--control, docs/formats.md)."""

    def __init__(self, build, urls, connections, json_path):
        seconds = math.ceil(1.2 * connections / RATE)  # the connection used longest ago is next
        self.limit_s = connections / RAMP + seconds + PATIENCE_S
        self.ours, self.theirs = socket.socketpair()
        self.log = tempfile.TemporaryFile("w+", encoding="utf-8")
        self.command = [f"{build}/loadgen", "-w", str(len(urls)), "-c", str(connections),
                        "--ramp", str(RAMP), "-r", str(RATE), "-d", f"{seconds}s", "--warmup", "0",
                        "--control", str(self.theirs.fileno()), "--json", json_path, "-q", *urls]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, pass_fds=[self.theirs.fileno()],
                                        stdout=self.log, stderr=self.log,
                                        preexec_fn=pinned(CORES[-1]))
        self.theirs.close()  # so that its end reads as end-of-file
        return self

    def expect(self, word):
        """Wait for the generator to say `word`."""
        text, deadline = b"", time.monotonic() + self.limit_s
        while not text.endswith(b"\n"):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self.ours], [], [], left_s)[0]:
                sys.exit(f"loadgen has not said {word!r} after {self.limit_s:.0f} s")
            byte = self.ours.recv(1)
            if not byte:
                sys.exit(f"loadgen ended before it said {word!r}: {self.complaints()}")
            text += byte
        if text.decode().strip() != word:
            sys.exit(f"loadgen said {text!r} instead of {word!r}")

    def release(self):
        """Let it close its connections, and wait until it has written its result."""
        self.ours.sendall(b"\n")
        if self.process.wait(PATIENCE_S):
            sys.exit(f"loadgen failed: {self.complaints()}")

    def complaints(self):
        self.log.seek(0)
        return self.log.read().strip()

    def __exit__(self, *_):
        end(self.process, 5)
        self.ours.close()
        self.log.close()


def measure(build, connections):
    """Samples `before`, `held` and `used`, and what the generator says of its connections."""
    count = math.ceil(connections / per_process())
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        servers = [stack.enter_context(event(build, "--idle-timeout", "10m"))
                   for _ in range(count)]
        samples = {"before": sample_kb(servers)}
        path = os.path.join(folder, "result.json")
        generator = stack.enter_context(
            Generator(build, [server.url for server in servers], connections, path))
        for word, name in (("begin", "held"), ("end", "used")):
            generator.expect(word)
            samples[name] = sample_kb(servers, generator.process.pid)
        generator.release()
        return count, samples, json.loads(read(path))


def bench(build, connections):
    """Print KiB per connection by kind. Returns whether every connection was used."""
    print(f"connections: {connections:,} held, and each used at {RATE:,} requests/s over all")
    count, samples, result = measure(build, connections)
    state = result["connection_use"]
    line("processes", f"{count} servers, {count} workers")
    line("KiB each", f"{'servers':>10} {'generator':>10} {'kernel':>10} {'all':>10}")
    for name in ("held", "used"):
        grown = [(samples[name][kind] - samples["before"][kind]) / connections
                 for kind in ("servers", "generator", "kernel")]
        line(name, " ".join(f"{value:10.2f}" for value in [*grown, sum(grown)]))
    line("open", f"{state['open']:,} of {state['asked']:,}")
    line("used", f"{state['used']:,}")
    line("errors", f"{result['requests'] - result['good']:,} of {result['requests']:,} requests")
    return bound(state["used"], connections, connections, " used")
