#!/usr/bin/python3
"""Event-driven serverless: from nothing and back, paid by use, refusals that say why, and one
function's failures that are nobody else's."""

import os
import re
import resource
import signal
import tempfile
import threading
import time
import unittest

import harness
from harness import SLOW, request, wait_until
from serverless_router import Case

KEYS = ("invocations", "billed_us", "cold_starts", "cold_start_us", "instance_cpu_us",
        "instance_memory_mib_ms", "retries", "timed_out", "given_up", "replayed")


class Scaling(Case):
    def test_from_nothing_and_back(self):
        server = self.start("--keep-alive", f"{400 * SLOW:g}ms")
        self.assertEqual(harness.children(server.pid), [])
        self.assertEqual(self.page(server, "/functions"), [])
        self.assertEqual(server.metrics()["workers"], 0)
        self.assertEqual(self.together(server, 6, "/work?io=timer:200ms&class=a"), [200] * 6)
        self.assertEqual(len(harness.children(server.pid)), 6)
        self.assertEqual(len(self.pids(server, "a")), 6)
        self.assertEqual(server.metrics()["workers"], 6)
        self.assertTrue(wait_until(lambda: not harness.children(server.pid), 5), "not to nothing")
        self.assertEqual(self.function(server, "a")["instances"], [])
        self.assertEqual(server.get("/work?class=a").status, 200)
        self.assertEqual(server.stop()["workers"], 0)

    def test_a_cold_start_is_counted_and_felt(self):
        server = self.start("--cold-start", "300ms")
        (first, cold_s), (second, warm_s) = (self.timed(server, "/") for _ in range(2))
        self.assertEqual((first.status, second.status), (200, 200))
        self.assertGreater(cold_s, 0.3)
        self.assertLess(warm_s, 0.15 * SLOW)
        self.assertGreater(self.timed(server, "/work?class=other")[1], 0.3, "it has its own")
        metrics = server.metrics()
        self.assertEqual((metrics["cold_starts"], metrics["spawned"]), (2, 2))
        self.assertGreater(metrics["cold_start_us"], 2 * 300e3)
        self.assertLess(metrics["cold_start_us"], 2 * 300e3 + 400e3 * SLOW)

    def test_no_cold_start_at_all(self):
        server = self.start("--cold-start", "0")
        self.assertLess(min(self.timed(server, f"/work?class=c{n}")[1] for n in range(5)), 0.04)

    def test_places_are_bounded_and_given_to_who_needs_them(self):
        """Two places, both taken by idle instances of one function: another gets one."""
        server = self.start("--max-instances", "2", "--keep-alive", "60s")
        self.assertEqual(self.together(server, 8, "/work?io=timer:50ms&class=a"), [200] * 8)
        self.assertEqual(len(harness.children(server.pid)), 2)
        self.assertEqual(server.get("/work?class=b").status, 200)
        self.assertEqual((len(self.pids(server, "a")), len(self.pids(server, "b"))), (1, 1))
        self.assertEqual(server.metrics()["crashed"], 0)

    def test_a_busy_function_does_not_keep_all_places(self):
        """One place, and always more events for it than it can take: others have their turn."""
        server = self.start("--max-instances", "1")
        busy = [server.peer() for _ in range(4)]
        for peer in busy:
            peer.send(request("/work?io=timer:20ms&class=a") * 20)
        time.sleep(0.2)
        reply, lasted_s = self.timed(server, "/work?class=b")
        self.assertEqual(reply.status, 200)
        self.assertLess(lasted_s, 0.8 * SLOW)
        self.assertGreater(self.function(server, "a")["waiting"], 0, "it came last")
        self.assertTrue(all(peer.reply().status == 200 for peer in busy for _ in range(20)))

    def test_a_full_queue_sheds(self):
        server = self.start("--max-instances", "1", "--queue", "3")
        statuses = self.together(server, 10, "/work?io=timer:100ms&class=a")
        self.assertEqual((statuses.count(200), statuses.count(503)), (3, 7))
        self.assertEqual(server.metrics()["shed"], 7)

    def test_functions_are_bounded(self):
        server = self.start("--cold-start", "0", "--keep-alive", "0")
        with server.peer() as peer:
            statuses = [peer.get(f"/work?class=c{n}").status for n in range(260)]
        self.assertEqual(statuses, [200] * 256 + [503] * 4)


