"""Black-box tests of build/upstream: commands, settings, faults."""
import time

from harness import SLOW, wait_until
from upstream_program import Failure, UpstreamCase, encoded


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
                      ("CONFIG", "SET", "delay"), ("CONFIG", "DROP", "delay"), ("GETS", "a"),
                      ("PING\0",), ("",), ("evil\r\n+OK\r\n",)):
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
