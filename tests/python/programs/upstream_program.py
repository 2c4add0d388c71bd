"""A running build/upstream, the service that io=upstream calls, and a client of it.

Replies are read by a parser of RESP written here, and compared with those of a real Redis.
BUILD names the folder with the programs, SLOW is a factor on every limit."""
import json
import os
import re
import signal
import subprocess
import time
import unittest

from harness import BUILD, SLOW, Peer

PROGRAM = os.path.join(BUILD, "upstream")
INPUT_LIMIT = 1 << 20  # bytes that no request may take up in the upstream


class Failure(str):
    """An error reply."""


def encoded(*words):
    """A request in RESP."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part)
                                              for part in parts)


class Client(Peer):
    """A connection that speaks RESP2."""

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self.receive():
                raise EOFError(bytes(self.buffer))
        text, _, rest = bytes(self.buffer).partition(b"\r\n")
        self.buffer[:] = rest
        return text.decode()

    def reply(self, head=False):
        text = self.line()
        kind, rest = text[0], text[1:]
        if kind == "+":
            return rest
        if kind == "-":
            return Failure(rest)
        if kind == ":" or rest == "-1":
            return None if rest == "-1" else int(rest)
        if kind == "*":
            return [self.reply() for _ in range(int(rest))]
        if kind != "$":
            raise AssertionError(f"not RESP: {text!r}")
        while len(self.buffer) < int(rest) + 2:
            if not self.receive():
                raise EOFError(bytes(self.buffer))
        data, end = self.buffer[:int(rest)].decode(), self.buffer[int(rest):int(rest) + 2]
        if end != b"\r\n":
            raise AssertionError(f"a bulk string ends with {bytes(end)!r}")
        del self.buffer[:int(rest) + 2]
        return data

    def call(self, *words):
        self.send(encoded(*words))
        return self.reply()

    def timed(self, *words):
        """(reply, seconds that it took)"""
        begin = time.monotonic()
        return self.call(*words), time.monotonic() - begin


class Upstream:
    """A running upstream."""

    def __init__(self, *options, command=(PROGRAM,), **more):
        self.process = subprocess.Popen([*command, "--port", "0", *options], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        self.ready = self.process.stdout.readline()
        self.port = int(self.ready.rpartition(":")[2] or 0)
        self.pid = self.process.pid

    def client(self, **options):
        return Client(self.port, **options)

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


class UpstreamCase(unittest.TestCase):
    options = ()

    def setUp(self):
        self.upstream = self.start(*self.options)

    def start(self, *options, **more):
        upstream = Upstream(*options, **more)
        self.addCleanup(self.finish, upstream)
        return upstream

    def finish(self, upstream):
        """It lives to this moment, and ends well."""
        if upstream.process.returncode is None:
            try:
                status, _, err = upstream.stop()
                self.assertEqual((status, err), (0, ""))
            finally:
                upstream.kill()

    def client(self, upstream=None, **options):
        client = (upstream or self.upstream).client(**options)
        self.addCleanup(client.close)
        return client

    def assert_fails(self, reply, words="ERR"):
        self.assertIsInstance(reply, Failure)
        self.assertIn(words, reply)
