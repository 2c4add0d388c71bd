#!/usr/bin/python3
"""Black-box tests of build/upstream, the service that io=upstream calls.

Replies are read by a parser of RESP written here, and compared with those of a real Redis.
BUILD names the folder with the programs, SLOW is a factor on every limit.
"""
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

import harness
from harness import BUILD, SLOW, Peer, wait_until

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


class Commands(UpstreamCase):
    def test_ping(self):
        client = self.client()
        self.assertEqual(client.call("PING"), "PONG")
        self.assertEqual(client.call("ping", "hello there"), "hello there")
        self.assertEqual(client.call("PING", ""), "")

    def test_a_call_takes_the_time_it_says(self):
        client = self.client()
        for wait_s in 0.0205, 0.1, 0.003:
            reply, took_s = client.timed("BLPOP", "archbench:none", wait_s)
            self.assertIsNone(reply)
            self.assertGreaterEqual(took_s, wait_s)
            self.assertLess(took_s, wait_s + 0.1 * SLOW)

    def test_less_than_a_millisecond(self):
        client = self.client()
        took_s = min(client.timed("BLPOP", "a", 0.0002)[1] for _ in range(100))
        self.assertGreaterEqual(took_s, 0.0002)
        self.assertLess(took_s, 0.0009)

    def test_several_keys(self):
        self.assertIsNone(self.client().call("blpop", "a", "b", "c", "0.001"))

    def test_zero_is_for_ever(self):
        client = self.client()
        client.send(encoded("BLPOP", "a", "0") + encoded("PING"))
        time.sleep(0.2)
        self.assertEqual(self.upstream.info()["blocked_clients"], 1)
        client.socket.setblocking(False)
        with self.assertRaises(BlockingIOError):
            client.receive()

    def test_seconds_that_are_none(self):
        client = self.client()
        for text in "", "x", "1x", "nan", "inf", "1e300", "--1":
            self.assert_fails(client.call("BLPOP", "a", text), "not a float or out of range")
        self.assert_fails(client.call("BLPOP", "a", "-1"), "negative")
        self.assertEqual(client.call("PING"), "PONG")
        self.assertEqual(self.upstream.info()["calls"], 0)

    def test_wrong_commands(self):
        client = self.client()
        for words in (("BLPOP",), ("BLPOP", "1"), ("PING", "a", "b"), ("CONFIG",), ("QUIT", "now"),
                      ("CONFIG", "SET", "delay"), ("CONFIG", "DROP", "delay"), ("GET", "a"),
                      ("",), ("evil\r\n+OK\r\n",)):
            self.assert_fails(client.call(*words))
        self.assertEqual(client.call("PING"), "PONG")

    def test_an_empty_request_is_none(self):
        client = self.client()
        client.send(b"*0\r\n" + encoded("PING", "next"))
        self.assertEqual(client.reply(), "next")

    def test_quit(self):
        client = self.client()
        client.send(encoded("QUIT") + encoded("PING"))
        self.assertEqual(client.reply(), "OK")
        self.assertTrue(client.ended())

    def test_info(self):
        waiting, client = self.client(), self.client()
        client.call("BLPOP", "a", 0.001)
        waiting.send(encoded("BLPOP", "a", 60))
        self.assertTrue(wait_until(lambda: self.upstream.info()["calls"] == 2, 5))
        info = self.upstream.info()
        self.assertEqual((info["blocked_clients"], info["connected_clients"]), (1, 3))
        self.assertEqual((info["failed"], info["dropped"]), (0, 0))
        self.assertGreater(info["total_commands_processed"], 3)


class Settings(UpstreamCase):
    def test_they_can_be_read_back(self):
        client = self.client()
        self.assertEqual(client.call("CONFIG", "GET", "delay"), ["delay", "0us"])
        self.assertEqual(client.call("CONFIG", "GET", "stall"), ["stall", "no"])
        for name, value, shown in (("delay", "1.5ms", "1500us"), ("fail", "2.5", "2.5"),
                                   ("drop", "50", "50"), ("stall", "yes", "yes")):
            self.assertEqual(client.call("CONFIG", "SET", name, value), "OK")
            self.assertEqual(client.call("config", "get", name), [name, shown])
            self.assertEqual(client.call("CONFIG", "SET", name, shown), "OK")
        self.assertEqual(client.call("CONFIG", "GET", "maxmemory"), [])

    def test_what_is_refused_changes_nothing(self):
        client = self.client()
        client.call("CONFIG", "SET", "fail", "60")
        for name, value in (("fail", "101"), ("fail", "-1"), ("fail", "x"), ("fail", ""),
                            ("fail", "nan"), ("drop", "41"), ("delay", "5"), ("delay", "-1ms"),
                            ("stall", "perhaps"), ("colour", "red")):
            self.assert_fails(client.call("CONFIG", "SET", name, value))
        self.assertEqual([client.call("CONFIG", "GET", name)[1] for name in
                          ("fail", "drop", "delay", "stall")], ["60", "0", "0us", "no"])

    def test_delay_is_added(self):
        client = self.client(self.start("--delay", "30ms"))
        self.assertGreaterEqual(client.timed("BLPOP", "a", 0.02)[1], 0.05)
        client.call("CONFIG", "SET", "delay", "0")
        self.assertLess(min(client.timed("BLPOP", "a", 0.001)[1] for _ in range(10)), 0.02)

    def test_options_are_settings(self):
        client = self.client(self.start("--delay", "2ms", "--fail", "10", "--drop", "20",
                                        "--stall"))
        self.assertEqual([client.call("CONFIG", "GET", name)[1] for name in
                          ("delay", "fail", "drop", "stall")], ["2000us", "10", "20", "yes"])


