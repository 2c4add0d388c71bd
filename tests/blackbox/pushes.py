"""Messages that a server pushes: topics, deliveries, and subscribers that die or are too slow."""

import os
import signal

import harness
from harness import (BINARY, SLOW, TEXT, Answer, Delivery, Ended, ServerCase, close_frame, composed,
                     framed, request, wait_until)

from .frames import padded
from .helpers import together


class Subscribing:
    """What the themes over servers that push have in common."""

    @classmethod
    def suits(cls, target):
        return target.about.get("push") is not None

    def subscriber(self, *topics, server=None, **options):
        websocket = self.websocket(server, **options)
        for topic in topics:
            self.assertEqual(websocket.ask("s", f"/subscribe?topic={topic}").status, 200)
        return websocket

    def publish(self, websocket, topic, payload=None):
        self.assertEqual(websocket.ask("p", f"/work?publish={topic}", payload).status, 200)

    def receives(self, websocket, topic, *payloads):
        """These are the next deliveries."""
        for payload in payloads:
            delivery = websocket.delivery()
            self.assertEqual((delivery.topic, delivery.payload.decode()), (topic, payload))

    @staticmethod
    def numbered(topic, publisher, count, name="-"):
        """So many messages that publish, for receives_all()."""
        return [composed(name, f"/work?publish={topic}", f"{publisher} {index}")
                for index in range(count)]

    def receives_all(self, websocket, topic, publishers, count):
        """Of each of these publishers every message, once and in order. Deliveries of other topics
        may come between."""
        found = {str(publisher): [] for publisher in publishers}
        while not all(numbers and numbers[-1] == count - 1 for numbers in found.values()):
            delivery = websocket.delivery()
            if delivery.topic == topic:
                publisher, _, number = delivery.payload.decode().partition(" ")
                found[publisher].append(int(number))
        for publisher, numbers in found.items():
            self.assertEqual(numbers, list(range(count)), f"publisher {publisher}")


class NoPushes(ServerCase):
    """An architecture that cannot push says so, and goes on."""

    @classmethod
    def suits(cls, target):
        return not Subscribing.suits(target)

    def test_not_implemented(self):
        self.assertEqual(self.server.get("/work?publish=a").status, 501)
        websocket = self.websocket()
        for target in ("/subscribe?topic=a", "/work?publish=a", "/work?body=5&publish=a"):
            with self.subTest(target=target):
                answer = websocket.ask("a", target, "payload")
                self.assertEqual(answer.status, 501)
                self.assertTrue(answer.body.strip(), "no reason given")
        websocket.send("- /work?publish=a")
        self.assertEqual(websocket.ask("b", "/").status, 200)


