"""Calls of an upstream."""

import time

import harness
from harness import SLOW, ServerCase, request, wait_until

from .helpers import together


class Calling:
    """What the themes over calls have in common: servers of their own, which call self.upstream."""

    options = None
    upstream = None

    def setUp(self):
        self.upstream = self.start_upstream()

    def start_upstream(self, port=0):
        """One that fails as it is told."""
        upstream = harness.Upstream(port)
        self.addCleanup(upstream.stop)
        return upstream

    def start(self, *options, timeout_s=10.0):
        if self.target.has("--retries"):  # what fails is to be seen, not tried again
            options = (*options, "--retries", "0")
        return super().start("--upstream-address", f"127.0.0.1:{self.upstream.port}",
                             "--upstream-timeout", f"{timeout_s * SLOW * 1000:g}ms", *options)


class Upstreams(Calling, ServerCase):
    """io=upstream: a call over a pooled connection, and an upstream that fails in every way."""

    def get_all(self, server, target, count):
        """`count` peers ask at the same time: the statuses, and how long it took."""
        peers = [self.peer(server) for _ in range(count)]
        begin = time.monotonic()
        for peer in peers:
            peer.send(request(target))
        statuses = [peer.reply().status for peer in peers]
        return statuses, time.monotonic() - begin

    def test_calls_that_fail_leave_no_descriptors(self):
        server = self.start()
        self.upstream.stop()

        def descriptors_after(calls):
            for _ in range(calls):
                self.assertEqual(peer.get("/work?io=upstream:1ms").status, 502)
            return sum(harness.descriptors(pid) for pid in harness.tree(server.pid))

        with self.peer(server) as peer:
            before = descriptors_after(10)
            self.assertTrue(wait_until(lambda: descriptors_after(10) <= before, 0.5))

    def test_reply_after_the_call(self):
        server = self.start()
        peer = self.peer(server)
        for query, least_s in (("io=upstream:200ms", 0.2), ("io=upstream:0", 0),
                               ("io=upstream:1us&body=7", 0),
                               ("io=upstream:50ms&cpu=hash:1ms&io=timer:50ms&io=upstream:50ms",
                                0.15)):
            with self.subTest(query=query):
                begin = time.monotonic()
                self.assertEqual(peer.get("/work?" + query).status, 200)
                lasted = time.monotonic() - begin
                self.assertGreaterEqual(lasted, least_s)
                self.assertLess(lasted, least_s + 2 * SLOW)
        peer.close()
        metrics = server.metrics()
        self.assertEqual([metrics["upstream_" + name] for name in
                          ("calls", "waits", "connects", "failed", "late")], [5, 0, 1, 0, 0])

    def test_nothing_is_connected_without_a_call(self):
        server = self.start()
        server.get("/work?io=timer:1ms")
        self.assertEqual(self.upstream.most, 0)
        server.get("/work?io=upstream:1ms")
        self.assertEqual(self.upstream.most, 1)

    def test_pipelined(self):
        peer = self.peer(self.start())
        peer.send(b"".join(request(f"/work?io=upstream:5ms&body={n}") for n in range(10)))
        self.assertEqual([len(peer.reply().body) for _ in range(10)], list(range(10)))

    def test_pool_is_bounded(self):
        threads = () if isinstance(self.target.about.get("peers"), str) else ("--workers", "4")
        server = self.start("--upstream-pool", "2", *threads, timeout_s=30)
        statuses, lasted = self.get_all(server, "/work?io=upstream:30ms", 16)
        self.assertEqual(statuses, [200] * 16)
        processes = max(1, len(harness.children(server.pid)))
        self.assertLessEqual(self.upstream.most, 2 * processes)
        if processes == 1:
            self.assertGreaterEqual(lasted, 16 / 2 * 0.03)
            metrics = server.metrics()
            self.assertEqual((metrics["upstream_calls"], metrics["upstream_connects"]), (16, 2))
            self.assertGreaterEqual(metrics["upstream_waits"], 2)
            self.assertGreaterEqual(metrics["upstream_wait_us"], 2 * 10000)

    def test_many_wait_at_once(self):
        """Who can wait for a descriptor in a loop holds no thread for it."""
        if "upstream" in self.target.about["blocks"]:
            self.skipTest("not applicable: each call holds a thread or process")
        server = self.start("--workers", "1")
        quick = self.peer(server)
        quick.get()
        peers = [self.peer(server) for _ in range(60)]
        begin = time.monotonic()
        for peer in peers:
            peer.send(request(f"/work?io=upstream:{500 * SLOW:g}ms"))
        self.assertEqual(quick.get().status, 200)
        self.assertLess(time.monotonic() - begin, 0.45 * SLOW)
        self.assertEqual([peer.reply().status for peer in peers], [200] * 60)
        self.assertLess(time.monotonic() - begin, 5 * SLOW)
        self.assertGreaterEqual(self.upstream.most, 55)

    def test_nobody_listens(self):
        server = self.start()
        self.upstream.stop()
        peer = self.peer(server)
        for _ in range(3):
            reply = peer.get("/work?cpu=hash:1ms&io=upstream:1ms&io=timer:50s")
            self.assertEqual((reply.status, reply.reason), (502, "Bad Gateway"))
            self.assertIn("cannot be reached", reply.body.decode())
            self.assertNotIn("x-work-digest", reply.headers)
            self.assertEqual(peer.get().status, 200)
        self.start_upstream(self.upstream.port)
        self.assertEqual(peer.get("/work?io=upstream:1ms").status, 200)
        peer.close()
        metrics = server.metrics()
        self.assertEqual((metrics["upstream_failed"], metrics["upstream_connects"]), (3, 1))
        self.assertEqual(metrics["bad_requests"], 3)

    def test_stall(self):
        """Nobody waits beyond the timeout, whether on a connection or in turn for one."""
        server = self.start("--upstream-pool", "1", timeout_s=0.5)
        self.upstream.mood = "stall"
        rounds = 1 if "upstream" not in self.target.about["blocks"] else 4
        statuses, lasted = self.get_all(server, "/work?io=upstream:1ms", 4)
        self.assertEqual(statuses, [504] * 4)
        self.assertGreaterEqual(lasted, 0.5 * SLOW)
        self.assertLess(lasted, (0.5 * rounds + 1) * SLOW)
        self.upstream.mood = "well"
        statuses, _ = self.get_all(server, "/work?io=upstream:1ms", 4)
        self.assertEqual(statuses, [200] * 4)
        metrics = server.metrics()
        self.assertEqual((metrics["upstream_late"], metrics["upstream_failed"]), (4, 0))

    def test_late_reply_reaches_nobody(self):
        server = self.start("--upstream-pool", "1", timeout_s=0.2)
        peer = self.peer(server)
        for _ in range(2):
            reply = peer.get(f"/work?io=upstream:{400 * SLOW:g}ms")
            self.assertEqual((reply.status, reply.reason), (504, "Gateway Timeout"))
            self.assertIn("in time", reply.body.decode())
            time.sleep(0.3 * SLOW)
            self.assertEqual(peer.get("/work?io=upstream:1ms").status, 200)

    def test_errors(self):
        server = self.start()
        peer = self.peer(server)
        for mood, reason in (("error", "with an error"), ("drop", "closed the connection")):
            with self.subTest(mood=mood):
                self.upstream.mood = mood
                for _ in range(3):
                    reply = peer.get("/work?io=upstream:1ms")
                    self.assertEqual(reply.status, 502)
                    self.assertIn(reason, reply.body.decode())
                self.upstream.mood = "well"
                self.assertEqual(peer.get("/work?io=upstream:1ms").status, 200)
        peer.close()
        self.assertEqual(server.metrics()["upstream_failed"], 6)

    def test_restart(self):
        """Calls under way when the upstream dies fail; the next ones find the new one at once."""
        server = self.start()
        peer = self.peer(server)
        self.assertEqual(peer.get("/work?io=upstream:1ms").status, 200)
        for under_way in (False, True):
            if under_way:
                peer.send(request("/work?io=upstream:20s"))
                time.sleep(0.1 * SLOW)
            self.upstream.stop()
            if under_way:
                self.assertEqual(peer.reply().status, 502)
            self.upstream = self.start_upstream(self.upstream.port)
            for _ in range(3):
                self.assertEqual(peer.get("/work?io=upstream:1ms").status, 200)

    def test_drain(self):
        """Calls are finished, those in turn for a connection, too."""
        server = self.start("--upstream-pool", "1", timeout_s=30)
        peers = [self.peer(server) for _ in range(4)]
        for peer in peers:
            self.assertEqual(peer.get().status, 200)
            peer.send(request(f"/work?io=upstream:{200 * SLOW:g}ms"))
        time.sleep(0.1 * SLOW)
        server.terminate()
        for peer in peers:
            self.assertEqual(peer.reply().status, 200)
            self.assertTrue(peer.ended())
        self.assertEqual(server.finish()[0]["upstream_calls"], 4)

    def test_vanished_peers(self):
        """Who resets during a call or in turn for one costs the others nothing."""
        server = self.start("--upstream-pool", "2", timeout_s=30)
        for _ in range(10):
            peer = self.peer(server)
            peer.send(request("/work?io=upstream:30ms"))
            time.sleep(0.002)
            peer.vanish()
        self.assertEqual(server.get("/work?io=upstream:1ms").status, 200)

        def open_connections():
            metrics = server.metrics()
            return metrics["connections"] - metrics["closed"]
        self.assertTrue(wait_until(lambda: open_connections() <= 1, 10))

    def test_crowd(self):
        """Many times more calls than connections; all well, all broken off, all well again."""
        server = self.start("--upstream-pool", "3", timeout_s=30)

        def ask(index):
            with server.peer() as peer:
                return [peer.get(f"/work?io=upstream:{index % 4}ms").status for _ in range(15)]
        statuses = together(24, ask)
        self.assertEqual(statuses, [[200] * 15] * 24)
        self.upstream.mood = "drop"
        self.assertEqual(together(24, ask), [[502] * 15] * 24)
        self.upstream.mood = "well"
        self.assertEqual(together(24, ask), [[200] * 15] * 24)


