#!/usr/bin/python3
"""Black-box tests of the load generator against small servers that behave well or badly.

BUILD names the build folder (default: build). Each server is a thread per connection and a
function that plays one connection; what it does is known exactly, so the numbers can be checked.
"""
import csv
import hashlib
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOADGEN = os.path.join(ROOT, os.environ.get("BUILD", "build"), "loadgen")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """The server's end of one connection."""

    def __init__(self, server, sock):
        self.server, self.sock, self.rest = server, sock, b""

    def request(self):
        """The next request's head, or None when the client has closed."""
        while b"\r\n\r\n" not in self.rest:
            data = self.sock.recv(65536)
            if not data:
                return None
            self.rest += data
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        with self.server.lock:
            self.server.requests.append(head.decode())
        return head.decode()

    def requests(self):
        while (head := self.request()) is not None:
            yield head

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Server:
    """Accepts connections and plays `script` on each in a thread."""

    def __init__(self, script):
        self.script, self.lock = script, threading.Lock()
        self.requests, self.accepted, self.open = [], 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.accepted += 1
                self.open += 1
            threading.Thread(target=self.play, args=(sock,), daemon=True).start()

    def play(self, sock):
        try:
            with sock:
                self.script(Peer(self, sock))
        except OSError:
            pass
        with self.lock:
            self.open -= 1

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.close()
        except OSError:
            pass

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"


def always(reply):
    """Answer every request with these bytes."""
    def script(peer):
        for _ in peer.requests():
            peer.send(reply)
    return script


