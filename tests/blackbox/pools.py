"""Workers of a fixed number and what waits for them."""

import time

from harness import SLOW, ServerCase, request, wait_until

from .helpers import together


class FixedPool(ServerCase):
    """A bounded queue before workers that each do all of a request: its bound, and its order."""

    options = None

    @classmethod
    def suits(cls, target):
        return target.has("--queue") and target.has("--policy")

    def test_full_queue_sheds(self):
        """One is with the worker, two wait, the rest are refused at once and may ask again."""
        server = self.start("--queue", "2", "--workers", "1")
        peers = [self.peer(server) for _ in range(30)]
        wait_s = 1.0 * SLOW
        for peer in peers:
            peer.send(request(f"/work?io=timer:{wait_s:g}s"))
            if peer is peers[0]:
                self.assertTrue(wait_until(lambda: server.metrics()["dequeued"] == 1, 5))
                begin = time.monotonic()
        replies = together(30, lambda index: (peers[index].reply(), time.monotonic()))
        refused = [(reply, end) for reply, end in replies if reply.status == 503]
        self.assertEqual(len(refused), 27)
        for reply, end in refused:
            self.assertRegex(reply.headers["retry-after"], r"^\d+$")
            self.assertLess(end - begin, 0.9 * wait_s, "the refusal waited for the worker")
        self.assertEqual({reply.status for reply, _ in replies}, {200, 503})
        self.assertEqual({peer.get().status for peer in peers}, {200})
        metrics = server.metrics()
        self.assertEqual((metrics["shed"], metrics["queued"]), (27, 0))

    def finishing_order(self, policy):
        """The only worker is held; meanwhile requests of 300, 100, 200 and 100 ms come."""
        server = self.start("--policy", policy, "--workers", "1")
        self.peer(server).send(request(f"/work?io=timer:{200 * SLOW:g}ms"))
        time.sleep(0.05 * SLOW)
        peers = [self.peer(server) for _ in range(4)]
        for peer, query in zip(peers, ("io=timer:300ms", "io=timer:50ms&io=timer:50ms",
                                       "cpu=hash:50ms&io=timer:150ms", "io=timer:100ms")):
            peer.send(request("/work?" + query))
            time.sleep(0.02 * SLOW)
        ends = together(4, lambda index: (peers[index].reply().status, time.monotonic()))
        self.assertEqual({status for status, _ in ends}, {200})
        metrics = server.metrics()
        self.assertEqual((metrics["queued"], metrics["dequeued"]), (0, 5))
        self.assertGreater(metrics["queue_wait_us"], 300e3)
        return sorted(range(4), key=lambda index: ends[index][1])

    def test_first_come_first_served(self):
        self.assertEqual(self.finishing_order("fifo"), [0, 1, 2, 3])

    def test_shortest_job_first(self):
        """Work and waits of all steps count; equals keep the order in which they came."""
        self.assertEqual(self.finishing_order("sjf"), [1, 3, 2, 0])

    def test_pipelined_requests_queue_again(self):
        """A peer that sends many at once does not keep a worker: the other's turn is the second."""
        server = self.start("--workers", "1")
        greedy, modest = self.peer(server), self.peer(server)
        greedy.send(request(f"/work?io=timer:{100 * SLOW:g}ms") * 4)
        time.sleep(0.03 * SLOW)
        modest.send(request())
        ends = together(2, lambda index: ([greedy, modest][index].reply().status,
                                          time.monotonic())[1])
        self.assertLess(ends[1] - ends[0], 0.08 * SLOW, "waited for the whole pipeline")
        self.assertEqual([greedy.reply().status for _ in range(3)], [200] * 3)

    def test_silent_peers_hold_no_worker(self):
        server = self.start("--workers", "1")
        for data in (b"", b"GET / HT", request()[:-2] + b"Content-Length: 9\r\n\r\nabc"):
            for _ in range(3):
                self.peer(server).send(data)
        reader = self.peer(server, receive_buffer=4096)
        reader.send(request("/work?body=16777216"))
        time.sleep(0.1 * SLOW)
        self.assertEqual(server.get().status, 200)


class Leaders(ServerCase):
    """Threads that take turns as leader: the one that has an event lets another wait for the next."""

    options = None

    @classmethod
    def suits(cls, target):
        return "A10" in target.about["ids"]

    def after_a_long_one(self, workers, *options):
        """Seconds that a request takes which comes while another waits for SLOW seconds."""
        server = self.start("--workers", str(workers), *options)
        holder, other = self.peer(server), self.peer(server)
        self.assertEqual(other.get().status, 200)
        holder.send(request(f"/work?io=timer:{1000 * SLOW:g}ms"))
        time.sleep(0.1 * SLOW)
        begin = time.monotonic()
        self.assertEqual(other.get().status, 200)
        lasted = time.monotonic() - begin
        self.assertEqual(holder.reply().status, 200)
        return lasted / SLOW

    def test_promotes_before_processing(self):
        self.assertLess(self.after_a_long_one(2), 0.5)

    def test_nobody_leads_while_all_process(self):
        self.assertGreater(self.after_a_long_one(1), 0.7)

    def test_who_waits_for_a_leader_is_not_silent(self):
        self.after_a_long_one(1, "--idle-timeout", f"{300 * SLOW:g}ms")

    def test_drain_while_nobody_leads(self):
        """Requests that no thread has seen yet are answered, too."""
        server = self.start("--workers", "1")
        peers = [self.peer(server) for _ in range(8)]
        for peer in peers:
            self.assertEqual(peer.get().status, 200)
        for peer in peers:
            peer.send(request(f"/work?io=timer:{100 * SLOW:g}ms"))
        time.sleep(0.05 * SLOW)
        server.terminate()
        self.assertEqual([peer.reply().status for peer in peers], [200] * 8)
        server.finish()


class ActiveObjects(ServerCase):
    """A list for each object, and guards before the methods."""

    options = None
    alone = True

    @classmethod
    def suits(cls, target):
        return "A11" in target.about["ids"]

    def test_guard_bounds_the_computations(self):
        """Four objects, but one computation at a time: the other requests stay on their lists."""
        server = self.start("--workers", "4", "--cores", "1")
        peers = [self.peer(server) for _ in range(4)]
        for peer in peers:
            peer.send(request("/work?cpu=hash:300ms&cpu=hash:1ms"))
        self.assertTrue(wait_until(lambda: server.metrics()["queued"] == 3, 5))
        self.assertEqual({peer.reply().status for peer in peers}, {200})
        metrics = server.metrics()
        self.assertEqual((metrics["dequeued"], metrics["queued"], metrics["workers"]), (8, 0, 4))
        self.assertGreater(metrics["queue_wait_us"], 0)

    def test_shortest_list_is_chosen(self):
        server = self.start("--workers", "2", "--cores", "2")
        long, short = self.peer(server), self.peer(server)
        begin = time.monotonic()
        long.send(request("/work?cpu=hash:1s"))
        for _ in range(4):
            self.assertEqual(short.get("/work?cpu=hash:1ms").status, 200)
        short_s = time.monotonic() - begin
        self.assertEqual(long.reply().status, 200)
        self.assertLess(2 * short_s, time.monotonic() - begin, "waited behind the long one")