class Faults(UpstreamCase):
    def outcome(self, upstream):
        """One call on a connection of its own: '.' good, 'F' failed, 'D' dropped."""
        with upstream.client() as client:
            try:
                return "F" if client.call("BLPOP", "a", 0.0001) else "."
            except (EOFError, ConnectionResetError):
                return "D"

    def outcomes(self, seed, calls=200):
        upstream = self.start("--fail", "20", "--drop", "30", "--seed", str(seed))
        found = "".join(self.outcome(upstream) for _ in range(calls))
        _, counters, _ = upstream.stop()
        self.assertEqual((counters["calls"], counters["failed"], counters["dropped"]),
                         (calls, found.count("F"), found.count("D")))
        return found

    def test_the_same_for_the_same_seed(self):
        first = self.outcomes(7)
        self.assertEqual(first, self.outcomes(7))
        self.assertNotEqual(first, self.outcomes(8))
        self.assertNotEqual(first, self.outcomes(7 + (1 << 16)))

    def test_as_many_as_asked_for(self):
        found = self.outcomes(1, 600)  # limits: five standard deviations
        self.assertAlmostEqual(found.count("F") / 600, 0.2, delta=0.082)
        self.assertAlmostEqual(found.count("D") / 600, 0.3, delta=0.094)

    def test_all_or_none(self):
        client = self.client()
        for percent, fails in (("100", True), ("0", False)):
            client.call("CONFIG", "SET", "fail", percent)
            for _ in range(20):
                self.assertIs(isinstance(client.call("BLPOP", "a", 0.0001), Failure), fails)
        client.call("CONFIG", "SET", "drop", "100")
        self.assertEqual(client.call("PING"), "PONG")
        client.send(encoded("BLPOP", "a", 0.03))
        begin = time.monotonic()
        self.assertTrue(client.ended())
        self.assertGreater(time.monotonic() - begin, 0.025)  # in the middle of nothing: at its end

    def test_stall(self):
        before, control = self.client(), self.client()
        self.assertEqual(before.call("PING"), "PONG")
        self.assertEqual(control.call("CONFIG", "SET", "stall", "yes"), "OK")
        silent = [before, self.client(), self.client()]
        for client, words in zip(silent, (("PING",), ("BLPOP", "a", 0.001), ("NOTHING",))):
            client.send(encoded(*words) + encoded("CONFIG", "GET", "stall"))
        self.assertEqual(self.client().call("CONFIG", "GET", "stall"), ["stall", "yes"])
        self.assertEqual(control.call("CONFIG", "SET", "stall", "no"), "OK")
        self.assertEqual(self.client().call("PING"), "PONG")
        time.sleep(0.1)
        for client in silent:
            client.socket.setblocking(False)
            with self.assertRaises(BlockingIOError):
                client.receive()


