"""Frames of WebSocket: fragments, control frames, what is not allowed, and how both sides close."""

import threading

from harness import (BINARY, CLOSE, CONTINUATION, NO_CODE, PING, PONG, SLOW, TEXT, Message,
                     ServerCase, close_frame, fragments, frame, framed)

MESSAGE_MAX = 65536  # bytes


def padded(size, ask="a /work?body=5"):
    """A message of so many bytes."""
    return ask + "\n" + "x" * (size - len(ask) - 1)


class Frames(ServerCase):
    """Messages in fragments, control frames, and frames that are not allowed."""

    def test_fragments(self):
        whole = b"a /work?body=5\nsome payload"
        websocket = self.websocket()
        for parts in ((whole[:3], whole[3:]), (b"", whole), (whole, b""),
                      (b"", b"", whole[:9], b"", whole[9:], b""),
                      [whole[at:at + 1] for at in range(len(whole))]):
            for opcode in (TEXT, BINARY):
                with self.subTest(parts=parts, opcode=opcode):
                    websocket.peer.send(b"".join(fragments(opcode, *parts)))
                    self.assertEqual(len(websocket.answer().body), 5)

    def test_cut_everywhere(self):
        """A message in fragments with a ping between them, however it comes."""
        ask = padded(200).encode()
        data = frame(PING, b"between").join(fragments(TEXT, ask[:30], ask[30:170], ask[170:]))
        websocket = self.websocket()
        for at in range(1, len(data)):
            websocket.peer.send_in_parts([data[:at], data[at:]])
            for _ in range(2):
                self.assertEqual(websocket.receive(), Message(PONG, b"between"), at)
            self.assertEqual(len(websocket.answer().body), 5, at)

    def test_long_frame_cut_in_its_head(self):
        data = framed(padded(MESSAGE_MAX))
        websocket = self.websocket()
        for at in range(1, 16):
            websocket.peer.send_in_parts([data[:at], data[at:]])
            self.assertEqual(len(websocket.answer().body), 5, at)

    def test_pings(self):
        websocket = self.websocket()
        for payload in (b"", b"x", bytes(range(125))):
            websocket.send_frame(PING, payload)
            self.assertEqual(websocket.receive(), Message(PONG, payload))

    def test_ping_while_a_message_waits(self):
        websocket = self.websocket()
        websocket.send("a /work?io=timer:50ms")
        websocket.send_frame(PING, b"x")
        self.assertEqual({websocket.receive().opcode for _ in range(2)}, {TEXT, PONG})

    def test_pong_is_ignored(self):
        websocket = self.websocket()
        websocket.send_frame(PONG, b"nobody asked")
        self.assertEqual(websocket.ask("a", "/").status, 200)

    def test_flood_of_pings(self):
        """Each gets its pong, in order."""
        count = int(5000 / SLOW)
        websocket = self.websocket()
        pings = b"".join(frame(PING, b"%d" % index) for index in range(count))
        sender = threading.Thread(target=websocket.peer.send, args=[pings])
        sender.start()
        for index in range(count):
            self.assertEqual(websocket.receive(), Message(PONG, b"%d" % index))
        sender.join()

    def closes(self, codes, table):
        """Each of these costs the connection, with one of the codes; a message that follows is not
        performed."""
        for name, data in table.items():
            with self.subTest(sent=name), self.server.websocket() as websocket:
                websocket.peer.send(data + framed("a /"))
                self.assertIn(websocket.closed(), codes)
        self.assertEqual(self.server.get().status, 200)

    def test_not_allowed(self):
        begun, *_ = fragments(TEXT, b"a ", b"/")
        self.closes([1002], {
            "no mask": frame(TEXT, b"a /", mask=b""),
            "ping without mask": frame(PING, mask=b""),
            "ping in fragments": frame(PING, fin=False),
            "close in fragments": frame(CLOSE, fin=False),
            "long ping": frame(PING, b"x" * 126),
            "long close": close_frame(1000, b"x" * 124),
            "end without beginning": frame(CONTINUATION, b"a /"),
            "middle without beginning": frame(CONTINUATION, b"a /", fin=False),
            "text within a message": begun + frame(TEXT, b"b /"),
            "binary within a message": begun + frame(BINARY, b"b /"),
            **{f"opcode {opcode}": frame(opcode, b"a /")
               for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
            **{f"reserved bits {rsv}": frame(TEXT, b"a /", rsv=rsv) for rsv in (1, 2, 4, 7)},
            "reserved bits in a ping": frame(PING, rsv=4),
        })

    def test_text_is_utf_8(self):
        self.closes([1007], {
            "no such byte": frame(TEXT, b"a /\n\xff"),
            "in the ID": frame(TEXT, b"\xff /"),
            "one way": frame(TEXT, b"- /\n\xff"),
            "overlong": frame(TEXT, b"a /\n\xc0\x80"),
            "surrogate": frame(TEXT, b"a /\n\xed\xa0\x80"),
            "beyond the last": frame(TEXT, b"a /\n\xf4\x90\x80\x80"),
            "end without beginning": frame(TEXT, b"a /\n\x80"),
            "unfinished": frame(TEXT, b"a /\n\xe2\x82"),
            "cut": b"".join(fragments(TEXT, b"a /\n\xe2\x82", b"x")),
            "cut and unfinished": b"".join(fragments(TEXT, b"a /\n\xe2\x82", b"")),
        })
        self.closes([1002, 1007], {"reason": close_frame(1000, b"\xff")})

    def test_characters_may_be_cut(self):
        text = "a /\n\u00e9\u20ac\U0001f600\uffff\U0010ffff".encode()
        websocket = self.websocket()
        for at in range(1, len(text)):
            websocket.peer.send(b"".join(fragments(TEXT, text[:at], text[at:])))
            self.assertEqual(websocket.answer().status, 200, at)

    def test_largest(self):
        ask = padded(MESSAGE_MAX).encode()
        websocket = self.websocket()
        websocket.peer.send(b"".join(fragments(TEXT, ask[:1], ask[1:40000], ask[40000:], b"")))
        self.assertEqual(len(websocket.answer().body), 5)

    def test_too_large(self):
        self.closes([1009], {
            "in one frame": framed(padded(MESSAGE_MAX + 1)),
            "by its last byte": b"".join(fragments(TEXT, b"x" * MESSAGE_MAX, b"x")),
            "in two halves": b"".join(fragments(BINARY, b"x" * 40000, b"x" * 40000)),
            "in sum": b"".join(fragments(TEXT, *[b"x" * 1000] * 66)),
            "announced": frame(TEXT, announced=1 << 40),
            "announced in a fragment": b"".join(fragments(TEXT, b"x", b"")[:1]) +
                                       frame(CONTINUATION, announced=1 << 40),
        })
        self.closes([1002, 1009], {"with the highest bit": frame(TEXT, announced=1 << 63)})


class Closings(ServerCase):
    """A close frame is answered by one with the same code, and by the end of the stream."""

    def closing(self, *data):
        """The code of the server's close frame."""
        with self.server.websocket() as websocket:
            websocket.peer.send(b"".join(data))
            return websocket.closed()

    def test_code_is_echoed(self):
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
            for reason in (b"", b"done \xe2\x82\xac", b"x" * 123):
                with self.subTest(code=code, reason=reason):
                    self.assertEqual(self.closing(close_frame(code, reason)), code)

    def test_no_code(self):
        self.assertIn(self.closing(close_frame()), (NO_CODE, 1000))

    def test_codes_that_nobody_may_send(self):
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999):
            with self.subTest(code=code):
                self.assertEqual(self.closing(close_frame(code)), 1002)
        self.assertEqual(self.closing(frame(CLOSE, b"x")), 1002)

    def test_what_came_before_is_answered(self):
        websocket = self.websocket()
        websocket.peer.send(framed("a /work?body=5") + frame(PING, b"x") + close_frame(1000))
        self.assertEqual(len(websocket.answer().body), 5)
        self.assertEqual(websocket.receive(), Message(PONG, b"x"))
        self.assertEqual(websocket.closed(), 1000)

    def test_what_comes_after_is_not(self):
        for more in (framed("a /"), frame(PING), close_frame(1001), b"\xff" * 9):
            with self.subTest(more=more):
                self.assertEqual(self.closing(close_frame(1000), more), 1000)

    def test_between_fragments(self):
        self.assertEqual(self.closing(fragments(TEXT, b"a ", b"/")[0], close_frame(1000)), 1000)

    def test_stream_ends_on_both_sides(self):
        """The peer that ends its side first is not kept waiting."""
        websocket = self.websocket()
        websocket.peer.send(close_frame(1000))
        websocket.peer.half_close()
        self.assertEqual(websocket.closed(), 1000)