class Refusals(Case):
    """A refusal says what is the matter, and is counted as what it is."""

    def reasons(self, replies):
        self.assertEqual({reply.status for reply in replies}, {503})
        return {reply.body for reply in replies}

    def test_the_queue_is_full(self):
        server = self.start("--max-instances", "1", "--queue", "1")
        with server.peer() as first, server.peer() as second:
            first.send(request("/work?io=timer:300ms&class=a"))
            self.assertTrue(wait_until(lambda: server.metrics()["dequeued"] == 1, 5))
            second.send(request("/work?class=a"))
            self.assertTrue(wait_until(lambda: server.metrics()["queued"] == 1, 5))
            self.assertEqual(self.reasons([server.get("/work?class=a")]), {b"the queue is full\n"})
            self.assertEqual((first.reply().status, second.reply().status), (200, 200))
        final = server.stop()
        self.assertEqual((final["shed"], final["bad_requests"]), (1, 0))

    def test_there_are_too_many_functions(self):
        server = self.start("--cold-start", "0", "--keep-alive", "0")
        with server.peer() as peer:
            for n in range(256):
                self.assertEqual(peer.get(f"/work?class=c{n}").status, 200)
            replies = [peer.get(f"/work?class=c{n}") for n in range(256, 260)]
            self.assertEqual(self.reasons(replies), {b"there are 256 functions already\n"})
            self.assertEqual(peer.get("/work?class=c0").status, 200, "the others go on")
        self.assertEqual(len(self.page(server, "/functions")), 256)
        final = server.stop()
        self.assertEqual((final["shed"], final["bad_requests"]), (0, 4))

    def test_the_journal_cannot_be_written(self):
        """The file must not grow for a while: nothing is accepted, and the router lives on."""
        with tempfile.TemporaryDirectory() as folder:
            server = self.start("--journal", os.path.join(folder, "journal"))
            self.assertEqual(server.get("/work?class=a").status, 200)
            limits = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, limits[1]))
            replies = [server.get("/work?class=a") for _ in range(3)]
            self.assertEqual(self.reasons(replies), {b"the journal cannot be written\n"})
            self.assertEqual(self.function(server, "a")["invocations"], 1)
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limits)
            self.assertEqual(server.get("/work?class=a").status, 200)
            final = server.stop()
        self.assertEqual((final["shed"], final["bad_requests"]), (0, 3))


class Accounts(Case):
    def test_they_add_up(self):
        """CPU time is that of the work, billed is the time taken, memory what stayed resident."""
        server = self.start("--keep-alive", f"{500 * SLOW:g}ms")
        begin = time.monotonic()
        for _ in range(10):
            self.assertEqual(server.get("/work?cpu=hash:20ms&class=cpu").status, 200)
            self.assertEqual(server.get("/work?io=timer:20ms&class=io").status, 200)
        self.assertTrue(wait_until(lambda: not harness.children(server.pid), 5))
        lasted_ms = (time.monotonic() - begin) * 1e3
        cpu, timer = (self.function(server, name) for name in ("cpu", "io"))
        self.assertEqual((cpu["invocations"], timer["invocations"]), (10, 10))
        self.assertGreater(cpu["instance_cpu_us"], 10 * 20e3 * 0.6)
        self.assertLess(cpu["instance_cpu_us"], 10 * 20e3 * 1.6 * SLOW)
        self.assertLess(timer["instance_cpu_us"], 20e3 * SLOW)
        self.assertGreaterEqual(timer["billed_us"], 10 * 20e3)
        self.assertLess(timer["billed_us"], 10 * (22e3 + 10e3 * SLOW))
        self.assertEqual(timer["billed_us"] % 1000, 0)
        for function in (cpu, timer):
            resident_mib = function["instance_memory_mib_ms"] / lasted_ms
            self.assertGreater(resident_mib, 0.3)
            self.assertLess(resident_mib, 300 if SLOW > 1 else 20)
        metrics = server.metrics()
        for key in KEYS:
            self.assertAlmostEqual(metrics[key], cpu[key] + timer[key], delta=1)

    def test_what_an_instance_tells_is_its_own(self):
        server = self.start()
        server.get("/work?class=a")
        [instance] = self.function(server, "a")["instances"]
        self.assertEqual([instance["pid"]], harness.children(server.pid))
        self.assertEqual(instance["state"], "idle")
        self.assertAlmostEqual(instance["resident_mib"] * 1024, harness.memory_kb(instance["pid"]),
                               delta=0.1 * instance["resident_mib"] * 1024 + 200)

    def test_instances_hold_nothing_of_the_router(self):
        """Input, output, errors, the socket, and the file that tells the memory."""
        server = self.start()
        peers = [server.peer() for _ in range(20)]
        for peer in peers:
            self.assertEqual(peer.get("/work?class=a").status, 200)
        for pid in self.pids(server, "a"):
            self.assertLessEqual(harness.descriptors(pid), 5)
        with server.peer() as leaver:
            leaver.get("/", "Connection: close")
            self.assertTrue(leaver.ended())


