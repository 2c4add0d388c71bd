"""Black-box tests of build/upstream: publish and subscribe."""
import time

import harness
from harness import SLOW, wait_until
from upstream_program import Client, UpstreamCase, VALUE_MAX, encoded


class ChannelCase(UpstreamCase):
    def subscriber(self, *channels, patterns=(), upstream=None, **options):
        client = self.client(upstream, **options)
        for words in (("SUBSCRIBE", *channels), ("PSUBSCRIBE", *patterns)):
            if len(words) > 1:
                client.send(encoded(*words))
                client.replies(len(words) - 1)
        return client

    def others(self):
        """Connections beside the one that asks."""
        return self.upstream.info()["connected_clients"] - 1


class Subscribing(ChannelCase):
    def test_each_name_is_confirmed(self):
        client = self.client()
        client.send(encoded("SUBSCRIBE", "a", "b", "a") + encoded("psubscribe", "a*", "b") +
                    encoded("UNSUBSCRIBE", "b", "x") + encoded("PUNSUBSCRIBE", "x", "b"))
        self.assertEqual(client.replies(9), [
            ["subscribe", "a", 1], ["subscribe", "b", 2], ["subscribe", "a", 2],
            ["psubscribe", "a*", 3], ["psubscribe", "b", 4],
            ["unsubscribe", "b", 3], ["unsubscribe", "x", 3],
            ["punsubscribe", "x", 3], ["punsubscribe", "b", 2]])

    def test_without_names_all_are_left(self):
        client = self.client()
        client.send(encoded("UNSUBSCRIBE") + encoded("PUNSUBSCRIBE") + encoded("PING"))
        self.assertEqual(client.replies(3), [["unsubscribe", None, 0], ["punsubscribe", None, 0],
                                             "PONG"])
        client.send(encoded("SUBSCRIBE", "a", "b") + encoded("PSUBSCRIBE", "p*", "q*"))
        client.replies(4)
        client.send(encoded("UNSUBSCRIBE") + encoded("UNSUBSCRIBE") + encoded("PUNSUBSCRIBE"))
        self.assertEqual(client.replies(5), [
            ["unsubscribe", "a", 3], ["unsubscribe", "b", 2], ["unsubscribe", None, 2],
            ["punsubscribe", "p*", 1], ["punsubscribe", "q*", 0]])
        self.assertEqual(client.call("SET", "a", "1"), "OK")

    def test_a_subscriber_may_do_little_else(self):
        client = self.subscriber("a")
        for words in (("GET", "a"), ("SET", "a", "1"), ("DEL", "a"), ("INCR", "a"),
                      ("PUBLISH", "a", "x"), ("BLPOP", "a", "0.001"), ("INFO",)):
            self.assertEqual(
                client.call(*words),
                f"ERR Can't execute '{words[0].lower()}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / "
                "PING / QUIT / RESET are allowed in this context")
        self.assert_fails(client.call("CONFIG", "GET", "fail"), "Can't execute")
        self.assert_fails(client.call("NOTHING"), "unknown command")
        self.assert_fails(client.call("GET"), "wrong number")
        self.assertEqual(client.call("PING"), ["pong", ""])
        self.assertEqual(client.call("PING", "text"), ["pong", "text"])
        self.assertEqual(client.call("QUIT"), "OK")
        self.assertTrue(client.ended())

    def test_patterns_that_are_not_understood(self):
        client = self.client()
        for pattern in "a?", "*a", "a*b", "**", "[ab]", "a\\*", "x" * 256, "?*":
            self.assert_fails(client.call("PSUBSCRIBE", "good", pattern), "in patterns only a *")
        self.assert_fails(client.call("SUBSCRIBE", "good", "x" * 256), "255 bytes")
        self.assertEqual(client.call("PING"), "PONG", "it has not subscribed to the good one")
        self.assertEqual(client.call("SUBSCRIBE", "a?[*\\"), ["subscribe", "a?[*\\", 1])

    def test_1024_subscriptions(self):
        client = self.client()
        for begin in range(0, 1022, 7):
            client.send(encoded("SUBSCRIBE", *range(begin, begin + 7)))
        self.assertEqual(client.replies(1022)[-1], ["subscribe", "1021", 1022])
        self.assert_fails(client.call("PSUBSCRIBE", "a", "b", "c"), "1024 subscriptions")
        client.send(encoded("PSUBSCRIBE", "a", "b"))
        self.assertEqual(client.replies(2)[-1], ["psubscribe", "b", 1024])
        self.assert_fails(client.call("SUBSCRIBE", "more"), "1024 subscriptions")
        client.send(encoded("UNSUBSCRIBE"))
        self.assertEqual(client.replies(1022)[-1], ["unsubscribe", "1021", 2])

    def test_wrong_arguments(self):
        client = self.client()
        for words in ("SUBSCRIBE",), ("PSUBSCRIBE",):
            self.assert_fails(client.call(*words), "wrong number")


