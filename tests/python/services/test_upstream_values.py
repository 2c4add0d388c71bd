"""Black-box tests of build/upstream: GET, SET, DEL, INCR, their limits, and the settings with them."""
import time

import harness
from harness import SLOW, wait_until
from upstream_program import Failure, UpstreamCase, VALUE_MAX, encoded

KEYS_MAX, BYTES_MAX = 65536, 64 << 20
OOM = "OOM command not allowed when used memory > 'maxmemory'."


class Values(UpstreamCase):
    def test_set_and_get(self):
        client, other = self.client(), self.client()
        self.assertIsNone(client.call("GET", "a"))
        self.assertEqual(client.call("SET", "a", "1"), "OK")
        self.assertEqual(other.call("get", "a"), "1")
        self.assertEqual(client.call("SET", "a", "another, longer one"), "OK")
        self.assertEqual(other.call("GET", "a"), "another, longer one")
        self.assertIsNone(other.call("GET", "A"))

    def test_del(self):
        client = self.client()
        for key in "abc":
            client.call("SET", key, key)
        self.assertEqual([client.call("DEL", *keys) for keys in
                          ("a", "a", ("b", "x", "c", "b"), ("b", "c"))], [1, 0, 2, 0])
        self.assertEqual([client.call("GET", key) for key in "abc"], [None] * 3)

    def test_any_bytes(self):
        client = self.client()
        for text in b"", b"\0", b"\r\n", b"a\0b", b"\xff\xfe", b"$-1\r\n", bytes(range(256)):
            for key in text[:200], b"k" + text[:200]:
                self.assertEqual(client.call("SET", key, text), "OK")
                found = client.call("GET", key)
                self.assertEqual(found.encode(errors="surrogateescape"), text)
        self.assertIsNone(client.call("GET", "a"), "the key a\\0b is another")

    def test_incr(self):
        client = self.client()
        self.assertEqual([client.call("INCR", "n") for _ in range(3)], [1, 2, 3])
        self.assertEqual(client.call("GET", "n"), "3")
        for value, after in (("-2", -1), ("-1", 0), ("0", 1), ("9223372036854775806", 2**63 - 1),
                             ("-9223372036854775808", 1 - 2**63)):
            client.call("SET", "n", value)
            self.assertEqual(client.call("INCR", "n"), after)
            self.assertEqual(client.call("GET", "n"), str(after))

    def test_what_is_no_integer_stays(self):
        client = self.client()
        for value in ("", " ", "x", "1x", " 1", "1 ", "+1", "01", "-0", "1.0", "1e3", "0x1", "-",
                      "9223372036854775808", "-9223372036854775809", "1" * 40, "1\0", "1\r\n"):
            client.call("SET", "n", value)
            self.assertEqual(client.call("INCR", "n"),
                             "ERR value is not an integer or out of range", value)
            self.assertEqual(client.call("GET", "n"), value)
        client.call("SET", "n", str(2**63 - 1))
        self.assertEqual(client.call("INCR", "n"), "ERR increment or decrement would overflow")

    def test_incr_by_many_at_once(self):
        clients = [self.client() for _ in range(50)]
        for client in clients:
            client.send(encoded("INCR", "n") * 40)
        found = [client.replies(40) for client in clients]
        self.assertEqual(sorted(sum(found, [])), list(range(1, 2001)))
        for numbers in found:
            self.assertEqual(numbers, sorted(numbers))

    def test_wrong_arguments(self):
        client = self.client()
        for words in (("GET",), ("GET", "a", "b"), ("SET", "a"), ("DEL",), ("INCR",),
                      ("INCR", "a", "1"), ("PUBLISH", "a"), ("PUBLISH", "a", "b", "c")):
            self.assertEqual(client.call(*words), "ERR wrong number of arguments for "
                             f"'{words[0].lower()}' command")
        self.assertEqual(client.call("SET", "a", "b", "NX"), "ERR syntax error")
        self.assertEqual(self.upstream.info()["calls"], 1)

    def test_cut_at_every_byte(self):
        client = self.client()
        data = encoded("SET", "k", "1\r\n2") + encoded("GET", "k") + encoded("DEL", "k")
        for cut in range(1, len(data)):
            client.send_in_parts([data[:cut], data[cut:]], pause_s=0.0005)
            self.assertEqual(client.replies(3), ["OK", "1\r\n2", 1], cut)


