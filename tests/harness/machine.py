"""How much time the machine had for others."""

import atexit
import mmap
import os
import signal
import struct
import time


class Sentinel:
    """A process that only sleeps, and notices when it is woken late: the time this machine did
    not have for us. Times in seconds since the beginning."""

    NAP_S, PATIENCE_S = 0.005, 0.005

    def __init__(self):
        self.shared = mmap.mmap(-1, 8)
        parent, begin = os.getpid(), time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self.watch(parent, begin)
            os._exit(0)
        atexit.register(self.stop)

    def stop(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def watch(self, parent, woken):
        late_s = 0.0
        while os.getppid() == parent:
            time.sleep(self.NAP_S)
            before, woken = woken, time.monotonic()
            delay_s = woken - before - self.NAP_S
            if delay_s > self.PATIENCE_S:
                late_s += delay_s
                struct.pack_into("d", self.shared, 0, late_s)

    @staticmethod
    def stolen_s():
        """What the hypervisor gave to others while somebody here wanted to run, over all cores."""
        with open("/proc/stat", encoding="ascii") as file:
            return int(file.readline().split()[8]) / os.sysconf("SC_CLK_TCK")

    def lost_s(self):
        return struct.unpack_from("d", self.shared)[0] + self.stolen_s()