class Messages(ChannelCase):
    def test_to_channels_and_patterns(self):
        one, other = self.subscriber("a"), self.subscriber("b", "a")
        pattern, both = self.subscriber(patterns=["a*"]), self.subscriber("a", patterns=["*", "a"])
        publisher = self.client()
        self.assertEqual([publisher.call("PUBLISH", name, "x") for name in
                          ("a", "b", "ab", "c", "", "A")], [6, 2, 2, 1, 1, 1])
        self.assertEqual(one.reply(), ["message", "a", "x"])
        self.assertEqual(other.replies(2), [["message", "a", "x"], ["message", "b", "x"]])
        self.assertEqual(pattern.replies(2), [["pmessage", "a*", "a", "x"],
                                              ["pmessage", "a*", "ab", "x"]])
        first, *rest = both.replies(8)
        self.assertEqual(first, ["message", "a", "x"])
        self.assertEqual(sorted(rest[:2]), [["pmessage", "*", "a", "x"],
                                            ["pmessage", "a", "a", "x"]])
        self.assertEqual([push[2] for push in rest[2:]], ["b", "ab", "c", "", "A"])
        counters = self.upstream.stop()[1]
        self.assertEqual([counters[name] for name in ("published", "delivered", "slow", "calls")],
                         [6, 13, 0, 6])

    def test_any_bytes_of_any_length(self):
        subscriber, publisher = self.subscriber("a"), self.client()
        for message in (b"", b"\0", b"\r\n$-1\r\n", b"\xff", b"x" * 1000, b"y" * VALUE_MAX,
                        b"z" * (VALUE_MAX + 1000)):
            self.assertEqual(publisher.call("PUBLISH", "a", message), 1)
            self.assertEqual(subscriber.reply()[2].encode(errors="surrogateescape"), message)

    def test_those_who_left_get_nothing(self):
        subscriber, publisher = self.subscriber("a", "b"), self.client()
        subscriber.call("UNSUBSCRIBE", "a")
        self.assertEqual(publisher.call("PUBLISH", "a", "1"), 0)
        self.assertEqual(publisher.call("PUBLISH", "b", "2"), 1)
        self.assertEqual(subscriber.reply(), ["message", "b", "2"])

    def test_many_in_order(self):
        """From a publisher that pipelines, to several subscribers."""
        subscribers = [self.subscriber("a"), self.subscriber(patterns=["*"]), self.subscriber("a")]
        publisher, count = self.client(), 3000
        for begin in range(0, count, 100):
            publisher.send(b"".join(encoded("PUBLISH", "a", n) for n in range(begin, begin + 100)))
            self.assertEqual(publisher.replies(100), [3] * 100)
        for subscriber in subscribers:
            self.assertEqual([push[-1] for push in subscriber.replies(count)],
                             [str(number) for number in range(count)])

    def test_commands_behind_messages(self):
        """While messages wait for a subscriber its commands do, too, and are answered in the end."""
        subscriber, publisher = self.subscriber("a", receive_buffer=8192), self.client()
        subscriber.send(encoded("PING") * 5000)
        for _ in range(60):
            publisher.call("PUBLISH", "a", "x" * 10000)
        found = [subscriber.reply() for _ in range(5060)]
        self.assertEqual(found.count(["pong", ""]), 5000)
        self.assertEqual(found.count(["message", "a", "x" * 10000]), 60)
        self.assertEqual(subscriber.call("UNSUBSCRIBE"), ["unsubscribe", "a", 0])
        self.assertEqual(subscriber.call("PUBLISH", "a", "x"), 0)

    def test_a_delayed_message(self):
        subscriber, publisher = self.subscriber("a"), self.client()
        publisher.call("CONFIG", "SET", "delay", f"{100 * SLOW:g}ms")
        begin = time.monotonic()
        publisher.send(encoded("PUBLISH", "a", "x"))
        self.assertEqual(subscriber.reply(), ["message", "a", "x"])
        self.assertGreaterEqual(time.monotonic() - begin, 0.1 * SLOW)
        self.assertEqual(publisher.reply(), 1)

    def test_one_that_fails_reaches_nobody(self):
        subscriber, publisher = self.subscriber("a"), self.client()
        publisher.call("CONFIG", "SET", "fail", "100")
        self.assert_fails(publisher.call("PUBLISH", "a", "x"))
        publisher.call("CONFIG", "SET", "fail", "0")
        publisher.call("PUBLISH", "a", "y")
        self.assertEqual(subscriber.reply(), ["message", "a", "y"])

    def test_cut_at_every_byte(self):
        client, publisher = self.client(), self.client()
        data = encoded("SUBSCRIBE", "a") + encoded("PING") + encoded("UNSUBSCRIBE")
        for cut in range(1, len(data)):
            client.send_in_parts([data[:cut], data[cut:]], pause_s=0.0005)
            self.assertEqual(client.replies(3), [["subscribe", "a", 1], ["pong", ""],
                                                 ["unsubscribe", "a", 0]], cut)
        self.assertEqual(publisher.call("PUBLISH", "a", "x"), 0)

    def test_subscribers_that_leave(self):
        """In every way, in the midst of messages; nobody else misses one."""
        witness, publisher = self.subscriber("a"), self.client()
        descriptors = harness.descriptors(self.upstream.pid)
        for leave in Client.close, Client.vanish, lambda client: client.send(encoded("QUIT")), \
                lambda client: client.send(b"noise\r\n"):
            for _ in range(5):
                client = self.subscriber("a", patterns=["*"])
                publisher.send(encoded("PUBLISH", "a", "x") * 5)
                leave(client)
                publisher.send(encoded("PUBLISH", "a", "x") * 5)
                publisher.replies(10)
                self.assertEqual(witness.replies(10), [["message", "a", "x"]] * 10)
        self.assertTrue(wait_until(lambda: self.others() == 2, 5))
        self.assertTrue(wait_until(
            lambda: harness.descriptors(self.upstream.pid) == descriptors, 5))
        self.assertEqual(publisher.call("PUBLISH", "a", "x"), 1)