class Pipelines(UpstreamCase):
    def test_replies_keep_the_order_of_requests(self):
        client = self.client()
        begin = time.monotonic()
        client.send(encoded("PING", "1") + encoded("BLPOP", "a", 0.05) + encoded("PING", "2") +
                    encoded("BLPOP", "a", 0.01) + encoded("PING", "3"))
        replies = [client.reply() for _ in range(5)]
        self.assertEqual(replies, ["1", None, "2", None, "3"])
        self.assertGreaterEqual(time.monotonic() - begin, 0.06)

    def test_calls_on_different_connections_overlap(self):
        clients = [self.client() for _ in range(20)]
        begin = time.monotonic()
        for client in clients:
            client.send(encoded("BLPOP", "a", 0.2))
        self.assertEqual([client.reply() for client in clients], [None] * 20)
        self.assertLess(time.monotonic() - begin, 2)

    def test_cut_at_every_byte(self):
        client = self.client()
        data = encoded("PING", "a\r\nb") + encoded("BLPOP", "k", 0.001) + encoded("PING")
        for cut in range(1, len(data)):
            client.send_in_parts([data[:cut], data[cut:]], pause_s=0.0005)
            self.assertEqual([client.reply() for _ in range(3)], ["a\r\nb", None, "PONG"], cut)

    def test_many_requests_in_one_piece(self):
        client, count = self.client(), 20000
        sender = threading.Thread(target=client.send, args=(encoded("PING") * count,))
        sender.start()
        self.assertEqual({client.reply() for _ in range(count)}, {"PONG"})
        sender.join()

    def test_a_long_pipeline_without_a_reader_is_not_kept(self):
        self.keep_nothing(b"")

    def test_nor_one_behind_a_call(self):
        self.keep_nothing(encoded("BLPOP", "a", 1.5 * SLOW))

    def keep_nothing(self, before):
        """Send far more than may be kept. It waits in sockets, and comes through in the end."""
        self.client().call("PING")
        client, memory_kb = self.client(timeout=30), harness.memory_kb(self.upstream.pid)
        request = encoded("PING", "x" * 60)
        data = before + request * (16 * INPUT_LIMIT // len(request))
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        time.sleep(0.5 * SLOW)
        self.assertTrue(sender.is_alive(), "all of it was taken")
        more_kb = harness.memory_kb(self.upstream.pid) - memory_kb
        self.assertLess(more_kb, SLOW * INPUT_LIMIT / 1024)  # a sanitizer has memory of its own
        self.assertEqual(self.client().call("PING"), "PONG")
        size = data.count(b"PING") * len(b"$60\r\n\r\n" + b"x" * 60) + len(b"*-1\r\n" * bool(before))
        while size > 0:
            client.buffer.clear()
            self.assertTrue(client.receive(1 << 20))
            size -= len(client.buffer)
        self.assertEqual(size, 0)
        sender.join()


HOSTILE = {
    "noise": os.urandom(4096).replace(b"*", b"x"),
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an inline command": b"PING\r\n",
    "a status": b"+OK\r\n",
    "an error": b"-ERR\r\n",
    "an integer": b":1\r\n",
    "nil": b"$-1\r\n",
    "a nil array": b"*-1\r\n",
    "a bare string": b"$4\r\nPING\r\n",
    "an integer as a word": b"*1\r\n:1\r\n",
    "a status as a word": b"*1\r\n+PING\r\n",
    "nil as a word": b"*1\r\n$-1\r\n",
    "an array in an array": b"*1\r\n*1\r\n$4\r\nPING\r\n",
    "deep arrays": b"*1\r\n" * 1000,
    "too many words": b"*9\r\n" + b"$1\r\na\r\n" * 9,
    "a huge array": b"*2147483647\r\n",
    "an array beyond all": b"*99999999999999999999\r\n",
    "a negative array": b"*-2\r\n",
    "a long word": b"*1\r\n$64\r\n" + b"x" * 64 + b"\r\n",
    "a huge word": b"*1\r\n$1000000000\r\n" + b"x" * 100000,
    "a word beyond all": b"*1\r\n$99999999999999999999\r\nx\r\n",
    "a negative word": b"*1\r\n$-5\r\nx\r\n",
    "a count without end": b"*" + b"1" * 100000,
    "no number": b"*x\r\n",
}


class Hostile(UpstreamCase):
    def test_it_costs_only_that_connection(self):
        witness = self.client()
        witness.send(encoded("BLPOP", "a", 0.5))
        for name, data in HOSTILE.items():
            with self.subTest(name), self.upstream.client() as client:
                try:
                    client.send(data)
                except (ConnectionResetError, BrokenPipeError):
                    pass
                client.ended()
                self.assertRegex(bytes(client.buffer), rb"^(-ERR Protocol error[^\r]*\r\n)?$")
        self.assertIsNone(witness.reply())
        self.assertEqual(witness.call("PING"), "PONG")
        self.assertTrue(wait_until(lambda: self.upstream.info()["connected_clients"] == 2, 5))

    def test_what_came_before_is_answered(self):
        client = self.client()
        client.send(encoded("PING", "first") + b"*1\r\n:1\r\n" + encoded("PING"))
        self.assertEqual(client.reply(), "first")
        self.assert_fails(client.reply(), "Protocol error")
        self.assertTrue(client.ended())

    def test_a_request_that_never_ends_is_waited_for_in_peace(self):
        client = self.client()
        client.send(encoded("PING")[:-3])
        before_s = harness.cpu_seconds(self.upstream.pid)
        time.sleep(0.3)
        self.assertLess(harness.cpu_seconds(self.upstream.pid) - before_s, 0.05)
        self.assertEqual(self.client().call("PING"), "PONG")

    def test_peers_that_leave_in_the_middle(self):
        descriptors = harness.descriptors(self.upstream.pid)
        for leave in Client.close, Client.vanish:
            clients = [self.upstream.client() for _ in range(20)]
            for client in clients:
                client.send(encoded("BLPOP", "a", 60) + encoded("PING"))
            self.assertTrue(wait_until(lambda: self.upstream.info()["blocked_clients"] == 20, 5))
            for client in clients:
                leave(client)
            self.assertTrue(wait_until(lambda: self.upstream.info()["connected_clients"] == 1, 5))
        self.assertEqual(self.upstream.info()["blocked_clients"], 0)
        self.assertTrue(wait_until(
            lambda: harness.descriptors(self.upstream.pid) == descriptors, 5))

    def test_calls_of_those_who_left_are_over(self):
        """Their ends, which would have come, touch nobody any more."""
        client = self.client()
        for _ in range(3):
            for leave in Client.close, Client.vanish:
                leaving = self.upstream.client()
                leaving.send(encoded("BLPOP", "a", 0.2))
                leave(leaving)
            self.assertTrue(wait_until(lambda: self.upstream.info()["connected_clients"] == 2, 5))
        for number in range(10):
            client.call("BLPOP", "a", 0.05)
            self.assertEqual(client.call("PING", number), str(number))


class Crowds(UpstreamCase):
    def test_200_at_once(self):
        clients = [self.client() for _ in range(200)]
        begin = time.monotonic()
        for number, client in enumerate(clients):
            client.send(encoded("BLPOP", "a", 0.3) + encoded("PING", number))
        for number, client in enumerate(clients):
            self.assertEqual([client.reply(), client.reply()], [None, str(number)])
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)
        self.assertLess(time.monotonic() - begin, 3 * SLOW)

    def test_more_than_there_are_descriptors(self):
        upstream = self.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE,
                                                                   (40, 40)))
        clients = [self.client(upstream) for _ in range(60)]
        alive = 0
        for client in clients:
            try:
                alive += client.call("PING") == "PONG"
            except (EOFError, ConnectionResetError, BrokenPipeError):
                client.close()
        self.assertGreater(alive, 20)
        self.assertLess(alive, 40)
        for client in clients:
            client.close()
        self.assertTrue(wait_until(lambda: harness.descriptors(upstream.pid) < 20, 5))
        self.assertEqual(self.client(upstream).call("PING"), "PONG")
        self.assertEqual(upstream.stop()[1]["refused"], 60 - alive)


