#!/usr/bin/python3
"""The load generator drives a server that is not ours: nginx, over kept and over closed connections."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

BUILD = pathlib.Path(os.environ.get("BUILD", "build")).resolve()
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIG = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; keepalive_requests 100; client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "ok\\n"; }}
        location /large {{ root {folder}; }}
        location /none {{ return 204; }}
        location /close {{ keepalive_timeout 0; return 200 "bye\\n"; }}
        location /gone {{ return 410 "gone\\n"; }}
    }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@unittest.skipUnless(NGINX or os.environ.get("CI") == "true", "nginx is not installed")
class Nginx(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.port = free_port()
        cls.folder.chmod(0o755)
        (cls.folder / "large").write_bytes(bytes(300000))
        config = cls.folder / "nginx.conf"
        config.write_text(CONFIG.format(folder=cls.folder, port=cls.port), encoding="utf-8")
        cls.process = subprocess.Popen([NGINX, "-p", cls.folder, "-c", config],
                                       stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.stop)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", cls.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError((cls.folder / "error.log").read_text())

    @classmethod
    def stop(cls):
        cls.process.terminate()
        cls.process.wait()

    def load(self, path, *options):
        out = subprocess.run([BUILD / "loadgen", "-c", "8", "-d", "400ms", "--warmup", "100ms",
                              "--quiet", "--json", "-", *options,
                              f"http://127.0.0.1:{self.port}{path}"],
                             capture_output=True, text=True, check=True, timeout=60).stdout
        return json.loads(out)

    def assert_all_good(self, result):
        self.assertGreater(result["requests"], 50)
        self.assertEqual(result["good"], result["requests"], result["errors"])

    def test_closed_loop_through_reconnects(self):
        """nginx closes a connection after its hundredth request, with a word."""
        result = self.load("/")
        self.assert_all_good(result)
        self.assertGreater(result["generator"]["reconnects"], 0)

    def test_open_loops(self):
        for arrivals in "constant", "poisson":
            with self.subTest(arrivals=arrivals):
                result = self.load("/", "-r", "1000", "--arrivals", arrivals)
                self.assert_all_good(result)
                self.assertEqual(result["arrivals"], arrivals)

    def test_bodies(self):
        for path in "/large", "/none", "/close":
            with self.subTest(path=path):
                self.assert_all_good(self.load(path, "-r", "300"))

    def test_status(self):
        result = self.load("/gone", "-r", "300")
        self.assertEqual(result["good"], 0)
        self.assertEqual(result["errors"]["status_4xx"], result["requests"])
