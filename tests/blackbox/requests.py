"""What every request gets, and /metrics."""

import re
import time

from harness import SLOW, ServerCase, request, wait_until

from .helpers import REPLY_FIELDS


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