class Topics(Subscribing, ServerCase):
    """Who gets what is published."""

    def test_two_subscribers_and_a_publisher(self):
        subscribers = [self.subscriber("two") for _ in range(2)]
        publisher = self.websocket()
        for name, payload, opcode in (
                ("p1", "text", TEXT), ("p2", b"\xff\x00", BINARY), ("-", "one way", TEXT),
                ("-", b"one way", BINARY), ("p3", "", TEXT), ("p4", None, TEXT),
                ("x" * 32, "two\nlines\n\u20ac", TEXT)):
            with self.subTest(name=name, payload=payload):
                publisher.send(composed(name, "/work?publish=two", payload))
                if name != "-":
                    self.assertEqual(publisher.answer(), Answer(name, 200, None, b"ok\n"))
                data = payload.encode() if isinstance(payload, str) else payload or b""
                for subscriber in subscribers:
                    self.assertEqual(subscriber.delivery(), Delivery("two", name, data, opcode))

    def test_publisher_may_subscribe(self):
        websocket = self.subscriber("self")
        self.publish(websocket, "self", "x")
        self.receives(websocket, "self", "x")

    def test_subscribed_twice(self):
        """It still gets each delivery once, and leaves at once."""
        websocket = self.subscriber("again", "again", "fence")
        for payload in ("1", "2"):
            self.publish(websocket, "again", payload)
        self.receives(websocket, "again", "1", "2")
        self.assertEqual(websocket.ask("u", "/unsubscribe?topic=again").status, 200)
        self.publish(websocket, "again", "3")
        self.publish(websocket, "fence", "4")
        self.receives(websocket, "fence", "4")

    def test_unsubscribed(self):
        subscriber, publisher = self.subscriber("left", "kept"), self.websocket()
        self.publish(publisher, "left", "1")
        self.receives(subscriber, "left", "1")
        for _ in range(2):
            self.assertEqual(subscriber.ask("u", "/unsubscribe?topic=left").status, 200)
        self.publish(publisher, "left", "2")
        self.publish(publisher, "kept", "3")
        self.receives(subscriber, "kept", "3")
        self.assertEqual(subscriber.ask("s", "/subscribe?topic=left").status, 200)
        self.publish(publisher, "left", "4")
        self.receives(subscriber, "left", "4")

    def test_nobody_subscribed(self):
        websocket = self.websocket()
        self.publish(websocket, "nobody")
        self.assertEqual(websocket.ask("u", "/unsubscribe?topic=nobody").status, 200)
        self.publish(websocket, "nobody")

    def test_names(self):
        websocket = self.websocket()
        for topic in ("a", "0", "-", "_", "A-b_9", "x" * 31):
            with self.subTest(topic=topic):
                self.assertEqual(websocket.ask("s", f"/subscribe?topic={topic}").body, b"ok\n")
                self.publish(websocket, topic, "x")
                self.receives(websocket, topic, "x")
        for topic in ("", "x" * 32, "x" * 1000, "a.b", "a*", "a%2Fb", "%C3%A9", "a+b"):
            for target in (f"/subscribe?topic={topic}", f"/unsubscribe?topic={topic}",
                           f"/work?publish={topic}"):
                with self.subTest(target=target[:60]):
                    self.assertEqual(websocket.ask("a", target).status, 400)
        for target in ("/subscribe", "/subscribe?", "/subscribe?topic", "/subscribe?name=a",
                       "/unsubscribe", "/work?publish"):
            with self.subTest(target=target):
                self.assertEqual(websocket.ask("a", target).status, 400)

    def test_sixty_four_topics(self):
        websocket = self.subscriber(*(f"t{index}" for index in range(64)))
        self.assertEqual(websocket.ask("s", "/subscribe?topic=more").status, 400)
        self.assertEqual(websocket.ask("s", "/subscribe?topic=t5").status, 200)
        self.publish(websocket, "more", "x")
        for topic in ("t0", "t63"):
            self.publish(websocket, topic, "x")
            self.receives(websocket, topic, "x")
        self.assertEqual(websocket.ask("u", "/unsubscribe?topic=t0").status, 200)
        self.assertEqual(websocket.ask("s", "/subscribe?topic=more").status, 200)
        self.publish(websocket, "more", "y")
        self.receives(websocket, "more", "y")

    def test_over_http(self):
        """A request may publish, though not its body, and cannot subscribe."""
        self.assertEqual(self.server.get("/subscribe?topic=http").status, 400)
        self.assertEqual(self.server.get("/work?publish=a.b").status, 400)
        subscriber = self.subscriber("http")
        with self.server.peer() as peer:
            peer.send(request("/work?publish=http&body=5") +
                      request("/work?publish=http&body=6", "POST", "1.1", b"no payload"))
            self.assertEqual([len(peer.reply().body) for _ in range(2)], [5, 6])
        for _ in range(2):
            self.assertEqual(subscriber.delivery()[:3], ("http", "-", b""))

    def test_among_steps(self):
        subscriber, publisher = self.subscriber("one", "other"), self.websocket()
        for query in ("publish=one&body=5", "body=5&publish=one", "cpu=hash:1ms&publish=one&body=5",
                      "io=timer:1ms&publish=one&body=5&io=timer:1ms&cpu=hash:1ms"):
            with self.subTest(query=query):
                self.assertEqual(len(publisher.ask("a", f"/work?{query}", query).body), 5)
                self.receives(subscriber, "one", query)
        publisher.ask("b", "/work?publish=one&publish=other&io=timer:1ms&publish=one", "x")
        self.assertEqual([subscriber.delivery().topic for _ in range(3)], ["one", "other", "one"])


