"""The end of a server, asked for or not."""

import time

import harness
from harness import SLOW, ServerCase, request, wait_until


class Draining(ServerCase):
    """SIGTERM: finish what is in flight, close what idles, say the counters, exit 0."""

    options = None

    def test_in_flight_requests_finish(self):
        server = self.start()
        delay_ms = 400 if SLOW == 1 else 2000
        peers = [self.peer(server) for _ in range(50)]
        for peer in peers:
            self.assertEqual(peer.get().status, 200)
            peer.send(request(f"/work?io=timer:{delay_ms}ms&body=1000"))
        time.sleep(delay_ms / 4000)
        server.terminate()
        for peer in peers:
            reply = peer.reply()
            self.assertEqual((reply.status, len(reply.body)), (200, 1000))
            self.assertTrue(peer.ended())
        final, _ = server.finish()
        self.assertEqual((final["connections"], final["requests"]), (50, 100))

    def test_computing_requests_finish(self):
        server = self.start()
        peers = [self.peer(server) for _ in range(4)]
        for peer in peers:
            peer.get()
            peer.send(request("/work?cpu=hash:40ms"))
        time.sleep(0.02 * SLOW)
        server.terminate()
        for peer in peers:
            self.assertEqual(peer.reply().status, 200)
        server.finish()

    def test_long_reply_finishes(self):
        server = self.start()
        peer = self.peer(server, receive_buffer=8192)
        peer.send(request("/work?body=5000000"))
        peer.receive(1000)
        server.terminate()
        time.sleep(0.2 * SLOW)
        self.assertEqual(len(peer.reply().body), 5000000)
        server.finish()

    def test_idle_connections_are_closed(self):
        server = self.start()
        peers = [self.peer(server) for _ in range(30)]
        for peer in peers[:15]:
            peer.get()
        server.catch_up()
        server.terminate()
        _, lasted = server.finish()
        self.assertLess(lasted, 4 * SLOW)
        for peer in peers:
            self.assertTrue(peer.ended())

    def test_what_has_arrived_is_answered(self):
        """Before the signal: on connections that idle, and on some that nobody has accepted yet."""
        for _ in range(3):
            server = self.start()
            peers = [self.peer(server) for _ in range(int(min(16, server.room)))]
            for peer in peers:
                self.assertEqual(peer.get().status, 200)
            newcomers = [harness.Peer(server.port) for _ in range(16)]
            for peer in peers + newcomers:
                self.addCleanup(peer.close)
                peer.send(request())
            server.terminate()
            for peer in peers + newcomers:
                self.assertEqual(peer.reply().status, 200)
                self.assertTrue(peer.ended())
            final, _ = server.finish()
            self.assertEqual(final["requests"], 2 * len(peers) + len(newcomers))
            self.assertEqual((final["broken"], final["timeouts"]), (0, 0))

    def test_unfinished_header_does_not_hold_it(self):
        server = self.start("--header-timeout", "1s")
        self.peer(server).send(b"GET / HTTP/1.1\r\nHos")
        server.catch_up()
        server.terminate()
        server.finish()

    def test_reader_that_never_reads_does_not_hold_it(self):
        server = self.start("--idle-timeout", "1s")
        self.peer(server, receive_buffer=4096).send(request("/work?body=16777216"))
        server.catch_up()
        time.sleep(0.2 * SLOW)
        server.terminate()
        server.finish()

    def test_newcomers_are_not_served(self):
        server = self.start()
        peer = self.peer(server)
        peer.send(request("/work?io=timer:1s"))
        time.sleep(0.2 * SLOW)
        server.terminate()
        time.sleep(0.2 * SLOW)
        with self.assertRaises((ConnectionError, AssertionError)):
            server.get()
        self.assertEqual(peer.reply().status, 200)
        server.finish()


class Orphans(ServerCase):
    """Of servers of several processes."""

    options = None

    @classmethod
    def suits(cls, target):
        return {"A1", "A2"} & set(target.about["ids"])

    def test_orphans_end(self):
        """Children do not outlive a parent that was killed."""
        server = harness.Server(self.target)
        peer = self.peer(server)
        peer.get()
        children = harness.children(server.pid)
        self.assertTrue(children)
        server.process.kill()
        server.process.wait()  # its stdout may stay open in an orphan
        server.process.stdout.close()
        harness.Server.running.discard(server.process)
        self.assertTrue(peer.ended())
        self.assertTrue(wait_until(lambda: not any(
            (harness.proc_stat(child) or "Z")[0] != "Z" for child in children), 5))