class Failures(Case):
    def load(self, server, target, stop, statuses):
        while not stop.is_set():
            with server.peer() as peer:
                for _ in range(20):
                    statuses.append(peer.get(target).status)

    def test_a_hundred_kills(self):
        """Nobody of another function notices, and everybody of this one gets an answer."""
        server = self.start("--cold-start", "1ms", "--retry-base", "5ms", "--keep-alive", "60s")
        victims, others, stop = [], [], threading.Event()
        threads = [threading.Thread(target=self.load, args=(server, target, stop, statuses))
                   for target, statuses in 4 * [("/work?cpu=hash:1ms&io=timer:2ms&class=victim",
                                                 victims)] +
                   2 * [("/work?io=timer:1ms&class=other", others)]]
        for thread in threads:
            thread.start()
        killed, end = 0, time.monotonic() + 60 * SLOW
        while killed < 100 and time.monotonic() < end:
            time.sleep(0.01)
            for pid in (self.pids(server, "victim") if others and victims else [])[:1]:
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    pass
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(killed, 100)
        self.assertEqual(set(others), {200})
        self.assertLessEqual(set(victims), {200, 502})
        self.assertGreater(victims.count(200), 50)
        self.assertFalse(harness.zombies(server.pid))
        children = harness.children(server.pid)
        self.assertLessEqual(len(children), 6)
        self.assertLess(harness.descriptors(server.pid), 20 + len(children))
        final = server.stop()
        self.assertEqual(final["connections"], final["closed"])
        self.assertEqual((final["workers"], final["queued"]), (0, 0))
        self.assertGreater(final["crashed"], 50)
        self.assertGreater(final["retries"], 10)
        self.assertEqual(final["given_up"], victims.count(502))

    def test_killed_once_is_served_by_the_next(self):
        server = self.start()
        peer = server.peer()
        peer.send(request("/work?io=timer:500ms&class=a"))
        self.assertTrue(wait_until(lambda: self.function(server, "a") and
                                   self.pids(server, "a", ("busy",)), 5))
        os.kill(self.pids(server, "a")[0], signal.SIGKILL)
        self.assertEqual(peer.reply().status, 200)
        function = self.function(server, "a")
        self.assertEqual((function["retries"], function["invocations"]), (1, 2))

    def test_killed_while_idle_costs_nothing(self):
        server = self.start()
        for _ in range(5):
            self.assertEqual(server.get("/work?class=a").status, 200)
            os.kill(self.pids(server, "a")[0], signal.SIGKILL)
            self.assertTrue(wait_until(lambda: not harness.children(server.pid), 5))
        self.assertEqual(server.get("/work?class=a").status, 200)
        self.assertEqual(self.function(server, "a")["retries"], 0)
        self.assertEqual(server.metrics()["crashed"], 5)

    def test_instances_leave_the_end_to_the_router(self):
        """A signal to the whole process group must not cut off what is in flight."""
        server = self.start()
        peer = server.peer()
        peer.send(request("/work?io=timer:400ms&class=a"))
        self.assertTrue(wait_until(lambda: self.function(server, "a") and
                                   self.pids(server, "a", ("busy",)), 5))
        for pid in (*self.pids(server, "a"), server.pid):
            os.kill(pid, signal.SIGTERM)
        self.assertEqual(peer.reply().status, 200)
        self.assertEqual(server.finish()[0]["retries"], 0)

    def test_a_poisonous_function_harms_no_other(self):
        """It always crashes, has more events than there are places, and the others go on."""
        server = self.start("--crash", "bad:100", "--max-instances", "4", "--cold-start", "5ms",
                            "--retry-base", "10ms")
        bad = [server.peer() for _ in range(16)]
        for peer in bad:
            peer.send(request("/work?class=bad") * 3)
        with server.peer() as good:
            times = []
            for _ in range(40):
                begin = time.monotonic()
                self.assertEqual(good.get("/work?io=timer:2ms&class=good").status, 200)
                times.append(time.monotonic() - begin)
        self.assertLess(sorted(times)[20], 0.1 * SLOW)
        self.assertEqual({peer.reply().status for peer in bad for _ in range(3)}, {502})
        function = self.function(server, "bad")
        self.assertEqual([function[key] for key in ("invocations", "retries", "given_up")],
                         [4 * 48, 3 * 48, 48])
        self.assertEqual(self.function(server, "good")["retries"], 0)
        self.assertEqual(server.metrics()["crashed"], 4 * 48)

    def test_half_poison(self):
        server = self.start("--crash", "bad:50", "--cold-start", "0", "--retry-base", "1ms",
                            "--retries", "12")
        with server.peer() as peer:
            self.assertEqual({peer.get("/work?class=bad").status for _ in range(40)}, {200})
        self.assertGreater(self.function(server, "bad")["retries"], 10)

    def test_pauses_grow(self):
        """Full jitter: a sum of up to 7 bases after three attempts, never more."""
        server = self.start("--crash", "bad:100", "--cold-start", "0", "--retry-base", "100ms")
        times = [self.timed(server, "/work?class=bad")[1] for _ in range(6)]
        self.assertGreater(max(times), 0.15)
        self.assertLess(max(times), 0.7 + 0.2 * SLOW)
        self.assertLess(min(times), 0.6, "no jitter")
        none = self.start("--crash", "bad:100", "--cold-start", "0", "--retries", "0")
        self.assertEqual(none.get("/work?class=bad").status, 502)
        self.assertEqual(self.function(none, "bad")["invocations"], 1)

    def test_a_failing_step_is_tried_again(self):
        server = self.start("--data", "/nowhere/disk.data", "--retry-base", "1ms")
        self.assertEqual(server.get("/work?io=disk:4096&class=disk").status, 500)
        function = self.function(server, "disk")
        self.assertEqual((function["invocations"], function["cold_starts"]), (4, 1))
        [dead_letter] = self.page(server, "/dead-letters")
        self.assertEqual((dead_letter["reason"], dead_letter["attempts"]), ("failed", 4))

    def test_time_limit(self):
        server = self.start("--function-timeout", f"{300 * SLOW:g}ms")
        patient = server.peer()
        patient.send(request(f"/work?io=timer:{200 * SLOW:g}ms&class=ok"))
        reply, lasted_s = self.timed(server, "/work?io=timer:50s&class=slow")
        self.assertEqual(reply.status, 504)
        self.assertGreater(lasted_s, 0.3 * SLOW)
        self.assertLess(lasted_s, 1.5 * SLOW)
        self.assertEqual(patient.reply().status, 200)
        [dead_letter] = self.page(server, "/dead-letters")
        self.assertEqual((dead_letter["function"], dead_letter["reason"], dead_letter["attempts"]),
                         ("slow", "timed out", 1))
        function = self.function(server, "slow")
        self.assertEqual((function["timed_out"], function["retries"]), (1, 0))
        self.assertGreaterEqual(function["billed_us"], 300e3 * SLOW)
        self.assertEqual(server.stop()["crashed"], 0)

    def test_a_stopped_instance_is_ended(self):
        server = self.start("--keep-alive", f"{300 * SLOW:g}ms")
        server.get("/work?class=a")
        os.kill(self.pids(server, "a")[0], signal.SIGSTOP)
        self.assertTrue(wait_until(lambda: not harness.children(server.pid), 5))

    def test_nothing_outlives_the_router(self):
        server = harness.Server(self.target)
        server.get("/work?class=idle")
        peer = server.peer()
        peer.send(request("/work?io=timer:60s&class=busy"))
        self.assertTrue(wait_until(lambda: self.function(server, "busy") and
                                   self.pids(server, "busy", ("busy",)), 5))
        self.assertEqual(len(harness.children(server.pid)), 2)
        children = harness.children(server.pid)
        self.addCleanup(server.errors.close)
        server.process.kill()
        server.process.wait()  # its stdout may stay open in an orphan
        server.process.stdout.close()
        harness.Server.running.discard(server.process)
        self.assertTrue(wait_until(lambda: not any(
            (harness.proc_stat(child) or "Z")[0] != "Z" for child in children), 2))

    def test_options(self):
        for value in ("bad", "bad:", "bad:x", "bad:101", ":50x"):
            with self.subTest(value=value), self.assertRaisesRegex(AssertionError, "not ready"):
                harness.Server(self.target, "--crash", value)


class Names(Case):
    def test_functions_are_classes(self):
        server = self.start()
        for target in ("/", "/healthz", "/work?body=3", "/work?class=default", "/work?class=x-1"):
            self.assertEqual(server.get(target).status, 200)
        names = {each["name"]: each["invocations"] for each in self.page(server, "/functions")}
        self.assertEqual(names, {"default": 4, "x-1": 1})
        self.assertTrue(all(re.fullmatch(r"[\w-]+", name) for name in names))