class Limits(UpstreamCase):
    def test_of_a_value(self):
        client = self.client()
        for size in 64, 1000, 16384, VALUE_MAX:
            self.assertEqual(client.call("SET", "a", "x" * size), "OK")
            self.assertEqual(client.call("GET", "a"), "x" * size)
        self.assertEqual(client.call("SET", "a", "y" * (VALUE_MAX + 1)), OOM)
        self.assertEqual(client.call("GET", "a"), "x" * VALUE_MAX)
        self.assertEqual(client.call("PING", "y" * (VALUE_MAX + 1000)), "y" * (VALUE_MAX + 1000))

    def test_of_a_key(self):
        client = self.client()
        self.assertEqual(client.call("SET", "k" * 255, "v"), "OK")
        self.assertEqual(client.call("GET", "k" * 255), "v")
        for words in ("SET", "k" * 256, "v"), ("INCR", "k" * 256):
            self.assertEqual(client.call(*words), OOM)
        self.assertIsNone(client.call("GET", "k" * 256))
        self.assertEqual(client.call("DEL", "k" * 256), 0)

    def test_of_their_number(self):
        client = self.client()
        for begin in range(0, KEYS_MAX, 1024):
            client.send(b"".join(encoded("SET", n, n) for n in range(begin, begin + 1024)))
            self.assertEqual(set(client.replies(1024)), {"OK"})
        for words in ("SET", "more", "v"), ("INCR", "more"):
            self.assertEqual(client.call(*words), OOM)
        self.assertEqual(client.call("INCR", "7"), 8)
        self.assertEqual(client.call("SET", "8", "replaced"), "OK")
        self.assertEqual(client.call("DEL", "9"), 1)
        self.assertEqual(client.call("SET", "more", "v"), "OK")
        self.assertEqual([client.call("GET", key) for key in ("8", "9", "more")],
                         ["replaced", None, "v"])

    def test_of_all_bytes(self):
        client = self.client()
        count, value = BYTES_MAX // (VALUE_MAX + 8), "x" * VALUE_MAX
        for number in range(count):
            self.assertEqual(client.call("SET", f"{number:8}", value), "OK")
        self.assertEqual(client.call("SET", "more", value), OOM)
        self.assertEqual(client.call("SET", f"{7:8}", value), "OK", "in place of as much")
        self.assertEqual(client.call("SET", f"{7:8}", "less"), "OK")
        self.assertEqual(client.call("SET", "mor", "x" * (VALUE_MAX - 1)), "OK")
        self.assertLess(harness.memory_kb(self.upstream.pid), 2 * SLOW * BYTES_MAX / 1024)


COMMANDS = (("SET", "a", "1"), ("GET", "a"), ("INCR", "a"), ("PUBLISH", "a", "x"), ("DEL", "a"))


