"""A client of WebSocket (RFC 6455) on a plain socket: frames as a test wants them, and the messages
that servers take, answer and push."""

import base64
import collections
import hashlib
import os
import struct

from .peers import Peer, request

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
CONTROL_MAX = 125  # bytes in a control frame
NO_CODE = 1005     # how RFC 6455 names the absence of a code in a close frame
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Message = collections.namedtuple("Message", "opcode payload")
Answer = collections.namedtuple("Answer", "id status digest body")
Delivery = collections.namedtuple("Delivery", "topic id payload opcode")


class Ended(AssertionError):
    """The server ended the stream where a frame was due."""


def accept_of(key):
    """Sec-WebSocket-Accept for this Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def upgrade(key, fields=(), target="/ws", method="GET", version="1.1"):
    """The bytes of a request for a WebSocket. `fields` replace header fields; None omits one."""
    named = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": key, **dict(fields)}
    lines = [f"{name}: {value}" for name, value in named.items() if value is not None]
    return request(target, method, version, b"", *lines)


def masked(payload, mask):
    """Each byte combined with that of the mask, which repeats."""
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")


def frame(opcode, payload=b"", fin=True, rsv=0, mask=None, announced=None):
    """The bytes of a frame. `rsv`: the three reserved bits as a number; `mask`: by default a random
    one, b"" for none; `announced`: a length to state in place of the payload's."""
    length = len(payload) if announced is None else announced
    mask = os.urandom(4) if mask is None else mask
    first, bit = fin << 7 | rsv << 4 | opcode, bool(mask) << 7
    if length < 126:
        head = struct.pack("!BB", first, bit | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    return head + mask + masked(payload, mask)


def fragments(opcode, *parts):
    """The frames of one message, a frame for each part."""
    last = len(parts) - 1
    return [frame(CONTINUATION if index else opcode, part, fin=index == last)
            for index, part in enumerate(parts)]


def close_frame(code=None, reason=b""):
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def framed(message):
    """A message in one frame: a str is sent as text, bytes are sent as binary."""
    return frame(TEXT, message.encode()) if isinstance(message, str) else frame(BINARY, message)


def composed(name, target, payload=None):
    """The message `ID TARGET` or `ID TARGET\\nPAYLOAD`: bytes if the payload is."""
    head = f"{name} {target}"
    if payload is None:
        return head
    return head.encode() + b"\n" + payload if isinstance(payload, bytes) else f"{head}\n{payload}"


def check_welcome(reply, key):
    """Is it the reply that makes a connection a WebSocket?"""
    expected = {"upgrade": "websocket", "connection": "upgrade"}
    found = {name: reply.headers.get(name, "").lower() for name in expected}
    if (reply.status, reply.reason) != (101, "Switching Protocols") or found != expected or \
            reply.headers.get("sec-websocket-accept") != accept_of(key) or \
            "content-length" in reply.headers:
        raise AssertionError(f"no WebSocket: {reply}")


class WebSocket:
    """A client whose handshake is done; the other options are those of its Peer. In the segment of
    the handshake, or cut at these positions, come also: `before`, plain requests whose replies are
    in `replies`, and `early`, bytes of frames. A server must not send masks or fragments."""

    def __init__(self, port, before=(), early=b"", cuts=(), **options):
        key = base64.b64encode(os.urandom(16)).decode()
        data = b"".join(before) + upgrade(key) + early
        self.deliveries = []  # those that came before an answer
        self.peer = Peer(port, **options)
        try:
            self.peer.send_in_parts(data[begin:end] for begin, end in
                                    zip((0, *cuts), (*cuts, len(data))))
            self.replies = [self.peer.reply() for _ in before]
            check_welcome(self.peer.reply(), key)
        except BaseException:
            self.peer.close()
            raise

    def send_frame(self, opcode, payload=b"", **options):
        self.peer.send(frame(opcode, payload, **options))

    def send(self, *messages):
        """All in one segment, as far as they fit."""
        self.peer.send(b"".join(map(framed, messages)))

    def need(self, size):
        while len(self.peer.buffer) < size:
            if not self.peer.receive():
                raise Ended(f"ended before a frame or in it: {bytes(self.peer.buffer[:80])!r}")

    def receive(self):
        """The next message, or a control frame, to which nothing is replied."""
        buffer = self.peer.buffer
        self.need(2)
        first, length = buffer[:2]
        opcode, begin, least = first & 0xf, 2, 0
        if first & 0xf0 != 0x80 or length & 0x80 or \
                opcode not in (TEXT, BINARY, CLOSE, PING, PONG):
            raise AssertionError(f"a fragment, or not allowed: {bytes(buffer[:20])!r}")
        if length > 125:
            form, begin, least = ("!H", 4, 126) if length == 126 else ("!Q", 10, 1 << 16)
            self.need(begin)
            length, = struct.unpack_from(form, buffer, 2)
        if length < least or opcode >= CLOSE and length > CONTROL_MAX:
            raise AssertionError(f"a length of {length} in {bytes(buffer[:20])!r}")
        self.need(begin + length)
        payload = bytes(buffer[begin:begin + length])
        del buffer[:begin + length]
        if opcode == TEXT:
            payload.decode()  # or it is no text
        return Message(opcode, payload)

    def data(self):
        """The next message: an Answer or a Delivery."""
        opcode, payload = self.receive()
        if opcode not in (TEXT, BINARY):
            raise AssertionError(f"in place of a message: opcode {opcode}, {payload!r}")
        head, newline, body = payload.partition(b"\n")
        words = head.decode().split(" ")
        if newline and head.startswith(b"*") and len(words) == 2:
            return Delivery(words[0][1:], words[1], body, opcode)
        if not newline or opcode != TEXT or len(words) not in (2, 3):
            raise AssertionError(f"no answer: opcode {opcode}, {payload[:80]!r}")
        return Answer(words[0], int(words[1]), words[2] if len(words) == 3 else None, body)

    def answer(self):
        """The next answer; deliveries that come before are kept."""
        while isinstance(found := self.data(), Delivery):
            self.deliveries.append(found)
        return found

    def delivery(self):
        """The next delivery: one that was kept, or one that comes before any answer."""
        found = self.deliveries.pop(0) if self.deliveries else self.data()
        if not isinstance(found, Delivery):
            raise AssertionError(f"in place of a delivery: {found}")
        return found

    def ask(self, name, target, payload=None):
        """Send a message with this ID; its answer, which has to be the next one."""
        self.send(composed(name, target, payload))
        answer = self.answer()
        if answer.id != name:
            raise AssertionError(f"the answer to {name!r} is called {answer.id!r}")
        return answer

    def rest(self):
        """All that comes until the stream ends, which it may do anywhere and by a reset."""
        found = []
        try:
            while True:
                found.append(self.receive())
        except (Ended, ConnectionResetError):
            return found

    def closed(self):
        """The code in the server's close frame, with which the stream has to end, or NO_CODE. None:
        it has ended without such a frame. No other message may come before."""
        found = self.rest()
        if not found:
            return None
        opcode, payload = found[0]
        if len(found) > 1 or opcode != CLOSE or len(payload) == 1 or self.peer.buffer:
            raise AssertionError(f"not only a close frame: {found[:9]}")
        payload[2:].decode()  # the reason is text
        return struct.unpack("!H", payload[:2])[0] if payload else NO_CODE

    def close(self):
        self.peer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
