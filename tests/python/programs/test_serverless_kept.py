#!/usr/bin/python3
"""What a serverless router keeps: dead letters, and with a journal everything that it accepted."""

import json
import os
import random
import re
import signal
import tempfile
import threading
import time
import unittest

import harness
from harness import SLOW, request, wait_until
from serverless_router import Case


class DeadLetters(Case):
    def test_listed_and_bounded(self):
        server = self.start("--crash", "bad:100", "--retries", "0", "--dead-letters", "3",
                            "--cold-start", "0")
        self.assertEqual(self.page(server, "/dead-letters"), [])
        for n in range(5):
            server.get(f"/work?cpu=hash:{n + 1}ms&body={n}&io=timer:1500us&class=bad")
        dead_letters = self.page(server, "/dead-letters")
        self.assertEqual([dead_letter["id"] for dead_letter in dead_letters], [3, 4, 5])
        self.assertEqual(dead_letters[0]["target"],
                         "/work?cpu=hash:3ms&io=timer:1500us&body=2&class=bad")
        self.assertEqual([dead_letters[0][key] for key in ("function", "reason", "attempts")],
                         ["bad", "crashed", 1])
        self.assertGreaterEqual(dead_letters[0]["age_s"], dead_letters[2]["age_s"])
        metrics = server.metrics()
        self.assertEqual([metrics[key] for key in ("dead_letters", "dead_letters_lost",
                                                   "given_up")], [3, 2, 5])

    def test_none_are_kept(self):
        server = self.start("--crash", "bad:100", "--retries", "0", "--dead-letters", "0")
        self.assertEqual(server.get("/work?class=bad").status, 502)
        self.assertEqual(self.page(server, "/dead-letters"), [])

    def test_replay_in_vain(self):
        server = self.start("--crash", "bad:100", "--retries", "1", "--cold-start", "0")
        server.get("/work?class=bad")
        self.assertEqual(self.page(server, "/dead-letters/replay", "POST"), {"replaying": 1})
        self.assertTrue(wait_until(
            lambda: self.page(server, "/dead-letters")[0]["attempts"] == 3, 5))
        time.sleep(0.2)
        [dead_letter] = self.page(server, "/dead-letters")
        self.assertEqual([dead_letter[key] for key in ("attempts", "replaying", "id")],
                         [3, False, 1])

    def test_replay_succeeds(self):
        """The cause is mended (here: somebody ends the instance no more), and all is done."""
        server = self.start("--retries", "0", "--cold-start", "0")
        for _ in range(3):
            peer = server.peer()
            peer.send(request("/work?io=timer:300ms&class=a"))
            self.assertTrue(wait_until(lambda: self.function(server, "a") and
                                       self.pids(server, "a", ("busy",)), 5))
            os.kill(self.pids(server, "a", ("busy",))[0], signal.SIGKILL)
            self.assertEqual(peer.reply().status, 502)
        self.assertEqual(len(self.page(server, "/dead-letters")), 3)
        before = server.metrics()["requests"]
        self.assertEqual(self.page(server, "/dead-letters/replay", "POST"), {"replaying": 3})
        self.assertEqual(self.page(server, "/dead-letters/replay", "POST"), {"replaying": 0})
        self.assertTrue(wait_until(lambda: not self.page(server, "/dead-letters"), 5))
        metrics = server.metrics()
        self.assertEqual((metrics["replayed"], metrics["dead_letters"]), (3, 0))
        self.assertLess(metrics["requests"] - before, 200, "no client, no request")

    def test_replay_under_way_does_not_hold_the_end(self):
        server = self.start("--retries", "0", "--function-timeout", f"{200 * SLOW:g}ms")
        server.get("/work?io=timer:50s&class=slow")
        self.page(server, "/dead-letters/replay", "POST")
        _, lasted_s = server.finish() if server.terminate() else (None, 0)
        self.assertLess(lasted_s, 2 * SLOW)

    def test_only_post_replays(self):
        server = self.start()
        self.assertEqual(server.get("/dead-letters/replay").status, 404)

    def test_a_long_list_comes_whole(self):
        """Far more than a connection's buffer, and in a pipeline."""
        server = self.start("--crash", "bad:100", "--retries", "0", "--cold-start", "0",
                            "--dead-letters", "200")
        steps = "&".join(["io=timer:1us"] * 16)
        self.assertEqual(set(self.together(server, 60, f"/work?{steps}&class=bad")), {502})
        with server.peer(receive_buffer=4096) as peer:
            peer.send(request("/dead-letters") * 3 + request("/dead-letters", "HEAD") + request())
            bodies = [peer.reply().body for _ in range(3)]
            self.assertEqual(peer.reply(head=True).headers["content-type"], "application/json")
            self.assertEqual(peer.reply().status, 200)
        for body in bodies:
            self.assertEqual([each["id"] for each in json.loads(body)], list(range(1, 61)))

    def test_a_class_does_not_stick_to_a_connection(self):
        server = self.start()
        with server.peer() as peer:
            peer.get("/work?class=a")
            peer.get("/")
        self.assertEqual(self.function(server, "default")["invocations"], 1)


