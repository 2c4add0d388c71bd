"""build/upstream beside Redis's own programs: redis-cli, and a real server that says the same."""
import shutil
import socket
import subprocess
import time

from harness import SLOW, wait_until
from upstream_program import Client, UpstreamCase, encoded

NUMBERS = ("", " ", "x", " 1", "+1", "01", "-0", "1.0", "-5", "-1", "9223372036854775806",
           "9223372036854775807", "9223372036854775808", "-9223372036854775808")
# What both must answer alike, one after the other on one connection.
ON_VALUES = (
    ("GET", "a"), ("SET", "a", "1"), ("GET", "a"), ("INCR", "a"), ("INCR", "new"), ("GET", "new"),
    ("DEL", "a"), ("DEL", "a"), ("DEL", "new", "a", "new"), ("GET", "new"),
    ("SET", "", ""), ("GET", ""), ("DEL", ""), ("SET", b"\0\xff", b"\r\n\0"), ("GET", b"\0\xff"),
    ("SET", "long", "x" * 65536), ("GET", "long"), ("SET", "a", "b", "c"), ("GET",), ("SET", "a"),
    ("GET", "a", "b"), ("DEL",), ("INCR",), ("INCR", "a", "b"), ("PUBLISH", "a"), ("SUBSCRIBE",),
    ("PSUBSCRIBE",), ("PUBLISH", "nobody", "x"), ("UNSUBSCRIBE",), ("PUNSUBSCRIBE",),
    ("UNSUBSCRIBE", "a"), ("PUNSUBSCRIBE", "a*"), ("PING",),
    *(words for number in NUMBERS for words in (("SET", "n", number), ("INCR", "n"), ("GET", "n"))))
# ... of a subscriber, with the number of replies to each.
ON_CHANNELS = (
    (1, "SUBSCRIBE", "a"), (2, "SUBSCRIBE", "a", "b"), (1, "PSUBSCRIBE", "a*"), (1, "GET", "a"),
    (1, "SET", "a"), (1, "PUBLISH", "a", "x"), (1, "PING"), (1, "PING", "text"),
    (1, "UNSUBSCRIBE", "b"), (1, "UNSUBSCRIBE", "b"), (1, "PUNSUBSCRIBE", "b"),
    (1, "UNSUBSCRIBE"), (1, "UNSUBSCRIBE"), (1, "PUNSUBSCRIBE"), (1, "PUNSUBSCRIBE"), (1, "PING"),
    (1, "PSUBSCRIBE", "news.*"), (1, "SUBSCRIBE", "news.a"))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Peers(UpstreamCase):
    """Redis's own programs, of the package redis-tools."""

    def cli(self, *arguments, **more):
        """What redis-cli prints."""
        if not shutil.which("redis-cli"):
            self.skipTest("redis-cli is not installed")
        return subprocess.run(["redis-cli", "-p", str(self.upstream.port), *map(str, arguments)],
                              capture_output=True, text=True, check=True, timeout=20 * SLOW,
                              **more).stdout

    def test_redis_cli(self):
        self.assertEqual(self.cli("PING"), "PONG\n")
        begin = time.monotonic()
        self.assertEqual(self.cli("BLPOP", "archbench:none", 0.05), "\n")  # how it prints nil
        self.assertGreaterEqual(time.monotonic() - begin, 0.05)
        self.assertEqual(self.cli("CONFIG", "GET", "fail"), "fail\n0\n")
        self.assertEqual(self.cli("CONFIG", "SET", "fail", 100), "OK\n")
        self.assertTrue(self.cli("BLPOP", "a", 0.01).startswith("ERR failed"))
        self.assertEqual(self.cli(input="PING a\nPING b\n"), "a\nb\n")
        self.assertIn("calls:2", self.cli("INFO"))

    def test_redis_cli_with_values(self):
        self.assertEqual(self.cli("SET", "a", "1"), "OK\n")
        self.assertEqual(self.cli("INCR", "a"), "2\n")
        self.assertEqual(self.cli("GET", "a"), "2\n")
        self.assertEqual(self.cli("PUBLISH", "a", "x"), "0\n")
        self.assertEqual(self.cli("DEL", "a"), "1\n")
        self.assertEqual(self.cli("GET", "a"), "\n")

    def redis(self):
        """A real Redis. In Debian its server and its checker are one binary that goes by the name
        it is called by, and the checker comes without a service."""
        binary = shutil.which("redis-server") or shutil.which("redis-check-rdb")
        if not binary:
            self.skipTest("no Redis is installed")
        port = free_port()
        process = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1",
                                    "--save", "", "--appendonly", "no"], executable=binary,
                                   stdout=subprocess.DEVNULL, cwd="/")
        self.addCleanup(process.communicate)
        self.addCleanup(process.terminate)

        def listens():
            with socket.socket() as probe:
                return process.poll() is not None or probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(listens, 10)
        if process.poll() is not None:
            self.skipTest("this binary is no server")
        client = Client(port)
        self.addCleanup(client.close)
        return client

    def test_the_same_replies_as_redis(self):
        theirs, ours = self.redis(), self.client()
        for words in (("PING",), ("PING", "a b"), ("BLPOP", "none", "0.01"),
                      ("BLPOP", "a", "b", "0.01"), ("BLPOP", "a", "x"), ("BLPOP", "a", "-1"),
                      ("BLPOP", "a"), ("PING", "a", "b"), ("CONFIG", "GET", "no-such-setting")):
            self.assertEqual(theirs.call(*words), ours.call(*words), words)
        for words in ("GIBBERISH",), ("CONFIG", "SET", "no-such-setting", "1"), ("CONFIG", "X"):
            for client in theirs, ours:
                self.assert_fails(client.call(*words))
        for client in theirs, ours:
            self.assertRegex(client.call("INFO"), r"(?m)^connected_clients:\d+\r$")
            client.send(b"*0\r\n" + encoded("BLPOP", "a", 0.05) + encoded("PING") +
                        encoded("QUIT"))
            self.assertEqual([client.reply() for _ in range(3)], [None, "PONG", "OK"])
            self.assertTrue(client.ended())

    def test_the_same_values_as_redis(self):
        theirs, ours = self.redis(), self.client()
        for words in ON_VALUES:
            self.assertEqual(theirs.call(*words), ours.call(*words), words)

    def test_the_same_messages_as_redis(self):
        theirs = self.redis()
        ports = theirs.socket.getpeername()[1], self.upstream.port
        self.assertEqual(*[self.conversation(port) for port in ports])

    @staticmethod
    def conversation(port):
        """All that a subscriber and a publisher hear."""
        with Client(port) as subscriber, Client(port) as publisher:
            heard = []
            for count, *words in ON_CHANNELS:
                subscriber.send(encoded(*words))
                heard += [(words, subscriber.replies(count))]
            for name, message in (("news.a", "1"), ("news.", b"\0\xff"), ("news", "2"), ("b", "3"),
                                  ("news.a", "x" * 65536)):
                heard += [publisher.call("PUBLISH", name, message)]
            heard += subscriber.replies(5)
            subscriber.send(encoded("QUIT"))
            return heard + [subscriber.reply(), subscriber.ended()]
