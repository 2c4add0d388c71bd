"""What /proc says of a process and of those that descend from it."""

import os
import re
import time


def proc_stat(pid):
    """Fields of /proc/PID/stat behind the name: [0] is the state, [1] the parent. None: gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def children(pid):
    """Pids of the direct children, zombies included."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        stat = proc_stat(entry)
        if stat and int(stat[1]) == pid:
            found.append(int(entry))
    return found


def tree(pid):
    """The process and all that descend from it."""
    return [pid] + [each for child in children(pid) for each in tree(child)]


def zombies(pid):
    return [child for child in children(pid) if (proc_stat(child) or "X")[0] == "Z"]


def cpu_seconds(pid):
    """CPU time of the living processes of the tree, ended threads included, to the nanosecond."""
    total_s = 0.0
    for each in tree(pid):
        try:
            total_s += time.clock_gettime(~each << 3 | 2)  # what clock_getcpuclockid(3) returns
        except OSError:  # it has just ended
            pass
    return total_s


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])
