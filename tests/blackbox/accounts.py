"""What the counters and the last line account for."""

import os
import time

import harness
from harness import SLOW, ServerCase, request, wait_until


class Accounts(ServerCase):
    """What threads and processes cost is not forgotten when they end."""

    options = None

    def test_switches_of_all_workers(self):
        """Each has slept at least once, for want of work."""
        options = ("--workers", "100")
        if self.target.has("--max-workers"):
            options = ("--min-workers", "100", "--max-workers", "100")
        server = self.start(*options, peers=100)
        server.get()
        time.sleep(0.3 * SLOW)
        final = server.stop()
        if final["spawned"] < 100:
            self.skipTest("it has no fixed number of workers")
        self.assertGreaterEqual(final["switches_voluntary"], final["spawned"])
        self.assertEqual(final["workers"], 0)


class Children(ServerCase):
    """With a process per connection, the death of one costs its connection only."""

    @classmethod
    def suits(cls, target):
        return "A1" in target.about["ids"]

    def test_killed_child(self):
        before = self.server.metrics()["crashed"]
        wait_until(lambda: not harness.children(self.server.pid), 5)
        victim = self.peer()
        victim.get()
        children = harness.children(self.server.pid)
        self.assertEqual(len(children), 1)
        other = self.peer()
        other.get()
        os.kill(children[0], 9)
        self.assertTrue(victim.ended())
        self.assertEqual(other.get().status, 200)
        self.assertEqual(self.server.get().status, 200)
        self.assertTrue(wait_until(lambda: not harness.zombies(self.server.pid), 5))
        self.assertEqual(self.server.metrics()["crashed"], before + 1)


class Mishaps(ServerCase):
    """The same mishaps leave the same counters behind in every server: each word means one thing."""

    options = None
    SAME = ("connections", "closed", "refused", "requests", "counted", "bad_requests", "shed",
            "timeouts", "broken", "crashed", "queued")
    HALF_A_HEAD, HALF_A_BODY = b"GET / HTTP/1.1\r\nHos", request("/", "POST", body=b"abc")[:-1]
    LONG = request("/work?body=16777216")

    def ends(self, peer, *data):
        """The server ends the connection by itself."""
        for part in data:
            peer.send(part)
        while peer.receive():
            pass
        peer.close()

    def test_counters_mean_the_same(self):
        server = self.start("--idle-timeout", f"{400 * SLOW:g}ms",
                            "--header-timeout", f"{200 * SLOW:g}ms", peers=1)

        def peer(**options):
            self.assertTrue(wait_until(lambda: not server.open_peers, 5))
            return self.peer(server, **options)

        def leave(peer, way, *data):
            for part in data:
                peer.send(part)
            time.sleep(0.02 * SLOW)  # let it be read, or the reset takes it along
            way(peer)

        peer().close()                                                     # nothing is wrong
        leave(peer(), harness.Peer.vanish)                                 # nor here: it idled
        for target, status in (("/", 200), ("/work?body=9", 200), ("/none", 404),
                               ("/work?cpu=x", 400)):
            with peer() as visitor:
                self.assertEqual(visitor.get(target).status, status)
        with peer() as visitor:
            self.assertEqual(visitor.get(method="HEAD").status, 200)
        with peer() as visitor:
            visitor.send(b"GET / HTTP/9\r\n\r\n")
            self.assertGreaterEqual(visitor.reply().status, 400)
            self.assertTrue(visitor.ended())
        for way in (harness.Peer.vanish, harness.Peer.close):              # broken
            leave(peer(), way, self.HALF_A_HEAD)
            leave(peer(), way, self.HALF_A_BODY)
        leave(peer(receive_buffer=4096), harness.Peer.vanish, self.LONG)
        self.ends(peer())                                                  # timed out
        self.ends(peer(), self.HALF_A_HEAD)
        self.ends(peer(), self.HALF_A_BODY)
        visitor = peer(receive_buffer=4096)
        visitor.send(self.LONG)
        time.sleep(1.5 * SLOW)
        visitor.close()
        final = server.stop()
        self.assertEqual({name: final[name] for name in self.SAME if final[name]},
                         {"connections": 17, "closed": 17, "requests": 8, "bad_requests": 3,
                          "broken": 5, "timeouts": 4})
