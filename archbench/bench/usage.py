"""What a server's requests cost it, and the memory of its processes."""
import contextlib
import os
import re
import typing
import urllib.request

from archbench.bench.proc import field_kb, process_cpu_s, reaped_cpu_s, read, tasks, tree
from archbench.formats.counters import counters_of


class Cost(typing.NamedTuple):
    """Of a request, on average."""

    cpu_us: float
    switches: float


def stolen_s():
    """What the hypervisor gave to others while a core of ours wanted to run, over all cores."""
    return int(read("/proc/stat").split()[8]) / os.sysconf("SC_CLK_TCK")


def sum_over(pid, of_process):
    """The sum over the tree, without processes that end meanwhile."""
    total = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            total += of_process(each)
    return total


def counters(server):
    """What /metrics tells, by name without prefix and suffix."""
    with urllib.request.urlopen(server.url + "metrics") as reply:
        return counters_of(reply.read().decode())


def cpu_s(pid):
    """CPU time of the process, with its ended threads and the children that it has waited for."""
    return process_cpu_s(pid) + reaped_cpu_s(pid)


def switches(pid):
    """Context switches, voluntary or not, of the process's living threads."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            text = read(f"/proc/{pid}/task/{task}/status")
            total += sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", text)))
    return total


def memory_kb(server, stack_kib):
    """Proportional set size, page tables and kernel stacks, of `stack_kib` each. Without the sockets,
    which cost every architecture the same."""
    def process_kb(pid):
        user, page_tables = (field_kb(f"/proc/{pid}/{file}", name)
                             for file, name in (("smaps_rollup", "Pss"), ("status", "VmPTE")))
        return user + page_tables + stack_kib * tasks(pid)

    return sum_over(server.process.pid, process_kb)


def state(server):
    """Requests answered, CPU seconds and switches since the server was started."""
    counted, pid = counters(server), server.process.pid
    ended = counted["switches_voluntary"] + counted["switches_involuntary"]
    return counted["requests"], sum_over(pid, cpu_s), sum_over(pid, switches) + ended


def cost(server, drive):
    """The Cost of each request that the server answers while drive() runs."""
    before = state(server)
    drive()
    requests, cpu, switched = (b - a for a, b in zip(before, state(server)))
    return Cost(cpu / requests * 1e6, switched / requests)
