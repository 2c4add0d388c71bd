"""Black-box tests of build/upstream: how it starts and ends."""
import signal
import subprocess
import time

import harness
from harness import SLOW, wait_until
from upstream_program import PROGRAM, UpstreamCase, encoded


class LifeTest(UpstreamCase):
    def test_ready_line_and_counters(self):
        self.assertRegex(self.upstream.ready, r"^ready upstream 127\.0\.0\.1:\d+\n$")
        client = self.client()
        for _ in range(3):
            client.call("BLPOP", "a", 0.001)
        status, counters, err = self.upstream.stop()
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(counters, {"name": "upstream", "connections": 1, "refused": 0,
                                    "commands": 3, "calls": 3, "failed": 0, "dropped": 0,
                                    "published": 0, "delivered": 0, "slow": 0})

    def test_calls_in_progress_do_not_hold_it(self):
        for how in signal.SIGTERM, signal.SIGINT:
            upstream = self.start()
            clients = [self.client(upstream) for _ in range(5)]
            for client in clients:
                client.send(encoded("BLPOP", "a", 60))
            self.assertTrue(wait_until(lambda b=upstream: b.info()["blocked_clients"] == 5, 5))
            begin = time.monotonic()
            self.assertEqual(upstream.stop(how)[0], 0)
            self.assertLess(time.monotonic() - begin, 2 * SLOW)
            self.assertTrue(all(client.ended() for client in clients))

    def test_waiting_takes_no_time(self):
        self.client().send(encoded("BLPOP", "a", 60))
        before_s = harness.cpu_seconds(self.upstream.pid)
        time.sleep(0.3)
        self.assertLess(harness.cpu_seconds(self.upstream.pid) - before_s, 0.02)

    def complaint(self, *options):
        done = subprocess.run([PROGRAM, *options], capture_output=True, text=True, check=False,
                              timeout=10 * SLOW)
        self.assertEqual((done.returncode, done.stdout), (2, ""), options)
        self.assertRegex(done.stderr, r"^upstream: [^\n]+\n$")
        return done.stderr

    def test_what_cannot_be_set_up(self):
        self.assertIn(f":{self.upstream.port}", self.complaint("--port", str(self.upstream.port)))
        for options in (["--delay", "5"], ["--fail", "101"], ["--drop", "x"], ["--bad"],
                        ["--port", "65536"], ["--host", "no.such.host.invalid"], ["operand"],
                        ["--fail", "60", "--drop", "41"]):
            self.complaint(*options)

    def test_help(self):
        done = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True)
        for option in "host port delay fail drop stall outbox seed".split():
            self.assertIn(f"--{option} ", done.stdout)
