"""A client on a plain socket: requests out, replies in."""

import socket
import struct
import time

from .base import SLOW


class Reply:
    """A parsed reply; header names in lower case, repeated fields joined by a comma."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.version, status, self.reason = (lines[0].split(" ", 2) + ["", ""])[:3]
        self.status = int(status)
        self.headers, self.body = {}, b""
        for line in lines[1:]:
            name, _, value = line.partition(":")
            old = self.headers.get(name.lower())
            self.headers[name.lower()] = value.strip() if old is None else f"{old}, {value.strip()}"

    def closes(self):
        return "close" in self.connection()

    def connection(self):
        """The words of the field."""
        return self.headers.get("connection", "").lower().replace(" ", "").split(",")

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} {bytes(self.body[:80])}>"


def request(target="/", method="GET", version="1.1", body=b"", *headers):
    """The bytes of a request; `headers` are whole lines."""
    lines = [f"{method} {target} HTTP/{version}", "Host: test", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines + ["", ""]).encode("latin-1") + body


class Peer:
    """A client on a raw socket. Every wait ends after `timeout` seconds times SLOW. It leaves
    `crowd` when either side has ended the connection."""

    def __init__(self, port, timeout=15, receive_buffer=None, crowd=()):
        self.crowd = crowd
        self.socket = socket.socket()
        self.socket.settimeout(timeout * SLOW)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def send(self, data):
        self.socket.sendall(data)

    def send_in_parts(self, parts, pause_s=0.001):
        """Each part in a segment of its own."""
        for part in filter(None, parts):
            self.send(part)
            time.sleep(pause_s)

    def receive(self, size=1 << 16):
        """Add what comes to the buffer; False at the end of the stream."""
        try:
            data = self.socket.recv(size)
        except ConnectionResetError:
            self.leave()
            raise
        if not data:
            self.leave()
        self.buffer += data
        return bool(data)

    def leave(self):
        if self in self.crowd:
            self.crowd.remove(self)

    def reply(self, head=False):
        while b"\r\n\r\n" not in self.buffer:
            if not self.receive():
                raise AssertionError(f"closed before a reply: {bytes(self.buffer)!r}")
        end = self.buffer.index(b"\r\n\r\n")
        reply = Reply(bytes(self.buffer[:end]))
        del self.buffer[:end + 4]
        if not head and reply.status >= 200:
            length = int(reply.headers["content-length"])
            while len(self.buffer) < length:
                if not self.receive():
                    raise AssertionError(f"closed after {len(self.buffer)} of {length} bytes")
            reply.body = bytes(self.buffer[:length])
            del self.buffer[:length]
        return reply

    def get(self, target="/", *headers, method="GET", version="1.1", body=b""):
        self.send(request(target, method, version, body, *headers))
        return self.reply(head=method == "HEAD")

    def ended(self):
        """True when the server ends the connection and sends nothing more before."""
        try:
            while self.receive():
                pass
        except ConnectionResetError:
            pass
        except socket.timeout:
            return False
        return not self.buffer

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def vanish(self):
        """Close with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.leave()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
