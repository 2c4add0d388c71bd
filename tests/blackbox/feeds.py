"""What is published in Redis by anybody, pushed to the subscribers of every server with --feed."""

import os
import signal
import socketserver
import subprocess
import threading
import time

import harness
from harness import BINARY, SLOW, TEXT, ServerCase, UpstreamProgram, wait_until

from .pushes import NoPushes, Subscribing


class Feeding(Subscribing):
    """A server with a feed, and the build/upstream that it listens to."""

    options = None

    def setUp(self):
        self.upstream = self.start_upstream()

    def start_upstream(self, port=0):
        upstream = UpstreamProgram(port=port)
        self.addCleanup(upstream.kill)
        return upstream

    def start(self, *options):
        server = super().start("--upstream-address", f"127.0.0.1:{self.upstream.port}", *options)
        return server

    def feeds(self):
        """How many feeds a server has: of clustered loops each follows by itself."""
        return 2 if self.target.name == "multi_loop" else 1

    def start_fed(self, *options, feeds=None):
        """... that has subscribed with so many processes."""
        feeds = feeds or self.feeds()
        if self.target.name == "multi_loop":
            options += ("--workers", str(feeds))
        server = self.start("--feed", *options)
        wait_until(lambda: server.metrics()["feed_connects"] >= feeds, 10 * SLOW)
        return server

    def publish_in_redis(self, topic, *texts):
        with self.upstream.client() as client:
            return [client.call("PUBLISH", f"archbench:{topic}", text) for text in texts]


class Feeds(Feeding, ServerCase):
    """Subscribers here, publishers anywhere."""

    def test_from_a_stranger(self):
        server = self.start_fed()
        subscribers = [self.subscriber("a", server=server) for _ in range(2)]
        self.assertEqual(self.publish_in_redis("a", "1\nhello", "2\n\u20ac\nx"),
                         [self.feeds()] * 2)
        for subscriber in subscribers:
            self.assertEqual(subscriber.delivery(), harness.Delivery("a", "1", b"hello", TEXT))
            self.assertEqual(subscriber.delivery(),
                             harness.Delivery("a", "2", "\u20ac\nx".encode(), TEXT))

    def test_what_is_no_text(self):
        """A WebSocket may not carry it as text."""
        subscriber = self.subscriber("a", server=self.start_fed())
        self.publish_in_redis("a", b"1\n\xff\x00")
        self.assertEqual(subscriber.delivery(), harness.Delivery("a", "1", b"\xff\x00", BINARY))

    def test_from_another_server(self):
        here, there = self.start_fed(), self.start_fed()
        subscriber, publisher = self.subscriber("a", server=here), self.websocket(there)
        for index in range(20):
            self.assertEqual(publisher.ask(f"m{index}", "/work?io=redis:publish:a",
                                           f"text {index}").status, 200)
        for index in range(20):
            self.assertEqual(subscriber.delivery(),
                             harness.Delivery("a", f"m{index}", b"text %d" % index, TEXT))

    def test_publisher_hears_itself(self):
        websocket = self.subscriber("a", server=self.start_fed())
        websocket.send("m1 /work?io=redis:publish:a\nx")
        seen = {websocket.data()[1], websocket.data()[1]}  # the answer and the delivery
        self.assertEqual(len(seen), 2)

    def test_only_without(self):
        """A server without --feed hears nothing of it."""
        server = self.start()
        subscriber, publisher = self.subscriber("a", server=server), self.websocket(server)
        self.assertEqual(self.publish_in_redis("a", "1\nx"), [0])
        self.publish(publisher, "a", "fence")
        self.receives(subscriber, "a", "fence")

    def test_other_channels(self):
        """Those of others, and names that no topic can have."""
        server = self.start_fed()
        subscriber = self.subscriber("a", server=server)
        with self.upstream.client() as client:
            for channel in ("a", "archbench:", "archbench:" + "x" * 32, "archbench:b"):
                client.call("PUBLISH", channel, "1\nx")
            client.call("PUBLISH", "archbench:a", "2\nfence")
        self.receives(subscriber, "a", "fence")

    def test_many_in_order(self):
        server = self.start_fed("--outbox", "4m")
        subscribers = [self.subscriber("a", server=server) for _ in range(3)]
        with self.upstream.client() as client:
            client.send(b"".join(harness.encoded("PUBLISH", "archbench:a", f"-\np {index}")
                                 for index in range(2000)))
            client.replies(2000)
        for subscriber in subscribers:
            self.receives_all(subscriber, "a", ("p",), 2000)
        wait_until(lambda: server.metrics()["pushed"] == 3 * 2000, 10 * SLOW)
        self.assertEqual(server.metrics()["fed"], 2000 * self.feeds())

    def test_redis_comes_later(self):
        port = self.upstream.port
        self.upstream.kill()
        server = self.start("--feed")
        subscriber = self.subscriber("a", server=server)
        self.upstream = self.start_upstream(port)
        wait_until(lambda: server.metrics()["feed_connects"] >= 1, 10 * SLOW)
        self.publish_in_redis("a", "1\nx")
        self.receives(subscriber, "a", "x")

    def test_redis_is_killed_and_comes_back(self):
        server = self.start_fed()
        subscriber = self.subscriber("a", server=server)
        for life in range(1, 4):
            port = self.upstream.port
            self.upstream.kill()
            self.assertEqual(server.get().status, 200)
            self.upstream = self.start_upstream(port)
            connects = (life + 1) * self.feeds()
            wait_until(lambda connects=connects: server.metrics()["feed_connects"] >= connects,
                       10 * SLOW)
            self.publish_in_redis("a", f"-\n{life}")
            self.receives(subscriber, "a", str(life))

    def test_what_is_no_redis(self):
        """It speaks another protocol: the server goes on, and tries again."""
        other = self.start()
        server = super().start("--feed", "--upstream-address", f"127.0.0.1:{other.port}")
        subscriber = self.subscriber("a", server=server)
        self.publish(subscriber, "a", "x")
        self.assertEqual(server.get().status, 200)


