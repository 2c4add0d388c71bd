"""Classes of requests: with connections of their own, and loads that change."""
import time

from generator_case import OK, Case
from test_clients import Log


class Classes(Case):
    def test_deadlines(self):
        """Half of the replies take 60 ms where 30 are allowed; failures miss as well."""
        count = [0]

        def script(peer):
            count[0] += 1
            time.sleep(0.06 if count[0] % 2 else 0)
            peer.send(OK)
        path = self.path("w.ini", "[workload]\narrivals = constant\nconnections = 8\nrate = 40\n"
                                  "[class a]\ndeadline = 30ms\nrequest = /a\n")
        with Log(script) as server:
            result = self.load(server.url(), "--workload", path, "-d", "1s", "--drain", "1s")
        self.only_errors(result)
        self.assertAlmostEqual(result["classes"]["a"]["missed"], 20, delta=4)

    def test_a_class_with_its_own_connections_blocks_nobody(self):
        def script(peer):
            if server.seen[-1][1] == "/slow":
                time.sleep(0.25)
            peer.send(OK)
        path = self.path("w.ini", "[workload]\narrivals = constant\nconnections = 4\n"
                                  "[class slow]\nconnections = 1\nrate = 20\nrequest = /slow\n"
                                  "[class quick]\nrate = 20\nrequest = /quick\n")
        with Log(script) as server:
            result = self.load(server.url(), "--workload", path, "-d", "1s", "--drain", "100ms")
        self.assertEqual(len(server.peers), 5)
        self.assertGreater(result["classes"]["slow"]["errors"], 5)
        self.assertEqual(result["classes"]["quick"]["errors"], 0)
        self.assertLess(result["classes"]["quick"]["response"]["p90_us"], 100e3)

    def test_a_class_without_weight_keeps_no_connections_busy(self):
        path = self.path("w.ini", "[workload]\narrivals = closed\nconnections = 2\n"
                                  "[class a]\nrequest = /a\n"
                                  "[class b]\nweight = 0\nconnections = 3\nrequest = /b\n")
        with Log(lambda peer: (time.sleep(0.005), peer.send(OK))) as server:
            result = self.load(server.url(), "--workload", path)
        self.assertEqual(len(server.peers), 2)
        self.assertEqual(result["classes"]["b"]["requests"], 0)
        self.assertEqual(result["littles_law"]["connections"], 2)

    def test_each_pool_of_a_closed_loop_asks_for_its_own_classes(self):
        path = self.path("w.ini", "[workload]\narrivals = closed\nconnections = 2\n"
                                  "[class a]\nconnections = 1\nrequest = /a\n"
                                  "[class b]\nrequest = /b\n")
        with Log(lambda peer: (time.sleep(0.005), peer.send(OK))) as server:
            self.load(server.url(), "--workload", path)
        targets = {}
        for _, target, number in server.seen:
            targets.setdefault(number, set()).add(target)
        self.assertEqual(sorted(map(sorted, targets.values())), [["/a"], ["/b"], ["/b"]])


class Loads(Case):
    def test_a_spike_of_one_class(self):
        path = self.path("w.ini", "[workload]\narrivals = constant\nconnections = 16\n"
                                  "[class a]\nrate = 20\nrequest = /a\n"
                                  "[class b]\nrate = 20\nrequest = /b\n"
                                  "[phase calm]\nduration = 500ms\n"
                                  "[phase spike]\nduration = 500ms\nb.load = 10\n"
                                  "[phase after]\nduration = 500ms\n")
        with Log() as server:
            result = self.load(server.url(), "--workload", path, "-d", "1500ms")
        self.only_errors(result)
        self.assertEqual(result["classes"]["a"]["requests"], 30)
        self.assertEqual(result["classes"]["b"]["requests"], 120)
        self.assertAlmostEqual(result["target_rate"], 100, delta=0.1)
        times, begin = server.times("/b"), min(server.times("/a"))
        spike = sum(begin + 0.5 <= at < begin + 1 for at in times)
        self.assertAlmostEqual(spike, 100, delta=12)

    def test_bursts_come_at_once(self):
        with Log() as server:
            result = self.load(server.url(), "-c", 20, "-r", 100, "--arrivals", "bursts",
                               "--burst", 10, "-d", "1s")
        self.only_errors(result)
        self.assertEqual(result["requests"] % 10, 0)
        self.assertGreater(result["requests"], 20)
        times = sorted(server.times())
        near = sum(b - a < 0.01 for a, b in zip(times, times[1:]))
        self.assertGreater(near, 0.8 * len(times))

    def test_a_trace_is_replayed(self):
        trace = self.path("trace.csv", "time_s,class\n0.0,a\n0.1,b\n0.1,b\n0.35,a\n")
        path = self.path("w.ini", "[workload]\narrivals = trace\ntrace = trace.csv\n"
                                  "[class a]\nrequest = /a\n[class b]\nrequest = /b\n")
        for workers in 1, 2:
            with Log() as server:
                result = self.load(server.url(), "--workload", path, "-w", workers, "-d", "500ms")
            self.only_errors(result)
            self.assertEqual(result["requests"], 4)
            a, b = server.times("/a"), server.times("/b")
            self.assertAlmostEqual(b[0] - a[0], 0.1, delta=0.03)
            self.assertAlmostEqual(a[1] - a[0], 0.35, delta=0.03)
        self.assertTrue(trace)

    def test_the_phases_say_how_long(self):
        path = self.path("w.ini", "[workload]\narrivals = constant\nrate = 100\n"
                                  "[class a]\nrequest = /a\n"
                                  "[phase up]\nduration = 400ms\nload = 0..2\n")
        with Log() as server:
            result = self.load(server.url(), "--workload", path, default_time=False)
        self.assertAlmostEqual(result["duration_s"], 0.4, delta=0.02)
        self.assertEqual(result["requests"], 40)
