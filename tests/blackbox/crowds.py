"""Peers that vanish, and many at a time."""

import socket
import time

import harness
from harness import SLOW, ServerCase, request, wait_until


class Vanishing(ServerCase):
    """Peers that reset, half-close or do not read cost their own connection only."""

    def after_resets(self, data, pause_s=0.0, read=0):
        """Ten peers send, read a little, and vanish."""
        for _ in range(10):
            peer = self.peer()
            peer.send(data)
            if read:
                peer.receive(read)
            time.sleep(pause_s)
            peer.vanish()
        self.assertEqual(self.server.get().status, 200)

    def test_resets_in_every_phase(self):
        for phase, data, pause_s, read in (
                ("connected", b"", 0, 0),
                ("request line", b"GET /wor", 0.01, 0),
                ("header", b"GET / HTTP/1.1\r\nHost: te", 0.01, 0),
                ("body", request()[:-2] + b"Content-Length: 100\r\n\r\nabc", 0.01, 0),
                ("waiting", request("/work?io=timer:50ms"), 0.01, 0),
                ("computing", request("/work?cpu=hash:5ms"), 0.001, 0),
                ("replying", request("/work?body=16777216"), 0.01, 1000),
                ("replied", request(), 0.01, 4096),
                ("pipelined", request("/work?io=timer:10ms") * 20, 0.03, 100),
                ("refused", b"GARBAGE\r\n\r\n", 0.01, 0)):
            with self.subTest(phase=phase):
                self.after_resets(data, pause_s, read)
        self.assert_all_closed()

    def assert_all_closed(self):
        """No connection is kept for a peer that is gone: only the one that asks is open."""
        def open_connections():
            metrics = self.server.metrics()
            return metrics["connections"] - metrics["closed"]
        self.assertTrue(wait_until(lambda: open_connections() <= 1, 10),
                        f"{open_connections():g} still open")

    def test_reset_while_waiting_leaves_others(self):
        patient = self.peer()
        patient.send(request("/work?io=timer:300ms"))
        self.after_resets(request("/work?io=timer:100ms"))
        self.assertEqual(patient.reply().status, 200)

    def test_half_close_still_gets_the_reply(self):
        for target, size in (("/work?body=9", 9), ("/work?io=timer:200ms&body=9", 9),
                             ("/work?cpu=hash:5ms&body=9", 9), ("/work?body=5000000", 5000000)):
            with self.subTest(target=target), self.server.peer() as peer:
                peer.send(request(target))
                peer.half_close()
                self.assertEqual(len(peer.reply().body), size)
                self.assertTrue(peer.ended())

    def test_half_close_after_pipeline(self):
        with self.server.peer() as peer:
            peer.send(request("/work?io=timer:50ms&body=1") + request("/work?body=2"))
            peer.half_close()
            self.assertEqual([len(peer.reply().body) for _ in range(2)], [1, 2])
            self.assertTrue(peer.ended())

    def test_half_close_within_a_request(self):
        with self.server.peer() as peer:
            peer.send(b"GET / HTTP/1.1\r\nHos")
            peer.half_close()
            self.assertTrue(peer.ended() or peer.reply().status == 400)

    def test_reader_that_never_reads(self):
        for _ in range(3):
            self.peer(receive_buffer=4096).send(request("/work?body=16777216"))
        time.sleep(0.1)
        begin = time.monotonic()
        for _ in range(10):
            self.assertEqual(self.server.get().status, 200)
        self.assertLess(time.monotonic() - begin, 5 * SLOW)


class Crowds(ServerCase):
    """Many connections, few descriptors."""

    options = None

    def test_two_hundred_at_once(self):
        server = self.start(peers=200)
        peers = [self.peer(server) for _ in range(200)]
        for _ in range(3):
            for peer in peers:
                peer.send(request())
            self.assertEqual({peer.reply().status for peer in peers}, {200})
        begin = harness.cpu_seconds(server.pid)
        time.sleep(1)
        spent_s = harness.cpu_seconds(server.pid) - begin
        self.assertLess(spent_s, 0.2 * SLOW, "busy while all are idle")

    def outcome(self, peer):
        """What a peer among too many gets: an answer, an end, or (after a while) silence."""
        try:
            return peer.reply().status
        except socket.timeout:
            return "silence"
        except (AssertionError, ConnectionError):
            return "closed"

    def test_descriptors_run_out(self):
        server = self.start(prefix=("prlimit", "--nofile=40"), peers=100)
        peers = [self.peer(server, timeout=0.5 if index else 10) for index in range(100)]
        for peer in peers:
            try:
                peer.send(request())
            except ConnectionError:
                pass
        outcomes = [self.outcome(peer) for peer in peers]
        self.assertGreater(outcomes.count(200), 10, outcomes)
        begin = harness.cpu_seconds(server.pid)
        time.sleep(1)
        self.assertLess(harness.cpu_seconds(server.pid) - begin, 0.4, "spins without descriptors")
        self.assertTrue(server.alive())
        for peer in peers:
            peer.close()
        self.assertTrue(wait_until(lambda: self.serves(server), 5), "does not recover")

    @staticmethod
    def serves(server):
        try:
            return server.get().status == 200
        except (AssertionError, OSError):
            return False
