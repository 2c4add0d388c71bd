"""A running build/upstream, the service that io=upstream and io=redis call, and a client of it.

BUILD names the folder with the programs, SLOW is a factor on every limit."""
import os
import unittest

from harness import BUILD, Failure, RespClient as Client, UpstreamProgram, encoded

PROGRAM = os.path.join(BUILD, "upstream")
INPUT_LIMIT = 1 << 20  # bytes that no request may take up in the upstream
VALUE_MAX = 1 << 16    # bytes of a value
__all__ = ["Client", "Failure", "INPUT_LIMIT", "PROGRAM", "UpstreamCase", "VALUE_MAX", "encoded"]


class UpstreamCase(unittest.TestCase):
    options = ()

    def setUp(self):
        self.upstream = self.start(*self.options)

    def start(self, *options, **more):
        upstream = UpstreamProgram(*options, **more)
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

    def assert_silent(self, client):
        """Nothing has come and nothing is there."""
        client.socket.setblocking(False)
        with self.assertRaises(BlockingIOError):
            client.receive()