class LifeTest(UpstreamCase):
    def test_ready_line_and_counters(self):
        self.assertRegex(self.upstream.ready, r"^ready upstream 127\.0\.0\.1:\d+\n$")
        client = self.client()
        for _ in range(3):
            client.call("BLPOP", "a", 0.001)
        status, counters, err = self.upstream.stop()
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(counters, {"name": "upstream", "connections": 1, "refused": 0,
                                    "commands": 3, "calls": 3, "failed": 0, "dropped": 0})

    def test_calls_in_progress_do_not_hold_it(self):
        for how in signal.SIGTERM, signal.SIGINT:
            upstream = self.start()
            clients = [self.client(upstream) for _ in range(5)]
            for client in clients:
                client.send(encoded("BLPOP", "a", 60))
            self.assertTrue(wait_until(lambda b=upstream: b.info()["blocked_clients"] == 5, 5))
            begin = time.monotonic()
            self.assertEqual(upstream.stop(how)[0], 0)
            self.assertLess(time.monotonic() - begin, 2 * SLOW)
            self.assertTrue(all(client.ended() for client in clients))

    def test_waiting_takes_no_time(self):
        self.client().send(encoded("BLPOP", "a", 60))
        before_s = harness.cpu_seconds(self.upstream.pid)
        time.sleep(0.3)
        self.assertLess(harness.cpu_seconds(self.upstream.pid) - before_s, 0.02)

    def complaint(self, *options):
        done = subprocess.run([PROGRAM, *options], capture_output=True, text=True, check=False,
                              timeout=10 * SLOW)
        self.assertEqual((done.returncode, done.stdout), (2, ""), options)
        self.assertRegex(done.stderr, r"^upstream: [^\n]+\n$")
        return done.stderr

    def test_what_cannot_be_set_up(self):
        self.assertIn(f":{self.upstream.port}", self.complaint("--port", str(self.upstream.port)))
        for options in (["--delay", "5"], ["--fail", "101"], ["--drop", "x"], ["--bad"],
                        ["--port", "65536"], ["--host", "no.such.host.invalid"], ["operand"],
                        ["--fail", "60", "--drop", "41"]):
            self.complaint(*options)

    def test_help(self):
        done = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True)
        for option in "host port delay fail drop stall seed".split():
            self.assertIn(f"--{option} ", done.stdout)


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


if __name__ == "__main__":
    unittest.main()