class Listener(socketserver.ThreadingTCPServer):
    """A Redis that nobody can be sure of: `follow(connection)` is what it does when somebody wants to follow, and
    whoever publishes hears that nobody does."""

    allow_reuse_address = daemon_threads = True
    FOLLOWED = b"*3\r\n$10\r\npsubscribe\r\n$11\r\narchbench:*\r\n:1\r\n"

    def __init__(self, follow):
        super().__init__(("127.0.0.1", 0), ListenerConnection)
        self.follow, self.follows = follow, 0
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()

    def stop(self):
        self.shutdown()
        self.server_close()


class ListenerConnection(socketserver.BaseRequestHandler):
    """One of its connections, until it is closed."""

    def handle(self):
        while data := self.request.recv(4096):
            if b"PSUBSCRIBE" in data:
                self.server.follows += 1
                if not self.server.follow(self.request):
                    return
            else:
                self.request.sendall(b":0\r\n")


class UnreliableRedis(ServerCase):
    """What a server says and does while it cannot follow."""

    options = None

    @classmethod
    def suits(cls, target):
        return Subscribing.suits(target)

    def start_before(self, follow, *options):
        self.redis = Listener(follow)
        self.addCleanup(self.redis.stop)
        return self.start("--upstream-address", f"127.0.0.1:{self.redis.server_address[1]}", *options)

    def follow(self, connection):
        connection.sendall(Listener.FOLLOWED)
        return True

    def test_nobody_follows(self):
        """Who publishes is told that nobody hears it, if the server itself should."""
        server = self.start_before(self.follow, "--feed")
        websocket = self.websocket(server)
        for index in range(3):
            reply = websocket.ask(f"m{index}", "/work?io=redis:publish:a", "x")
            self.assertEqual((reply.status, reply.body),
                             (502, b"nobody follows this channel\n"))
        self.assertEqual(server.metrics()["upstream_failed"], 3)
        self.assertEqual(server.metrics()["upstream_connects"], 1)
        self.assertEqual(server.get("/work?io=redis:incr:a").status, 200)

    def test_nobody_need_follow(self):
        """Without a feed of its own, a server has no idea whether anybody should."""
        server = self.start_before(self.follow)
        self.assertEqual(server.get("/work?io=redis:publish:a").status, 200)
        self.assertEqual(server.metrics()["upstream_failed"], 0)

    def test_follows_anew_at_once(self):
        """What it misses meanwhile is lost. 20 pauses of 100 ms would take two seconds."""
        def follow_for_a_moment(connection):
            connection.sendall(Listener.FOLLOWED)
            return False
        begin = time.monotonic()
        self.start_before(follow_for_a_moment, "--feed", *self.one_loop())
        wait_until(lambda: self.redis.follows >= 20, 10 * SLOW)
        self.assertLess(time.monotonic() - begin, 1.5 * SLOW)

    def test_does_not_insist(self):
        """A Redis that refuses is asked again after a pause."""
        def refuse(connection):
            connection.sendall(b"-NOAUTH Authentication required.\r\n")
            return False
        self.start_before(refuse, "--feed", *self.one_loop())
        self.assertTrue(wait_until(lambda: self.redis.follows >= 2, 10))
        before = self.redis.follows
        time.sleep(0.5)
        self.assertLessEqual(self.redis.follows - before, 6)

    def test_does_not_take_no_for_an_answer(self):
        """A Redis that refuses, and keeps the connection, is asked again as well."""
        def refuse(connection):
            connection.sendall(b"-BUSY Redis is busy running a script.\r\n")
            return True
        self.start_before(refuse, "--feed", *self.one_loop())
        self.assertTrue(wait_until(lambda: self.redis.follows >= 2, 10))

    def one_loop(self):
        return ("--workers", "1") if self.target.name == "multi_loop" else ()


