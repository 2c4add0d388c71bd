"""The whole server several times behind one port: --processes."""

import os
import signal
import tempfile

import harness
from harness import ServerCase, wait_until

from .helpers import read_slots

PEERS = 40


class Copies(ServerCase):
    """Each is the server itself; the parent serves nobody and replaces the dead."""

    options = None

    @classmethod
    def suits(cls, target):
        return target.about.get("peers") != 1

    def copies(self, server, without=()):
        """Those that run, when there are three of them and none of `without` is left."""
        found = harness.children(server.pid)
        return found if len(found) == 3 and not set(found) & set(without) else []

    def start_copies(self, *options):
        server = self.start("--processes", "3", *options)
        self.assertTrue(wait_until(lambda: self.copies(server), 5))
        return server

    def crowd(self, server):
        peers = [self.peer(server, timeout=1) for _ in range(PEERS)]
        for peer in peers:
            self.assertEqual(peer.get().status, 200)
        return peers

    def test_several_serve(self):
        with tempfile.NamedTemporaryFile() as file:
            server = self.start_copies("--stats-file", file.name)
            self.crowd(server)
            held = [slot["connections"] for slot in read_slots(file.name) if slot["connections"]]
        self.assertEqual(sum(held), PEERS)
        self.assertGreater(len(held), 1, held)
        final = server.stop()
        self.assertEqual([final[name] for name in ("connections", "closed", "requests", "crashed")],
                         [PEERS, PEERS, PEERS, 0])

    def test_a_killed_one_is_replaced(self):
        server = self.start_copies()
        peers, victim = self.crowd(server), self.copies(server)[0]
        os.kill(victim, signal.SIGKILL)
        self.assertTrue(wait_until(lambda: self.copies(server, [victim]), 5))
        for peer in peers:
            peer.close()
        self.crowd(server)
        final = server.stop()
        self.assertEqual(final["crashed"], 1)
        self.assertEqual(final["closed"], final["connections"])

    def test_stop_at_once(self):
        """SIGTERM meets copies that have hardly begun."""
        for _ in range(5):
            self.start("--processes", "4").stop()
