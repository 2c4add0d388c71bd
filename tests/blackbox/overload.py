"""More than the server can do."""

import os
import signal
import socket
import tempfile
import threading
import time

from harness import SLOW, ServerCase, request, wait_until

from .helpers import MIB, read_slots, together


class Shedding(ServerCase):
    """What waits for a worker is bounded: shed, do not drown."""

    options = None
    alone = True
    TWO_MAY_WAIT = {
        "--max-workers": ("--queue", "2", "--min-workers", "1", "--max-workers", "1"),
        "--activation-list": ("--activation-list", "2", "--workers", "1"),
        "--max-instances": ("--queue", "2", "--max-instances", "1"),
    }

    @classmethod
    def suits(cls, target):
        return any(map(target.has, cls.TWO_MAY_WAIT))

    def test_full_queue_sheds(self):
        server = self.start(*next(options for bound, options in self.TWO_MAY_WAIT.items()
                                  if self.target.has(bound)))
        peers = [self.peer(server) for _ in range(30)]
        for peer in peers:
            peer.send(request("/work?cpu=hash:50ms"))
        replies = [peer.reply() for peer in peers]
        statuses = [reply.status for reply in replies]
        self.assertEqual(set(statuses), {200, 503})
        self.assertGreaterEqual(statuses.count(200), 2)
        for reply in replies:
            if reply.status == 503:
                self.assertRegex(reply.headers["retry-after"], r"^\d+$")
        self.assertEqual(server.metrics()["shed"], statuses.count(503))


class Overload(ServerCase):
    """A bounded queue before a pool of workers: grow, then shrink, and keep the rest responsive."""

    options = None
    alone = True

    @classmethod
    def suits(cls, target):
        return target.has("--queue") and target.has("--max-workers")

    def test_short_requests_stay_short(self):
        """Sixteen peers keep asking for CPU work; the trivial request does not wait for it."""
        server = self.start("--queue", "2", "--min-workers", "1", "--max-workers", "1")
        done = threading.Event()

        def load(index):
            if index == 16:
                time.sleep(0.3)
                with server.peer() as peer:
                    times = [self.timed(peer) for _ in range(60)]
                done.set()
                return sorted(times)[30]
            while not done.is_set():
                with server.peer() as peer:
                    peer.get("/work?cpu=hash:100ms")
                    time.sleep(0.01)
            return 0

        self.assertLess(together(17, load)[16], 0.03 * SLOW)

    @staticmethod
    def timed(peer):
        begin = time.monotonic()
        peer.get()
        elapsed = time.monotonic() - begin
        time.sleep(0.01)
        return elapsed

    def test_workers_grow_and_shrink(self):
        server = self.start("--queue", "1000", "--min-workers", "1", "--max-workers", "4")
        self.assertEqual(server.metrics()["workers"], 1)
        peers = [self.peer(server, timeout=60) for _ in range(30)]
        for peer in peers:
            peer.send(request("/work?cpu=hash:20ms"))
        self.assertTrue(wait_until(lambda: server.metrics()["workers"] > 1, 5), "did not grow")
        self.assertLessEqual(server.metrics()["workers"], 4)
        for peer in peers:
            self.assertEqual(peer.reply().status, 200)
        self.assertTrue(wait_until(lambda: server.metrics()["workers"] == 1, 20), "did not shrink")
        self.assertGreater(server.metrics()["queue_wait_us"], 0)


class Backpressure(ServerCase):
    """Full stages hold up those before them, back to the socket; nothing is shed or lost."""

    options = None

    @classmethod
    def suits(cls, target):
        return target.has("--depth")

    def test_all_are_served_in_the_end(self):
        with tempfile.NamedTemporaryFile() as file:
            server = self.start("--depth", "2", "--workers", "1", "--stats-file", file.name)
            peers = [self.peer(server, timeout=60) for _ in range(40)]
            for peer in peers:
                peer.send(request("/work?cpu=hash:20ms") * 2 + request("/work?io=timer:5ms"))
            self.assertTrue(wait_until(lambda: read_slots(file.name)[2]["queued"] == 2, 5))
            time.sleep(0.1)
            late = [self.peer(server, timeout=60) for _ in range(100)]
            time.sleep(0.1)
            slots = read_slots(file.name)
            self.assertLessEqual(max(slot["queued"] for slot in slots), 2)
            self.assertLess(slots[0]["connections"], 90, "accepted without room")
            for peer in peers:
                self.assertEqual([peer.reply().status for _ in range(3)], [200] * 3)
            for peer in late:
                self.assertEqual(peer.get().status, 200)
            final = server.stop()
        self.assertEqual((final["shed"], final["requests"], final["queued"]), (0, 220, 0))
        self.assertGreater(final["queue_wait_us"], 0)

    def test_room_is_used_at_once(self):
        """Six requests found at the same moment fill every queue before the first is done."""
        with tempfile.NamedTemporaryFile() as file:
            server = self.start("--depth", "1", "--workers", "1", "--stats-file", file.name)
            peers = [self.peer(server, timeout=60) for _ in range(6)]
            for peer in peers:
                peer.get()
            os.kill(server.pid, signal.SIGSTOP)
            for peer in peers:
                peer.send(request(f"/work?cpu=hash:{300 * SLOW:g}ms"))
            os.kill(server.pid, signal.SIGCONT)
            self.assertTrue(wait_until(lambda: [
                slot["queued"] for slot in read_slots(file.name)[1:3]] == [1, 1], 0.2))
            for peer in peers:
                self.assertEqual(peer.reply().status, 200)

    def test_newcomers_get_their_turn(self):
        """The stages are never empty, and yet nobody waits at the door for ever."""
        server = self.start("--depth", "1", "--workers", "1")
        done = threading.Event()

        def load(index):
            if index == 8:
                time.sleep(0.3)
                try:
                    for _ in range(3):
                        self.assertEqual(server.get().status, 200)
                finally:
                    done.set()
            with server.peer() as peer:
                while not done.is_set():
                    peer.get("/work?cpu=hash:10ms")

        together(9, load)

    def test_senders_are_held_up(self):
        """What is not read stays in the sockets, and then with its sender."""
        server = self.start("--depth", "1", "--workers", "1")
        busy = [self.peer(server, timeout=60) for _ in range(5)]
        for peer in busy:
            peer.send(request(f"/work?cpu=hash:{500 * SLOW:g}ms"))
        time.sleep(0.2 * SLOW)
        sender = self.peer(server, timeout=0.5)
        with self.assertRaises(socket.timeout):
            sender.send(request("/", "POST", "1.1", b"x" * MIB) * 30)
        self.assertEqual({peer.reply().status for peer in busy}, {200})
        sender.vanish()
        self.assertEqual(server.get().status, 200)

    def test_drain_with_full_stages(self):
        server = self.start("--depth", "1", "--workers", "1")
        peers = [self.peer(server, timeout=60) for _ in range(30)]
        for peer in peers:
            peer.get()
        for peer in peers:
            peer.send(request("/work?io=timer:10ms&cpu=hash:10ms&io=timer:10ms"))
        time.sleep(0.05)
        server.terminate()
        for peer in peers:
            self.assertEqual(peer.reply().status, 200)
            self.assertTrue(peer.ended())
        self.assertEqual(server.finish()[0]["requests"], 60)