class FeedOfCopies(Feeding, ServerCase):
    """Copies of a server know nothing of each other; the feed reaches all."""

    @classmethod
    def suits(cls, target):
        return Feeding.suits(target) and target.has("--processes")

    def test_each_copy_follows(self):
        server = self.start_fed("--processes", "2", feeds=2)
        subscribers = [self.subscriber("a", server=server) for _ in range(16)]
        publisher = self.websocket(server)
        for index in range(10):
            self.assertEqual(publisher.ask("-x", "/work?io=redis:publish:a",
                                           f"p {index}").status, 200)
        for subscriber in subscribers:
            self.receives_all(subscriber, "a", ("p",), 10)


class FeedOfAProcess(Feeding, ServerCase):
    """A process of its own follows for all others. One that dies is replaced, and no faster than it can die."""

    @classmethod
    def suits(cls, target):
        return target.name == "processes"

    def process_beside(self, server, *others):
        """The only child that the server has beside these."""
        self.assertTrue(wait_until(
            lambda: len(set(harness.children(server.pid)) - set(others)) == 1, 10))
        return (set(harness.children(server.pid)) - set(others)).pop()

    def test_it_is_killed(self):
        server = self.start_fed()
        follower = self.process_beside(server)
        subscriber = self.subscriber("a", server=server)
        its_own = self.process_beside(server, follower)
        began, dead = time.monotonic(), []
        for _ in range(4):
            os.kill(follower, signal.SIGKILL)
            dead.append(follower)
            follower = self.process_beside(server, its_own, *dead)
        self.assertTrue(wait_until(lambda: server.metrics()["feed_connects"] >= 2, 10))
        self.assertLessEqual(server.metrics()["feed_connects"] - 2,
                             (time.monotonic() - began) / 0.1)
        self.publish_in_redis("a", "-\nx")
        self.receives(subscriber, "a", "x")


class NoFeed(ServerCase):
    """An architecture that cannot push refuses the option."""

    options = None

    @classmethod
    def suits(cls, target):
        return NoPushes.suits(target)

    def test_refused(self):
        process = subprocess.run([self.target.path, "--port", "0", "--feed"], capture_output=True,
                                 text=True, timeout=20 * SLOW)
        self.assertEqual(process.returncode, 2)
        self.assertIn("pushes nothing", process.stderr)
        self.assertNotIn(os.sep, process.stdout)
