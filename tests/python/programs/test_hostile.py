#!/usr/bin/python3
"""Black-box tests of the load generator against servers that mean harm.

Whatever they do, the run ends in time with status 0, each request ends in exactly one way, which
is the right one, and waiting costs no CPU time.
"""
import json
import os
import socket
import subprocess
import threading
import time
import unittest

from generator_case import LOADGEN, OK, Case, Server, always

LINE = b"HTTP/1.1 200 OK\r\n"
CHUNKED = LINE + b"Transfer-Encoding: chunked\r\n\r\n"
CONNECTIONS = 2
SOON = ("--timeout", "100ms")
SLOW = float(os.environ.get("SLOW", 1))
WALL_LIMIT_S = 5 * SLOW  # a run takes half a second


def never(peer):
    """Read requests and answer none."""
    while peer.request() is not None:
        pass


def endless(begin, again):
    """After a request, send `begin` and then `again` for ever, as fast as the kernel copies it."""
    block = again * (4000000 // len(again))

    def script(peer):
        peer.request()
        peer.send(begin)
        while True:
            peer.send(block)
    return script


def then_close(data):
    """After a request, send this and close."""
    def script(peer):
        peer.request()
        peer.send(data)
    return script


def then_reset(data):
    """After a request, send this, let it arrive, and break the connection."""
    def script(peer):
        peer.request()
        peer.send(data)
        time.sleep(0.005)
        peer.reset()
    return script


def at_once(script):
    """Play `script` as soon as a connection is made; but on the first ones only after a request,
    for without a connection no run begins."""
    def played(peer):
        if peer.server.accepted <= CONNECTIONS:
            peer.request()
        script(peer)
    return played


class Hostile(Case):
    def run_to_the_end(self, url, *arguments):
        """Run with a limit on wall time. Returns the JSON; CPU and wall seconds stay in self."""
        out = self.path("out.json")
        command = [LOADGEN, "--quiet", "-c", str(CONNECTIONS), "--warmup", "0", "-d", "300ms",
                   "--timeout", "1s", "--drain", "1200ms", "--json", out, *arguments, url]
        with open(self.path("log"), "w+") as log:
            begun = time.monotonic()
            process = subprocess.Popen(command, stderr=log)
            watchdog = threading.Timer(WALL_LIMIT_S, process.kill)
            watchdog.start()
            _, status, usage = os.wait4(process.pid, 0)
            watchdog.cancel()
            self.wall_s = time.monotonic() - begun
            self.cpu_s = usage.ru_utime + usage.ru_stime
            process.returncode = os.waitstatus_to_exitcode(status)
            log.seek(0)
            self.assertEqual(process.returncode, 0, log.read())
        with open(out) as file:
            result = json.load(file)
        self.check_sums(result)
        return result

    def attack(self, script, *arguments):
        with Server(script) as server:
            result = self.run_to_the_end(server.url(), *arguments)
        self.accepted = server.accepted
        return result

    def check_idle(self):
        """No spinning: most of the time it slept. Sanitizers make a start expensive."""
        self.assertLess(self.cpu_s, (0.6 if SLOW == 1 else 0.9) * self.wall_s)

    def only(self, script, *kinds, arguments=()):
        """Every request ends in one of these kinds of error, and there are requests."""
        result = self.attack(script, *arguments)
        found = {kind for kind, n in result["errors"].items() if n}
        self.assertTrue(found and found <= set(kinds), result["errors"])
        self.assertEqual(result["good"], 0)
        self.check_idle()
        return result

    def malformed(self, *replies):
        for reply in replies:
            with self.subTest(reply):
                self.only(always(reply), "malformed")


class Silence(Hostile):
    def test_never_answers(self):
        result = self.only(never, "timeout", arguments=SOON)
        self.assertGreaterEqual(result["errors"]["timeout"], 4)

    def test_never_answers_in_an_open_loop(self):
        result = self.only(never, "timeout", "unsent",
                           arguments=[*SOON, "-r", "200", "--arrivals", "constant"])
        self.assertEqual(result["requests"], 60)

    def test_never_accepts(self):
        with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            result = self.run_to_the_end(url, *SOON)
        self.only_errors(result, timeout=None)
        self.check_idle()

    def test_a_drip_does_not_prolong_the_timeout(self):
        def script(peer):
            peer.request()
            for byte in OK:
                peer.send(bytes([byte]))
                time.sleep(0.08)
        result = self.only(script, "timeout", arguments=SOON)
        self.assertGreaterEqual(result["errors"]["timeout"], 4)


class Floods(Hostile):
    """Without measure, but not without limit."""

    def flood(self, begin, again):
        self.only(endless(begin, again), "malformed")
        self.assertGreaterEqual(self.accepted, 4, "it gave up in time and tried again")

    def test_reason(self):
        self.flood(b"HTTP/1.1 200 ", b"reason ")

    def test_headers(self):
        self.flood(LINE, b"X-Filler: " + b"x" * 100 + b"\r\n")

    def test_one_header(self):
        self.flood(LINE + b"X-Filler: ", b"x")

    def test_interim_replies(self):
        self.flood(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")

    def test_chunk_extension(self):
        self.flood(CHUNKED + b"5;a", b"a")

    def test_trailers(self):
        self.flood(CHUNKED + b"0\r\n", b"A: b\r\n")

    def test_replies_after_the_reply(self):
        self.flood(b"", OK)

    def test_a_body_is_no_flood_but_takes_too_long(self):
        """It is wanted work, so it may cost CPU time; the timeout ends it."""
        for begin, again in (LINE + b"\r\n", b"x"), (CHUNKED, b"1\r\nx\r\n"):
            with self.subTest(again):
                self.only_errors(self.attack(endless(begin, again), *SOON), timeout=None)


class Nonsense(Hostile):
    def test_garbage(self):
        self.malformed(b"\0" * 100, b"SSH-2.0-nonsense\r\n", b"\r\n" + OK)

    def test_lengths(self):
        for lengths in (b"Content-Length: -1\r\n",
                        b"Content-Length: 2\r\nContent-Length: 3\r\n",
                        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
                        b"Content-Length: 99999999999999999999\r\n"):
            self.malformed(LINE + lengths + b"\r\nok")

    def test_chunks(self):
        self.malformed(CHUNKED + b"-1\r\n", CHUNKED + b"1\r\nxyz\r\n")


class Breaks(Hostile):
    def test_closes_at_once(self):
        self.only(at_once(lambda peer: None), "closed", "reset", "connect")
        self.assertLessEqual(self.accepted, 14, "a pause lies between attempts")

    def test_resets_at_once(self):
        self.only(at_once(lambda peer: peer.reset()), "reset", "connect")
        self.assertLessEqual(self.accepted, 14, "a pause lies between attempts")

    def test_closes_without_a_byte(self):
        self.only(then_close(b""), "closed")

    def test_cuts_the_reply_short(self):
        for data in (b"H", LINE, LINE + b"Content-Length: 99999999999\r\n\r\nok",
                     CHUNKED + b"5\r\nhel", CHUNKED + b"5\r\nhello\r\n0\r\n",
                     b"HTTP/1.1 100 Continue\r\n\r\n"):
            with self.subTest(data):
                self.only(then_close(data), "cut")

    def test_resets_anywhere(self):
        for data in b"", LINE, OK[:-1], CHUNKED + b"5\r\nhel":
            with self.subTest(data):
                self.only(then_reset(data), "reset")

    def test_http_1_0_without_a_length(self):
        result = self.attack(then_close(b"HTTP/1.0 200 OK\r\n\r\nok"))
        self.only_errors(result)
        self.assertGreater(result["good"], 20)

    def test_a_reset_after_the_whole_reply_harms_nobody(self):
        def script(peer):
            peer.request()
            peer.send(OK)
            time.sleep(0.005)
            peer.reset()
        result = self.attack(script, "-r", "20", "--arrivals", "constant")
        self.only_errors(result)
        self.assertEqual(result["good"], 6)

    def test_a_reply_before_the_request(self):
        """It may be taken for the reply to a request that goes out at that moment; no more."""
        def script(peer):
            peer.send(OK)
            never(peer)
        result = self.attack(at_once(script), *SOON)
        self.assertLessEqual(result["good"], self.accepted)
        kinds = {kind for kind, n in result["errors"].items() if n}
        self.assertTrue(kinds <= {"timeout", "malformed", "reset"}, kinds)

    def test_refuses_from_the_middle_on(self):
        with Server(lambda peer: None) as server:
            def script(peer):
                for i, _ in enumerate(peer.requests()):
                    if i == 20:
                        server.close()
                        return
                    peer.send(OK)
            server.script = script
            result = self.run_to_the_end(server.url(), "-c", "1")
        self.assertEqual(result["good"], 20)
        self.only_errors(result, closed=1, connect=None)
        self.assertLess(result["errors"]["connect"], 8, "a pause lies between attempts")
        self.check_idle()
