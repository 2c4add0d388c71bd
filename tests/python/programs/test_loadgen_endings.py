"""What the load generator writes, and how it ends."""
import csv
import json
import os
import re
import signal
import socket
import subprocess
import time

import pty
from generator_case import Case, LOADGEN, OK, Server, always, children_of, is_alive, start, wait_for


def mostly_at_once(peer):
    """Every tenth reply takes 30 ms."""
    for number, _ in enumerate(peer.requests()):
        if number % 10 == 9:
            time.sleep(0.03)
        peer.send(OK)


TIME_WAIT = "06"


def states_of(port):
    """Of the sockets here that have the port at either end."""
    with open("/proc/net/tcp") as file:
        sockets = [line.split()[1:4] for line in list(file)[1:]]
    return [state for *ends, state in sockets if any(int(e[-4:], 16) == port for e in ends)]


class Outputs(Case):
    def test_nothing_is_left_for_the_next(self):
        with Server(always(OK)) as server:
            self.load(server.url(), "-c", 20, "-r", 200, "-d", "300ms")
            self.assertNotIn(TIME_WAIT, states_of(server.port))

    def test_files_and_summary(self):
        csv_path, prefix = self.path("series.csv"), self.path("h")
        with Server(always(OK)) as server:
            result = self.load(server.url(), "-c", 4, "-r", 100, "--arrivals", "constant",
                               "-d", "1500ms", "--timeseries", csv_path, "--hgrm", prefix)
        with open(csv_path) as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([float(row["time_s"]) for row in rows], [1.0, 1.5])
        for row in rows:
            self.assertAlmostEqual(float(row["offered"]), 100, delta=5)
            self.assertAlmostEqual(float(row["achieved"]), 100, delta=5)
            self.assertEqual(row["errors"], "0")
            self.assertLessEqual(float(row["p50_us"]), float(row["p99_us"]))
        with open(prefix + ".all.hgrm") as file:
            hgrm = file.read()
        self.assertRegex(hgrm, r"\A +Value +Percentile TotalCount 1/\(1-Percentile\)\n")
        self.assertRegex(hgrm, r"\n +[\d.]+ 1\.000000000000 +150\n")
        for word in server.url(), "constant", "p99", "150", result["validity"]["verdict"]:
            self.assertIn(word, self.stdout)
        self.assertEqual(self.stderr, "")

    def test_quiet_and_json_to_stdout(self):
        with Server(always(OK)) as server:
            process = start("--quiet", "--json", "-", "--warmup", "0", "-d", "200ms", server.url())
            out, err = process.communicate(timeout=10)
        self.assertEqual(err, "")
        self.check_sums(json.loads(out))

    def test_json_has_stdout_for_itself(self):
        with Server(always(OK)) as server:
            process = start("--warmup", "0", "-d", "100ms", "--json", "-", server.url())
            stdout, stderr = process.communicate(timeout=10)
        self.assertIn("requests", json.loads(stdout))
        self.assertIn("VALID", stderr)

    def test_a_file_that_cannot_be_written(self):
        with Server(always(OK)) as server:
            process = start("--warmup", "0", "-d", "50ms", "--json", "/nowhere/x", server.url())
            _, err = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 2)
        self.assertIn("/nowhere/x", err)

    def test_progress_on_a_terminal_only(self):
        main, terminal = pty.openpty()
        with Server(always(OK)) as server:
            process = subprocess.Popen([LOADGEN, "--warmup", "0", "-d", "1200ms", server.url()],
                                       stdout=subprocess.DEVNULL, stderr=terminal)
            process.wait(timeout=10)
        os.close(terminal)
        shown = os.read(main, 10000).decode()
        os.close(main)
        self.assertRegex(shown, r"\r +1\.0 of 1\.2 s .*offered.*p99")

    def test_control(self):
        ours, theirs = socket.socketpair()
        with Server(always(OK)) as server, ours:
            begun = time.monotonic()
            process = start("-c", 7, "-w", 2, "--warmup", "200ms", "-d", "300ms", "--control",
                            theirs.fileno(), server.url(), pass_fds=[theirs.fileno()])
            theirs.close()
            ours.settimeout(5)
            self.assertEqual(ours.recv(100), b"begin\n")
            self.assertAlmostEqual(time.monotonic() - begun, 0.2, delta=0.15)
            self.assertEqual(ours.recv(100), b"end\n")
            self.assertAlmostEqual(time.monotonic() - begun, 0.5, delta=0.15)
            time.sleep(0.3)
            self.assertIsNone(process.poll(), "it waits")
            self.assertEqual(server.open, 7, "with its connections")
            ours.send(b".")
            process.communicate(timeout=5)
            self.assertEqual(process.returncode, 0)
            wait_for(lambda: server.open == 0)

    def told(self, line):
        """The JSON of an open loop whose server, as the program at the control descriptor says, was
        held up."""
        ours, theirs = socket.socketpair()
        out = self.path("out.json")
        with Server(mostly_at_once) as server, ours:
            process = start("-c", 8, "-r", 100, "--warmup", "0", "-d", "1s", "--control",
                            theirs.fileno(), "--json", out, server.url(),
                            pass_fds=[theirs.fileno()])
            theirs.close()
            ours.settimeout(5)
            self.assertEqual(ours.recv(6, socket.MSG_WAITALL), b"begin\n")
            self.assertEqual(ours.recv(4, socket.MSG_WAITALL), b"end\n")
            ours.send(line)
            process.communicate(timeout=5)
        with open(out, encoding="utf-8") as file:
            return json.load(file)

    def test_control_tells_how_the_server_was_held_up(self):
        """Of a tenth of the requests that took longer it may have been others' doing."""
        result = self.told(b"held 0.1 0 0 0\n")
        self.assertAlmostEqual(result["validity"]["reach"], 0.2, delta=0.01)
        self.assertIn("total.response_p99_us", result["validity"]["refused"])
        self.assertNotIn("achieved_rate", result["validity"]["refused"])
        self.assertGreater(result["total"]["response"]["uncertain"]["p99_us"], 20e3)

    def test_control_that_tells_nothing(self):
        for line in b".", b"held yes\n", b"held 0.1 0\n":
            self.assertEqual(self.told(line)["validity"]["reach"], 0, line)

    def test_control_that_hangs_up_does_not_hold(self):
        ours, theirs = socket.socketpair()
        with Server(always(OK)) as server:
            process = start("--warmup", "0", "-d", "200ms", "--control", theirs.fileno(),
                            server.url(), pass_fds=[theirs.fileno()])
            theirs.close()
            ours.close()
            process.communicate(timeout=5)
        self.assertEqual(process.returncode, 0)