def calibration_text():
    """A calibration of this machine with round numbers: 100 hash units/ms, 50 us per request."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    return json.dumps({"schema": "archbench-calibration/1",
                       "cpu_model": model.group(1) if model else "unknown",
                       "units_per_ms": {"hash": 100.0, "infer": 100.0, "image": 100.0,
                                        "json": 100.0}, "request_us": 50.0, "parallel": 1.0})


def hash_digest(units):
    """The digest of one cpu=hash step, from its definition in common/work.h."""
    block = bytes(1024)
    for _ in range(units):
        block = hashlib.sha256(block).digest() + block[32:]
    return int.from_bytes(block[:8], "little")


def start(*arguments, **more):
    return subprocess.Popen([LOADGEN, *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **more)


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_for(condition, limit_s=5):
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain")
        time.sleep(0.01)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name, text=None):
        path = os.path.join(self.folder, name)
        if text is not None:
            with open(path, "w") as file:
                file.write(text)
        return path

    def load(self, url, *arguments, default_time=True):
        """Run to the end and return the JSON, after checking what holds for every run."""
        out = self.path("out.json")
        window = ["-d", "300ms"] if default_time else []
        process = start("--warmup", "0", *window, "--drain", "200ms", "--json", out, *arguments,
                        url)
        self.stdout, self.stderr = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0, self.stderr)
        with open(out) as file:
            result = json.load(file)
        self.check_sums(result)
        return result

    def check_sums(self, result):
        """Every request of the window ended in exactly one way, and every latency counts it."""
        errors = sum(result["errors"].values())
        self.assertEqual(result["requests"], result["good"] + errors)
        self.assertEqual(result["requests"], result["total"]["requests"])
        self.assertEqual(result["total"]["errors"], errors)
        for entry in [result["total"], *result["classes"].values()]:
            self.assertEqual(entry["requests"], entry["good"] + entry["errors"])
            for latency in "response", "service":
                self.assertEqual(entry[latency]["count"], entry["requests"])
        for key in "requests", "good", "answered", "errors":
            self.assertEqual(result["total"][key],
                             sum(entry[key] for entry in result["classes"].values()))

    def only_errors(self, result, **expected):
        """These kinds and no other; None stands for at least one."""
        found = {kind: n for kind, n in result["errors"].items() if n}
        self.assertEqual(found.keys(), expected.keys())
        for kind, n in expected.items():
            if n is not None:
                self.assertEqual(found[kind], n)


class CommandLine(Case):
    def refused(self, *arguments):
        run = subprocess.run([LOADGEN, *arguments], capture_output=True, text=True, timeout=10)
        self.assertEqual(run.returncode, 2)
        self.assertEqual(run.stdout, "")
        self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
        return run.stderr

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


class Replies(Case):
    """Everything HTTP/1.1 allows is a good reply."""

    def good(self, script, *arguments, minimum=20):
        """No reply is a bad one, and they go on coming: a slow machine gets a longer window."""
        for window in "300ms", "1s", "4s":
            with Server(script) as server:
                result = self.load(server.url(), "-c", 2, "-d", window, *arguments)
            self.only_errors(result)
            if result["good"] >= minimum:
                break
        self.assertGreaterEqual(result["good"], minimum)
        return result, server

    def test_content_length(self):
        result, server = self.good(always(OK))
        self.assertEqual(result["schema"], "archbench-loadgen/1")
        self.assertEqual(server.accepted, 2)
        # The server also saw the last request of each connection, which may lie outside.
        self.assertLessEqual(abs(len(server.requests) - result["requests"]), 4)
        self.assertRegex(server.requests[0],
                         rf"\AGET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\Z")

    def test_chunked_in_pieces(self):
        def script(peer):
            for _ in peer.requests():
                for piece in (b"HTTP/1.1 200 OK\r\nTransfer-Enc", b"oding: chunked\r\n\r\n3\r\nab",
                              b"c\r\n1\r\nd\r\n0", b"\r\n\r\n"):
                    peer.send(piece)
        self.good(script)

    def test_byte_by_byte(self):
        def script(peer):
            for _ in peer.requests():
                for i in range(len(OK)):
                    peer.send(OK[i:i + 1])
        self.good(script, minimum=5)

    def test_a_body_larger_than_the_buffer(self):
        body = b"x" * 1000000
        reply = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + body
        self.good(always(reply))

    def test_a_body_of_exactly_the_buffer(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
        size = 65536 - len(head % 65000)
        self.good(always(head % size + b"x" * size))

    def test_interim_replies(self):
        self.good(always(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK))

    def test_no_content_and_redirects(self):
        self.good(always(b"HTTP/1.1 204 No Content\r\n\r\n"))
        self.good(always(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"))
        self.good(always(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"))

    def test_head(self):
        path = self.path("head.ini", "[class a]\nrequest = HEAD /x\n")
        reply = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
        _, server = self.good(always(reply), "--workload", path)
        self.assertIn("HEAD /x HTTP/1.1", server.requests[0])

    def one_per_connection(self, reply):
        def script(peer):
            peer.request()
            peer.send(reply)
        result, server = self.good(script)
        self.assertGreaterEqual(server.accepted, result["good"])
        self.assertGreater(result["generator"]["reconnects"], 0)

    def test_connection_close(self):
        self.one_per_connection(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

    def test_http_1_0(self):
        self.one_per_connection(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")

    def test_body_until_close(self):
        self.one_per_connection(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")

    def test_an_idle_connection_may_be_closed(self):
        def script(peer):
            peer.request()
            peer.send(OK)
        result, server = self.good(script, "-r", 20, "--arrivals", "constant", "-d", "600ms",
                                   minimum=12)
        self.assertGreaterEqual(server.accepted, 12)

    def test_408_on_an_idle_connection_is_nobody_s_reply(self):
        def script(peer):
            peer.request()
            peer.send(OK)
            time.sleep(0.15)  # together they would be one reply that is too long
            peer.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        # So many connections that none has a second request before the server has closed it.
        self.good(script, "-c", 20, "-r", 20, "--arrivals", "constant", "-d", "1500ms", minimum=30)


class Failures(Case):
    """Everything that goes wrong is counted, by kind, in the denominator."""

    def fail(self, script, *arguments, **expected):
        with Server(script) as server:
            result = self.load(server.url(), "-c", 2, *arguments)
        self.only_errors(result, **expected)
        self.assertEqual(result["good"], 0)
        self.assertEqual(result["achieved_rate"], 0)
        self.assertIsNone(result["total"]["response"]["p50_us"])
        self.assertEqual(result["validity"]["verdict"], "INVALID")
        return result, server

    def test_4xx(self):
        result, _ = self.fail(always(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
                              status_4xx=None)
        self.assertEqual(result["answered"], result["requests"])

    def test_5xx(self):
        self.fail(always(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), status_5xx=None)

    def test_garbage(self):
        result, server = self.fail(always(b"SSH-2.0-nonsense\r\n"), malformed=None)
        self.assertLessEqual(server.accepted, 10, "a pause lies between attempts")
        self.assertEqual(result["answered"], 0)

    def test_more_than_announced(self):
        self.fail(always(OK + b"and more"), malformed=None)

    def test_switching_protocols_unasked(self):
        self.fail(always(b"HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
                  malformed=None)

    def test_closed_without_a_reply(self):
        def script(peer):
            peer.request()
        result, server = self.fail(script, closed=None)
        self.assertLessEqual(server.accepted, 10)
        self.assertLess(result["generator"]["busy_max"], 0.5)

    def test_closed_in_the_middle(self):
        def script(peer):
            peer.request()
            peer.send(OK[:-1])
        self.fail(script, cut=None)

    def test_reset(self):
        def script(peer):
            peer.request()
            peer.reset()
        self.fail(script, reset=None)

    def test_timeout(self):
        def script(peer):
            peer.request()
            time.sleep(1)
        result, server = self.fail(script, "--timeout", "50ms", timeout=None)
        self.assertGreaterEqual(result["requests"], 2)
        self.assertGreaterEqual(server.accepted, 4)

    def test_unanswered(self):
        def script(peer):
            peer.request()
            time.sleep(1)
        self.fail(script, unanswered=2)

    def test_one_bad_connection_costs_only_itself(self):
        def script(peer):
            for i, _ in enumerate(peer.requests()):
                if i == 5:
                    return
                peer.send(OK)
        with Server(script) as server:
            result = self.load(server.url(), "-c", 1)
        self.only_errors(result, closed=None)
        self.assertLessEqual(abs(result["good"] - 5 * result["errors"]["closed"]), 5)

    def test_the_server_goes_away(self):
        with Server(lambda peer: None) as server:
            def script(peer):
                server.close()
                peer.request()
            server.script = script
            result = self.load(server.url(), "-c", 1, "-r", 100, "--arrivals", "constant")
        self.assertEqual(result["requests"], 30)
        self.only_errors(result, closed=1, connect=None, unsent=None)
        self.assertLess(result["errors"]["connect"], 10, "a pause lies between attempts")
        self.assertLess(result["generator"]["busy_max"], 0.5)

    def test_digests(self):
        calibration = self.path("calibration.json", calibration_text())
        right = hash_digest(2 * 100)
        for headers, wrong in ((f"X-Work-Digest: {right:016x}\r\n", False),
                               (f"X-Work-Digest: {right ^ 1:016x}\r\n", True), ("", True)):
            reply = f"HTTP/1.1 200 OK\r\n{headers}Content-Length: 2\r\n\r\nok".encode()
            with self.subTest(headers), Server(always(reply)) as server:
                result = self.load(server.url("/work?io=timer:1ms&cpu=hash:2ms"), "-c", 2,
                                   "--calibration", calibration)
                self.assertEqual(result["digest"]["checked"], result["requests"])
                self.assertEqual(result["digest"]["wrong"], wrong * result["requests"])
                self.only_errors(result, **({"digest": None} if wrong else {}))
                self.assertEqual(any("digest" in reason for reason in
                                     result["validity"]["reasons"]), wrong)

    def test_work_without_cpu_has_no_digest(self):
        with Server(always(OK)) as server:
            result = self.load(server.url("/work?io=timer:1ms"), "-c", 2)
        self.only_errors(result)
        self.assertEqual(result["digest"], {"checked": 0, "wrong": 0})


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


class Outputs(Case):
    def test_files_and_summary(self):
        csv_path, prefix = self.path("series.csv"), self.path("h")
        with Server(always(OK)) as server:
            result = self.load(server.url(), "-c", 4, "-r", 100, "--arrivals", "constant",
                               "-d", "1500ms", "--timeseries", csv_path, "--hgrm", prefix)
        with open(csv_path) as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([float(row["time_s"]) for row in rows], [1.0, 1.5])
        for row in rows:
            self.assertAlmostEqual(float(row["offered"]), 100, delta=5)
            self.assertAlmostEqual(float(row["achieved"]), 100, delta=5)
            self.assertEqual(row["errors"], "0")
            self.assertLessEqual(float(row["p50_us"]), float(row["p99_us"]))
        with open(prefix + ".all.hgrm") as file:
            hgrm = file.read()
        self.assertRegex(hgrm, r"\A +Value +Percentile TotalCount 1/\(1-Percentile\)\n")
        self.assertRegex(hgrm, r"\n +[\d.]+ 1\.000000000000 +150\n")
        for word in server.url(), "constant", "p99", "150", result["validity"]["verdict"]:
            self.assertIn(word, self.stdout)
        self.assertEqual(self.stderr, "")

    def test_quiet_and_json_to_stdout(self):
        with Server(always(OK)) as server:
            process = start("--quiet", "--json", "-", "--warmup", "0", "-d", "200ms", server.url())
            out, err = process.communicate(timeout=10)
        self.assertEqual(err, "")
        self.check_sums(json.loads(out))

    def test_json_has_stdout_for_itself(self):
        with Server(always(OK)) as server:
            process = start("--warmup", "0", "-d", "100ms", "--json", "-", server.url())
            stdout, stderr = process.communicate(timeout=10)
        self.assertIn("requests", json.loads(stdout))
        self.assertIn("VALID", stderr)

    def test_a_file_that_cannot_be_written(self):
        with Server(always(OK)) as server:
            process = start("--warmup", "0", "-d", "50ms", "--json", "/nowhere/x", server.url())
            _, err = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 2)
        self.assertIn("/nowhere/x", err)

    def test_progress_on_a_terminal_only(self):
        main, terminal = pty.openpty()
        with Server(always(OK)) as server:
            process = subprocess.Popen([LOADGEN, "--warmup", "0", "-d", "1200ms", server.url()],
                                       stdout=subprocess.DEVNULL, stderr=terminal)
            process.wait(timeout=10)
        os.close(terminal)
        shown = os.read(main, 10000).decode()
        os.close(main)
        self.assertRegex(shown, r"\r +1\.0 of 1\.2 s .*offered.*p99")

    def test_control(self):
        ours, theirs = socket.socketpair()
        with Server(always(OK)) as server, ours:
            begun = time.monotonic()
            process = start("-c", 7, "-w", 2, "--warmup", "200ms", "-d", "300ms", "--control",
                            theirs.fileno(), server.url(), pass_fds=[theirs.fileno()])
            theirs.close()
            ours.settimeout(5)
            self.assertEqual(ours.recv(100), b"begin\n")
            self.assertAlmostEqual(time.monotonic() - begun, 0.2, delta=0.15)
            self.assertEqual(ours.recv(100), b"end\n")
            self.assertAlmostEqual(time.monotonic() - begun, 0.5, delta=0.15)
            time.sleep(0.3)
            self.assertIsNone(process.poll(), "it waits")
            self.assertEqual(server.open, 7, "with its connections")
            ours.send(b".")
            process.communicate(timeout=5)
            self.assertEqual(process.returncode, 0)
            wait_for(lambda: server.open == 0)

    def test_control_that_hangs_up_does_not_hold(self):
        ours, theirs = socket.socketpair()
        with Server(always(OK)) as server:
            process = start("--warmup", "0", "-d", "200ms", "--control", theirs.fileno(),
                            server.url(), pass_fds=[theirs.fileno()])
            theirs.close()
            ours.close()
            process.communicate(timeout=5)
        self.assertEqual(process.returncode, 0)


class Endings(Case):
    def begin(self, server, *arguments):
        out = self.path("out.json")
        process = start("-c", 4, "-w", 2, "--warmup", "0", "-d", "30s", "--json", out, *arguments,
                        server.url())
        self.addCleanup(process.kill)
        wait_for(lambda: len(server.requests) > 20)
        return process, children_of(process.pid), out

    def test_interrupt_reports_what_there_is(self):
        for number in signal.SIGINT, signal.SIGTERM:
            with Server(always(OK)) as server:
                process, workers, out = self.begin(server)
                process.send_signal(number)
                stdout, _ = process.communicate(timeout=5)
            self.assertEqual(process.returncode, 0)
            self.assertEqual(len(workers), 2)
            self.assertFalse(any(map(is_alive, workers)))
            with open(out) as file:
                result = json.load(file)
            self.check_sums(result)
            self.assertLess(result["duration_s"], 5)
            self.assertGreater(result["good"], 20)
            self.assertIn("requests", stdout)

    def test_the_whole_group_is_interrupted_as_by_a_terminal(self):
        with Server(always(OK)) as server:
            process, workers, _ = self.begin(server, "-r", "500")
            for pid in [process.pid, *workers]:
                os.kill(pid, signal.SIGINT)
            process.communicate(timeout=5)
        self.assertEqual(process.returncode, 0)

    def test_workers_do_not_outlive_their_coordinator(self):
        with Server(always(OK)) as server:
            process, workers, _ = self.begin(server)
            process.kill()
            process.communicate()
            wait_for(lambda: not any(map(is_alive, workers)))

    def test_a_worker_that_dies_makes_the_run_invalid(self):
        with Server(always(OK)) as server:
            process, workers, out = self.begin(server)
            os.kill(workers[0], signal.SIGKILL)
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=5)
        with open(out) as file:
            validity = json.load(file)["validity"]
        self.assertEqual(validity["verdict"], "INVALID")
        self.assertTrue(any(re.match("1 of 2 workers died", r) for r in validity["reasons"]))


if __name__ == "__main__":
    unittest.main()
