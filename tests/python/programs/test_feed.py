#!/usr/bin/python3
"""The load generator as a feed: one-way messages that go out together, and requests that say when they were
due."""

import json
import os
import re
import signal
import subprocess
import time

from generator_case import OK, Case, Server, calibration_text, children_of, start
from websocket_hub import Hub

BUILD = os.environ.get("BUILD", "build")
FEED = """[workload]
arrivals = constant
connections = 1
{keys}
[class feed]
protocol = websocket
one_way = yes
request = /work?at={{time}}
rate = {rate}
connections = {connections}
{feed}
"""
TRADE = """[class trade]
request = /work?trade={time}
rate = 100
"""


def moments(targets):
    """What digits say in '/work?at=...', ns; there have to be twenty."""
    return [int(re.fullmatch(r"/work\?\w+=(\d{20})", target)[1]) for target in targets]


class Counting(Hub):
    """Knows when it has read messages."""

    def __init__(self):
        super().__init__()
        self.read_ns = []

    def handle(self, peer, message):
        super().handle(peer, message)
        with self.lock:
            self.read_ns.append(time.monotonic_ns())


class Deaf(Hub):
    """Opens WebSockets and reads nothing more; answers requests."""

    def __call__(self, peer):
        if b"Upgrade" in peer.sock.recv(4096, 2):  # MSG_PEEK
            super().__call__(peer)
        for _ in peer.requests():
            peer.send(OK)

    def frames(self, peer):
        time.sleep(3)
        yield 8, b""


