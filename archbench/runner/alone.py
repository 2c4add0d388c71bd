"""One measurement at a time on this machine, whichever checkout and user it comes from: two at once
would spoil each other's numbers.

The right to measure is a name in Linux's abstract namespace of sockets. It is the machine's (more
exactly its network namespace's), needs no file, and goes when the process that holds it ends,
however it ends."""
import contextlib
import os
import socket
import struct
import sys

NAME = "archbench-measures"
VARIABLE = "ARCHBENCH_MEASURES"  # another name, for tests: they must not wait for a real run
HELD = "ARCHBENCH_MEASURES_ALREADY"  # set for the processes that we start in turn


def address():
    return "\0" + os.environ.get(VARIABLE, NAME)


def holder_of(waiting):
    """The process at the other end, as one reads it: its number and its command line."""
    credentials = waiting.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid = struct.unpack("3i", credentials)[0]
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            command = file.read().replace("\0", " ").strip()
    except OSError:
        command = "gone"
    return f"process {pid}, {command}"


def wait_for_holder():
    """Until the process that has the right now ends. Says so first."""
    with socket.socket(socket.AF_UNIX) as waiting:
        try:
            waiting.connect(address())
            print(f"waits for another measurement on this machine: {holder_of(waiting)}",
                  file=sys.stderr, flush=True)
            waiting.recv(1)
        except OSError:
            pass  # it has just ended


@contextlib.contextmanager
def measuring():
    """Hold the right to measure; first wait until nobody else does."""
    if HELD in os.environ:
        yield
        return
    with socket.socket(socket.AF_UNIX) as right:
        while True:
            try:
                right.bind(address())
                break
            except OSError:
                wait_for_holder()
        right.listen(16)
        os.environ[HELD] = str(os.getpid())
        try:
            yield
        finally:
            del os.environ[HELD]
