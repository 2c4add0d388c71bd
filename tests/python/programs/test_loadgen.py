"""The load generator: its command line, when it sends, and what a workload file makes it send."""
import socket
import subprocess
import time

from generator_case import Case, LOADGEN, OK, Server, always, calibration_text


class CommandLine(Case):
    def test_mistakes_end_with_one_line_and_status_2(self):
        url = "http://127.0.0.1:1/"
        for arguments in ([], ["--bogus", url], ["-c", "0", url], ["-d", "5", url],
                          ["-d", "0", url], ["--arrivals", "often", url], ["-r", "fast", url],
                          ["-r", "0", url], ["--arrivals", "poisson", url],
                          ["--arrivals", "closed", "-r", "5", url], ["https://127.0.0.1/"],
                          ["127.0.0.1:80"], ["http://"], ["http://127.0.0.1:99999/"],
                          ["-w", "3", "-c", "2", url], ["--cpus", "x", url],
                          ["--point", "p", url], ["--workload", "/nowhere.ini", url],
                          ["-H", "no header", url], ["-H", "A: b\r\nC: d", url],
                          ["--sources", "here", url], ["--sources", "127.0.0.9-127.0.0.1", url],
                          ["--think", "soon", url], ["--think", "1s", "-r", "5", url],
                          ["--trace", "/nowhere.csv", url], ["--arrivals", "trace", url],
                          ["--burst", "5", "-r", "5", "--arrivals", "poisson", url],
                          ["--interval", "1us", url], ["--retries", "-1", url],
                          ["--fail-if", "p99>", url], ["--fail-if", "p99<5", url]):
            with self.subTest(arguments):
                self.refused(*arguments)

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        message = self.refused("-w", "2", f"http://127.0.0.1:{port}/")
        self.assertIn("cannot connect", message)
        self.assertIn("Connection refused", message)

    def test_help_names_every_option(self):
        run = subprocess.run([LOADGEN, "--help-all"], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0)
        for option in ("connections workers duration warmup rate arrivals think burst trace ramp "
                       "idle churn sources workload point server-cores timeout drain retries "
                       "retry-base retry-budget spin find-rate fail-if interval json hgrm "
                       "timeseries control cpus realtime seed calibration quiet").split():
            self.assertIn(f"--{option} ", run.stdout)

    def test_headers_of_one_s_own(self):
        with Server(always(OK)) as server:
            result = self.load(server.url(), "-H", "X-One: 1", "--header", "Host: example")
        self.only_errors(result)
        for head in server.requests:
            self.assertEqual(head.split("\r\n")[1:], ["X-One: 1", "Host: example"])

    def test_a_workload_s_mistake_is_named(self):
        path = self.path("bad.ini", "[workload]\nspeed = 5\n")
        self.assertIn("bad.ini:2: unknown key 'speed'",
                      self.refused("--workload", path, "http://127.0.0.1:1/"))


class Stall:
    """Answers at once, but for one stall, `begin_s` after the first request."""

    def __init__(self, begin_s, length_s):
        self.begin_s, self.length_s, self.first = begin_s, length_s, None

    def __call__(self, peer):
        for _ in peer.requests():
            self.first = self.first or time.monotonic()
            since = time.monotonic() - self.first - self.begin_s
            if 0 <= since < self.length_s:
                time.sleep(self.length_s - since)
            peer.send(OK)


