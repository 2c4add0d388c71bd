"""What this machine has too little of for very many connections, and what is done about it.

Each limit is asked for when the plan is made, so that a run says beforehand what it leaves out,
with the sum, instead of failing in its second hour."""
import dataclasses
import math
import os
import pathlib
import resource

# KiB for each connection, all in all: what the machine had less with a million of them (10.7), which is
# more than what the trial weighs, since an open socket's inode counts as reclaimable.
CONNECTION_KIB = 11.0
TASK_KIB = {"0": 0, "1 thread": 45, "1 process": 160}  # stacks, page tables, what it touches
DESCRIPTORS_USED = 0.9  # of a process: copies behind one port share unevenly, as a hash does
TASKS_USED = 0.9  # of the system's
MEMORY_USED = 0.9  # of what is available


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of this machine, now."""
    descriptors: int  # of a process
    tasks: int  # threads and processes of the system
    maps: int  # memory areas of a process: a thread's stack takes two, with its guard
    available_kib: float


def number_in(path, default):
    try:
        return int(pathlib.Path(path).read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return default


def available_kib():
    """Memory that programs can still have without swapping."""
    for line in pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return float(line.split()[1])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024


def of_this_machine():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    many = 2**31
    tasks = min(number_in("/proc/sys/kernel/pid_max", many),
                number_in("/proc/sys/kernel/threads-max", many))
    return Limits(many if hard == resource.RLIM_INFINITY else hard, tasks,
                  number_in("/proc/sys/vm/max_map_count", many), available_kib())


def copies(connections, limits):
    """How many processes a server needs for them, if each connection takes a descriptor."""
    return max(1, math.ceil(connections / (DESCRIPTORS_USED * limits.descriptors)))


def shortage(about, connections, limits):
    """Why an architecture cannot have so many connections here, in words; None when it can."""
    kind = about.get("tasks", "0")
    what = {"1 thread": "threads", "1 process": "processes"}.get(kind)
    if what and connections > TASKS_USED * limits.tasks:
        return f"{connections:,} {what}, where the system has room for {limits.tasks:,} tasks"
    each = CONNECTION_KIB + TASK_KIB.get(kind, 0)
    if each * connections > MEMORY_USED * limits.available_kib:
        return (f"{connections:,} connections x {each:.0f} KiB = "
                f"{each * connections / 2**20:.1f} GiB, where "
                f"{limits.available_kib / 2**20:.1f} GiB are available")
    maps = 2 * connections / copies(connections, limits)
    if kind == "1 thread" and maps > limits.maps:
        return (f"{maps:,.0f} memory areas in one process (two for each stack), where "
                f"vm.max_map_count is {limits.maps:,}")
    return None
