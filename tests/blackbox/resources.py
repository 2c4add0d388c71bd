"""What is refused when something has run out, and what must not grow."""

import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time

import harness
from harness import SLOW, ServerCase, wait_until


class Limited(ServerCase):
    """The system gives the server a few processes and threads, and no more."""

    options = None
    MOST = 20

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("only root can give the server a user, and so a count, of its own")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start_limited(self, *options):
        """The user may not reach the build folder: so it gets a copy of what it needs."""
        os.chmod(self.folder, 0o755)
        copy = shutil.copy(self.target.path, self.folder)
        calibration = shutil.copy(os.path.join(harness.BUILD, "calibration.json"), self.folder)
        user = str(random.randrange(30_000, 60_000))  # nobody else's: only these processes count
        target = harness.Target(copy, (*self.target.options, "--calibration", calibration))
        server = harness.Server(target, *options, prefix=(
            "setpriv", "--reuid", user, "--regid", user, "--clear-groups",
            "prlimit", f"--nproc={self.MOST}"))
        self.addCleanup(server.settle)
        return server


class LimitedAtTheStart(Limited):
    """It is to have more processes or threads than it can get: it says so and ends."""

    @classmethod
    def suits(cls, target):
        return str(target.about["computes"]).startswith("--workers")

    def test_it_says_so(self):
        with self.assertRaisesRegex(AssertionError, "the system has no room for so many "):
            self.start_limited("--workers", str(2 * self.MOST))


class Refusals(Limited):
    """Each connection needs a process or thread, and the system gives no more."""

    @classmethod
    def suits(cls, target):
        return target.name in ("processes", "threads")

    @staticmethod
    def is_served(peer):
        try:
            return peer.get().status == 200
        except (AssertionError, ConnectionError):
            return False

    def test_counted_and_survived(self):
        server = self.start_limited()
        peers = [self.peer(server) for _ in range(2 * self.MOST)]
        served = [peer for peer in peers if self.is_served(peer)]
        self.assertTrue(self.MOST // 2 <= len(served) <= self.MOST, f"{len(served)} served")
        refused = re.search(r"^archbench_refused_total (\d+)$",
                            served[0].get("/metrics").body.decode(), re.MULTILINE)
        self.assertEqual(int(refused[1]), len(peers) - len(served))
        self.assertEqual([peer.get().status for peer in served], [200] * len(served))
        for peer in served[1:]:
            peer.close()
        self.assertTrue(wait_until(lambda: self.is_served(self.peer(server)), 5))


class Impossible(ServerCase):
    """No thread and no coroutine can have such a stack."""

    options = None
    STACK = "200000g"

    def start_with(self, *options):
        process = subprocess.Popen(
            [self.target.path, *self.target.options, "--port", "0", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process, process.stdout.readline()

    def says(self, process, what):
        _, said = process.communicate(timeout=5 * SLOW)
        self.assertEqual(process.returncode, 2)
        self.assertRegex(said, rf"^\w+: {what}\n$")


class ImpossibleThreads(Impossible):
    """A server that needs threads says so at its start; the others have no use for it, and serve."""

    def test_it_says_so_or_serves(self):
        process, ready = self.start_with("--stack", self.STACK)
        if not ready:
            self.says(process, "the system has no room for (so many threads|a thread with such a "
                               "stack)")
            return
        self.assertFalse(self.target.about["family"] == "threads")
        with harness.Peer(int(ready.rpartition(":")[2])) as peer:
            self.assertEqual(peer.get().status, 200)
        process.terminate()
        self.assertEqual(process.wait(5 * SLOW), 0)


class ImpossibleCoroutines(Impossible):
    @classmethod
    def suits(cls, target):
        return target.has("--coroutine-stack")

    def test_it_says_so(self):
        process, ready = self.start_with("--coroutine-stack", self.STACK)
        self.assertEqual(ready, "")
        self.says(process, "--coroutine-stack: the system has no room for such a stack")


class AddressesOfIPv6(ServerCase):
    options = None

    def test_it_listens_there(self):
        if not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("this machine has no IPv6")
        process = subprocess.Popen([self.target.path, *self.target.options, "--port", "0",
                                    "--host", "::1"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        ready = process.stdout.readline()
        found = re.fullmatch(r"ready \w+ \[::1\]:(\d+)\n", ready)
        self.assertTrue(found, ready)
        with socket.create_connection(("::1", int(found[1])), 5 * SLOW) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n")
            self.assertTrue(peer.makefile("rb").readline().startswith(b"HTTP/1.1 200 "))
        process.terminate()
        process.communicate(timeout=10 * SLOW)
        self.assertEqual(process.returncode, 0)


class Leaks(ServerCase):
    """Connections come and go and leave nothing behind."""

    def visit(self, count):
        for index in range(count):
            with self.server.peer() as peer:
                peer.get("/work?body=10")
                if index % 3 == 0:
                    peer.vanish()

    def test_many_short_connections(self):
        count = int(2000 / SLOW)
        self.visit(200)
        wait_until(lambda: not harness.zombies(self.server.pid), 5)
        time.sleep(0.2 * SLOW)
        descriptors = harness.descriptors(self.server.pid)
        memory_kb = harness.memory_kb(self.server.pid)
        self.visit(count)
        self.assertTrue(wait_until(
            lambda: harness.descriptors(self.server.pid) <= descriptors, 5),
            f"{harness.descriptors(self.server.pid)} descriptors after {descriptors}")
        if SLOW == 1:  # a sanitizer keeps freed memory back on purpose
            self.assertLess(harness.memory_kb(self.server.pid) - memory_kb, 2 * count)

    def test_no_zombies(self):
        self.visit(30)
        self.assertTrue(wait_until(lambda: not harness.zombies(self.server.pid), 5))