class Schedules(Case):
    def test_constant_arrivals_are_exact(self):
        for workers in 1, 3:
            with Server(always(OK)) as server:
                result = self.load(server.url(), "-c", 9, "-w", workers, "-r", 400,
                                   "--arrivals", "constant", "-d", "500ms")
            self.assertEqual(result["requests"], 200)
            self.assertAlmostEqual(result["offered_rate"], 400, delta=0.1)
            self.assertAlmostEqual(result["achieved_rate"], 400, delta=8)
            self.assertEqual(len(result["generator"]["busy"]), workers)

    def test_no_arrival_is_lost_at_the_edge_of_the_window(self):
        """Far more than the server can do, so that the end finds the generator busy."""
        with Server(always(OK)) as server:
            result = self.load(server.url(), "-c", 2, "-r", 1000000, "--arrivals", "constant")
        self.assertEqual(result["requests"], 300000)
        self.assertGreater(result["errors"]["unsent"], 0)
        self.assertTrue(result["generator"]["saturated"])

    def test_poisson_arrivals_are_random_and_repeatable(self):
        counts = []
        for seed in 1, 1, 2, 3:
            with Server(always(OK)) as server:
                counts.append(self.load(server.url(), "-c", 10, "-r", 500, "--seed", seed)
                              ["requests"])
        self.assertEqual(counts[0], counts[1])
        self.assertGreater(len(set(counts)), 1)
        for count in counts:  # mean 150, deviation 12
            self.assertAlmostEqual(count, 150, delta=60)

    def test_the_warm_up_is_not_counted(self):
        with Server(always(OK)) as server:
            result = self.load(server.url(), "-c", 4, "-r", 200, "--arrivals", "constant",
                               "--warmup", "500ms")
        self.assertEqual(result["requests"], 60)
        self.assertGreaterEqual(len(server.requests), 158)
        self.assertAlmostEqual(result["warmup_s"], 0.5)
        self.assertAlmostEqual(result["duration_s"], 0.3, delta=0.01)

    def test_an_open_loop_shows_a_stall(self):
        """A stall of S = 0.5 s in 2 s: a quarter of the arrivals falls into it, spread evenly, and
        waits for the rest of it. So the quantile q is S (q - 0.75) / 0.25, and the mean S / 8."""
        with Server(Stall(0.7, 0.5)) as server:
            result = self.load(server.url(), "-c", 120, "-r", 200, "--arrivals", "constant",
                               "-d", "2s", "--drain", "1s")
        response = result["total"]["response"]
        self.assertEqual(result["requests"], 400)
        self.only_errors(result)
        self.assertLess(response["p50_us"], 50e3)
        self.assertLess(response["p75_us"], 60e3, "three quarters fall beside it")
        self.assertAlmostEqual(response["p90_us"], 300e3, delta=60e3)
        self.assertAlmostEqual(response["p99_us"], 480e3, delta=60e3)
        self.assertAlmostEqual(response["max_us"], 500e3, delta=60e3)
        self.assertAlmostEqual(response["mean_us"], 62.5e3, delta=15e3)

    def test_waiting_for_a_connection_is_response_but_not_service(self):
        """The same stall with one connection: the others wait unsent, and that is counted too."""
        with Server(Stall(0.3, 0.5)) as server:
            result = self.load(server.url(), "-c", 1, "-r", 200, "--arrivals", "constant",
                               "-d", "1s", "--drain", "1s")
        total = result["total"]
        self.only_errors(result)
        self.assertGreater(total["response"]["p75_us"], 200e3)
        self.assertLess(total["service"]["p90_us"], 50e3)
        self.assertGreaterEqual(result["generator"]["backlog_max"], 90)
        self.assertLess(total["lag"]["p90_us"], 10e3, "the generator is not to blame")

    def test_a_closed_loop_hides_a_stall(self):
        with Server(Stall(0.5, 0.5)) as server:
            result = self.load(server.url(), "-c", 1, "-d", "1500ms")
        response = result["total"]["response"]
        self.assertGreater(result["requests"], 200)
        self.assertLess(response["p99_us"], 50e3)
        self.assertAlmostEqual(response["max_us"], 500e3, delta=60e3)

    def test_overload(self):
        """One connection and 20 ms per request do 50/s at most; 100/s arrive."""
        def script(peer):
            for _ in peer.requests():
                time.sleep(0.02)
                peer.send(OK)
        with Server(script) as server:
            result = self.load(server.url(), "-c", 1, "-r", 100, "--arrivals", "constant",
                               "-d", "1s", "--timeout", "1s")
        total = result["total"]
        self.assertEqual(result["requests"], 100)
        self.assertTrue(result["generator"]["saturated"])
        self.assertAlmostEqual(result["achieved_rate"], 48, delta=6)
        self.assertGreater(result["errors"]["unsent"], 30)
        self.assertLess(total["service"]["min_us"], 25e3)
        self.assertGreater(total["response"]["p50_us"], 300e3)
        self.assertIsNone(total["response"]["p90_us"], "a reply that never came is infinite")

    def test_little_s_law_holds_in_a_closed_loop(self):
        def script(peer):
            for _ in peer.requests():
                time.sleep(0.01)
                peer.send(OK)
        with Server(script) as server:
            result = self.load(server.url(), "-c", 8, "-d", "600ms")
        law = result["littles_law"]
        self.assertEqual(law["connections"], 8)
        self.assertAlmostEqual(law["rate_x_latency"], 8, delta=0.5)
        self.assertLess(law["error"], 0.06)


