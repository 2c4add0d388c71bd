"""What /work performs, and that the work is fixed."""

import os
import statistics
import tempfile
import time

import harness
from harness import SLOW, ServerCase, request

from .helpers import MIB, read_slots, together


class Work(ServerCase):
    """The grammar of /work, and what its steps leave in the reply."""

    digests = {}  # of each program, the same in every server: they share the calibration

    def test_allowed(self):
        peer = self.peer()
        for query in ("io=timer:250us", "io=timer:1.5ms", "io=timer:0.001s", "cpu=hash:100us",
                      "count=0", "count=1000000",
                      "body=0", "class=short", "body=5&io=timer:1ms&cpu=hash:1ms&class=a-b_1",
                      "&".join(["io=timer:1us"] * 16), "io=timer%3A1ms"):
            with self.subTest(query=query):
                self.assertEqual(peer.get("/work?" + query).status, 200)

    def test_refused(self):
        peer = self.peer()
        for query in ("foo=1", "io", "io=", "io=timer", "io=timer:", "io=timer:10", "io=timer:abc",
                      "io=timer:-1ms", "io=timer:61s", "io=timer:1.5.5s", "io=timer:1e9s",
                      "io=timer:99999999999999999999s", "io=timer:1ms ".replace(" ", "%20"),
                      "io=sleep:1ms", "cpu=", "cpu=hash", "cpu=hash:", "cpu=hash:61s",
                      "cpu=nokind:1ms", "io=disk:", "io=disk:0", "io=disk:1ms", "io=disk:2m",
                      "io=upstream", "io=upstream:", "io=upstream:x", "io=upstream:61s",
                      "io=redis", "io=redis:get", "io=redis:get:", "io=redis:del:a",
                      "io=redis:get:a.b", f"io=redis:get:{'x' * 32}", "cpu=redis:get:a",
                      "io=sql", "io=sql:", "io=sql:a:", "io=sql:a.b", f"io=sql:{'x' * 32}",
                      "body=", "body=x", "body=-1", "body=1x", "body=16777217",
                      "body=99999999999999999999", "body=1&body=2", "body=1&body=1",
                      "count=", "count=x", "count=-1", "count=1000001",
                      "class=", "class=a&class=b", "body=%zz", "body=1%00", "body=%3", "BODY=1",
                      "body=1&foo=2", "&".join(["io=timer:1us"] * 17)):
            with self.subTest(query=query):
                reply = peer.get("/work?" + query)
                self.assertEqual(reply.status, 400)
                self.assertRegex(reply.body.decode(), r"\w+")
                self.assertTrue(reply.headers.get("content-type", "").startswith("text/plain"))
                if reply.closes():
                    peer = self.peer()

    def test_body_sizes(self):
        peer = self.peer()
        for size in (0, 1, 255, 4096, 65536, 1000003, 5000000, 16 * MIB):
            with self.subTest(size=size):
                self.assertEqual(len(peer.get(f"/work?body={size}").body), size)
        self.assertEqual(len(peer.get("/work?body=%31%30").body), 10)

    def test_slow_reader_gets_all(self):
        peer = self.peer(receive_buffer=8192)
        peer.send(request("/work?body=5000000") + request("/work?body=7"))
        for _ in range(20):
            peer.receive(20000)
            time.sleep(0.02)
        self.assertEqual([len(peer.reply().body) for _ in range(2)], [5000000, 7])

    def digest(self, query):
        return self.server.get("/work?" + query).headers.get("x-work-digest")

    def test_digest(self):
        programs = ("cpu=infer:1ms", "cpu=image:1ms", "cpu=json:1ms", "cpu=risk:1ms",
                    "cpu=hash:1ms", "cpu=hash:2ms", "cpu=hash:2ms&cpu=hash:1ms",
                    "cpu=hash:1ms&cpu=hash:2ms")
        seen = [self.digest(program) for program in programs]
        for program, digest in zip(programs, seen):
            self.assertRegex(digest, r"^[0-9a-f]{16}$")
            self.assertEqual(digest, self.digest(program + "&io=timer:1ms&body=9"))
            self.assertEqual(digest, Work.digests.setdefault(program, digest))
        self.assertEqual(len(set(seen)), len(programs))

    def test_no_digest_without_cpu(self):
        self.assertIsNone(self.digest("io=timer:1ms&body=1"))