class Feed(Case):
    def run_feed(self, hub, *arguments, rate=400, connections=2, feed="", keys="", beside="", time_s=0.3):
        path = self.path("feed.ini", FEED.format(rate=rate, connections=connections, feed=feed,
                                                 keys=keys) + beside)
        with Server(hub) as server:
            result = self.load(server.url(), "--workload", path, "-d", f"{int(time_s * 1e3)}ms",
                               *arguments, default_time=False)
        return result

    def test_messages_say_when_they_were_due(self):
        hub, begin_ns = Hub(), time.monotonic_ns()
        result = self.run_feed(hub)
        due_ns = sorted(moments(target for _, target, _ in hub.messages))
        self.assertEqual((result["classes"]["feed"]["good"], len(due_ns)), (120, 120))
        self.assertGreater(due_ns[0], begin_ns)
        self.assertLess(due_ns[-1], time.monotonic_ns())
        for one, other in zip(due_ns, due_ns[1:]):
            self.assertAlmostEqual(other - one, 2.5e6, delta=2)

    def test_all_that_was_read_is_confirmed(self):
        feed = self.run_feed(Hub())["classes"]["feed"]
        self.assertEqual(feed["one_way"], {"written": 120, "confirmed": 120, "rate": 400.0,
                                           "gather_s": 0.0})
        self.assertIn("one-way messages of feed: 120 written, 400.0/s; the server has read 120 of",
                      self.stdout)

    def test_they_wait_for_each_other_as_long_as_they_may(self):
        """Ten to a batch: a message waits for 10 ms on average, which is no lag."""
        hub = Counting()
        feed = self.run_feed(hub, feed="gather = 20ms", rate=500, connections=1)["classes"]["feed"]
        self.assertEqual((feed["good"], len(hub.read_ns)), (150, 150))
        gaps = [b - a for a, b in zip(hub.read_ns, hub.read_ns[1:])]
        self.assertLess(sum(gap > 5e6 for gap in gaps), 25)
        self.assertEqual(feed["one_way"]["gather_s"], 0.02)
        self.assertGreater(feed["response"]["p50_us"], 5e3)
        self.assertLess(feed["response"]["p50_us"], 15e3)
        self.assertLess(feed["lag"]["p50_us"], 5e3)
        due_ns = moments(target for _, target, _ in hub.messages)
        self.assertEqual(due_ns, sorted(due_ns), "in their order")

    def test_those_that_still_gather_at_the_end_are_sent(self):
        hub = Hub()
        feed = self.run_feed(hub, feed="gather = 1s", rate=100, connections=1)["classes"]["feed"]
        self.assertEqual((feed["requests"], feed["good"], len(hub.messages)), (30, 30, 30))

    def test_without_gathering_each_goes_at_its_moment(self):
        hub = Counting()
        feed = self.run_feed(hub, rate=200)["classes"]["feed"]
        self.assertLess(feed["response"]["p50_us"], 2e3)
        gaps = [b - a for a, b in zip(hub.read_ns, hub.read_ns[1:])]
        self.assertGreater(sum(gap > 1e6 for gap in gaps), 40)

    def test_a_full_socket_keeps_nothing_else_back(self):
        """What the feed's server does not read waits, and is counted; requests beside it go on."""
        result = self.run_feed(Deaf(), feed="body = 20000", rate=2000, beside=TRADE, keys="timeout = 1s",
                               time_s=0.5)
        feed, trade = result["classes"]["feed"], result["classes"]["trade"]
        self.assertEqual((trade["requests"], trade["good"]), (50, 50))
        self.assertLess(trade["lag"]["p50_us"], 2e3)
        self.assertEqual(feed["requests"], 1000)
        self.assertGreater(feed["errors"], 100)
        self.assertEqual(feed["errors"],
                         result["errors"]["unsent"] + result["errors"]["unanswered"])
        self.assertGreater(feed["good"], 0)
        self.assertEqual(feed["one_way"]["confirmed"], 0)
        self.assertGreater(result["generator"]["backlog_max"], 100)
        self.assertIn("on 2 connections the server did not confirm", self.stdout)

    def test_what_a_lost_connection_carried_is_not_confirmed(self):
        class Breaking(Hub):
            def handle(self, peer, message):
                super().handle(peer, message)
                if len(self.messages) == 30:
                    raise OSError("enough")
        hub = Breaking()
        feed = self.run_feed(hub, "--drain", "1s", rate=200, connections=1, time_s=0.5)["classes"]["feed"]
        self.assertLess(feed["one_way"]["confirmed"], feed["one_way"]["written"] - 20)
        self.assertGreater(feed["one_way"]["confirmed"], 20, "on the connection after it")

    def interrupted(self, hub, interrupt, **values):
        """Of the class feed, after `interrupt` was called with the process in the middle of its window."""
        out, path = self.path("out.json"), self.path("feed.ini", FEED.format(keys="", **values))
        with Server(hub) as server:
            process = start("--warmup", "0", "-d", "2s", "--json", out, "--workload", path, server.url())
            time.sleep(0.7)
            interrupt(process)
            process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)
        with open(out, encoding="utf-8") as file:
            result = json.load(file)
        self.check_sums(result)
        return result["classes"]["feed"]

    def test_what_the_generator_sends_late_is_its_lag(self):
        """A fifth of a second: four hundred messages, more than go out at once."""
        def stop(process):
            for worker in children_of(process.pid):
                os.kill(worker, signal.SIGSTOP)
                time.sleep(0.2)
                os.kill(worker, signal.SIGCONT)
        feed = self.interrupted(Hub(), stop, rate=2000, connections=2, feed="")
        self.assertEqual((feed["requests"], feed["good"]), (4000, 4000))
        self.assertGreater(feed["lag"]["p99_us"], 100e3)
        late = feed["lag"]["max_us"]
        self.assertLess(feed["response"]["p99_us"], late / 2)

    def test_a_window_that_ends_early_has_what_was_due_in_it(self):
        hub = Hub()
        feed = self.interrupted(hub, lambda process: process.send_signal(signal.SIGINT),
                                rate=1000, connections=2, feed="gather = 1s")
        self.assertGreater(feed["requests"], 400)
        self.assertLess(feed["requests"], 1500)
        self.assertEqual((feed["good"], len(hub.messages)), (feed["requests"], feed["requests"]))

    def test_bursts_are_in_the_result(self):
        path = self.path("w.ini", FEED.format(
            rate=2000, connections=2, keys="", feed="burst_load = 4\nburst_length = 20ms\nburst_share = 20%"
        ).replace("constant", "poisson"))
        with Server(Hub()) as server:
            result = self.load(server.url(), "--workload", path)
        self.assertEqual(result["classes"]["feed"]["bursts"],
                         {"load": 4.0, "length_s": 0.02, "share": 0.2})
        self.assertEqual(result["target_rate"], 2000.0)


