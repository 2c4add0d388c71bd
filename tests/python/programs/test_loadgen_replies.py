"""The load generator meets replies of every form, and servers that fail."""
import time

from generator_case import Case, OK, Server, always, calibration_text, hash_digest


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
