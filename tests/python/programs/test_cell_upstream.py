"""Cells whose requests call an upstream."""
import os
import pathlib
import time

from runner_case import ASKS_UPSTREAM, BUILD, CALLS, SLOW, CellCase, alive, script, wait_until


class UpstreamTest(CellCase):
    """What a server calls is started with it, and ends after it."""

    def setUp(self):
        super().setUp()
        self.calls = self.workload("calls", CALLS)
        self.build = self.fake_server(ASKS_UPSTREAM.replace("SERVER",
                                                           str(BUILD / "servers/threads")))

    def measure(self, point, build, *options):
        """(status, line, the cell)"""
        status, out, _ = self.do(*self.cell("fake", self.calls, "--point", point, "--duration",
                                            "250ms", *options, build=build))
        self.assert_nothing_left()
        return status, out, self.read(f"calls/{point}/fake.1")

    def test_it_runs_while_the_server_does(self):
        cell = self.measure("slow", self.build)[2]
        upstream = cell["upstream"]
        self.assertEqual(upstream["options"], "--delay 1ms")
        self.assertEqual(cell["command"]["upstream"][-4:], ["--port", "0", "--delay", "1ms"])
        self.assertGreaterEqual(upstream["final"]["calls"], 1)
        self.assertGreaterEqual(upstream["cpu_s"], 0)
        self.assertLess(upstream["cpu_s"], 0.25)
        folder = self.folder / "cells/calls/slow/fake.1"
        self.assertIn(r"heard [b'+PONG\r\n', b'*-1\r\n']", (folder / "server.log").read_text())
        self.assertIn("ready upstream 127.0.0.1:", (folder / "upstream.log").read_text())
        self.assertNotIn("upstream", " ".join(cell["validity"]["reasons"]))
        spin = cell["command"]["loadgen"].index("--spin")
        self.assertEqual(cell["command"]["loadgen"][spin + 1], "0")

    def test_none_is_started_that_nobody_calls(self):
        self.do(*self.cell("threads", self.calls, "--point", "none", "--duration", "250ms"))
        cell = self.read("calls/none/threads.1")
        self.assertIsNone(cell["upstream"])
        self.assertIsNone(cell["command"]["upstream"])
        self.assertNotIn("--upstream-address", cell["command"]["server"])
        self.assertFalse((self.folder / "cells/calls/none/threads.1/upstream.log").exists())

    def test_a_server_that_calls_it(self):
        if "--upstream-pool" not in self.do(BUILD / "servers/threads", "--help")[1]:
            self.skipTest("the servers call no upstream")
        self.do(*self.cell("threads", self.calls, "--point", "slow", "--duration", "250ms"))
        cell = self.read("calls/slow/threads.1")
        self.assertEqual(cell["load"]["total"]["errors"], 0)
        self.assertGreater(cell["load"]["total"]["good"], 10)
        self.assertGreaterEqual(cell["upstream"]["final"]["calls"], cell["load"]["total"]["good"])
        self.assertGreater(cell["upstream"]["cpu_s"], 0)

    def test_commands_need_it_too(self):
        steps = self.workload("steps", """
            [workload]
            question = What is counted?
            [class count]
            request = /work?io=redis:incr:n&io=redis:set:a&class=count
            """)
        self.do(*self.cell("threads", steps, "--duration", "250ms"))
        cell = self.read("steps/base/threads.1")
        self.assertEqual(cell["load"]["total"]["errors"], 0)
        self.assertGreater(cell["load"]["total"]["good"], 10)
        self.assertGreaterEqual(cell["upstream"]["final"]["calls"],
                                2 * cell["load"]["total"]["good"])

    def test_it_stands_in_for_a_database(self):
        (self.folder / "a.sql").write_text("-- name: a  stand-in: 2ms\nselect 1\n")
        steps = self.workload("statements", f"""
            [workload]
            question = What does a statement cost?
            server_options = --sql {self.folder}/a.sql
            [class ask]
            request = /work?io=sql:a&class=ask
            """)
        self.do(*self.cell("threads", steps, "--duration", "250ms"))
        cell = self.read("statements/base/threads.1")
        self.assertEqual(cell["load"]["total"]["errors"], 0)
        self.assertGreater(cell["load"]["total"]["good"], 10)
        self.assertGreaterEqual(cell["upstream"]["final"]["calls"], cell["load"]["total"]["good"])

    def test_one_that_cannot_start_makes_the_cell_invalid(self):
        status, out, cell = self.measure("odd", self.build)
        self.assertEqual(status, 1)
        self.assertRegex(out, "^INVALID calls/odd fake.1: the upstream ended too early .*status 2")
        self.assertIsNone(cell["command"]["server"])
        self.assertIsNone(cell["cost"])
        self.assertIsNone(cell["upstream"]["cpu_s"])
        self.assertIn("no-such-option",
                      (self.folder / "cells/calls/odd/fake.1/upstream.log").read_text())

    def test_one_that_dies_makes_the_cell_invalid(self):
        (self.build / "upstream").unlink()
        script(self.build / "upstream", f"""
            import os, subprocess, sys, time
            upstream = subprocess.Popen(["{BUILD}/upstream", *sys.argv[1:]])
            time.sleep({0.7 * SLOW})
            upstream.kill()
            os.kill(os.getpid(), 9)
        """)
        begun = time.monotonic()
        status, out, cell = self.measure("dying", self.build, "--duration", "20s")
        self.assertEqual(status, 1)
        self.assertRegex(out, "the upstream ended too early .*; the upstream died of signal 9")
        self.assertEqual(cell["exit"]["status"], 0)  # the server was asked to end, and did
        self.assertLess(time.monotonic() - begun, 20)

    def test_its_cores_are_the_generators_or_anybodys(self):
        for point, beside in ("split", "loadgen"), ("slow", "threads"):
            cell = self.start(*self.cell("fake", self.calls, "--point", point, "--duration", "20s",
                                         build=self.build))
            pids = wait_until(lambda: self.running({"upstream", "loadgen", "threads"}), 30)
            cores = {name: os.sched_getaffinity(pid) for name, pid in pids.items()}
            self.assertEqual(cores["upstream"], cores[beside], point)
            cell.kill()
            cell.communicate()
            self.assert_nothing_left()

    def running(self, names):
        """Pids of these programs, by their names, once all are there."""
        found = {}
        for pid in alive(self.mark):
            try:
                found[pathlib.Path(f"/proc/{pid}/comm").read_text().strip()] = pid
            except OSError:
                continue
        return {name: found[name] for name in names} if names <= set(found) else None

    def test_one_without_time_to_spare_makes_the_cell_invalid(self):
        (self.build / "upstream").unlink()
        script(self.build / "upstream", """
            import hashlib, signal, socket, sys, threading
            listener = socket.create_server(("127.0.0.1", 0))
            print("ready upstream 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            def answer():
                while True:
                    peer, _ = listener.accept()
                    peer.recv(1000)
                    peer.sendall(b"+PONG\\r\\n")
                    peer.close()
            def compute():
                while True:
                    hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 100000)
            for work in [answer] + 8 * [compute]:
                threading.Thread(target=work, daemon=True).start()
            while True:
                signal.pause()
        """)
        for _ in range(4):  # on a busy machine it may not get a core
            _, out, cell = self.measure("calm", self.build, "--duration", "600ms")
            busy = cell["upstream"]["cpu_s"] / cell["load"]["duration_s"]
            if busy > 0.95:
                self.assertRegex(out, r"the upstream was \d+ % busy")
                break
            if busy < 0.85:
                self.assertNotIn("the upstream was", out)

    def test_a_killed_cell_leaves_none(self):
        cell = self.start(*self.cell("fake", self.calls, "--point", "slow", "--duration", "20s",
                                     build=self.build))
        # cell, guard, upstream, server, generator, its worker
        self.assertTrue(wait_until(lambda: len(alive(self.mark)) >= 6, 30))
        cell.kill()
        cell.communicate()
        self.assert_nothing_left()

    def test_it_must_be_built(self):
        (self.build / "upstream").unlink()
        status, _, err = self.do(*self.cell("fake", self.calls, "--point", "slow",
                                         build=self.build))
        self.assertEqual(status, 2)
        self.assertRegex(err, r"^cell: no upstream '.*/upstream': .*\n$")