class Slow(ChannelCase):
    MESSAGE = "x" * 16384
    PATIENCE = 4000  # messages; what the kernel holds for a connection is far less

    def publish_until_slow(self, publisher, others):
        for _ in range(self.PATIENCE):
            publisher.call("PUBLISH", "a", self.MESSAGE)
            for other in others:
                self.assertTrue(other.reply()[-1] == self.MESSAGE, "another one")
            if self.upstream.info()["slow"]:
                return
        self.fail("what waits for a subscriber has no bound")

    def test_one_that_does_not_read(self):
        publisher, memory_kb = self.client(), harness.memory_kb(self.upstream.pid)
        others = [self.subscriber("a"), self.subscriber(patterns=["a"])]
        lazy = self.subscriber("a", receive_buffer=8192)
        self.publish_until_slow(publisher, others)
        self.assertEqual(self.others(), 3)
        self.assertEqual(publisher.call("PUBLISH", "a", "last"), 2)
        self.assertLess(harness.memory_kb(self.upstream.pid) - memory_kb, SLOW * 4096)
        try:
            while lazy.receive(1 << 20):
                pass
        except ConnectionResetError:
            pass
        self.assertEqual(self.upstream.stop()[1]["slow"], 1)

    def test_one_that_is_late_and_reads(self):
        """Less than the outbox waits, so nothing is lost."""
        late, publisher = self.subscriber("a", receive_buffer=8192), self.client()
        for number in range(60):
            self.assertEqual(publisher.call("PUBLISH", "a", f"{number} {self.MESSAGE}"), 1)
        self.assertEqual([late.reply()[2].split()[0] for _ in range(60)],
                         [str(number) for number in range(60)])
        self.assertEqual(self.upstream.info()["slow"], 0)

    def test_the_limit_is_an_option(self):
        upstream = self.start("--outbox", "1k")
        client = self.subscriber("a", "b", upstream=upstream)
        publisher = self.client(upstream)
        self.assertEqual(publisher.call("PUBLISH", "a", "x" * 900), 1)
        self.assertEqual(client.reply(), ["message", "a", "x" * 900])
        self.assertEqual(publisher.call("PUBLISH", "b", "x" * 1000), 0)
        self.assertTrue(client.ended())
        self.assertEqual(upstream.stop()[1]["slow"], 1)