class Counting(ServerCase):
    """count=N adds N to a counter, one by one, on whichever thread: nothing may get lost."""

    options = None
    MODES = ("tss", "mutex", "atomic")

    def servers(self):
        """One for each way of counting that the server offers."""
        options = [("--counters", mode) for mode in self.MODES] if self.target.has("--counters") \
            else [()]
        for more in options:
            with self.subTest(options=more):
                server = self.start(*more)
                yield server
                server.settle()

    def test_nothing_is_lost(self):
        for server in self.servers():
            crowd = 8 if server.room >= 8 else 1
            peers = [self.peer(server) for _ in range(crowd)]
            for target in ("/work?count=100000", "/work?count=1&io=timer:1ms&count=3000"):
                replies = together(crowd, lambda index, target=target: peers[index].get(target))
                self.assertEqual({reply.status for reply in replies}, {200})
                self.assertEqual({reply.headers.get("x-work-digest") for reply in replies}, {None})
            for peer in peers:
                peer.close()
            self.assertEqual(server.metrics()["counted"], crowd * 103001)
            self.assertEqual(server.stop()["counted"], crowd * 103001)

    def test_more_connections_than_slots(self):
        """One after the other, as many as 600: those that count are gone, their counts are not."""
        for server in self.servers():
            for _ in range(600):
                server.get("/work?count=7")
            self.assertEqual(server.metrics()["counted"], 4200)


class CountingModes(ServerCase):
    """Where threads count: each for itself, or all in one place."""

    options = None

    @classmethod
    def suits(cls, target):
        return target.has("--counters")

    def test_slots(self):
        for mode, fewest, most in (("tss", 4, 8), ("mutex", 1, 1), ("atomic", 1, 1)):
            with self.subTest(mode=mode), tempfile.NamedTemporaryFile() as file:
                server = self.start("--counters", mode, "--workers", "4", "--stats-file", file.name)
                peers = [self.peer(server) for _ in range(8)]
                together(8, lambda index, peers=peers:
                         peers[index].get("/work?count=5&io=timer:200ms"))
                counted = [slot["counted"] for slot in read_slots(file.name) if slot["counted"]]
                self.assertEqual(sum(counted), 40)
                self.assertTrue(fewest <= len(counted) <= most, counted)
                server.settle()


