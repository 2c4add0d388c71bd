"""Connections that stay, and bodies."""

import threading

from harness import SLOW, ServerCase, request

from .helpers import MIB, chunked, post_chunked


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
