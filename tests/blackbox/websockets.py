"""WebSocket: its handshake, its messages, and peers that leave or are silent."""

import re
import threading
import time

from harness import (BINARY, SLOW, TEXT, ServerCase, accept_of, composed, fragments, framed,
                     request, upgrade)

from .frames import MESSAGE_MAX, padded
from .helpers import together
from .overload import Shedding

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the example of RFC 6455


class Handshakes(ServerCase):
    """A request for /ws turns the connection into a WebSocket, or is refused in plain HTTP."""

    PIPELINE = framed(composed("a", "/work?body=3")) + framed(composed("b", "/nothing", "payload"))

    def test_example_of_the_rfc(self):
        peer = self.peer()
        peer.send(upgrade(KEY))
        reply = peer.reply()
        self.assertEqual((reply.status, reply.reason), (101, "Switching Protocols"))
        self.assertEqual(reply.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        self.assertEqual(reply.headers["upgrade"].lower(), "websocket")
        self.assertEqual(reply.headers["connection"].lower(), "upgrade")
        self.assertNotIn("content-length", reply.headers)

    def test_spellings(self):
        """Of fields and their values; and what the server does not offer is not agreed to."""
        for fields in ({"Upgrade": "WebSocket"}, {"Connection": "upgrade"},
                       {"Connection": "keep-alive, Upgrade"}, {"Origin": "http://test"},
                       {"Upgrade": None, "upgrade": "WEBSOCKET"},
                       {"Sec-WebSocket-Key": None, "sec-websocket-key": KEY},
                       {"Sec-WebSocket-Protocol": "chat"},
                       {"Sec-WebSocket-Extensions": "permessage-deflate"}):
            with self.subTest(fields=fields), self.server.peer() as peer:
                peer.send(upgrade(KEY, fields))
                reply = peer.reply()
                self.assertEqual(reply.status, 101)
                self.assertEqual(reply.headers["sec-websocket-accept"], accept_of(KEY))
                self.assertNotIn("sec-websocket-protocol", reply.headers)
                self.assertNotIn("sec-websocket-extensions", reply.headers)

    def refused(self, data, *statuses, head=False):
        """With one of these; and the connection goes on, or ends, as the reply says."""
        with self.server.peer() as peer:
            peer.send(data)
            reply = peer.reply(head)
            self.assertIn(reply.status, statuses)
            if reply.closes():
                self.assertTrue(peer.ended())
            else:
                self.assertEqual(peer.get().status, 200)
        return reply

    def test_no_upgrade(self):
        for fields in ({"Upgrade": None, "Connection": None}, {"Upgrade": None},
                       {"Connection": None}, {"Connection": "keep-alive"}, {"Upgrade": "h2c"},
                       {"Sec-WebSocket-Version": None}, {"Sec-WebSocket-Version": "8"},
                       {"Sec-WebSocket-Version": "14"}, {"Sec-WebSocket-Version": "130"}):
            with self.subTest(fields=fields):
                reply = self.refused(upgrade(KEY, fields), 426)
                self.assertEqual(reply.headers["upgrade"].lower(), "websocket")
                self.assertIn("upgrade", reply.connection())
                self.assertEqual(reply.headers["sec-websocket-version"], "13")
                self.assertFalse(reply.closes())

    def test_http_1_0(self):
        for connection in ("Upgrade", "keep-alive, Upgrade"):
            with self.subTest(connection=connection):
                self.refused(upgrade(KEY, {"Connection": connection}, version="1.0"), 426)

    def test_bad_keys(self):
        for key in (None, "", "x", KEY[:-1], KEY[1:], KEY + "=", "A" + KEY, "A" * 24,
                    "*" + KEY[1:], KEY[:10] + " " + KEY[11:], "A" * 21 + "==="):
            with self.subTest(key=key):
                self.refused(upgrade(key), 400)

    def test_other_methods(self):
        self.refused(upgrade(KEY, method="POST"), 400)
        self.refused(upgrade(KEY, method="HEAD"), 400, head=True)
        self.refused(upgrade(KEY, method="PUT"), 400, 405)

    def test_other_paths(self):
        """What an Upgrade asks for there may be ignored, and is."""
        peer = self.peer()
        for target, status in (("/", 200), ("/work?body=5", 200), ("/nothing", 404),
                               ("/wsx", 404)):
            with self.subTest(target=target):
                peer.send(upgrade(KEY, target=target))
                self.assertEqual(peer.reply().status, status)
        self.assertEqual(peer.get().status, 200)

    def assert_answered(self, websocket):
        """The pipeline that came with the handshake."""
        first, second = websocket.answer(), websocket.answer()
        self.assertEqual((first.id, first.status, len(first.body)), ("a", 200, 3))
        self.assertEqual((second.id, second.status), ("b", 404))

    def test_behind_plain_requests(self):
        """In one segment with them and with frames: all are answered, in order."""
        websocket = self.websocket(before=(request("/work?io=timer:20ms&body=1"), request(),
                                           request("/work?body=2", "POST", "1.1", b"abc")),
                                   early=self.PIPELINE)
        self.assertEqual([len(reply.body) for reply in websocket.replies], [1, 3, 2])
        self.assert_answered(websocket)

    def test_many_messages_behind_the_head(self):
        """More bytes than the head of a request may have."""
        websocket = self.websocket(early=framed(padded(MESSAGE_MAX)) + framed("b /") * 100)
        self.assertEqual(len(websocket.answer().body), 5)
        for _ in range(100):
            self.assertEqual(websocket.answer().id, "b")

    def test_byte_by_byte(self):
        self.assert_answered(self.websocket(early=self.PIPELINE, cuts=range(1, 400)))

    def test_cut_everywhere(self):
        for at in range(1, len(upgrade(KEY) + self.PIPELINE)):
            with self.server.websocket(early=self.PIPELINE, cuts=(at,)) as websocket:
                self.assert_answered(websocket)


class Messages(ServerCase):
    """`ID TARGET` asks as a request does, and `ID STATUS` answers as its reply."""

    def test_as_over_http(self):
        targets = ("/", "/healthz", "/nothing", "/work", "/work?body=0", "/work?body=5",
                   "/work?io=timer:1ms&body=3", "/work?foo=1", "/work?body=x",
                   "/work?cpu=hash:1ms", "/work?cpu=hash:2ms&io=timer:1ms&body=7",
                   "/work?cpu=json:1ms&cpu=hash:1ms")
        replies = [self.server.get(target) for target in targets]
        websocket = self.websocket()
        for target, reply in zip(targets, replies):
            with self.subTest(target=target):
                answer = websocket.ask("a", target)
                self.assertEqual((answer.status, answer.body), (reply.status, reply.body))
                self.assertEqual(answer.digest, reply.headers.get("x-work-digest"))

    def test_binary_is_as_text(self):
        """The answer is text; and a payload of any bytes is no trouble."""
        websocket = self.websocket()
        for message in (b"a /work?body=5", b"a /work?body=5\n\xff\x00\xfe"):
            websocket.send(message)
            opcode, payload = websocket.receive()
            self.assertEqual((opcode, payload[:6], len(payload)), (TEXT, b"a 200\n", 11))

    def test_payloads(self):
        websocket = self.websocket()
        for payload in ("", "x", "\n", "two\nlines\n", "b /nothing", "\u00e9\u20ac\U0001f600\x00"):
            with self.subTest(payload=payload):
                answer = websocket.ask("a", "/work?body=5", payload)
                self.assertEqual((answer.status, len(answer.body)), (200, 5))

    def test_ids(self):
        websocket = self.websocket()
        for name in ("0", "!", "~", "--", "-a", "a-b_c.d:e/f", "\"'\\{}", "x" * 32):
            with self.subTest(name=name):
                self.assertEqual(websocket.ask(name, "/").status, 200)

    def test_bad_messages(self):
        """They cost an answer that has no ID of theirs, and the connection goes on."""
        websocket = self.websocket()
        for message in ("", "a", "/", " ", " /", "\n", "a\n", "a\nb /", "x" * 33 + " /",
                        "x" * 60000, "\u00e9 /", "\x01 /", "\x7f /", b"\xff /", b"\x00"):
            with self.subTest(message=message[:40]):
                websocket.send(message)
                answer = websocket.answer()
                self.assertEqual((answer.id, answer.status), ("-", 400))
                self.assertTrue(answer.body.strip(), "no reason given")
        self.assertEqual(websocket.ask("a", "/").status, 200)

    def test_bad_targets(self):
        websocket = self.websocket()
        for target in ("", " /", "nothing", "/\x01"):
            with self.subTest(target=target):
                websocket.send(f"a {target}")
                self.assertEqual(websocket.answer().status, 400)
        self.assertEqual(websocket.ask("a", "/").status, 200)

    def test_in_order(self):
        """Of many in one segment each waits for the one before."""
        websocket = self.websocket()
        websocket.send("wait /work?io=timer:50ms&body=7",
                       *(f"{size} /work?body={size}" for size in range(100)))
        self.assertEqual(websocket.answer().id, "wait")
        answers = [websocket.answer() for _ in range(100)]
        self.assertEqual([(answer.id, len(answer.body)) for answer in answers],
                         [(str(size), size) for size in range(100)])

    def counted(self, websocket, *names):
        """Samples of /metrics, asked for on this connection."""
        answer = websocket.ask("m", "/metrics")
        self.assertEqual(answer.status, 200)
        return [int(re.search(rf"^archbench_{name}_total (\d+)$", answer.body.decode(),
                              re.MULTILINE)[1]) for name in names]

    def test_metrics(self):
        websocket = self.websocket()
        requests, upgraded = self.counted(websocket, "requests", "upgraded")
        self.assertGreater(upgraded, 0)
        for _ in range(10):
            websocket.ask("a", "/")
        self.assertEqual(self.counted(websocket, "requests", "upgraded"),
                         [requests + 11, upgraded])

    def test_one_way(self):
        """They are performed and counted, and not answered: not even when they are refused."""
        websocket = self.websocket()
        requests, counted = self.counted(websocket, "requests", "counted")
        websocket.send("- /work?count=5", "- /nothing", "- /work?foo=1", "- /work?body=100",
                       "- /work?io=timer:20ms", b"- /work?count=2")
        self.assertEqual(self.counted(websocket, "requests", "counted"),
                         [requests + 7, counted + 7])

    def test_lengths(self):
        """Around those where the length takes another form, to the largest that is allowed."""
        websocket = self.websocket()
        for size in (125, 126, 127, 65535, MESSAGE_MAX):
            with self.subTest(message=size):
                websocket.send(padded(size))
                self.assertEqual(len(websocket.answer().body), 5)
        for size in (0, 125, 126, 127, 65535, 65536, 1_000_000):
            with self.subTest(answer=size):
                body = max(0, size - len("a 200\n"))
                self.assertEqual(len(websocket.ask("a", f"/work?body={body}").body), body)

    def test_fifty_at_once(self):
        target = "/work?cpu=hash:1ms&io=timer:1ms"
        digest = self.server.get(target).headers["x-work-digest"]
        websockets = [self.websocket() for _ in range(50)]
        for answer in together(50, lambda index: websockets[index].ask(f"a{index}", target)):
            self.assertEqual((answer.status, answer.digest), (200, digest))

    def test_deep_pipeline(self):
        """More messages than all buffers hold, while the answers come back."""
        count = int(2000 / SLOW)
        websocket = self.websocket()
        sender = threading.Thread(target=websocket.send,
                                  args=[f"{index} /work?body=900" for index in range(count)])
        sender.start()
        for index in range(count):
            self.assertEqual(websocket.answer().id, str(index))
        sender.join()

    def test_readers_that_never_read(self):
        websockets = [self.websocket(receive_buffer=4096) for _ in range(3)]
        other = self.websocket()
        for websocket in websockets:
            websocket.send("a /work?body=16777216")
            websocket.need(1)
        begin = time.monotonic()
        for _ in range(10):
            self.assertEqual(other.ask("a", "/").status, 200)
        self.assertLess(time.monotonic() - begin, 5 * SLOW)


class ShedMessages(ServerCase):
    """A message that finds the queue full is answered like a request."""

    options = None
    alone = True

    @classmethod
    def suits(cls, target):
        return Shedding.suits(target)

    def test_full_queue_sheds(self):
        server = self.start(*next(options for bound, options in Shedding.TWO_MAY_WAIT.items()
                                  if self.target.has(bound)))
        websockets = [self.websocket(server) for _ in range(30)]
        for websocket in websockets:
            websocket.send("a /work?cpu=hash:50ms")
        statuses = [websocket.answer().status for websocket in websockets]
        self.assertEqual(set(statuses), {200, 503})
        self.assertEqual(server.metrics()["shed"], statuses.count(503))


class Departures(ServerCase):
    """Peers that leave cost their own connection only, and each is counted as ended."""

    options = None

    def test_half_close(self):
        """What was asked before is answered."""
        server = self.start()
        for asked in ([], ["a /work?body=9"], ["a /work?io=timer:50ms", "a /work?body=5000000"]):
            with self.subTest(asked=asked), server.websocket() as websocket:
                websocket.send(*asked)
                websocket.peer.half_close()
                for _ in asked:
                    self.assertEqual(websocket.answer().status, 200)
                websocket.closed()

    def test_half_close_within_a_message(self):
        server = self.start()
        for data in (framed("a /")[:-1], fragments(TEXT, b"a ", b"/")[0]):
            with self.subTest(data=data), server.websocket() as websocket:
                websocket.peer.send(data)
                websocket.peer.half_close()
                websocket.closed()

    def test_resets_in_every_phase(self):
        server = self.start()
        for phase, data, pause_s, read in (
                ("idle", b"", 0, 0),
                ("head of a frame", framed("a /")[:1], 0.01, 0),
                ("payload of a frame", framed("a /" + "x" * 500)[:-1], 0.01, 0),
                ("fragment", fragments(BINARY, b"a ", b"/")[0], 0.01, 0),
                ("waiting", framed("a /work?io=timer:50ms"), 0.01, 0),
                ("computing", framed("a /work?cpu=hash:5ms"), 0.001, 0),
                ("answering", framed("a /work?body=16777216"), 0.01, 1000),
                ("answered", framed("a /"), 0.01, 4096),
                ("pipelined", framed("a /work?io=timer:10ms") * 20, 0.03, 100),
                ("refused", framed("") + b"\xff" * 20, 0.01, 0)):
            with self.subTest(phase=phase):
                for _ in range(5):
                    websocket = self.websocket(server)
                    websocket.peer.send(data)
                    if read:
                        websocket.peer.receive(read)
                    time.sleep(pause_s)
                    websocket.peer.vanish()
                with server.websocket() as websocket:
                    self.assertEqual(websocket.ask("a", "/").status, 200)
        final = server.stop()
        self.assertEqual((final["upgraded"], final["closed"]), (60, final["connections"]))

    def test_resets_around_the_handshake(self):
        server = self.start()
        for data in (upgrade(KEY)[:-1], upgrade(KEY), upgrade(KEY) + framed("a /")[:3]):
            for _ in range(5):
                peer = self.peer(server)
                peer.send(data)
                time.sleep(0.001)
                peer.vanish()
        self.assertEqual(server.get().status, 200)
        final = server.stop()
        self.assertEqual(final["closed"], final["connections"])

    def test_only_handshakes_count(self):
        server = self.start()
        for data, status in ((upgrade(KEY), 101), (upgrade(KEY, {"Upgrade": None}), 426),
                             (upgrade("short"), 400), (upgrade(KEY), 101), (request(), 200)):
            with server.peer() as peer:
                peer.send(data)
                self.assertEqual(peer.reply().status, status)
        self.assertEqual(server.stop()["upgraded"], 2)


class SilentWebSockets(ServerCase):
    """Silence ends a plain connection and a message that has begun, but no idle WebSocket."""

    options = ("--idle-timeout", f"{300 * SLOW:g}ms", "--header-timeout", f"{300 * SLOW:g}ms")

    def test_idle_one_stays(self):
        websocket = self.websocket()
        self.assertEqual(websocket.ask("a", "/").status, 200)
        time.sleep(1 * SLOW)
        self.assertEqual(websocket.ask("b", "/").status, 200)

    def test_idle_one_stays_from_the_beginning(self):
        websocket = self.websocket()
        time.sleep(1 * SLOW)
        self.assertEqual(websocket.ask("a", "/").status, 200)

    def test_waiting_one_stays(self):
        websocket = self.websocket()
        self.assertEqual(websocket.ask("a", f"/work?io=timer:{800 * SLOW:g}ms").status, 200)

    def test_half_a_message_does_not(self):
        for name, data in (("head", framed("a /")[:1]), ("payload", framed("a /")[:-1]),
                           ("second", framed("a /") + framed("b /")[:4]),
                           ("fragment", fragments(TEXT, b"a ", b"/")[0])):
            with self.subTest(half=name), self.server.websocket() as websocket:
                websocket.peer.send(data)
                begin = time.monotonic()
                websocket.rest()
                self.assertLess(time.monotonic() - begin, 6 * SLOW)


class DrainedWebSockets(ServerCase):
    """SIGTERM: what is under way is answered, then every WebSocket is told that the server goes."""

    options = None
    GOING_AWAY = 1001

    def crowd(self, server, count):
        return [self.websocket(server) for _ in range(int(min(count, server.room)))]

    def test_idle_ones_are_told(self):
        server = self.start()
        websockets = self.crowd(server, 20)
        for websocket in websockets[:10]:
            self.assertEqual(websocket.ask("a", "/").status, 200)
        server.terminate()
        for websocket in websockets:
            self.assertEqual(websocket.closed(), self.GOING_AWAY)
        final, lasted = server.finish()
        self.assertLess(lasted, 4 * SLOW)
        self.assertEqual((final["upgraded"], final["closed"]), (len(websockets),) * 2)

    def test_message_under_way_is_answered(self):
        server = self.start()
        websockets = self.crowd(server, 4)
        for websocket in websockets:
            websocket.ask("a", "/")
            websocket.send(f"b /work?io=timer:{200 * SLOW:g}ms&body=1000")
        time.sleep(0.05 * SLOW)
        server.terminate()
        for websocket in websockets:
            answer = websocket.answer()
            self.assertEqual((answer.id, answer.status, len(answer.body)), ("b", 200, 1000))
            self.assertEqual(websocket.closed(), self.GOING_AWAY)
        server.finish()

    def test_half_a_message_does_not_hold_it(self):
        server = self.start("--header-timeout", "1s", "--idle-timeout", "1s")
        websocket = self.websocket(server)
        websocket.ask("a", "/")
        websocket.send_frame(BINARY, b"b ", fin=False)
        server.terminate()
        websocket.closed()
        server.finish()
