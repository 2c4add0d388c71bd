"""Worker processes that die and are replaced."""

import os
import signal
import socket
import time

import harness
from harness import ServerCase, request, wait_until


class PreforkedWorkers(ServerCase):
    """With a pool of processes, a dead one is replaced, and their number is the limit."""

    options = None

    @classmethod
    def suits(cls, target):
        return "A2" in target.about["ids"]

    def replaced(self, server, victim, signal_number):
        """End one worker from outside; another comes in its place."""
        os.kill(victim, signal_number)
        self.assertTrue(wait_until(lambda: victim not in harness.children(server.pid) and
                                   len(harness.children(server.pid)) == 2, 5), "not replaced")

    def test_killed_while_idle(self):
        server = self.start(peers=2)
        for victim in harness.children(server.pid):
            self.replaced(server, victim, 9)
        with server.peer() as first, server.peer() as second:
            self.assertEqual([peer.get().status for peer in (first, second)], [200, 200])
        final = server.stop()
        self.assertEqual([final[name] for name in ("crashed", "spawned", "workers")], [2, 4, 0])
        self.assertEqual((final["connections"], final["closed"]), (2, 2))

    def test_killed_while_serving(self):
        server = self.start(peers=2)
        peers = [server.peer() for _ in range(2)]
        for peer in peers:
            peer.get()
        for victim in harness.children(server.pid):
            self.replaced(server, victim, 9)
        self.assertTrue(all(peer.ended() for peer in peers))
        self.assertEqual(server.get().status, 200)
        final = server.stop()
        self.assertEqual((final["crashed"], final["connections"], final["closed"]), (2, 3, 3))

    def test_one_told_to_leave(self):
        """It ends like the whole server would, and the others do not notice."""
        server = self.start(peers=2)
        peer = self.peer(server)
        peer.get()
        for victim in harness.children(server.pid):
            self.replaced(server, victim, 15)
        self.assertTrue(peer.ended())
        self.assertEqual([server.get().status for _ in range(4)], [200] * 4)
        final = server.stop()
        self.assertEqual((final["crashed"], final["spawned"]), (0, 4))

    def test_one_more_than_workers_waits(self):
        server = self.start(peers=2)
        peers = [self.peer(server) for _ in range(2)]
        for peer in peers:
            peer.get()
        with harness.Peer(server.port, timeout=1) as extra:
            extra.send(request())
            with self.assertRaises(socket.timeout):
                extra.receive()
            peers[0].close()
            self.assertEqual(extra.reply().status, 200)


class Respawning(ServerCase):
    """Worker processes that die young again and again do not make the parent fork without end."""

    options = None
    alone = True

    @classmethod
    def suits(cls, target):
        return target.has("--listen") or "A2" in target.about["ids"]

    def test_pauses_grow(self):
        """Killed as soon as seen: 0, 0.1, 0.3, 0.7 and 1.5 s after the first."""
        server = self.start("--workers", "1", peers=1)
        seen, end = set(), time.monotonic() + 2
        while time.monotonic() < end:
            for child in harness.children(server.pid):
                seen.add(child)
                os.kill(child, signal.SIGKILL)
            time.sleep(harness.TICK_S)
        self.assertGreater(len(seen), 1, "not replaced")
        self.assertLess(len(seen), 8)
        server.terminate()
        final, lasted = server.finish()
        self.assertLess(lasted, 0.9, "stopped only when the pause was over")
        self.assertEqual((final["crashed"], final["workers"]), (len(seen), 0))

    def test_served_after_a_pause(self):
        server = self.start("--workers", "1", peers=1)
        for _ in range(2):
            victims = wait_until(lambda: harness.children(server.pid), 5)
            os.kill(victims[0], signal.SIGKILL)
            self.assertTrue(wait_until(lambda gone=victims[0]: gone not in
                                       harness.children(server.pid), 5))
        self.assertEqual(server.get().status, 200)