class Deliveries(Subscribing, ServerCase):
    """They come when they are published, whole, whatever else the connection does."""

    def come_before_the_answer(self, websocket, topic, *payloads):
        """What is published while a message waits; an architecture that blocks in the wait may
        deliver when it is over."""
        if "timer" in self.target.about["blocks"]:
            answer = websocket.answer()
            self.receives(websocket, topic, *payloads)
        else:
            self.receives(websocket, topic, *payloads)
            answer = websocket.answer()
        self.assertEqual((answer.id, answer.status), ("a", 200))

    def test_while_a_message_waits(self):
        subscriber, publisher = self.subscriber("wait"), self.websocket()
        subscriber.send(f"a /work?io=timer:{500 * SLOW:g}ms")
        for payload in ("1", "2"):
            self.publish(publisher, "wait", payload)
        self.come_before_the_answer(subscriber, "wait", "1", "2")

    def test_while_the_publishing_message_waits(self):
        subscriber = self.subscriber("own")
        subscriber.send(f"a /work?publish=own&io=timer:{300 * SLOW:g}ms\nx")
        self.come_before_the_answer(subscriber, "own", "x")

    def test_within_a_message(self):
        """Half of one has come from the subscriber."""
        subscriber, publisher = self.subscriber("half"), self.websocket()
        data = framed("a /work?body=5")
        subscriber.peer.send(data[:9])
        self.publish(publisher, "half", "x")
        self.receives(subscriber, "half", "x")
        subscriber.peer.send(data[9:])
        self.assertEqual(len(subscriber.answer().body), 5)

    def test_around_a_long_answer(self):
        """They do not get between its bytes while it is on its way."""
        subscriber, publisher = self.subscriber("long", receive_buffer=8192), self.websocket()
        subscriber.send("a /work?body=5000000")
        subscriber.need(1)
        payloads = [str(index) for index in range(50)]
        for payload in payloads:
            self.publish(publisher, "long", payload)
        self.assertEqual(len(subscriber.answer().body), 5000000)
        self.receives(subscriber, "long", *payloads)

    def test_lengths(self):
        subscriber, publisher = self.subscriber("t"), self.websocket()
        for size in (5, 125, 126, 127, 65500):
            with self.subTest(size=size):
                payload = "x" * (size - len("*t p\n"))
                self.publish(publisher, "t", payload)
                self.receives(subscriber, "t", payload)
        message = padded(65536, "p /work?publish=t")
        publisher.send(message)
        self.receives(subscriber, "t", message.partition("\n")[2])

    def test_subscriber_that_vanishes(self):
        """In the middle of a stream, of which the others get everything. Several in turn: what ends a
        connection and what is pushed to it meet in many ways."""
        first, last = [self.subscriber("gone") for _ in range(2)]
        publisher = self.websocket()
        messages = self.numbered("gone", 1, 200)
        for _ in range(5):
            victim = self.subscriber("gone")
            publisher.send(*messages[:100])
            self.receives(victim, "gone", "1 0")
            victim.peer.vanish()
            publisher.send(*messages[100:])
            for subscriber in (first, last):
                self.receives_all(subscriber, "gone", [1], 200)


class Audiences(Subscribing, ServerCase):
    """Many subscribers, and those that end; each server counts what it pushed."""

    options = None

    def test_many_subscribers_and_publishers(self):
        """On several processes, threads or loops, where there are some."""
        server = self.start("--workers", "3")
        subscribers = [self.subscriber("crowd", server=server) for _ in range(30)]
        publishers = [self.websocket(server) for _ in range(3)]
        count = int(200 / SLOW)

        def publish(index):
            publishers[index].send(*self.numbered("crowd", index, count, name="p"))
            for _ in range(count):
                self.assertEqual(publishers[index].answer().status, 200)

        together(3, publish)
        for subscriber in subscribers:
            self.receives_all(subscriber, "crowd", range(3), count)
        final = server.stop()
        self.assertEqual([final[name] for name in ("published", "pushed", "lost", "slow")],
                         [3 * count, 90 * count, 0, 0])

    def test_subscriptions_end_with_the_connection(self):
        server = self.start()
        for _ in range(10):
            polite, quiet, rude = [self.subscriber("ends", "too", server=server) for _ in range(3)]
            polite.peer.send(close_frame(1000))
            self.assertEqual(polite.closed(), 1000)
            polite.close()
            quiet.close()
            rude.peer.vanish()
        publisher = self.websocket(server)

        def others():
            metrics = server.metrics()
            return metrics["connections"] - metrics["closed"] - 2  # the publisher, and this look

        self.assertTrue(wait_until(lambda: others() <= 0, 5))
        for _ in range(10):
            self.publish(publisher, "ends", "x")
        last = self.subscriber("ends", server=server)
        self.publish(publisher, "ends", "y")
        self.receives(last, "ends", "y")
        final = server.stop()
        self.assertEqual((final["published"], final["pushed"]), (11, 1))
        self.assertEqual(final["closed"], final["connections"])

    def test_drain(self):
        server = self.start()
        subscribers = [self.subscriber("drain", server=server) for _ in range(20)]
        self.publish(self.websocket(server), "drain", "x")
        for subscriber in subscribers:
            self.receives(subscriber, "drain", "x")
        server.terminate()
        for subscriber in subscribers:
            self.assertEqual(subscriber.closed(), 1001)
        final, _ = server.finish()
        self.assertEqual((final["upgraded"], final["pushed"], final["closed"]), (21, 20, 21))


