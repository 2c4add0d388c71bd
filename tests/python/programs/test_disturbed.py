"""What the load generator says of the server when it is itself disturbed: the server's delay is
planted, so the right answer is known."""
import json
import os
import signal
import time

from generator_case import Case, OK, Server, children_of, start

DELAY_S = 0.1


def delayed(peer):
    for _ in peer.requests():
        time.sleep(DELAY_S)
        peer.send(OK)


class Disturbed(Case):
    def measure(self, stops_s, pause_s=0.15):
        """The JSON of a run whose worker is stopped again and again, for so long each time."""
        out = self.path("out.json")
        with Server(delayed) as server:
            process = start("-c", 64, "-r", 200, "--warmup", "300ms", "-d", "2s", "--json", out,
                            server.url())
            time.sleep(0.3)
            while process.poll() is None:
                for worker in children_of(process.pid) if stops_s else ():
                    os.kill(worker, signal.SIGSTOP)
                    time.sleep(stops_s)
                    os.kill(worker, signal.SIGCONT)
                time.sleep(pause_s)
            process.communicate()
        with open(out, encoding="utf-8") as file:
            return json.load(file)

    def test_what_it_sends_and_reads_late_is_taken_out(self):
        result = self.measure(0.03)
        response = result["total"]["response"]
        self.assertEqual(result["validity"]["verdict"], "VALID")
        self.assertGreater(result["total"]["lag"]["p99_us"], 15e3, "it was not disturbed")
        for name in "p50_us", "p90_us", "p99_us":
            self.assertGreater(response[name], 0.99e6 * DELAY_S, name)
            self.assertLess(response[name], 1.15e6 * DELAY_S, name)
        self.assertGreater(response["taken_out"]["p99_us"], 15e3)

    def test_an_undisturbed_run_refuses_nothing(self):
        result = self.measure(0)
        self.assertEqual(result["validity"], {"verdict": "VALID", "reasons": [], "reach": 0.0,
                                              "refused": {}})
        self.assertLess(result["total"]["response"]["uncertain"]["p99_us"], 1e5 * DELAY_S)

    def test_requests_that_were_sent_together_are_told(self):
        """For longer than the server takes: what the burst does to a queue cannot be known."""
        result = self.measure(0.3, pause_s=0.2)
        response = result["total"]["response"]
        self.assertIn("total.response_p50_us", result["validity"]["refused"])
        self.assertGreater(response["uncertain"]["p50_us"], 1e5 * DELAY_S)
        self.assertEqual(result["validity"]["verdict"], "VALID")