class FixedWork(ServerCase):
    """A CPU step is an amount of work, a timer step an amount of time. The whole server on
    one core; noise can only lengthen, so the best of several tries counts."""

    alone = True
    TRIES = 5

    @classmethod
    def setUpClass(cls):
        core = max(os.sched_getaffinity(0))
        cls.server = harness.Server(cls.target, "--workers", "2",
                                    prefix=("taskset", "-c", str(core)))

    def measure(self, peers, target):
        """Each peer sends the request at the same time. Returns the times of their replies,
        sorted, and the CPU seconds of the server."""
        cpu_s = harness.cpu_seconds(self.server.pid)
        begin = time.monotonic()
        for peer in peers:
            peer.send(request(target))

        def finish(index):
            self.assertEqual(peers[index].reply().status, 200)
            return time.monotonic() - begin

        times = sorted(together(len(peers), finish))
        return times, harness.cpu_seconds(self.server.pid) - cpu_s

    def tries(self, *loads):
        """Several tries of all loads (target, count) in turn, so that noise meets all of them.
        Connections are warm and stay, so that no process takes its CPU time to the grave."""
        peers = [self.peer() for _ in range(max(count for _, count in loads))]
        for peer in peers:
            peer.get()
        time.sleep(0.1 * SLOW)  # those of earlier tests are gone
        return [[self.measure(peers[:count], target) for target, count in loads]
                for _ in range(self.TRIES)]

    def best(self, *loads):
        """For each load the shortest first and last reply of all tries, and the least CPU time."""
        return [(min(times[0] for times, _ in column), min(times[-1] for times, _ in column),
                 min(cpu_s for _, cpu_s in column)) for column in zip(*self.tries(*loads))]

    def test_two_at_once_take_twice_as_long(self):
        target = "/work?cpu=hash:50ms"
        # Two requests in units of the one just before: the machine's speed drifts between tries.
        ratios = [(times[0] / one_cpu, times[-1] / one_cpu, both_cpu / one_cpu)
                  for (_, one_cpu), (times, both_cpu) in self.tries((target, 1), (target, 2))]
        first, last, both = (statistics.median(column) for column in zip(*ratios))
        self.assertGreater(last, 1.7, "less work was done under contention")
        self.assertGreater(both, 1.7)
        self.assertLess(both, 2.8)
        if {"A1", "A2", "A3"} & set(self.target.about["ids"]):
            self.assertGreater(first, 1.4, "the core was not shared")

    def test_amount_follows_the_duration(self):
        """20 and 80 ms of work: four times as much, and about as much as they say."""
        (_, _, less), (_, _, more) = self.best(("/work?cpu=hash:20ms", 1),
                                               ("/work?cpu=hash:80ms", 1))
        self.assertGreater(more, 2.7 * less)
        self.assertLess(more, 5.5 * less)
        if SLOW == 1:
            self.assertGreater(more, 0.04)
            self.assertLess(more, 0.16)

    def test_timers_wait_together(self):
        [(first, last, cpu_s)] = self.best(("/work?io=timer:100ms", 20))
        self.assertGreaterEqual(first, 0.1)
        if {"A4", "A10"} & set(self.target.about["ids"]):  # each of two workers waits for ten
            self.assertGreaterEqual(last, 1.0, "more waits at a time than there are workers")
            self.assertLess(last, 1 + 0.8 * SLOW, "fewer waits at a time than workers")
        else:
            self.assertLess(last, 0.6 * SLOW, "20 timers waited one after the other")
        self.assertLess(cpu_s, 0.1 * SLOW)

    def test_steps_add_up(self):
        [(first, _, cpu_s)] = self.best(("/work?io=timer:30ms&cpu=hash:5ms&io=timer:30ms", 1))
        self.assertGreaterEqual(first, 0.06 + 0.8 * cpu_s)


class Disk(ServerCase):
    """Reads that really block."""

    def test_read(self):
        peer = self.peer()
        for query in ("io=disk:4096", "io=disk:1", "io=disk:1m&body=3", "io=disk:64k&io=disk:64k",
                      "cpu=hash:1ms&io=disk:4096&io=timer:1ms&io=disk:4096"):
            with self.subTest(query=query):
                self.assertEqual(peer.get("/work?" + query).status, 200)

    def test_many_at_once(self):
        def read(_):
            with self.server.peer() as peer:
                return [peer.get("/work?io=disk:16k").status for _ in range(20)]
        self.assertEqual(together(8, read), [[200] * 20] * 8)

    def test_pipelined(self):
        peer = self.peer()
        peer.send(b"".join(request(f"/work?io=disk:4096&body={n}") for n in range(10)))
        self.assertEqual([len(peer.reply().body) for _ in range(10)], list(range(10)))


class DiskWithoutFile(ServerCase):
    options = ("--data", "/nowhere/disk.data")

    def test_the_request_fails_and_nothing_else(self):
        peer = self.peer()
        for _ in range(3):
            reply = peer.get("/work?cpu=hash:1ms&io=disk:4096&io=timer:50s")
            self.assertEqual(reply.status, 500)
            self.assertNotIn("x-work-digest", reply.headers)
            self.assertEqual(peer.get().status, 200)
