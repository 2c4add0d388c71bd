"""Waiting for a calm machine. Where others share it, a neighbour or a hypervisor, they take the
cores for seconds or minutes, and what is measured meanwhile is invalid."""
import os
import time

PROBE_S = 0.2
GAP_NS = 50_000  # longer than an interrupt: somebody else had the core
LOST_LIMIT = 0.01  # of a core; a cell may lose 2 % of all of them
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 4.0  # calm may last no longer than some seconds
LONGEST_WAIT_S = 12.0  # whoever stays for longer is there to stay


def lost_ns(until_ns):
    """How much of the time this process, which does nothing but look at the clock, was not
    running."""
    lost = 0
    before = time.monotonic_ns()
    while before < until_ns:
        now = time.monotonic_ns()
        if now - before > GAP_NS:
            lost += now - before
        before = now
    return lost


def probe_core(core, result):
    """In a process of its own: never returns, not even by a signal's exception, for what follows is
    the parent's to do. `result`: the end of a pipe for the number."""
    try:
        os.sched_setaffinity(0, {core})
        os.write(result, str(lost_ns(time.monotonic_ns() + int(PROBE_S * 1e9))).encode())
    finally:
        os._exit(0)


def lost_share(cores):
    """The largest share of a core's time that others have, of all `cores`, probed at the same
    time."""
    probes = []
    for core in cores:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            probe_core(core, writing)
        os.close(writing)
        probes.append((pid, reading))
    shares = []
    for pid, reading in probes:
        with open(reading, encoding="ascii") as result:
            shares.append(int(result.read() or 0) / (PROBE_S * 1e9))
        os.waitpid(pid, 0)
    return max(shares, default=0.0)


class Patience:
    """How long a run may wait for its machine, in all. `lost`: what lost_share() does, `sleep` as
    time.sleep(). A wait in vain is the last one until the machine has been calm again: to wait for
    others who are there to stay only makes the run longer."""

    def __init__(self, budget_s, lost, sleep=time.sleep):
        self.budget_s, self.lost, self.sleep = budget_s, lost, sleep
        self.waited_s = 0.0
        self.in_vain = False

    def wait(self, tell):
        """Return when the machine is calm, or when patience has run out. tell(share) before each
        pause; pauses double."""
        pause_s, until_s = FIRST_PAUSE_S, min(self.budget_s, self.waited_s + LONGEST_WAIT_S)
        while self.waited_s < until_s:
            share = self.lost()
            if share <= LOST_LIMIT:
                self.in_vain = False
            if share <= LOST_LIMIT or self.in_vain:
                return
            tell(share)
            pause_s = min(pause_s, until_s - self.waited_s)
            self.sleep(pause_s)
            self.waited_s += pause_s
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self.in_vain = True