class Survival(Case):
    """With a journal nothing that was accepted is lost, whoever is killed at whatever moment."""

    KILLS = 100  # of instances, and as many of the router
    CLIENTS = 4

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.journal = os.path.join(self.folder.name, "journal")
        self.lock = threading.Lock()
        self.number, self.outcome = 0, {}  # of events: a status, or None for no answer
        self.accepted = set()  # whatever has stood in the journal

    def begin(self, *options):
        server = harness.Server(self.target, "--journal", self.journal, "--dead-letters", "100000",
                                "--cold-start", "0", "--retries", "1", "--retry-base", "1ms",
                                *options)
        self.addCleanup(server.errors.close)
        return server

    def kill(self, server):
        """SIGKILL to the router; then what it had accepted is known."""
        server.process.kill()
        server.process.wait()
        server.process.stdout.close()
        harness.Server.running.discard(server.process)
        with open(self.journal, encoding="ascii") as file:
            self.accepted |= set(map(int, re.findall(r"[?&]count=(\d+)", file.read())))

    def next_number(self):
        with self.lock:
            self.number += 1
            return self.number

    def client(self, going_on):
        """One event after the other, each with a number of its own."""
        peer = None
        while going_on():
            number = self.next_number()
            try:
                peer = peer or self.router.peer()
                status = peer.get(f"/work?io=timer:1ms&count={number}&class=f{number % 3}").status
            except (OSError, AssertionError):  # the router has gone
                if peer:
                    peer.close()
                status, peer = None, None
            self.outcome[number] = status
            if status is None:
                time.sleep(0.002)

    def dead_letters(self, server):
        found = self.page(server, "/dead-letters")
        numbers = [int(re.search(r"count=(\d+)", each["target"])[1]) for each in found]
        self.assertEqual(len(set(numbers)), len(numbers), "an event lies there twice")
        return dict(zip(numbers, (each["reason"] for each in found)))

    def under_load(self, disturb):
        self.router = self.begin()
        stop = threading.Event()
        clients = [threading.Thread(target=self.client, args=(lambda: not stop.is_set(),))
                   for _ in range(self.CLIENTS)]
        for thread in clients:
            thread.start()
        try:
            disturb()
        finally:
            stop.set()
            for thread in clients:
                thread.join()

    def account(self):
        """Every event that a client sent, in one way or the other."""
        dead_letters = self.dead_letters(self.router)
        self.kill(self.router)
        statuses = {status: {n for n, each in self.outcome.items() if each == status}
                    for status in set(self.outcome.values())}
        self.assertLessEqual(set(statuses), {200, 502, None})
        failed, silent = (statuses.get(status, set()) for status in (502, None))
        self.assertEqual(failed - set(dead_letters), set(), "was told to have failed, and is lost")
        self.assertEqual(silent & self.accepted - set(dead_letters), set(), "accepted, and lost")
        self.assertLessEqual(set(dead_letters), self.accepted)
        return statuses, dead_letters

    def test_routers_are_killed(self):
        def disturb():
            for _ in range(self.KILLS):
                time.sleep(random.uniform(0, 0.03))
                self.kill(self.router)
                self.router = self.begin()
        self.under_load(disturb)
        statuses, dead_letters = self.account()
        self.assertGreater(len(statuses[200]), self.KILLS)
        self.assertGreater(len(dead_letters), 20)
        self.assertEqual(set(dead_letters.values()), {"router ended"})
        # Told at the last moment, and dead before the record of it had gone: at least once.
        self.assertLess(len(statuses[200] & set(dead_letters)), self.KILLS)
        self.assertTrue(wait_until(lambda: not self.orphans(), 2))

    def orphans(self):
        """Instances of ours whose router has gone: they have its command line."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    found += [pid] * (self.journal.encode() in file.read())
            except OSError:
                pass
        return found

    def test_instances_are_killed(self):
        killed = set()

        def disturb():
            while len(killed) < self.KILLS:
                instances = set(harness.children(self.router.pid)) - killed
                if instances:
                    victim = random.choice(sorted(instances))
                    os.kill(victim, signal.SIGKILL)
                    killed.add(victim)
                time.sleep(0.005)
        self.under_load(disturb)
        self.assertTrue(wait_until(lambda: self.router.metrics()["crashed"] == self.KILLS, 5))
        statuses, dead_letters = self.account()
        self.assertEqual(set(dead_letters), statuses.get(502, set()))
        self.assertNotIn(None, statuses)
        self.assertGreater(len(statuses[200]), self.KILLS)

    def test_what_was_left_can_be_replayed(self):
        server = self.begin("--crash", "bad:100")
        self.assertEqual(server.get("/work?count=1&class=bad").status, 502)
        peer = server.peer()
        peer.send(request("/work?io=timer:50s&count=2&class=slow"))
        self.assertTrue(wait_until(lambda: self.function(server, "slow"), 5))
        self.kill(server)
        server = self.begin()
        self.assertEqual(self.dead_letters(server), {1: "crashed", 2: "router ended"})
        self.assertEqual([each["id"] for each in self.page(server, "/dead-letters")], [1, 2])
        self.page(server, "/dead-letters/replay", "POST")
        self.assertTrue(wait_until(lambda: list(self.dead_letters(server)) == [2], 5))
        self.kill(server)
        server = self.begin()
        self.assertEqual(self.dead_letters(server), {2: "router ended"}, "1 was done, 2 was not")
        self.kill(server)

    def test_one_router_a_journal(self):
        server = self.start("--journal", self.journal)
        with self.assertRaisesRegex(AssertionError, "in use"):
            harness.Server(self.target, "--journal", self.journal)
        self.assertEqual(server.get().status, 200)
        with open(self.journal + ".x", "w", encoding="ascii") as file:
            file.write("something else\n")
        with self.assertRaisesRegex(AssertionError, "is no journal"):
            harness.Server(self.target, "--journal", self.journal + ".x")
