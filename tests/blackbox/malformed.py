"""What is no HTTP, or not the HTTP that is allowed."""

import random

from harness import ServerCase, request



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