class UpstreamCommands(Calling, ServerCase):
    """io=redis: the same calls, of build/upstream, with which values are stored and messages told."""

    FIXED = "0123456789abcdef" * 4

    def start_upstream(self, port=0):
        upstream = harness.UpstreamProgram(port=port)
        self.addCleanup(upstream.kill)
        return upstream

    def redis(self, *words):
        """What the service itself answers."""
        with self.upstream.client() as client:
            return client.call(*words)

    def value(self, key):
        return self.redis("GET", f"archbench:{key}")

    def ask(self, server, target, payload=None, name="a"):
        """The status of a message on a WebSocket of its own."""
        with server.websocket() as websocket:
            return websocket.ask(name, target, payload).status

    def test_set_get_and_incr(self):
        server = self.start()
        with server.peer() as peer:
            for verb, key in (("get", "none"), ("set", "a"), ("get", "a"), ("incr", "n"),
                              ("incr", "n"), ("set", "A-b_9"), ("set", "x" * 31)):
                reply = peer.get(f"/work?io=redis:{verb}:{key}")
                self.assertEqual((reply.status, reply.body), (200, b"ok\n"))
        self.assertEqual([self.value(key) for key in ("none", "a", "n", "A-b_9", "x" * 31)],
                         [None, self.FIXED, "2", self.FIXED, self.FIXED])
        metrics = server.metrics()
        self.assertEqual([metrics["upstream_" + name] for name in
                          ("calls", "waits", "connects", "failed", "late")], [7, 0, 1, 0, 0])

    def test_what_a_message_brings_is_stored(self):
        server = self.start()
        for payload in ("text", "", "two\nlines\n\u20ac", "x" * 65000):
            self.assertEqual(self.ask(server, "/work?io=redis:set:a", payload), 200)
            self.assertEqual(self.value("a"), payload)
        self.assertEqual(self.ask(server, "/work?io=redis:set:a", b"\0\xff\r\n"), 200)
        self.assertEqual(self.value("a").encode(errors="surrogateescape"), b"\0\xff\r\n")
        self.assertEqual(self.ask(server, "/work?io=redis:set:a"), 200)
        self.assertEqual(self.value("a"), "")
        with server.websocket() as websocket:
            websocket.send("- /work?io=redis:set:a\none way")
            self.assertEqual(websocket.ask("b", "/work?io=redis:get:a").status, 200)
        self.assertEqual(self.value("a"), "one way")
        self.assertEqual(server.get("/work?io=redis:set:a").status, 200)
        self.assertEqual(self.value("a"), self.FIXED)

    def test_publish_reaches_a_subscriber_of_the_service(self):
        server = self.start()
        with self.upstream.client() as subscriber:
            self.assertEqual(subscriber.call("SUBSCRIBE", "archbench:news")[2], 1)
            for name, payload in (("m1", "hello"), ("x" * 32, ""), ("m2", "x" * 65000)):
                self.assertEqual(self.ask(server, "/work?io=redis:publish:news", payload, name), 200)
                self.assertEqual(subscriber.reply(),
                                 ["message", "archbench:news", f"{name}\n{payload}"])
            self.assertEqual(server.get("/work?io=redis:publish:news").status, 200)
            self.assertEqual(server.get("/work?io=redis:publish:other").status, 200)
            self.assertEqual(server.get("/work?io=redis:publish:news").status, 200)
            self.assertEqual([subscriber.reply() for _ in range(2)],
                             [["message", "archbench:news", "-\n"]] * 2)

    def test_among_steps(self):
        server = self.start()
        for query in ("io=redis:incr:n&io=redis:incr:n&body=5",
                      "cpu=hash:1ms&io=redis:incr:n&io=timer:1ms&io=redis:get:n&body=5",
                      "io=upstream:1ms&io=redis:incr:n&io=upstream:0&cpu=hash:1ms&body=5"):
            reply = server.get(f"/work?{query}")
            self.assertEqual((reply.status, len(reply.body)), (200, 5))
        self.assertEqual(self.value("n"), "4")

    def test_many_count_exactly(self):
        server = self.start("--upstream-pool", "8", timeout_s=30)
        count, each = int(min(50, server.room)), 10

        def ask(_):
            with server.peer() as peer:
                peer.send(request("/work?io=redis:incr:n") * each)
                return [peer.reply().status for _ in range(each)]
        self.assertEqual(together(count, ask), [[200] * each] * count)
        self.assertEqual(self.value("n"), str(count * each))

    def test_a_call_takes_its_time(self):
        server = self.start()
        self.redis("CONFIG", "SET", "delay", "50ms")
        for verb in "set", "get", "publish":
            begin = time.monotonic()
            self.assertEqual(server.get(f"/work?io=redis:{verb}:a").status, 200)
            self.assertGreaterEqual(time.monotonic() - begin, 0.05)

    def refused(self, server, *queries, status=502, reason="with an error"):
        for query in queries:
            reply = server.get(f"/work?{query}&io=timer:50s")
            self.assertEqual(reply.status, status, query)
            self.assertIn(reason, reply.body.decode())
            self.assertEqual(server.get().status, 200)

    ALL = tuple(f"io=redis:{verb}:a" for verb in ("get", "set", "incr", "publish"))

    def test_errors(self):
        server = self.start()
        self.redis("SET", "archbench:a", "no number")
        self.refused(server, "io=redis:incr:a")
        self.redis("CONFIG", "SET", "fail", "100")
        self.refused(server, *self.ALL)
        self.redis("CONFIG", "SET", "fail", "0")
        self.assertEqual(server.get("/work?io=redis:get:a").status, 200)
        self.assertEqual(self.value("a"), "no number")
        self.redis("CONFIG", "SET", "drop", "100")
        self.refused(server, *self.ALL, reason="closed the connection")
        self.assertEqual(server.metrics()["upstream_failed"], 9)

    def test_stalled(self):
        server = self.start(timeout_s=0.2)
        with self.upstream.client() as control:
            control.call("CONFIG", "SET", "stall", "yes")
            self.refused(server, *self.ALL, status=504, reason="in time")
            control.call("CONFIG", "SET", "stall", "no")
        self.assertEqual(server.get("/work?io=redis:get:a").status, 200)
        metrics = server.metrics()
        self.assertEqual((metrics["upstream_late"], metrics["upstream_failed"]), (4, 0))

    def test_gone(self):
        server = self.start()
        self.assertEqual(server.get("/work?io=redis:incr:a").status, 200)
        self.upstream.stop()
        self.refused(server, *self.ALL, reason="cannot be reached")
        self.upstream = self.start_upstream(self.upstream.port)
        self.assertEqual(server.get("/work?io=redis:incr:a").status, 200)
        self.assertEqual(self.value("a"), "1")

    def test_pushes_of_the_server_are_another_matter(self):
        """They need no service, and io=redis:publish needs no subscribers of the server's."""
        server = self.start()
        pushes = self.target.about.get("push") is not None
        self.assertEqual(server.get("/work?publish=a").status, 200 if pushes else 501)
        self.assertEqual(server.get("/work?io=redis:publish:a").status, 200)
        self.assertEqual(server.get("/work?io=redis:publish:a&publish=a").status,
                         200 if pushes else 501)
        self.assertEqual(self.upstream.stop()[1]["published"], 2 if pushes else 1)

    def test_long_pipelines_of_subscribers_do_not_matter(self):
        """A subscriber of the service that does not read costs the servers nothing."""
        server = self.start()
        with self.upstream.client(receive_buffer=8192) as lazy, server.websocket() as websocket:
            self.assertEqual(lazy.call("SUBSCRIBE", "archbench:a")[2], 1)
            for _ in range(400):
                answer = websocket.ask("p", "/work?io=redis:publish:a", "x" * 60000)
                self.assertEqual(answer.status, 200)
                if self.upstream.info()["slow"]:
                    return
        self.fail("what waits for a subscriber has no bound")
