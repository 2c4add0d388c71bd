"""Silence and slowness."""

import socket
import time

from harness import SLOW, ServerCase, wait_until


def drips_to_the_end(peer):
    """Send a byte again and again, with the peer's timeout between them. Does the server end the
    connection within 10 s?"""
    end = time.monotonic() + 10 * SLOW
    while time.monotonic() < end:
        try:
            peer.send(b"x")
            if not peer.receive():
                return True
        except socket.timeout:
            pass
        except (ConnectionResetError, BrokenPipeError):
            return True
    return False


class Timeouts(ServerCase):
    """Silence and slowness end a connection, and nothing else does."""

    options = ("--idle-timeout", f"{700 * SLOW:g}ms", "--header-timeout", f"{500 * SLOW:g}ms")

    def ends_within(self, peer, least, most):
        begin = time.monotonic()
        while peer.receive():
            pass
        lasted = (time.monotonic() - begin) / SLOW
        self.assertGreater(lasted, least)
        self.assertLess(lasted, most)

    def test_silent_peer(self):
        self.ends_within(self.peer(), 0.3, 6)

    def test_idle_after_reply(self):
        peer = self.peer()
        peer.get()
        self.ends_within(peer, 0.3, 6)

    def test_dripped_header(self):
        """Bytes keep coming, so only a limit on the whole header helps."""
        peer = self.peer(timeout=0.05)
        begin = time.monotonic()
        peer.send(b"GET / HTTP/1.1\r\nHost: test\r\nX-Drip: ")
        self.assertTrue(drips_to_the_end(peer), "still served after 10 s")
        self.assertGreater(time.monotonic() - begin, 0.3 * SLOW)
        if peer.buffer:
            self.assertEqual(peer.reply().status, 408)

    def test_stalled_body(self):
        peer = self.peer()
        peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc")
        self.ends_within(peer, 0.2, 6)

    def test_slow_body_lives(self):
        """It takes longer than any limit, but is never silent for so long."""
        peer = self.peer()
        peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 15\r\n\r\n")
        for _ in range(15):
            time.sleep(0.1 * SLOW)
            peer.send(b"x")
        self.assertEqual(peer.reply().status, 200)

    def test_slow_reader_lives(self):
        """A small buffer is emptied again and again, and the reply takes longer than any limit."""
        peer = self.peer(receive_buffer=4096)
        peer.send(b"GET /work?body=8000000 HTTP/1.1\r\nHost: test\r\n\r\n")
        for _ in range(8):
            time.sleep(0.2 * SLOW)
            for _ in range(40):
                self.assertTrue(peer.receive(1 << 12))
        self.assertEqual(len(peer.reply().body), 8000000)

    def test_long_request_is_not_idle(self):
        with self.server.peer() as peer:
            self.assertEqual(peer.get(f"/work?io=timer:{1500 * SLOW:g}ms").status, 200)
            self.assertEqual(peer.get().status, 200)

    def test_slow_but_steady_peer_lives(self):
        """Each request comes within the limits, all of them together do not."""
        peer = self.peer()
        for _ in range(6):
            time.sleep(0.2 * SLOW)
            self.assertEqual(peer.get().status, 200)

    def test_counted(self):
        before = self.server.metrics()["timeouts"]
        self.peer().ended()
        self.assertTrue(wait_until(lambda: self.server.metrics()["timeouts"] > before, 3))


class Slowness(ServerCase):
    """Asked for: a bound on the whole of a request, however steadily it comes."""

    options = ("--request-timeout", f"{800 * SLOW:g}ms")

    def test_slow_body(self):
        peer = self.peer(timeout=0.1)
        begin = time.monotonic()
        peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n")
        self.assertTrue(drips_to_the_end(peer), "still read after 10 s")
        self.assertGreater(time.monotonic() - begin, 0.6 * SLOW)
        self.assertEqual(peer.buffer, b"")

    def test_connection_may_be_older(self):
        peer = self.peer()
        for _ in range(4):
            time.sleep(0.3 * SLOW)
            self.assertEqual(peer.get(method="POST", body=b"x" * 100).status, 200)