class Workloads(Case):
    MIX = ("[workload]\narrivals = constant\nconnections = 6\nrate = 500\n"
           "[class io]\nweight = 70\nrequest = /io?a=b:c\n"
           "[class cpu]\nweight = 30\nrequest = POST /cpu\n"
           "[point none]\ncpu.weight = 0\n[point slow]\nrate = 100\n")

    def test_classes_come_by_weight(self):
        path = self.path("mix.ini", self.MIX.split("[point")[0])
        with Server(always(OK)) as server:
            result = self.load(server.url(), "--workload", path, "-d", "1s")
        self.assertEqual(result["connections"], 6)
        self.assertEqual(result["requests"], 500)
        self.assertAlmostEqual(result["classes"]["io"]["requests"], 350, delta=50)
        self.assertEqual((result["workload"], result["point"]), (path, "base"))
        posts = [head for head in server.requests if head.startswith("POST /cpu ")]
        self.assertEqual(len(posts), result["classes"]["cpu"]["requests"])
        self.assertIn("Content-Length: 0", posts[0])

    def test_points_and_the_command_line_override(self):
        path = self.path("mix.ini", self.MIX)
        with Server(always(OK)) as server:
            none = self.load(server.url(), "--workload", path, "--point", "none")
            slow = self.load(server.url(), "--workload", path, "--point", "slow", "-c", 3)
            fast = self.load(server.url(), "--workload", path, "--point", "slow", "-r", 200)
        self.assertEqual(none["classes"]["cpu"]["requests"], 0)
        self.assertEqual((slow["requests"], slow["connections"]), (30, 3))
        self.assertEqual(fast["requests"], 60)

    def test_classes_with_rates_of_their_own(self):
        path = self.path("rates.ini", "[workload]\narrivals = constant\n"
                         "[class a]\nrate = 400\nrequest = /a\n"
                         "[class b]\nrate = 20\nrequest = /b\n")
        with Server(always(OK)) as server:
            result = self.load(server.url(), "--workload", path, "-w", 2, "-d", "500ms")
            half = self.load(server.url(), "--workload", path, "-r", 210, "-d", "500ms")
        self.assertEqual(result["classes"]["a"]["requests"], 200)
        self.assertEqual(result["classes"]["b"]["requests"], 10)
        self.assertEqual(result["target_rate"], 420)
        self.assertEqual(half["classes"]["a"]["requests"], 100)

    def test_rates_in_percent_of_the_calibrated_capacity(self):
        calibration = self.path("calibration.json", calibration_text())
        path = self.path("share.ini", "[workload]\narrivals = constant\nrate = 50%\n"
                         "[class cpu]\nweight = 1\nrequest = /work?cpu=hash:5ms\n"
                         "[class io]\nweight = 3\nrequest = /work?io=timer:9ms\n")
        with Server(always(OK)) as server:
            result = self.load(server.url(), "--workload", path, "--server-cores", 2,
                               "--calibration", calibration)
        capacity = 2 / (0.25 * 0.005 + 50e-6)
        self.assertAlmostEqual(result["target_rate"], 0.5 * capacity, places=3)

    def test_percentages_of_classes_add_up_to_the_machine(self):
        calibration = self.path("calibration.json", calibration_text())
        path = self.path("share.ini", "[workload]\narrivals = constant\n"
                         "[class cpu]\nrate = 40%\nrequest = /work?cpu=hash:5ms\n"
                         "[class io]\nrate = 60\nrequest = /work?io=timer:9ms\n")
        with Server(always(OK)) as server:
            result = self.load(server.url(), "--workload", path, "--server-cores", 2,
                               "--calibration", calibration)
        self.assertAlmostEqual(result["target_rate"], 0.4 * 2 / (0.005 + 50e-6) + 60, places=3)
