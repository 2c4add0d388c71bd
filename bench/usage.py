"""What a server uses: CPU time, context switches and memory of it and all its children."""

import contextlib
import os
import re
import time
import typing
import urllib.request

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
KERNEL_STACK_KB = 16  # of each task, on x86-64 and on arm64
CHILDREN_TIMES = slice(13, 15)  # fields cutime and cstime of /proc/PID/stat, counted from the state


class Cost(typing.NamedTuple):
    """Of a request, on average."""

    cpu_us: float
    switches: float


def read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def stolen_s():
    """What the hypervisor gave to others while a core of ours wanted to run, over all cores."""
    return int(read("/proc/stat").split()[8]) / CLOCK_TICKS


def stat_fields(pid):
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def children(pid):
    """Pids of the direct children."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it may have ended since
            if int(stat_fields(entry)[1]) == pid:
                found.append(int(entry))
    return found


def tree(pid):
    """The process and all that descend from it."""
    return [pid] + [each for child in children(pid) for each in tree(child)]


def sum_over(pid, of_process):
    """The sum over the tree, without those who end meanwhile."""
    total = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            total += of_process(each)
    return total


def counters(server):
    """What /metrics tells, by name without prefix and suffix."""
    with urllib.request.urlopen(server.url + "metrics") as reply:
        text = reply.read().decode()
    rows = re.findall(r"^archbench_(\w+?)(?:_total)? (\d+)$", text, re.MULTILINE)
    return {name: int(value) for name, value in rows}


def cpu_s(pid):
    """CPU time of the process, with its ended threads and the children that it has buried."""
    own_s = time.clock_gettime(~pid << 3 | 2)  # the clock of clock_getcpuclockid(3)
    return own_s + sum(map(int, stat_fields(pid)[CHILDREN_TIMES])) / CLOCK_TICKS


def switches(pid):
    """Context switches, voluntary or not, of the process's living threads."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            text = read(f"/proc/{pid}/task/{task}/status")
            total += sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", text)))
    return total


def field_kb(path, name):
    return int(re.search(rf"^{name}:\s+(\d+) kB", read(path), re.MULTILINE)[1])


def process_kb(pid):
    user, page_tables = (field_kb(f"/proc/{pid}/{file}", name)
                         for file, name in (("smaps_rollup", "Pss"), ("status", "VmPTE")))
    return user + page_tables + KERNEL_STACK_KB * len(os.listdir(f"/proc/{pid}/task"))


def memory_kb(server):
    """Proportional set size, page tables and kernel stacks. Without the sockets, which cost every
    architecture the same."""
    return sum_over(server.process.pid, process_kb)


def state(server):
    """Requests answered, CPU seconds and switches since the server's begin."""
    counted, pid = counters(server), server.process.pid
    ended = counted["switches_voluntary"] + counted["switches_involuntary"]
    return counted["requests"], sum_over(pid, cpu_s), sum_over(pid, switches) + ended


def cost(server, drive):
    """The Cost of each request that the server answers while drive() runs."""
    before = state(server)
    drive()
    requests, cpu, switched = (b - a for a, b in zip(before, state(server)))
    return Cost(cpu / requests * 1e6, switched / requests)