class Endings(Case):
    def begin(self, server, *arguments):
        out = self.path("out.json")
        process = start("-c", 4, "-w", 2, "--warmup", "0", "-d", "30s", "--json", out, *arguments,
                        server.url())
        self.addCleanup(process.kill)
        wait_for(lambda: len(server.requests) > 20)
        return process, children_of(process.pid), out

    def test_interrupt_reports_what_there_is(self):
        for number in signal.SIGINT, signal.SIGTERM:
            with Server(always(OK)) as server:
                process, workers, out = self.begin(server)
                process.send_signal(number)
                stdout, _ = process.communicate(timeout=5)
            self.assertEqual(process.returncode, 0)
            self.assertEqual(len(workers), 2)
            self.assertFalse(any(map(is_alive, workers)))
            with open(out) as file:
                result = json.load(file)
            self.check_sums(result)
            self.assertLess(result["duration_s"], 5)
            self.assertGreater(result["good"], 20)
            self.assertIn("requests", stdout)

    def test_the_whole_group_is_interrupted_as_by_a_terminal(self):
        with Server(always(OK)) as server:
            process, workers, _ = self.begin(server, "-r", "500")
            for pid in [process.pid, *workers]:
                os.kill(pid, signal.SIGINT)
            process.communicate(timeout=5)
        self.assertEqual(process.returncode, 0)

    def test_workers_do_not_outlive_their_coordinator(self):
        with Server(always(OK)) as server:
            process, workers, _ = self.begin(server)
            process.kill()
            process.communicate()
            wait_for(lambda: not any(map(is_alive, workers)))

    def test_a_worker_that_dies_makes_the_run_invalid(self):
        with Server(always(OK)) as server:
            process, workers, out = self.begin(server)
            os.kill(workers[0], signal.SIGKILL)
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=5)
        with open(out) as file:
            validity = json.load(file)["validity"]
        self.assertEqual(validity["verdict"], "INVALID")
        self.assertTrue(any(re.match("1 of 2 workers died", r) for r in validity["reasons"]))
