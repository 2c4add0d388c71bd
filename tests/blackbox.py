#!/usr/bin/python3
"""The contract of the servers, seen from outside. One suite, unchanged over every server in
BUILD/servers; a new one is found and tested without an edit here."""

import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import threading
import time

import harness
from harness import SLOW, ServerCase, request, wait_until

MIB = 1 << 20
REPLY_FIELDS = ("date", "content-length", "server")


def chunked(*chunks):
    """A body in chunked coding, its last chunk included."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks + (b"",))


def post_chunked(*chunks, target="/"):
    return request(target, "POST", "1.1", b"", "Transfer-Encoding: chunked") + chunked(*chunks)


def counter_names():
    """The counters in the order of their layout, from the list in the header."""
    header = os.path.join(os.path.dirname(__file__), "..", "common", "base", "counters.h")
    with open(header, encoding="utf-8") as file:
        return re.findall(r"^    X\((\w+), (?:counter|gauge),", file.read(), re.MULTILINE)


def read_slots(path):
    """The slots of a --stats-file, each a dictionary."""
    names = counter_names()
    size = (8 * len(names) + 63) // 64 * 64
    with open(path, "rb") as file:
        data = file.read()
    return [dict(zip(names, struct.unpack_from(f"{len(names)}q", data, at)))
            for at in range(64, len(data) - size + 1, size)]


def together(count, work):
    """Run work(0), work(1)... at the same time; their results in order."""
    results = [None] * count
    start = threading.Barrier(count)

    def run(index):
        start.wait()
        try:
            results[index] = work(index)
        except Exception as error:  # pylint: disable=broad-except
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


class Timeouts(ServerCase):
    """Silence and slowness end a connection, and nothing else does."""

    options = ("--idle-timeout", f"{700 * SLOW:g}ms", "--header-timeout", f"{500 * SLOW:g}ms")

    def ends_within(self, peer, least, most):
        begin = time.monotonic()
        while peer.receive():
            pass
        lasted = (time.monotonic() - begin) / SLOW
        self.assertGreater(lasted, least)
        self.assertLess(lasted, most)

    def test_silent_peer(self):
        self.ends_within(self.peer(), 0.3, 6)

    def test_idle_after_reply(self):
        peer = self.peer()
        peer.get()
        self.ends_within(peer, 0.3, 6)

    def test_dripped_header(self):
        """Bytes keep coming, so only a limit on the whole header helps."""
        peer = self.peer(timeout=0.05)
        begin = time.monotonic()
        peer.send(b"GET / HTTP/1.1\r\nHost: test\r\nX-Drip: ")
        ended = False
        while not ended and time.monotonic() - begin < 10 * SLOW:
            try:
                peer.send(b"x")
                ended = not peer.receive()
            except socket.timeout:
                pass
            except (ConnectionResetError, BrokenPipeError):
                ended = True
        self.assertTrue(ended, "still served after 10 s")
        self.assertGreater(time.monotonic() - begin, 0.3 * SLOW)
        if peer.buffer:
            self.assertEqual(peer.reply().status, 408)

    def test_stalled_body(self):
        peer = self.peer()
        peer.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc")
        self.ends_within(peer, 0.2, 6)

    def test_long_request_is_not_idle(self):
        with self.server.peer() as peer:
            self.assertEqual(peer.get(f"/work?io=timer:{1500 * SLOW:g}ms").status, 200)
            self.assertEqual(peer.get().status, 200)

    def test_slow_but_steady_peer_lives(self):
        """Each request comes within the limits, all of them together do not."""
        peer = self.peer()
        for _ in range(6):
            time.sleep(0.2 * SLOW)
            self.assertEqual(peer.get().status, 200)

    def test_counted(self):
        before = self.server.metrics()["timeouts"]
        self.peer().ended()
        self.assertTrue(wait_until(lambda: self.server.metrics()["timeouts"] > before, 3))


class Commands(ServerCase):
    """Options, the ready line, exit statuses."""

    options = None

    def fails(self, *options):
        """The command must end with 2 and one line on stderr."""
        done = subprocess.run([self.target.path, *options], capture_output=True, text=True,
                              timeout=20 * SLOW, check=False)
        self.assertEqual(done.returncode, 2, done)
        self.assertRegex(done.stderr, r"\A[^\n]+\n\Z")
        self.assertEqual(done.stdout, "")
        return done.stderr

    def test_about(self):
        lines = self.target.output("--about").splitlines()
        self.assertEqual(len(lines), 1)
        about = json.loads(lines[0])
        self.assertEqual(about["name"], self.target.name)
        self.assertTrue(about["ids"] and all(re.fullmatch(r"[A-E]\d+\w?", i) for i in about["ids"]))
        self.assertLessEqual(set(about["blocks"]), {"compute", "timer", "upstream", "disk"})
        self.assertGreater(about["loc"], 0)
        self.assertTrue(about["family"] and about["summary"])

    def test_help(self):
        for option in ("host", "port", "workers", "idle-timeout", "header-timeout", "backlog",
                       "calibration", "stats-file", "upstream-address", "upstream-pool",
                       "upstream-timeout", "help", "about"):
            with self.subTest(option=option):
                self.assertTrue(self.target.has(f"--{option}"))

    def test_ready_line(self):
        server = self.start("--host", "127.0.0.1")
        self.assertEqual(server.ready, f"ready {self.target.name} 127.0.0.1:{server.port}\n")
        self.assertEqual(server.get().status, 200)

    def test_final_line(self):
        server = self.start()
        for _ in range(3):
            server.get()
        final = server.stop()
        self.assertEqual(final["name"], self.target.name)
        self.assertEqual((final["connections"], final["requests"]), (3, 3))
        self.assertLessEqual(set(counter_names()), set(final))

    def test_bad_options(self):
        for options in (["--no-such-option"], ["--port", "70000"], ["--port", "x"], ["--port"],
                        ["--workers", "-1"], ["--workers", "2x"], ["--idle-timeout", "5"],
                        ["--idle-timeout", "soon"], ["--backlog", "-5"], ["operand"],
                        ["--host", "no.such.host."], ["--host", "192.0.2.1"],
                        ["--upstream-address", "127.0.0.1"], ["--upstream-address", "127.0.0.1:0"],
                        ["--upstream-address", ":6380"], ["--upstream-address", "no.such.host.:6380"],
                        ["--upstream-pool", "0"], ["--upstream-timeout", "0"]):
            with self.subTest(options=options):
                self.fails(*options)

    def test_missing_files(self):
        for option in ("--stats-file", "--calibration"):
            with self.subTest(option=option):
                self.fails("--port", "0", option, "/no/such/folder/file")

    def test_port_in_use(self):
        server = self.start()
        self.assertIn(str(server.port), self.fails("--port", str(server.port)))
        self.assertEqual(server.get().status, 200)

    def test_restart_on_same_port(self):
        """Connections in TIME_WAIT must not keep the next start from the port."""
        first = self.start()
        for _ in range(5):
            with first.peer() as peer:
                peer.get("/", "Connection: close")
                self.assertTrue(peer.ended())
        first.stop()
        second = self.start(port=first.port)
        self.assertEqual((second.port, second.get().status), (first.port, 200))

    def test_stats_file(self):
        with harness.tempfile.NamedTemporaryFile() as file:
            server = self.start("--stats-file", file.name)
            for _ in range(4):
                server.get()
            names = counter_names()
            slot = (8 * len(names) + 63) // 64 * 64
            data = file.read()
            values = [struct.unpack_from("q", data, at + 8 * names.index("requests"))[0]
                      for at in range(64, len(data) - slot + 1, slot)]
            self.assertEqual(sum(values), 4)


class Requests(ServerCase):
    """Paths, methods, and what every reply carries."""

    def test_paths(self):
        for target, status in (("/", 200), ("/healthz", 200), ("/metrics", 200), ("/work", 200),
                               ("/nothing", 404), ("/workx", 404), ("/work/", 404)):
            with self.subTest(target=target):
                reply = self.server.get(target)
                self.assertEqual(reply.status, status)
                self.assertEqual(reply.version, "HTTP/1.1")
                for field in REPLY_FIELDS:
                    self.assertTrue(reply.headers.get(field), field)
                self.assertRegex(reply.headers["date"],
                                 r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")

    def test_date_is_now(self):
        date = self.server.get().headers["date"]
        seconds = time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
        self.assertLess(abs(seconds - time.time()), 5 * SLOW)

    def test_head(self):
        """HEAD tells the length that GET would send, and sends nothing."""
        lengths = [(target, self.server.get(target).headers["content-length"])
                   for target in ("/", "/healthz", "/work?body=5000", "/nothing")]
        peer = self.peer()
        for target, length in lengths:
            with self.subTest(target=target):
                self.assertEqual(peer.get(target, method="HEAD").headers["content-length"], length)

    def test_other_methods(self):
        for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            with self.subTest(method=method), self.server.peer() as peer:
                reply = peer.get(method=method)
                self.assertEqual(reply.status, 405)
                self.assertEqual(set(re.split(r",\s*", reply.headers["allow"])),
                                 {"GET", "HEAD", "POST"})
                self.assert_honest(peer, reply)

    def assert_honest(self, peer, reply):
        """The connection goes on, or ends, as the reply said."""
        if reply.closes():
            self.assertTrue(peer.ended())
        else:
            self.assertEqual(peer.get().status, 200)

    def test_error_replies_are_honest(self):
        for target in ("/nothing", "/work?foo=1"):
            with self.subTest(target=target), self.server.peer() as peer:
                self.assert_honest(peer, peer.get(target))

    def test_absolute_target(self):
        self.assertEqual(self.server.get("http://test/healthz").status, 200)
        self.assertEqual(self.server.get("http://test/nothing").status, 404)

    def test_empty_lines_before_request(self):
        with self.server.peer() as peer:
            peer.send(b"\r\n" + request())
            self.assertEqual(peer.reply().status, 200)


class Metrics(ServerCase):
    """/metrics is Prometheus text format, and counts."""

    def test_syntax(self):
        reply = self.server.get("/metrics")
        self.assertRegex(reply.headers["content-type"], r"^text/plain; ?version=0\.0\.4")
        text = reply.body.decode()
        self.assertTrue(text.endswith("\n"))
        types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
        samples = set()
        for line in text.splitlines():
            if line.startswith("#"):
                self.assertRegex(line, r"^# (HELP archbench_\w+ \S.*|"
                                       r"TYPE archbench_\w+ (counter|gauge))$")
                continue
            match = re.fullmatch(r"(archbench_[a-z_]+) (-?\d+(?:\.\d+)?)", line)
            self.assertTrue(match, line)
            self.assertNotIn(match[1], samples)
            self.assertEqual(types[match[1]] == "counter", match[1].endswith("_total"), line)
            samples.add(match[1])
        self.assertEqual(samples, set(types))
        final = set(self.start().stop()) - {"name"}  # with those that this architecture alone has
        self.assertEqual({re.sub(r"archbench_|_total$", "", name) for name in samples}, final)

    def rises(self, counter, least, act):
        before = self.server.metrics()[counter]
        act()
        self.assertTrue(wait_until(lambda: self.server.metrics()[counter] >= before + least, 5),
                        f"{counter} did not rise by {least}")

    def test_counters_rise(self):
        self.rises("connections", 3, lambda: [self.server.get() for _ in range(2)])
        self.rises("requests", 6, lambda: [self.server.get() for _ in range(5)])
        self.rises("closed", 3, lambda: [self.server.get() for _ in range(3)])
        self.rises("bad_requests", 1, lambda: self.server.get("/nothing"))
        self.rises("bad_requests", 1, lambda: self.server.get("/\x01"))

    def test_requests_counted_once(self):
        """Ten requests add ten, and this look at them at most one more."""
        before = self.server.metrics()["requests"]
        with self.server.peer() as peer:
            for _ in range(10):
                peer.get()
        time.sleep(0.1 * SLOW)
        self.assertIn(self.server.metrics()["requests"] - before, (10, 11))


class Malformed(ServerCase):
    """What is wrong gets the right status, then the connection ends."""

    HOST = b"Host: test\r\n"

    def refused(self, data, statuses):
        with self.server.peer() as peer:
            peer.send(data)
            reply = peer.reply()
            self.assertIn(reply.status, statuses, reply)
            self.assertTrue(reply.body.strip(), "no reason given")
            self.assertTrue(reply.closes(), reply)
            self.assertTrue(peer.ended())

    def refused_all(self, table):
        for data, *statuses in table:
            with self.subTest(data=data[:70], size=len(data)):
                self.refused(data, statuses)
        self.assertEqual(self.server.get().status, 200)

    def test_request_line(self):
        host = self.HOST + b"\r\n"
        self.refused_all([
            (b"GARBAGE\r\n\r\n", 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            (b"get / HTTP/1.1\r\n" + host, 400),
            (b"BREW / HTTP/1.1\r\n" + host, 400, 405, 501),
            (b"GET / HTTP/x.y\r\n" + host, 400),
            (b"GET / HTTQ/1.1\r\n" + host, 400),
            (b"GET / HTTP/1.1x\r\n" + host, 400),
            (b"GET / HTTP/2.0\r\n" + host, 505),
            (b"GET / HTTP/3.7\r\n" + host, 505),
            (b"GET nothing HTTP/1.1\r\n" + host, 400),
            (b"GET /\x01 HTTP/1.1\r\n" + host, 400),
            (b"GET /\x00 HTTP/1.1\r\n" + host, 400),
            (b"GET / HTTP/1.1\r" + host, 400),
        ])

    def test_header_fields(self):
        begin = b"GET / HTTP/1.1\r\n"
        self.refused_all([
            (begin + b"\r\n", 400),
            (begin + self.HOST + self.HOST + b"\r\n", 400),
            (begin + self.HOST + b"No colon\r\n\r\n", 400),
            (begin + self.HOST + b"Space : before\r\n\r\n", 400),
            (begin + self.HOST + b": no name\r\n\r\n", 400),
            (begin + self.HOST + b"Content-Length: 1\r\n 0\r\n\r\n0123456789", 400),
            (begin + self.HOST + b"Nul: a\x00b\r\n\r\n", 400),
            (begin + self.HOST + b"Return: a\rb\r\n\r\n", 400),
        ])

    def test_framing(self):
        begin = b"POST / HTTP/1.1\r\n" + self.HOST
        chunks = b"Transfer-Encoding: chunked\r\n"
        self.refused_all([
            (begin + b"Content-Length: 5\r\n" + chunks + b"\r\n0\r\n\r\n", 400),
            (begin + chunks + b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400),
            (begin + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", 400),
            (begin + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", 400),
            (begin + b"Content-Length: 5, 5\r\n\r\nabcde", 400),
            (begin + b"Content-Length: -1\r\n\r\n", 400),
            (begin + b"Content-Length: +1\r\n\r\na", 400),
            (begin + b"Content-Length: 0x5\r\n\r\nabcde", 400),
            (begin + b"Content-Length: \r\n\r\n", 400),
            (begin + b"Content-Length: 99999999999999999999\r\n\r\n", 400, 413),
            (begin + b"Content-Length: 18446744073709551617\r\n\r\n", 400, 413),
            (begin + b"Transfer-Encoding: gzip\r\n\r\nabc", 400, 501),
            (begin + b"Transfer-Encoding: chunked, gzip\r\n\r\nabc", 400, 501),
            (begin + chunks + b"\r\nzz\r\n", 400),
            (begin + chunks + b"\r\n-1\r\n", 400),
            (begin + chunks + b"\r\n3\r\nabcX\r\n0\r\n\r\n", 400),
            (begin + chunks + b"\r\nfffffffffffffffff\r\n", 400, 413),
        ])

    def test_limits(self):
        begin = b"GET / HTTP/1.1\r\n" + self.HOST
        self.refused_all([
            (request("/" + "x" * 2048), 414),
            (request("/" + "x" * 100000), 414),
            (begin + b"X: y\r\n" * 100 + b"\r\n", 431),
            (begin + b"Long: " + b"x" * 17000 + b"\r\n\r\n", 431),
            (begin + b"x" * 17000 + b": long\r\n\r\n", 431),
            (begin + (b"Sum: " + b"x" * 1000 + b"\r\n") * 17 + b"\r\n", 431),
            (b"POST / HTTP/1.1\r\n" + self.HOST + b"Content-Length: 1048577\r\n\r\n", 413),
            (b"POST / HTTP/1.1\r\n" + self.HOST + b"Content-Length: 1048577\r\n"
             b"Expect: 100-continue\r\n\r\n", 413),
        ])

    def test_just_within_limits(self):
        begin = b"GET / HTTP/1.1\r\n" + self.HOST
        for data, status in ((request("/" + "x" * 2047), 404),
                             (begin + b"X: y\r\n" * 99 + b"\r\n", 200),
                             (begin + b"Long: " + b"x" * 15000 + b"\r\n\r\n", 200),
                             (begin + (b"Sum: " + b"x" * 1000 + b"\r\n") * 15 + b"\r\n", 200)):
            with self.subTest(data=data[:60]), self.server.peer() as peer:
                peer.send(data)
                self.assertEqual(peer.reply().status, status)

    def still_sending(self, head, more, status):
        """A peer that first sends all it has, then reads: no reset may eat the reply."""
        with self.server.peer() as peer:
            peer.send(head)
            try:
                for _ in range(100):
                    peer.send(more)
            except (BrokenPipeError, ConnectionResetError):
                self.fail("reset while sending")
            self.assertEqual(peer.reply().status, status)

    def test_reply_survives_unread_input(self):
        """Half a megabyte of unread input is in flight when the server wants to close."""
        begin = b"GET / HTTP/1.1\r\n" + self.HOST
        self.still_sending(b"GARBAGE\r\n\r\n", b"x" * 5000, 400)
        self.still_sending(begin + b"Long: ", b"x" * 5000, 431)
        self.still_sending(b"POST / HTTP/1.1\r\n" + self.HOST + b"Content-Length: 2000000\r\n\r\n",
                           b"x" * 5000, 413)
        self.still_sending(b"GET / HTTP/3.7\r\n" + self.HOST + b"\r\n", b"x" * 5000, 505)

    def test_split_everywhere(self):
        """The verdict does not depend on where the input was cut."""
        data = b"GET / HTTP/1.1\r\nHost: test\r\nBad Name: 1\r\n\r\n"
        for cut in range(1, len(data), 3):
            with self.server.peer() as peer:
                try:
                    peer.send_in_parts([data[:cut], data[cut:]])
                except (BrokenPipeError, ConnectionResetError):
                    pass
                self.assertEqual(peer.reply().status, 400, cut)

    def test_good_ones_before_a_bad_one_are_answered(self):
        with self.server.peer() as peer:
            peer.send(request() + request("/healthz") + b"GARBAGE\r\n\r\n" + request())
            self.assertEqual([peer.reply().status for _ in range(3)], [200, 200, 400])
            self.assertTrue(peer.ended())

    def test_noise(self):
        """Random bytes and damaged requests: refused or answered, and the server goes on."""
        source = random.Random(1)
        for _ in range(60):
            good = bytearray(request("/work?body=10", "POST", "1.1", b"abc", "Name: value"))
            for _ in range(source.randint(1, 4)):
                good[source.randrange(len(good))] = source.randrange(256)
            for data in (bytes(good), source.randbytes(300)):
                with self.server.peer() as peer:
                    peer.send(data)
                    peer.half_close()
                    self.assertTrue(peer.ended() or peer.buffer.startswith(b"HTTP/1.1 "), data)
        self.assertEqual(self.server.get().status, 200)


class Persistence(ServerCase):
    """Keep-alive, its end, and pipelining."""

    def test_keep_alive_is_default(self):
        peer = self.peer()
        for _ in range(50):
            self.assertFalse(peer.get().closes())

    def test_close_is_honoured(self):
        for value in ("close", "Close", "foo, close"):
            with self.subTest(value=value), self.server.peer() as peer:
                self.assertTrue(peer.get("/", f"Connection: {value}").closes())
                self.assertTrue(peer.ended())

    def test_http_1_0(self):
        with self.server.peer() as peer:
            self.assertEqual(peer.get(version="1.0").status, 200)
            self.assertTrue(peer.ended())
        with self.server.peer() as peer:
            peer.send(b"GET / HTTP/1.0\r\n\r\n")
            self.assertEqual(peer.reply().status, 200)
            self.assertTrue(peer.ended())

    def test_http_1_0_keep_alive(self):
        peer = self.peer()
        for _ in range(3):
            reply = peer.get("/", "Connection: keep-alive", version="1.0")
            self.assertEqual(reply.headers["connection"].lower(), "keep-alive")

    def test_nothing_after_close(self):
        """What is pipelined behind a request with Connection: close is not answered."""
        with self.server.peer() as peer:
            peer.send(request("/", "GET", "1.1", b"", "Connection: close") + request())
            self.assertEqual(peer.reply().status, 200)
            self.assertTrue(peer.ended())

    def test_pipeline_in_order(self):
        sizes = list(range(100))
        peer = self.peer()
        peer.send(b"".join(request(f"/work?body={size}") for size in sizes))
        self.assertEqual([len(peer.reply().body) for _ in sizes], sizes)

    def test_pipeline_of_all_kinds(self):
        peer = self.peer()
        peer.send(request("/work?io=timer:20ms&body=1") + request("/work?body=7", "HEAD") +
                  request("/work?body=2", "POST", "1.1", b"abc") + request("/nothing") +
                  post_chunked(b"abc", b"de", target="/work?body=3") +
                  request("/work?cpu=hash:1ms&body=4"))
        self.assertEqual(len(peer.reply().body), 1)
        self.assertEqual(peer.reply(head=True).headers["content-length"], "7")
        self.assertEqual(len(peer.reply().body), 2)
        self.assertEqual(peer.reply().status, 404)
        self.assertEqual([len(peer.reply().body) for _ in range(2)], [3, 4])

    def test_deep_pipeline(self):
        """More requests than all buffers hold, while the replies come back."""
        count = int(5000 / SLOW)
        peer = self.peer()
        sender = threading.Thread(target=peer.send, args=(request() * count,))
        sender.start()
        for _ in range(count):
            self.assertEqual(peer.reply().status, 200)
        sender.join()

    def test_pipeline_split_everywhere(self):
        data = request("/work?body=11", "GET", "1.1", b"", "A: b") + \
            request("/work?body=22", "POST", "1.1", b"abc")
        peer = self.peer()
        for cut in range(1, len(data)):
            peer.send_in_parts([data[:cut], data[cut:]])
            self.assertEqual([len(peer.reply().body) for _ in range(2)], [11, 22], cut)

    def test_byte_by_byte(self):
        data = request("/work?body=11") + post_chunked(b"abc", target="/work?body=22")
        peer = self.peer()
        peer.send_in_parts([data[at:at + 1] for at in range(len(data))])
        self.assertEqual([len(peer.reply().body) for _ in range(2)], [11, 22])


class Bodies(ServerCase):
    """Request bodies by length and in chunks, Expect, and their limit."""

    def test_by_length(self):
        peer = self.peer()
        for size in (1, 100, 5000, 70000, MIB):
            with self.subTest(size=size):
                reply = peer.get("/work?body=3", method="POST", body=b"x" * size)
                self.assertEqual((reply.status, len(reply.body)), (200, 3))

    def test_empty(self):
        peer = self.peer()
        self.assertEqual(peer.get("/", "Content-Length: 0", method="POST").status, 200)
        self.assertEqual(peer.get(method="POST").status, 200)
        self.assertEqual(peer.get().status, 200)

    def test_get_with_body(self):
        peer = self.peer()
        self.assertEqual(peer.get(body=b"GET / HTTP/1.1\r\n\r\n").status, 200)
        self.assertEqual(peer.get("/nothing").status, 404)

    def test_chunked(self):
        peer = self.peer()
        for chunks in ((), (b"a",), (b"x" * 1000, b"y" * 50000), (b"z",) * 2000):
            with self.subTest(chunks=len(chunks)):
                peer.send(post_chunked(*chunks))
                self.assertEqual(peer.reply().status, 200)

    def test_chunk_extensions_and_trailers(self):
        peer = self.peer()
        peer.send(request("/", "POST", "1.1", b"", "Transfer-Encoding: chunked") +
                  b"3;name=value\r\nabc\r\n0\r\nTrailer: x\r\n\r\n" + request("/nothing"))
        self.assertEqual([peer.reply().status for _ in range(2)], [200, 404])

    def test_chunked_split_everywhere(self):
        data = post_chunked(b"abcdefghij", b"k") + request("/nothing")
        peer = self.peer()
        for cut in range(1, len(data)):
            peer.send_in_parts([data[:cut], data[cut:]])
            self.assertEqual([peer.reply().status for _ in range(2)], [200, 404], cut)

    def test_chunked_limit(self):
        """Refused when the limit is reached, within a chunk or over many."""
        for size in (MIB + 1, 1000):
            with self.subTest(size=size), self.server.peer() as peer:
                peer.send(request("/", "POST", "1.1", b"", "Transfer-Encoding: chunked"))
                for _ in range(MIB // size + 1):
                    peer.send(b"%x\r\n%s\r\n" % (size, b"x" * size))
                reply = peer.reply()
                self.assertEqual(reply.status, 413)
                self.assertTrue(reply.closes())

    def test_expect_continue(self):
        peer = self.peer()
        for framing, body in (("Content-Length: 3", b"abc"), ("Transfer-Encoding: chunked",
                                                              chunked(b"abc"))):
            with self.subTest(framing=framing):
                peer.send(request("/work?body=5", "POST", "1.1", b"", framing,
                                  "Expect: 100-continue"))
                reply = peer.reply()
                self.assertEqual((reply.status, reply.reason), (100, "Continue"))
                self.assertEqual(reply.headers, {})
                peer.send(body)
                self.assertEqual(len(peer.reply().body), 5)

    def test_expect_continue_unawaited(self):
        """The body came with the header: 100 may be left out, the reply may not."""
        peer = self.peer()
        peer.send(request("/work?body=5", "POST", "1.1", b"abc", "Expect: 100-continue"))
        reply = peer.reply()
        if reply.status == 100:
            reply = peer.reply()
        self.assertEqual((reply.status, len(reply.body)), (200, 5))
        self.assertEqual(peer.get().status, 200)

    def test_expect_from_http_1_0_is_ignored(self):
        with self.server.peer() as peer:
            reply = peer.get("/", "Expect: 100-continue", method="POST", version="1.0", body=b"abc")
            self.assertEqual(reply.status, 200)

    def test_other_expectation(self):
        with self.server.peer() as peer:
            reply = peer.get("/", "Expect: tea", method="POST", body=b"abc")
            self.assertEqual(reply.status, 417)


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
                      "io=upstream", "io=upstream:", "io=upstream:x", "io=upstream:61s", "body=", "body=x", "body=-1", "body=1x", "body=16777217",
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
        programs = ("cpu=infer:1ms", "cpu=image:1ms", "cpu=json:1ms", "cpu=hash:1ms", "cpu=hash:2ms", "cpu=hash:2ms&cpu=hash:1ms",
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
            with self.subTest(mode=mode), harness.tempfile.NamedTemporaryFile() as file:
                server = self.start("--counters", mode, "--workers", "4", "--stats-file", file.name)
                peers = [self.peer(server) for _ in range(8)]
                together(8, lambda index, peers=peers:
                         peers[index].get("/work?count=5&io=timer:200ms"))
                counted = [slot["counted"] for slot in read_slots(file.name) if slot["counted"]]
                self.assertEqual(sum(counted), 40)
                self.assertTrue(fewest <= len(counted) <= most, counted)
                server.settle()


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


class Upstreams(ServerCase):
    """io=upstream: a call over a pooled connection, and an upstream that fails in every way."""

    options = None

    def setUp(self):
        self.upstream = self.start_upstream()

    def start_upstream(self, port=0):
        upstream = harness.Upstream(port)
        self.addCleanup(upstream.stop)
        return upstream

    def start(self, *options, timeout_s=10.0):
        if self.target.has("--retries"):  # what fails is to be seen, not tried again
            options = (*options, "--retries", "0")
        return super().start("--upstream-address", f"127.0.0.1:{self.upstream.port}",
                             "--upstream-timeout", f"{timeout_s * SLOW * 1000:g}ms", *options)

    def get_all(self, server, target, count):
        """`count` peers ask at the same time: the statuses, and how long it took."""
        peers = [self.peer(server) for _ in range(count)]
        begin = time.monotonic()
        for peer in peers:
            peer.send(request(target))
        statuses = [peer.reply().status for peer in peers]
        return statuses, time.monotonic() - begin

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


class Vanishing(ServerCase):
    """Peers that reset, half-close or do not read cost their own connection only."""

    def after_resets(self, data, pause_s=0.0, read=0):
        """Ten peers send, read a little, and vanish."""
        for _ in range(10):
            peer = self.peer()
            peer.send(data)
            if read:
                peer.receive(read)
            time.sleep(pause_s)
            peer.vanish()
        self.assertEqual(self.server.get().status, 200)

    def test_resets_in_every_phase(self):
        for phase, data, pause_s, read in (
                ("connected", b"", 0, 0),
                ("request line", b"GET /wor", 0.01, 0),
                ("header", b"GET / HTTP/1.1\r\nHost: te", 0.01, 0),
                ("body", request()[:-2] + b"Content-Length: 100\r\n\r\nabc", 0.01, 0),
                ("waiting", request("/work?io=timer:50ms"), 0.01, 0),
                ("computing", request("/work?cpu=hash:5ms"), 0.001, 0),
                ("replying", request("/work?body=16777216"), 0.01, 1000),
                ("replied", request(), 0.01, 4096),
                ("pipelined", request("/work?io=timer:10ms") * 20, 0.03, 100),
                ("refused", b"GARBAGE\r\n\r\n", 0.01, 0)):
            with self.subTest(phase=phase):
                self.after_resets(data, pause_s, read)
        self.assert_all_closed()

    def assert_all_closed(self):
        """No connection is kept for a peer that is gone: only the one that asks is open."""
        def open_connections():
            metrics = self.server.metrics()
            return metrics["connections"] - metrics["closed"]
        self.assertTrue(wait_until(lambda: open_connections() <= 1, 10),
                        f"{open_connections():g} still open")

    def test_reset_while_waiting_leaves_others(self):
        patient = self.peer()
        patient.send(request("/work?io=timer:300ms"))
        self.after_resets(request("/work?io=timer:100ms"))
        self.assertEqual(patient.reply().status, 200)

    def test_half_close_still_gets_the_reply(self):
        for target, size in (("/work?body=9", 9), ("/work?io=timer:200ms&body=9", 9),
                             ("/work?cpu=hash:5ms&body=9", 9), ("/work?body=5000000", 5000000)):
            with self.subTest(target=target), self.server.peer() as peer:
                peer.send(request(target))
                peer.half_close()
                self.assertEqual(len(peer.reply().body), size)
                self.assertTrue(peer.ended())

    def test_half_close_after_pipeline(self):
        with self.server.peer() as peer:
            peer.send(request("/work?io=timer:50ms&body=1") + request("/work?body=2"))
            peer.half_close()
            self.assertEqual([len(peer.reply().body) for _ in range(2)], [1, 2])
            self.assertTrue(peer.ended())

    def test_half_close_within_a_request(self):
        with self.server.peer() as peer:
            peer.send(b"GET / HTTP/1.1\r\nHos")
            peer.half_close()
            self.assertTrue(peer.ended() or peer.reply().status == 400)

    def test_reader_that_never_reads(self):
        for _ in range(3):
            self.peer(receive_buffer=4096).send(request("/work?body=16777216"))
        time.sleep(0.1)
        begin = time.monotonic()
        for _ in range(10):
            self.assertEqual(self.server.get().status, 200)
        self.assertLess(time.monotonic() - begin, 5 * SLOW)


class Crowds(ServerCase):
    """Many connections, few descriptors."""

    options = None

    def test_two_hundred_at_once(self):
        server = self.start(peers=200)
        peers = [self.peer(server) for _ in range(200)]
        for _ in range(3):
            for peer in peers:
                peer.send(request())
            self.assertEqual({peer.reply().status for peer in peers}, {200})
        begin = harness.cpu_seconds(server.pid)
        time.sleep(1)
        spent_s = harness.cpu_seconds(server.pid) - begin
        self.assertLess(spent_s, 0.2 * SLOW, "busy while all are idle")

    def outcome(self, peer):
        """What a peer among too many gets: an answer, an end, or (after a while) silence."""
        try:
            return peer.reply().status
        except socket.timeout:
            return "silence"
        except (AssertionError, ConnectionError):
            return "closed"

    def test_descriptors_run_out(self):
        server = self.start(prefix=("prlimit", "--nofile=40"), peers=100)
        peers = [self.peer(server, timeout=0.5 if index else 10) for index in range(100)]
        for peer in peers:
            try:
                peer.send(request())
            except ConnectionError:
                pass
        outcomes = [self.outcome(peer) for peer in peers]
        self.assertGreater(outcomes.count(200), 10, outcomes)
        begin = harness.cpu_seconds(server.pid)
        time.sleep(1)
        self.assertLess(harness.cpu_seconds(server.pid) - begin, 0.4, "spins without descriptors")
        self.assertTrue(server.alive())
        for peer in peers:
            peer.close()
        self.assertTrue(wait_until(lambda: self.serves(server), 5), "does not recover")

    @staticmethod
    def serves(server):
        try:
            return server.get().status == 200
        except (AssertionError, OSError):
            return False


class Masses(ServerCase):
    """Ten thousand connections at a time, or as many as the architecture is made for."""

    options = None
    alone = True  # its sockets are half of the descriptors that this process may have
    COUNT = int(10_000 / SLOW)
    SAMPLE = 500
    LIMITS = {  # by label: how many it holds here, and why no more
        "iterative": (1, "one at a time"),
        "prefork": (1_000, "as many as processes, all made before the first connection"),
        "processes": (1_000, "each costs a fork and 150 KiB: 10,000 take seconds and 1.5 GB"),
        "event --multiplexer select": (1_000, "FD_SETSIZE is 1,024, the highest descriptor too"),
    }

    def setUp(self):
        self.limit, _ = self.LIMITS.get(self.target.label, (self.COUNT, None))

    def hold(self, server, count):
        """So many connections. A request on each five-hundredth waits until the server has caught
        up, so that its backlog does not run over."""
        held = []
        for index in range(count):
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.settimeout(15 * SLOW)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.bind((f"127.0.0.{2 + index % 4}", 0))
            sock.connect(("127.0.0.1", server.port))
            held.append(sock)
            if index % 500 == 499:
                self.ask([sock])
        return held

    def ask(self, socks, target="/"):
        """All at once; the replies' bodies."""
        for sock in socks:
            sock.sendall(request(target))
        bodies = []
        for sock in socks:
            reply = b""
            while b"\r\n\r\n" not in reply:
                reply += self.more_of(sock)
            head, _, body = reply.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])
            while len(body) < length:
                body += self.more_of(sock)
            bodies.append(body)
        return bodies

    def more_of(self, sock):
        data = sock.recv(65536)
        self.assertTrue(data, "the server has closed it")
        return data

    def counted(self, sock, name):
        text = self.ask([sock], "/metrics")[0].decode()
        return int(re.search(rf"^archbench_{name}_total (\d+)$", text, re.MULTILINE)[1])

    def test_held_and_served(self):
        count = min(self.limit, self.COUNT)
        server = self.start("--idle-timeout", "5m", peers=count)
        held = self.hold(server, count)
        last = held[-1]
        self.assertTrue(wait_until(
            lambda: self.counted(last, "connections") - self.counted(last, "closed") == count, 10))
        sample = random.Random(1).sample(held, min(self.SAMPLE, count))
        self.assertEqual(set(self.ask(sample)), {b"ok\n"})
        self.assertEqual(self.counted(last, "refused"), 0)
        self.assertEqual(self.ask([last]), [b"ok\n"])

    def test_one_more(self):
        """--about tells where the end is: who comes beyond waits in the backlog for a place. Where
        it names none, one more is served at once."""
        server = self.start(peers=4)
        room = min(server.room, 4)
        if isinstance(self.target.about.get("peers"), int):
            self.assertEqual(server.room, self.limit)
        held = self.hold(server, room)
        self.ask(held)
        late = self.hold(server, 1)[0]
        late.sendall(request())
        if server.room == room:
            late.settimeout(0.2)
            with self.assertRaises(socket.timeout):
                late.recv(1)
            late.settimeout(15 * SLOW)
            held[0].close()
        self.assertTrue(self.more_of(late).startswith(b"HTTP/1.1 200 "))