class SlowSubscribers(Subscribing, ServerCase):
    """What waits for a subscriber is bounded: one that does not read loses its connection."""

    options = None
    BATCH = 4  # messages of 8 KiB: less than the bound, so that nobody else is too slow
    PATIENCE = 4000  # messages; what the kernel holds for a connection is far less

    def cut(self, *asked):
        """A subscriber asks for this and does not read any more; another gets all that is published
        until the first is cut, and afterwards."""
        server = self.start("--outbox", "64k")
        slow = self.subscriber("t", server=server, receive_buffer=4096)
        reader = self.subscriber("t", server=server)
        publisher = self.websocket(server)
        for message in asked:
            slow.send(message)
            slow.need(1)
        published = cut_after = 0
        while not cut_after or published < cut_after + 5 * self.BATCH:
            self.assertLess(published, self.PATIENCE, "never cut")
            payloads = [f"{published + index} {'x' * 8192}" for index in range(self.BATCH)]
            publisher.send(*(composed("-", "/work?publish=t", payload) for payload in payloads))
            self.receives(reader, "t", *payloads)
            published += self.BATCH
            if not cut_after and server.metrics()["slow"]:
                cut_after = published
        slow.rest()
        self.assertEqual(reader.ask("a", "/").status, 200)
        final = server.stop()
        self.assertEqual((final["published"], final["slow"]), (published, 1))
        self.assertEqual(final["closed"], final["connections"])

    def test_deliveries_unread(self):
        self.cut()

    def test_answer_unread(self):
        self.cut("a /work?body=16777216")


class KilledSubscribers(Subscribing, ServerCase):
    """A process that is killed takes its own connections along, and nothing of the others'."""

    options = None

    @classmethod
    def suits(cls, target):
        """Processes that share the connections, evenly, or have one each."""
        return super().suits(target) and {"A1", "A8"} & set(target.about["ids"]) and \
            "shared" not in target.label

    @staticmethod
    def lives(websocket):
        try:
            return websocket.ask("a", "/").status == 200
        except (Ended, ConnectionError):
            return False

    def test_others_get_everything(self):
        server = self.start("--workers", "3")
        before = set(harness.children(server.pid))
        doomed = self.subscriber("before", server=server)
        its_own = set(harness.children(server.pid)) - before
        victim = min(its_own or before)
        subscribers = [self.subscriber("before", "after", server=server) for _ in range(30)]
        publishers = [self.websocket(server) for _ in range(5)]
        for publisher in publishers:
            publisher.send(*self.numbered("before", 0, 100))
        os.kill(victim, signal.SIGKILL)
        self.assertTrue(wait_until(lambda: victim not in harness.children(server.pid), 5))
        if its_own:
            doomed.rest()

        survivors = [each for each in subscribers if self.lives(each)]
        self.assertTrue(survivors)
        survivors += [self.subscriber("after", server=server) for _ in range(6)]
        publishers = [each for each in publishers if self.lives(each)] + [self.websocket(server)]
        for index, publisher in enumerate(publishers):
            publisher.send(*self.numbered("after", index, 50))
        for subscriber in survivors:
            self.receives_all(subscriber, "after", range(len(publishers)), 50)
        final = server.stop()
        self.assertEqual((final["crashed"], final["closed"]), (1, final["connections"]))
