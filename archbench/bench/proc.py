"""What a process and its descendants use, read from /proc."""

import contextlib
import os
import re
import time


def read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def field_kb(path, name):
    return int(re.search(rf"^{name}:\s+(\d+) kB", read(path), re.MULTILINE)[1])


def stat(pid):
    """Fields of /proc/PID/stat behind the name: [0] is the state, [1] the parent."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def parents():
    """The parent of every process of the host."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it may have ended since
            found[int(entry)] = int(stat(entry)[1])
    return found


def children(pid):
    """Direct children, by age."""
    return sorted(child for child, parent in parents().items() if parent == pid)


def tree(root):
    """The process and all that descend from it."""
    below = {}
    for child, parent in parents().items():
        below.setdefault(parent, []).append(child)
    found = [root]
    for pid in found:  # grows meanwhile
        found += below.get(pid, [])
    return found


def process_cpu_s(pid):
    """CPU time of one process, its ended threads included, to the nanosecond; 0: it is gone."""
    with contextlib.suppress(OSError):
        return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) returns
    return 0.0


def reaped_cpu_s(pid):
    """CPU time of the children that ended and were waited for, in ticks."""
    with contextlib.suppress(OSError):
        user, system = stat(pid)[13:15]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return 0.0


def cpu_s(root):
    """CPU time of a tree so far, of those too that have come and gone."""
    return sum(process_cpu_s(pid) + reaped_cpu_s(pid) for pid in tree(root))


def pss_kb(pids):
    """Pages that n processes share count 1/n for each."""
    return sum(field_kb(f"/proc/{pid}/smaps_rollup", "Pss") for pid in pids)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def tasks(pid):
    """Threads of one process."""
    return len(os.listdir(f"/proc/{pid}/task"))
