"""How readiness is found, and loops in a cluster."""

import os
import signal
import subprocess
import tempfile

import harness
from harness import SLOW, ServerCase, request, wait_until

from .crowds import Crowds
from .helpers import read_slots


class Multiplexers(ServerCase):
    """Servers that let the readiness call be chosen."""

    options = None

    @classmethod
    def suits(cls, target):
        return target.has("--multiplexer")

    def test_unknown_multiplexer(self):
        done = subprocess.run([self.target.path, "--multiplexer", "kqueue"], capture_output=True,
                              text=True, timeout=20 * SLOW, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"\A[^\n]+\n\Z")

    def test_more_than_select_can_watch(self):
        """1,100 connections: beyond FD_SETSIZE. Served or refused, never a crash."""
        server = self.start(prefix=("prlimit", "--nofile=4096"))
        peers = []
        for _ in range(1100):
            peers.append(self.peer(server, timeout=0.5))
            try:
                peers[-1].send(request())
            except ConnectionError:
                pass
        outcomes = [Crowds.outcome(self, peer) for peer in peers]
        self.assertTrue(server.alive())
        self.assertGreater(outcomes.count(200), 900, set(outcomes))
        self.assertNotIn("silence", outcomes[:900])
        for peer in peers:
            peer.close()
        self.assertTrue(wait_until(lambda: Crowds.serves(server), 5))


class Cluster(ServerCase):
    """Worker processes behind one port, watched by a parent that serves nobody."""

    options = None

    @classmethod
    def suits(cls, target):
        return target.has("--listen")

    def crowd(self, server, count):
        """Peers that are served, by whichever worker."""
        peers = [self.peer(server) for _ in range(count)]
        for peer in peers:
            self.assertEqual(peer.get().status, 200)
        return peers

    def filled(self, server, count, without=()):
        """Is a living process in every place, and none of those that are to be gone?"""
        children = harness.children(server.pid)
        return len(children) == count and not set(children) & set(without) and \
            not harness.zombies(server.pid)

    def test_killed_worker_is_replaced(self):
        """It costs its own connections, and they are counted as closed."""
        server = self.start("--workers", "3")
        self.assertTrue(wait_until(lambda: self.filled(server, 3), 5))
        peers = self.crowd(server, 60)
        victims = harness.children(server.pid)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        self.assertTrue(wait_until(lambda: self.filled(server, 3, victims), 5))
        for peer in peers:
            self.assertTrue(peer.ended())
        self.crowd(server, 10)
        final = server.stop()
        self.assertEqual((final["crashed"], final["spawned"], final["workers"]), (3, 6, 0))
        self.assertEqual((final["connections"], final["closed"]), (70, 70))

    def test_waiting_peers_survive_a_crash(self):
        """Who waits to be accepted by a worker that dies is served by the next."""
        server = self.start("--workers", "1")
        self.assertTrue(wait_until(lambda: self.filled(server, 1), 5))
        victims = harness.children(server.pid)
        os.kill(victims[0], signal.SIGSTOP)
        peer = self.peer(server)
        peer.send(request())
        os.kill(victims[0], signal.SIGKILL)
        self.assertEqual(peer.reply().status, 200)

    def test_workers_do_not_outlive_the_parent(self):
        server = self.start("--workers", "3")
        self.assertTrue(wait_until(lambda: self.filled(server, 3), 5))
        children = harness.children(server.pid)
        server.process.kill()
        server.process.communicate()
        harness.Server.running.discard(server.process)
        self.assertTrue(wait_until(lambda: not any(
            (harness.proc_stat(child) or "Z")[0] != "Z" for child in children), 5))

    def test_stop_at_once(self):
        """SIGTERM meets workers that have hardly begun."""
        for _ in range(10):
            self.start("--workers", "8").stop()

    def test_each_loop_has_its_share(self):
        """The slots of the stats file tell the balance; own listeners give each loop some."""
        with tempfile.NamedTemporaryFile() as file:
            server = self.start("--workers", "2", "--stats-file", file.name)
            self.crowd(server, 100)
            shares = [slot["connections"] for slot in read_slots(file.name)[:4]]
        self.assertEqual((shares[0], shares[1] + shares[2], shares[3]), (0, 100, 0), shares)
        if "shared" not in self.target.label:
            self.assertGreater(min(shares[1:3]), 10, shares)