class Settings(UpstreamCase):
    """As for BLPOP, so for these."""

    def test_delay_is_added_to_each(self):
        client = self.client(self.start("--delay", "30ms"))
        for words, reply in zip(COMMANDS, ("OK", "1", 2, 0, 1)):
            found, took_s = client.timed(*words)
            self.assertEqual(found, reply)
            self.assertGreaterEqual(took_s, 0.03, words)
            self.assertLess(took_s, 0.03 + 0.1 * SLOW, words)
        self.assertLess(client.timed("PING")[1], 0.02 * SLOW)

    def test_without_a_delay_there_is_none(self):
        client = self.client()
        self.assertLess(min(client.timed("INCR", "a")[1] for _ in range(20)), 0.005 * SLOW)

    def test_delayed_commands_keep_their_order(self):
        client = self.client(self.start("--delay", "5ms"))
        client.send(b"".join(encoded(*words) for words in (
            ("SET", "a", "5"), ("PING", "1"), ("INCR", "a"), ("GET", "a"), ("PING", "2"),
            ("DEL", "a"), ("GET", "a"), ("INCR", "a"))))
        self.assertEqual(client.replies(8), ["OK", "1", 6, "6", "2", 1, None, 1])

    def test_a_command_is_carried_out_when_its_time_is_over(self):
        client, other = self.client(), self.client()
        other.call("CONFIG", "SET", "delay", f"{300 * SLOW:g}ms")
        client.send(encoded("SET", "a", "1"))
        self.assertTrue(wait_until(lambda: self.upstream.info()["blocked_clients"] == 1, 5))
        other.call("CONFIG", "SET", "delay", "0")
        self.assertIsNone(other.call("GET", "a"))
        self.assertEqual(client.reply(), "OK")
        self.assertEqual(other.call("GET", "a"), "1")

    def test_one_that_leaves_in_the_delay_has_done_nothing(self):
        client, other = self.client(), self.client()
        other.call("CONFIG", "SET", "delay", "100ms")
        client.send(encoded("SET", "a", "1"))
        self.assertTrue(wait_until(lambda: self.upstream.info()["blocked_clients"] == 1, 5))
        client.close()
        self.assertTrue(wait_until(lambda: self.upstream.info()["connected_clients"] == 2, 5))
        time.sleep(0.15)
        other.call("CONFIG", "SET", "delay", "0")
        self.assertIsNone(other.call("GET", "a"))

    def test_fail_is_an_error_and_nothing_else(self):
        client = self.client()
        client.call("SET", "a", "5")
        client.call("CONFIG", "SET", "fail", "100")
        for words in COMMANDS:
            self.assert_fails(client.call(*words), "on purpose")
        client.call("CONFIG", "SET", "fail", "0")
        self.assertEqual(client.call("GET", "a"), "5")
        counters = self.upstream.stop()[1]
        self.assertEqual([counters[name] for name in ("calls", "failed", "published")], [7, 5, 0])

    def test_drop_ends_the_connection_and_nothing_else(self):
        control = self.client()
        control.call("SET", "a", "5")
        control.call("CONFIG", "SET", "drop", "100")
        for words in COMMANDS:
            client = self.client()
            client.send(encoded(*words) + encoded("PING"))
            self.assertTrue(client.ended(), words)
            self.assertEqual(client.buffer, b"")
        control.call("CONFIG", "SET", "drop", "0")
        self.assertEqual(control.call("GET", "a"), "5")
        self.assertEqual(self.upstream.info()["dropped"], 5)

    def test_stall(self):
        control = self.client()
        control.call("CONFIG", "SET", "stall", "yes")
        clients = [self.client() for _ in COMMANDS]
        for client, words in zip(clients, COMMANDS):
            client.send(encoded(*words))
        self.assertEqual(self.client().call("CONFIG", "GET", "stall"), ["stall", "yes"])
        control.call("CONFIG", "SET", "stall", "no")
        self.assertIsNone(control.call("GET", "a"))
        for client in clients:
            self.assert_silent(client)

    def outcomes(self, *words):
        """Of 100 calls with the same seed: '.' good, 'F' failed."""
        client = self.client(self.start("--fail", "30", "--seed", "5"))
        return "".join("F" if isinstance(client.call(*words), Failure) else "."
                       for _ in range(100))

    def test_the_same_calls_fail_whatever_they_are(self):
        expected = self.outcomes("BLPOP", "a", "0.0001")
        self.assertGreater(expected.count("F"), 10)
        for words in COMMANDS:
            self.assertEqual(self.outcomes(*words), expected)