class Requests(Case):
    def due(self, keys, workload=""):
        """What requests of a server said, in its order."""
        path = self.path("w.ini", f"[workload]\narrivals = constant\nconnections = 8\n{workload}\nrate = 100\n"
                                  f"[class a]\n{keys}\n")
        with Server(lambda peer: [peer.send(OK) for _ in peer.requests()]) as server:
            result = self.load(server.url(), "--workload", path, "--drain", "2s")
        targets = [head.split(" ")[1] for head in server.requests]
        self.assertEqual((result["good"], len(targets)), (30, 30))
        return moments(targets)

    def test_requests_say_when_they_were_due(self):
        due_ns = sorted(self.due("request = GET /work?at={time}"))
        for one, other in zip(due_ns, due_ns[1:]):
            self.assertAlmostEqual(other - one, 1e7, delta=2)

    def test_slow_writers_do_too(self):
        """Several requests of the same bytes are under way."""
        due_ns = sorted(self.due("request = /work?at={time}\nsend_rate = 1k"))
        for one, other in zip(due_ns, due_ns[1:]):
            self.assertAlmostEqual(other - one, 1e7, delta=2)

    def test_messages_with_a_reply_do_too(self):
        hub = Hub()
        path = self.path("w.ini", "[workload]\narrivals = constant\nconnections = 4\nrate = 100\n[class a]\n"
                                  "protocol = websocket\nrooms = 2\nrequest = /work?room{room}={time}\n")
        with Server(hub) as server:
            result = self.load(server.url(), "--workload", path)
        self.assertEqual(result["good"], 30)
        targets = [target for _, target, _ in hub.messages if "work" in target]
        self.assertEqual({target.partition("=")[0] for target in targets},
                         {"/work?room0", "/work?room1"})
        due_ns = sorted(moments(targets))
        for one, other in zip(due_ns, due_ns[1:]):
            self.assertAlmostEqual(other - one, 1e7, delta=2)

    def test_digests_are_checked_all_the_same(self):
        """The grammar of the request is that of one with digits."""
        path = self.path("w.ini", "[workload]\narrivals = constant\nrate = 50\n[class a]\n"
                                  "request = /work?cpu=hash:1ms&class=at{time}\n")
        with Server(lambda peer: [peer.send(OK) for _ in peer.requests()]) as server:
            result = self.load(server.url(), "--workload", path, "--calibration",
                               self.path("calibration.json", calibration_text()))
        self.assertEqual(result["errors"]["digest"], 15)


class OurServer(Case):
    def test_a_full_feed_is_a_valid_run_and_trades_are_in_time(self):
        server = subprocess.Popen([os.path.join(BUILD, "servers", "event"), "--port", "0"],
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        port = int(server.stdout.readline().rpartition(":")[2])
        path = self.path("w.ini", FEED.format(rate=50000, connections=4, feed="gather = 200us", keys="")
                         .replace("at={time}", "class=feed")
                         + TRADE.replace("trade={time}", "class=trade").replace("100", "1000"))
        result = self.load(f"http://127.0.0.1:{port}/", "--workload", path, "-d", "500ms", "--drain", "2s",
                           default_time=False)
        server.send_signal(signal.SIGTERM)
        final = json.loads(server.stdout.read().splitlines()[-1])
        feed, trade = result["classes"]["feed"], result["classes"]["trade"]
        self.assertEqual(result["validity"]["verdict"], "VALID")
        self.assertEqual((feed["requests"], feed["good"], feed["one_way"]["confirmed"]),
                         (25000, 25000, 25000))
        self.assertEqual(final["requests"], 25504)  # four of them handshakes
        self.assertEqual(trade["good"], 500)
        self.assertLess(trade["lag"]["p50_us"], 500)