class Refusals(ServerCase):
    """Each connection needs a process or thread, and the system gives no more."""

    options = None
    MOST = 20

    @classmethod
    def suits(cls, target):
        return target.name in ("processes", "threads")

    def start_limited(self, folder):
        """The user may not reach the build folder: so it gets a copy of what it needs."""
        os.chmod(folder, 0o755)
        copy = shutil.copy(self.target.path, folder)
        calibration = shutil.copy(os.path.join(harness.BUILD, "calibration.json"), folder)
        user = str(random.randrange(30_000, 60_000))  # nobody else's: only these processes count
        server = harness.Server(harness.Target(copy, ("--calibration", calibration)), prefix=(
            "setpriv", "--reuid", user, "--regid", user, "--clear-groups",
            "prlimit", f"--nproc={self.MOST}"))
        self.addCleanup(server.settle)
        return server

    @staticmethod
    def is_served(peer):
        try:
            return peer.get().status == 200
        except (AssertionError, ConnectionError):
            return False

    def test_counted_and_survived(self):
        if os.geteuid() != 0:
            self.skipTest("only root can give the server a user, and so a count, of its own")
        with harness.tempfile.TemporaryDirectory() as folder:
            server = self.start_limited(folder)
            peers = [self.peer(server) for _ in range(2 * self.MOST)]
            served = [peer for peer in peers if self.is_served(peer)]
            self.assertTrue(self.MOST // 2 <= len(served) <= self.MOST, f"{len(served)} served")
            refused = re.search(r"^archbench_refused_total (\d+)$",
                                served[0].get("/metrics").body.decode(), re.MULTILINE)
            self.assertEqual(int(refused[1]), len(peers) - len(served))
            self.assertEqual([peer.get().status for peer in served], [200] * len(served))
            for peer in served[1:]:
                peer.close()
            self.assertTrue(wait_until(lambda: self.is_served(self.peer(server)), 5))


class Leaks(ServerCase):
    """Connections come and go and leave nothing behind."""

    def visit(self, count):
        for index in range(count):
            with self.server.peer() as peer:
                peer.get("/work?body=10")
                if index % 3 == 0:
                    peer.vanish()

    def test_many_short_connections(self):
        count = int(2000 / SLOW)
        self.visit(200)
        wait_until(lambda: not harness.zombies(self.server.pid), 5)
        time.sleep(0.2 * SLOW)
        descriptors = harness.descriptors(self.server.pid)
        memory_kb = harness.memory_kb(self.server.pid)
        self.visit(count)
        self.assertTrue(wait_until(
            lambda: harness.descriptors(self.server.pid) <= descriptors, 5),
            f"{harness.descriptors(self.server.pid)} descriptors after {descriptors}")
        if SLOW == 1:  # a sanitizer keeps freed memory back on purpose
            self.assertLess(harness.memory_kb(self.server.pid) - memory_kb, 2 * count)

    def test_no_zombies(self):
        self.visit(30)
        self.assertTrue(wait_until(lambda: not harness.zombies(self.server.pid), 5))


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


class PreforkedWorkers(ServerCase):
    """With a pool of processes, a dead one is replaced, and their number is the limit."""

    options = None

    @classmethod
    def suits(cls, target):
        return "A2" in target.about["ids"]

    def replaced(self, server, victim, signal_number):
        """End one worker from outside; another comes in its place."""
        os.kill(victim, signal_number)
        self.assertTrue(wait_until(lambda: victim not in harness.children(server.pid) and
                                   len(harness.children(server.pid)) == 2, 5), "not replaced")

    def test_killed_while_idle(self):
        server = self.start(peers=2)
        for victim in harness.children(server.pid):
            self.replaced(server, victim, 9)
        with server.peer() as first, server.peer() as second:
            self.assertEqual([peer.get().status for peer in (first, second)], [200, 200])
        final = server.stop()
        self.assertEqual([final[name] for name in ("crashed", "spawned", "workers")], [2, 4, 0])
        self.assertEqual((final["connections"], final["closed"]), (2, 2))

    def test_killed_while_serving(self):
        server = self.start(peers=2)
        peers = [server.peer() for _ in range(2)]
        for peer in peers:
            peer.get()
        for victim in harness.children(server.pid):
            self.replaced(server, victim, 9)
        self.assertTrue(all(peer.ended() for peer in peers))
        self.assertEqual(server.get().status, 200)
        final = server.stop()
        self.assertEqual((final["crashed"], final["connections"], final["closed"]), (2, 3, 3))

    def test_one_told_to_leave(self):
        """It ends like the whole server would, and the others do not notice."""
        server = self.start(peers=2)
        peer = self.peer(server)
        peer.get()
        for victim in harness.children(server.pid):
            self.replaced(server, victim, 15)
        self.assertTrue(peer.ended())
        self.assertEqual([server.get().status for _ in range(4)], [200] * 4)
        final = server.stop()
        self.assertEqual((final["crashed"], final["spawned"]), (0, 4))

    def test_one_more_than_workers_waits(self):
        server = self.start(peers=2)
        peers = [self.peer(server) for _ in range(2)]
        for peer in peers:
            peer.get()
        with harness.Peer(server.port, timeout=1) as extra:
            extra.send(request())
            with self.assertRaises(socket.timeout):
                extra.receive()
            peers[0].close()
            self.assertEqual(extra.reply().status, 200)


class Respawning(ServerCase):
    """Worker processes that die young again and again do not make the parent fork without end."""

    options = None
    alone = True

    @classmethod
    def suits(cls, target):
        return target.has("--listen") or "A2" in target.about["ids"]

    def test_pauses_grow(self):
        """Killed as soon as seen: 0, 0.1, 0.3, 0.7 and 1.5 s after the first."""
        server = self.start("--workers", "1", peers=1)
        seen, end = set(), time.monotonic() + 2
        while time.monotonic() < end:
            for child in harness.children(server.pid):
                seen.add(child)
                os.kill(child, signal.SIGKILL)
            time.sleep(harness.TICK_S)
        self.assertGreater(len(seen), 1, "not replaced")
        self.assertLess(len(seen), 8)
        server.terminate()
        final, lasted = server.finish()
        self.assertLess(lasted, 0.9, "stopped only when the pause was over")
        self.assertEqual((final["crashed"], final["workers"]), (len(seen), 0))

    def test_served_after_a_pause(self):
        server = self.start("--workers", "1", peers=1)
        for _ in range(2):
            victims = wait_until(lambda: harness.children(server.pid), 5)
            os.kill(victims[0], signal.SIGKILL)
            self.assertTrue(wait_until(lambda gone=victims[0]: gone not in
                                       harness.children(server.pid), 5))
        self.assertEqual(server.get().status, 200)


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


class Multiplexers(ServerCase):
    """Servers that let the readiness call be chosen."""

    options = None

    @classmethod
    def suits(cls, target):
        return target.has("--multiplexer")

    def test_unknown_multiplexer(self):
        done = subprocess.run([self.target.path, "--multiplexer", "kqueue"], capture_output=True,
                              text=True, timeout=20 * SLOW, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"\A[^\n]+\n\Z")

    def test_more_than_select_can_watch(self):
        """1,100 connections: beyond FD_SETSIZE. Served or refused, never a crash."""
        server = self.start(prefix=("prlimit", "--nofile=4096"))
        peers = []
        for _ in range(1100):
            peers.append(self.peer(server, timeout=0.5))
            try:
                peers[-1].send(request())
            except ConnectionError:
                pass
        outcomes = [Crowds.outcome(self, peer) for peer in peers]
        self.assertTrue(server.alive())
        self.assertGreater(outcomes.count(200), 900, set(outcomes))
        self.assertNotIn("silence", outcomes[:900])
        for peer in peers:
            peer.close()
        self.assertTrue(wait_until(lambda: Crowds.serves(server), 5))


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


class Shedding(ServerCase):
    """What waits for a worker is bounded: shed, do not drown."""

    options = None
    alone = True
    TWO_MAY_WAIT = {
        "--max-workers": ("--queue", "2", "--min-workers", "1", "--max-workers", "1"),
        "--activation-list": ("--activation-list", "2", "--workers", "1"),
        "--max-instances": ("--queue", "2", "--max-instances", "1"),
    }

    @classmethod
    def suits(cls, target):
        return any(map(target.has, cls.TWO_MAY_WAIT))

    def test_full_queue_sheds(self):
        server = self.start(*next(options for bound, options in self.TWO_MAY_WAIT.items()
                                  if self.target.has(bound)))
        peers = [self.peer(server) for _ in range(30)]
        for peer in peers:
            peer.send(request("/work?cpu=hash:50ms"))
        replies = [peer.reply() for peer in peers]
        statuses = [reply.status for reply in replies]
        self.assertEqual(set(statuses), {200, 503})
        self.assertGreaterEqual(statuses.count(200), 2)
        for reply in replies:
            if reply.status == 503:
                self.assertRegex(reply.headers["retry-after"], r"^\d+$")
        self.assertEqual(server.metrics()["shed"], statuses.count(503))


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


class Overload(ServerCase):
    """A bounded queue before a pool of workers: grow, then shrink, and keep the rest responsive."""

    options = None
    alone = True

    @classmethod
    def suits(cls, target):
        return target.has("--queue") and target.has("--max-workers")

    def test_short_requests_stay_short(self):
        """Sixteen peers keep asking for CPU work; the trivial request does not wait for it."""
        server = self.start("--queue", "2", "--min-workers", "1", "--max-workers", "1")
        done = threading.Event()

        def load(index):
            if index == 16:
                time.sleep(0.3)
                with server.peer() as peer:
                    times = [self.timed(peer) for _ in range(60)]
                done.set()
                return sorted(times)[30]
            while not done.is_set():
                with server.peer() as peer:
                    peer.get("/work?cpu=hash:100ms")
                    time.sleep(0.01)
            return 0

        self.assertLess(together(17, load)[16], 0.03 * SLOW)

    @staticmethod
    def timed(peer):
        begin = time.monotonic()
        peer.get()
        elapsed = time.monotonic() - begin
        time.sleep(0.01)
        return elapsed

    def test_workers_grow_and_shrink(self):
        server = self.start("--queue", "1000", "--min-workers", "1", "--max-workers", "4")
        self.assertEqual(server.metrics()["workers"], 1)
        peers = [self.peer(server, timeout=60) for _ in range(30)]
        for peer in peers:
            peer.send(request("/work?cpu=hash:20ms"))
        self.assertTrue(wait_until(lambda: server.metrics()["workers"] > 1, 5), "did not grow")
        self.assertLessEqual(server.metrics()["workers"], 4)
        for peer in peers:
            self.assertEqual(peer.reply().status, 200)
        self.assertTrue(wait_until(lambda: server.metrics()["workers"] == 1, 20), "did not shrink")
        self.assertGreater(server.metrics()["queue_wait_us"], 0)


class Cluster(ServerCase):
    """Worker processes behind one port, watched by a parent that serves nobody."""

    options = None

    @classmethod
    def suits(cls, target):
        return target.has("--listen")

    def crowd(self, server, count):
        """Peers that are served, by whichever worker."""
        peers = [self.peer(server) for _ in range(count)]
        for peer in peers:
            self.assertEqual(peer.get().status, 200)
        return peers

    def filled(self, server, count, without=()):
        """Is a living process in every place, and none of those that are to be gone?"""
        children = harness.children(server.pid)
        return len(children) == count and not set(children) & set(without) and \
            not harness.zombies(server.pid)

    def test_killed_worker_is_replaced(self):
        """It costs its own connections, and they are counted as closed."""
        server = self.start("--workers", "3")
        self.assertTrue(wait_until(lambda: self.filled(server, 3), 5))
        peers = self.crowd(server, 60)
        victims = harness.children(server.pid)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        self.assertTrue(wait_until(lambda: self.filled(server, 3, victims), 5))
        for peer in peers:
            self.assertTrue(peer.ended())
        self.crowd(server, 10)
        final = server.stop()
        self.assertEqual((final["crashed"], final["spawned"], final["workers"]), (3, 6, 0))
        self.assertEqual((final["connections"], final["closed"]), (70, 70))

    def test_waiting_peers_survive_a_crash(self):
        """Who waits to be accepted by a worker that dies is served by the next."""
        server = self.start("--workers", "1")
        self.assertTrue(wait_until(lambda: self.filled(server, 1), 5))
        victims = harness.children(server.pid)
        os.kill(victims[0], signal.SIGSTOP)
        peer = self.peer(server)
        peer.send(request())
        os.kill(victims[0], signal.SIGKILL)
        self.assertEqual(peer.reply().status, 200)

    def test_workers_do_not_outlive_the_parent(self):
        server = self.start("--workers", "3")
        self.assertTrue(wait_until(lambda: self.filled(server, 3), 5))
        children = harness.children(server.pid)
        server.process.kill()
        server.process.communicate()
        harness.Server.running.discard(server.process)
        self.assertTrue(wait_until(lambda: not any(
            (harness.proc_stat(child) or "Z")[0] != "Z" for child in children), 5))

    def test_stop_at_once(self):
        """SIGTERM meets workers that have hardly begun."""
        for _ in range(10):
            self.start("--workers", "8").stop()

    def test_each_loop_has_its_share(self):
        """The slots of the stats file tell the balance; own listeners give each loop some."""
        with harness.tempfile.NamedTemporaryFile() as file:
            server = self.start("--workers", "2", "--stats-file", file.name)
            self.crowd(server, 100)
            shares = [slot["connections"] for slot in read_slots(file.name)[:4]]
        self.assertEqual((shares[0], shares[1] + shares[2], shares[3]), (0, 100, 0), shares)
        if "reuseport" in self.target.label:
            self.assertGreater(min(shares[1:3]), 10, shares)


class Backpressure(ServerCase):
    """Full stages hold up those before them, back to the socket; nothing is shed or lost."""

    options = None

    @classmethod
    def suits(cls, target):
        return target.has("--depth")

    def test_all_are_served_in_the_end(self):
        with harness.tempfile.NamedTemporaryFile() as file:
            server = self.start("--depth", "2", "--workers", "1", "--stats-file", file.name)
            peers = [self.peer(server, timeout=60) for _ in range(40)]
            for peer in peers:
                peer.send(request("/work?cpu=hash:20ms") * 2 + request("/work?io=timer:5ms"))
            self.assertTrue(wait_until(lambda: read_slots(file.name)[2]["queued"] == 2, 5))
            time.sleep(0.1)
            late = [self.peer(server, timeout=60) for _ in range(100)]
            time.sleep(0.1)
            slots = read_slots(file.name)
            self.assertLessEqual(max(slot["queued"] for slot in slots), 2)
            self.assertLess(slots[0]["connections"], 90, "accepted without room")
            for peer in peers:
                self.assertEqual([peer.reply().status for _ in range(3)], [200] * 3)
            for peer in late:
                self.assertEqual(peer.get().status, 200)
            final = server.stop()
        self.assertEqual((final["shed"], final["requests"], final["queued"]), (0, 220, 0))
        self.assertGreater(final["queue_wait_us"], 0)

    def test_room_is_used_at_once(self):
        """Six requests found at the same moment fill every queue before the first is done."""
        with harness.tempfile.NamedTemporaryFile() as file:
            server = self.start("--depth", "1", "--workers", "1", "--stats-file", file.name)
            peers = [self.peer(server, timeout=60) for _ in range(6)]
            for peer in peers:
                peer.get()
            os.kill(server.pid, signal.SIGSTOP)
            for peer in peers:
                peer.send(request(f"/work?cpu=hash:{300 * SLOW:g}ms"))
            os.kill(server.pid, signal.SIGCONT)
            self.assertTrue(wait_until(lambda: [
                slot["queued"] for slot in read_slots(file.name)[1:3]] == [1, 1], 0.2))
            for peer in peers:
                self.assertEqual(peer.reply().status, 200)

    def test_newcomers_get_their_turn(self):
        """The stages are never empty, and yet nobody waits at the door for ever."""
        server = self.start("--depth", "1", "--workers", "1")
        done = threading.Event()

        def load(index):
            if index == 8:
                time.sleep(0.3)
                try:
                    for _ in range(3):
                        self.assertEqual(server.get().status, 200)
                finally:
                    done.set()
            with server.peer() as peer:
                while not done.is_set():
                    peer.get("/work?cpu=hash:10ms")

        together(9, load)

    def test_senders_are_held_up(self):
        """What is not read stays in the sockets, and then with its sender."""
        server = self.start("--depth", "1", "--workers", "1")
        busy = [self.peer(server, timeout=60) for _ in range(5)]
        for peer in busy:
            peer.send(request(f"/work?cpu=hash:{500 * SLOW:g}ms"))
        time.sleep(0.2 * SLOW)
        sender = self.peer(server, timeout=0.5)
        with self.assertRaises(socket.timeout):
            sender.send(request("/", "POST", "1.1", b"x" * MIB) * 30)
        self.assertEqual({peer.reply().status for peer in busy}, {200})
        sender.vanish()
        self.assertEqual(server.get().status, 200)

    def test_drain_with_full_stages(self):
        server = self.start("--depth", "1", "--workers", "1")
        peers = [self.peer(server, timeout=60) for _ in range(30)]
        for peer in peers:
            peer.get()
        for peer in peers:
            peer.send(request("/work?io=timer:10ms&cpu=hash:10ms&io=timer:10ms"))
        time.sleep(0.05)
        server.terminate()
        for peer in peers:
            self.assertEqual(peer.reply().status, 200)
            self.assertTrue(peer.ended())
        self.assertEqual(server.finish()[0]["requests"], 60)


class Leaders(ServerCase):
    """Threads that take turns as leader: who has an event lets another wait for the next."""

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


def variants(target):
    """The server as it is, and once more for each other readiness call or listening it offers."""
    yield target
    if target.has("--multiplexer"):
        for multiplexer in ("select", "poll"):
            yield harness.Target(target.path, ("--multiplexer", multiplexer))
    if target.has("--listen"):
        yield harness.Target(target.path, ("--listen", "reuseport"))


if __name__ == "__main__":
    harness.main(__name__, variants)
