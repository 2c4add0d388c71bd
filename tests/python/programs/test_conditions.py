"""Black-box tests of --find-rate and --fail-if: a search finds the rate that a server is known to
sustain, and exit statuses say what a script wants to know."""
import threading
import time
import unittest

from generator_case import OK, Case, Server, always, start


LATENCY_S = 0.05  # what every reply takes: long enough that a busy machine's lag is no matter


def late(reply=OK):
    """Answers after a while. Over a slow reply, the generator may be a little late."""
    def script(peer):
        for _ in peer.requests():
            time.sleep(LATENCY_S)
            peer.send(reply)
    return script


class Limited:
    """Serves so many requests per second, one after the other, on top of the usual latency."""

    def __init__(self, rate):
        self.gap_s, self.free_at, self.lock = 1 / rate, 0, threading.Lock()

    def __call__(self, peer):
        for _ in peer.requests():
            with self.lock:
                self.free_at = max(self.free_at, time.monotonic()) + self.gap_s
                done_at = self.free_at
            time.sleep(max(0, done_at - time.monotonic()) + LATENCY_S)
            peer.send(OK)


class FindRate(Case):
    def find(self, server, *arguments):
        return self.load(server.url(), "--realtime", "--arrivals", "constant", "--drain", "100ms", "-c", 60,
                         *arguments)

    def test_it_finds_what_the_server_sustains(self):
        with Server(Limited(400)) as server:
            result = self.find(server, "--find-rate", "p90<150ms,errors<5%", "-r", 100, "-d", "500ms")
        search = result["search"]
        self.assertGreater(search["low"], 300)
        self.assertLess(search["high"], 520)
        self.assertLessEqual(search["high"] / search["low"], 1.051)
        self.assertIn("precision", search["stopped"])
        rates = list(dict.fromkeys(step["rate"] for step in search["steps"]))
        self.assertEqual(rates[:3], [100, 200, 400])
        self.assertAlmostEqual(result["target_rate"], search["low"], delta=0.1)
        self.assertIn("highest rate: between", self.stdout)
        failed = [step for step in search["steps"] if step["outcome"] == "failed"]
        self.assertTrue(failed)
        for step in failed:
            self.assertRegex(step["why"], "p90|errors|arrivals|answered")

    def test_nothing_holds(self):
        def script(peer):
            for _ in peer.requests():
                time.sleep(0.02)
                peer.send(OK)
        with Server(script) as server:
            result = self.find(server, "--find-rate", "p50<1ms", "-r", 200, "-d", "60ms",
                               "--warmup", "0")
        self.assertIsNone(result["search"]["low"])
        self.assertIn("no rate held", self.stdout)

    def test_an_interrupt_ends_the_search(self):
        with Server(always(OK)) as server:
            process = start("--find-rate", "p50<1s", "-d", "5s", "--warmup", "0", "-r", 50,
                            server.url())
            time.sleep(0.6)
            process.terminate()
            stdout, stderr = process.communicate(timeout=5)
        self.assertEqual(process.returncode, 0, stderr)
        self.assertIn("interrupted", stdout)

    def test_what_cannot_be_searched_is_refused(self):
        for arguments in (["p99<5ms", "--arrivals", "closed"], ["p99<"], ["huh<5ms"],
                          ["p99<5ms", "--timeseries", "/dev/null"], ["b.p99<5ms"]):
            process = start("--find-rate", *arguments, "http://127.0.0.1:1/")
            _, stderr = process.communicate(timeout=5)
            self.assertEqual(process.returncode, 2, arguments)
            self.assertRegex(stderr, r"\A.*(find-rate|closed loop).*\n\Z")


class FailIf(Case):
    def status(self, script, conditions, *arguments):
        with Server(script) as server:
            process = start("--warmup", "0", "-d", "300ms", "-r", 200, "-c", 40, "--realtime", "--drain", "200ms",
                            "--fail-if", conditions, *arguments, server.url())
            _, self.stderr = process.communicate(timeout=10)
        return process.returncode

    def test_a_condition_that_holds(self):
        self.assertEqual(self.status(late(), "p50>1us,p99>10s"), 3)
        self.assertRegex(self.stderr, r"p50 is .* above 1 us")

    def test_none_holds(self):
        self.assertEqual(self.status(late(), "p50>1s,errors>0"), 0)
        self.assertEqual(self.stderr, "")

    def test_errors(self):
        bad = always(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
        flip = [0]

        def half(peer):
            for _ in peer.requests():
                flip[0] += 1
                time.sleep(LATENCY_S)
                peer.send(OK if flip[0] % 2 else b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(self.status(half, "errors>30%"), 3)
        self.assertEqual(self.status(half, "errors>70%"), 0)
        self.assertEqual(self.status(bad, "p99>1s"), 4, "an invalid run says nothing")
        self.assertIn("INVALID", self.stderr)
