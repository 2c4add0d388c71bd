"""Black-box tests of build/upstream: pipelines, hostile clients, crowds."""
import os
import resource
import threading
import time

import harness
from harness import SLOW, wait_until
from upstream_program import Client, INPUT_LIMIT, UpstreamCase, VALUE_MAX, encoded


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

    def test_nor_are_long_replies(self):
        """640 MB of them are asked for, and not read."""
        client = self.client(receive_buffer=8192)
        self.assertEqual(client.call("SET", "long", "x" * VALUE_MAX), "OK")
        memory_kb = harness.memory_kb(self.upstream.pid)
        client.send(encoded("GET", "long") * 10000)
        time.sleep(0.3 * SLOW)
        self.assertLess(harness.memory_kb(self.upstream.pid) - memory_kb, SLOW * 1024)
        self.assertEqual(set(client.replies(20)), {"x" * VALUE_MAX})

    def test_a_delay_lets_long_commands_wait_in_sockets(self):
        upstream = self.start("--delay", f"{SLOW:g}s")
        client, other = self.client(upstream, timeout=30), self.client(upstream)
        memory_kb = harness.memory_kb(upstream.pid)
        data = encoded("SET", "a", "x" * VALUE_MAX) * 300
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        time.sleep(0.5 * SLOW)
        self.assertTrue(sender.is_alive(), "all of it was taken")
        self.assertLess(harness.memory_kb(upstream.pid) - memory_kb, SLOW * 1024)
        self.assertEqual(other.call("CONFIG", "SET", "delay", "0"), "OK")
        self.assertEqual(client.replies(300), ["OK"] * 300)
        sender.join()

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
    "long words": b"*8\r\n$4\r\nPING\r\n" + 7 * (b"$10000\r\n" + b"x" * 10000 + b"\r\n"),
    "a word that is too long": b"*2\r\n$4\r\nPING\r\n$69632\r\n" + b"x" * 69632 + b"\r\n",
    "a count without its end": b"*1\n" + b"x" * 100000,
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
                    while client.receive():
                        pass
                except (ConnectionResetError, BrokenPipeError):
                    pass
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
