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
import math
import re
import resource

from archbench.bench.proc import children, field_kb, pss_kb, read
from archbench.bench.rig import Generator, bound, event, line

RATE = 10_000  # requests per second over all connections
RAMP = 20_000  # connections made per second
PAGE_KB = resource.getpagesize() // 1024
PORTS = 25_000  # of the 28,232 that Linux chooses from for one address by default


def per_process():
    """Connections that one server or worker takes, with descriptors to spare."""
    return min(PORTS, resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 9 // 10)


# ---------------------------------------------------------------- memory


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


def command(build, urls, connections):
    """A loadgen that uses each connection, and how long it may take."""
    seconds = math.ceil(1.2 * connections / RATE)  # the connection used longest ago is next
    return ([f"{build}/loadgen", "-w", str(len(urls)), "-c", str(connections), "--ramp", str(RAMP),
             "-r", str(RATE), "-d", f"{seconds}s", "--warmup", "0", "--json", "-", "-q", *urls],
            connections / RAMP + seconds)


def measure(build, connections):
    """Samples `before`, `held` and `used`, and what the generator says of its connections."""
    count = math.ceil(connections / per_process())
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(event(build, "--idle-timeout", "10m"))
                   for _ in range(count)]
        samples = {"before": sample_kb(servers)}
        generator = stack.enter_context(
            Generator(*command(build, [server.url for server in servers], connections)))
        for word, name in (("begin", "held"), ("end", "used")):
            generator.expect(word)
            samples[name] = sample_kb(servers, generator.process.pid)
        return count, samples, generator.release()


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
