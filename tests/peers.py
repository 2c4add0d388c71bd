#!/usr/bin/python3
"""Clients that others wrote drive every server: curl, wrk, h2load, ab and python3-websockets. A tool that is
absent is skipped with a word, unless CI=true."""

import asyncio
import os
import re
import shutil
import subprocess

import harness
from harness import SLOW, ServerCase

try:
    import websockets
except ImportError:
    websockets = None


class Peers(ServerCase):
    """A second or less of each tool, without one error."""

    def drive(self, tool, *arguments):
        """Output of the tool, which must be happy; {url} in an argument is the server's."""
        if not shutil.which(tool):
            if os.environ.get("CI") == "true":
                self.fail(f"{tool} is not installed")
            self.skipTest(f"{tool} is not installed")
        url = f"http://127.0.0.1:{self.server.port}"
        done = subprocess.run([tool, *(each.replace("{url}", url) for each in arguments)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60 * SLOW, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def crowd(self):
        """Option of wrk, h2load and ab: sixteen connections, or as many as the server serves."""
        return f"-c{min(16, self.server.room)}"

    def test_curl(self):
        begin = ("curl", "-sS", "--fail", "--max-time", "20")
        show = ("-o", "/dev/null", "-w", "%{http_code} %{size_download} %{num_connects}\n")
        self.assertEqual(self.drive(*begin, *show, "{url}/work?body=5000&io=timer:1ms"),
                         "200 5000 1\n")
        twice = self.drive(*begin, *show, "{url}/healthz", "-o", "/dev/null", "{url}/work?body=7")
        self.assertEqual([line.split()[2] for line in twice.splitlines()], ["1", "0"], twice)
        self.assertIn("200 OK", self.drive(*begin, "--head", "{url}/"))
        self.assertEqual(self.drive(*begin, *show, "-0", "{url}/work?body=9"), "200 9 1\n")

    def test_curl_uploads(self):
        """curl says Expect: 100-continue for large bodies by itself."""
        big = "x" * 100000
        begin = ("curl", "-sS", "--fail", "--max-time", "20", "-o", "/dev/null", "-w",
                 "%{http_code}", "-d", big)
        self.assertEqual(self.drive(*begin, "{url}/"), "200")
        self.assertEqual(self.drive(*begin, "-H", "Expect: 100-continue", "{url}/"), "200")
        self.assertEqual(self.drive(*begin, "-H", "Transfer-Encoding: chunked", "{url}/"), "200")

    def test_wrk(self):
        for target in ("/", "/work?io=timer:1ms&body=2000"):
            with self.subTest(target=target):
                output = self.drive("wrk", "-t1", self.crowd(), "-d1s", "{url}" + target)
                self.assertNotIn("Socket errors", output)
                self.assertNotIn("Non-2xx", output)
                self.assertGreater(int(re.search(r"(\d+) requests in", output)[1]), 50)

    def test_h2load(self):
        output = self.drive("h2load", "--h1", "-t1", self.crowd(), "-n800", "{url}/work?body=500")
        self.assertRegex(output, r"800 total, 800 started, 800 done, 800 succeeded, 0 failed, "
                                 r"0 errored, 0 timeout")
        self.assertRegex(output, r"status codes: 800 2xx")

    def test_ab(self):
        for target in ("/", "/work?body=3000"):
            with self.subTest(target=target):
                output = self.drive("ab", "-q", "-k", self.crowd(), "-n800", "{url}" + target)
                self.assertRegex(output, r"Complete requests: +800\n")
                self.assertRegex(output, r"Failed requests: +0\n")
                self.assertRegex(output, r"Keep-Alive requests: +800\n")
                self.assertNotIn("Non-2xx", output)

    async def talk(self):
        """Text, bytes, fragments, a long reply, a ping and a close."""
        url = f"ws://127.0.0.1:{self.server.port}/ws"
        async with websockets.connect(url) as peer:
            await peer.send("a /work?body=5")
            self.assertEqual(await peer.recv(), "a 200\n01234")
            await peer.send(b"b /")
            self.assertEqual(await peer.recv(), "b 200\nok\n")
            await peer.send(["c /wo", "rk?io=timer:1ms", "&body=300000"])
            self.assertEqual(len(await peer.recv()), len("c 200\n") + 300000)
            await (await peer.ping(b"are you there"))
            await peer.send("d /nothing")
            self.assertTrue((await peer.recv()).startswith("d 404\n"))
        self.assertEqual(peer.close_code, 1000)

    async def chat(self):
        url = f"ws://127.0.0.1:{self.server.port}/ws"
        async with websockets.connect(url) as one, websockets.connect(url) as other:
            await other.send("s /subscribe?topic=peers")
            self.assertEqual(await other.recv(), "s 200\nok\n")
            await one.send("p /work?publish=peers\nhello")
            self.assertEqual(await one.recv(), "p 200\nok\n")
            self.assertEqual(await other.recv(), "*peers p\nhello")

    def test_websockets(self):
        if not websockets:
            self.assertNotEqual(os.environ.get("CI"), "true", "python3-websockets is not installed")
            self.skipTest("python3-websockets is not installed")
        asyncio.run(asyncio.wait_for(self.talk(), 20 * SLOW))
        if self.target.about["push"]:
            asyncio.run(asyncio.wait_for(self.chat(), 20 * SLOW))

    def test_ab_without_keep_alive(self):
        output = self.drive("ab", "-q", self.crowd(), f"-n{400 / SLOW:.0f}", "{url}/")
        self.assertRegex(output, r"Failed requests: +0\n")
        self.assertNotIn("Non-2xx", output)


if __name__ == "__main__":
    harness.main(__doc__, [Peers], jobs=2)
