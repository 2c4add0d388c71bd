"""RESP2, the protocol of Redis, as a client speaks it, and a running build/upstream.

Replies are read by a parser written here, and tests compare them with those of a real Redis."""

import json
import os
import re
import signal
import subprocess
import time

from .base import BUILD, SLOW
from .peers import Peer


class Failure(str):
    """An error reply."""


def encoded(*words):
    """A request in RESP."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part)
                                              for part in parts)


class RespClient(Peer):
    """A connection that speaks RESP2. Bytes that are no UTF-8 come out as surrogates."""

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self.receive():
                raise EOFError(bytes(self.buffer))
        end = self.buffer.index(b"\r\n")
        text = self.buffer[:end].decode()
        del self.buffer[:end + 2]
        return text

    def bulk(self, length):
        while len(self.buffer) < length + 2:
            if not self.receive():
                raise EOFError(bytes(self.buffer))
        data, end = self.buffer[:length], self.buffer[length:length + 2]
        if end != b"\r\n":
            raise AssertionError(f"a bulk string ends with {bytes(end)!r}")
        del self.buffer[:length + 2]
        return data.decode(errors="surrogateescape")

    def reply(self, head=False):
        text = self.line()
        kind, rest = text[0], text[1:]
        if kind == "+":
            return rest
        if kind == "-":
            return Failure(rest)
        if kind == ":":
            return int(rest)
        if kind not in "*$":
            raise AssertionError(f"not RESP: {text!r}")
        if rest == "-1":
            return None
        return [self.reply() for _ in range(int(rest))] if kind == "*" else self.bulk(int(rest))

    def replies(self, count):
        return [self.reply() for _ in range(count)]

    def call(self, *words):
        self.send(encoded(*words))
        return self.reply()

    def timed(self, *words):
        """(reply, seconds that it took)"""
        begin = time.monotonic()
        return self.call(*words), time.monotonic() - begin


class UpstreamProgram:
    """A running build/upstream. With AddressSanitizer, too, what it has freed does not count as its
    memory."""

    ASAN = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=1")))

    def __init__(self, *options, command=(os.path.join(BUILD, "upstream"),), port=0, **more):
        self.process = subprocess.Popen([*command, "--port", str(port), *options], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**os.environ, "ASAN_OPTIONS": self.ASAN}, **more)
        self.ready = self.process.stdout.readline()
        self.port = int(self.ready.rpartition(":")[2] or 0)
        self.pid = self.process.pid

    def client(self, **options):
        return RespClient(self.port, **options)

    def info(self):
        with self.client() as client:
            text = client.call("INFO")
        return {name: int(value) for name, value in re.findall(r"^(\w+):(\d+)\r$", text, re.M)}

    def stop(self, how=signal.SIGTERM):
        """(status, the counters of the last line, stderr)"""
        self.process.send_signal(how)
        try:
            out, err = self.process.communicate(timeout=10 * SLOW)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        return self.process.returncode, json.loads(out.splitlines()[-1]), err

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
