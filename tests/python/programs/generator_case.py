"""What tests of the load generator share: small servers that behave well or badly.

BUILD names the build folder (default: build). Each server is a thread per connection and a
function that plays one connection; what it does is known exactly, so the numbers can be checked."""
import json
import os
import re
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import hashlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
LOADGEN = os.path.join(ROOT, os.environ.get("BUILD", "build"), "loadgen")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """The server's end of one connection."""

    def __init__(self, server, sock):
        self.server, self.sock, self.rest = server, sock, b""

    def request(self):
        """The next request's head, or None when the client has closed."""
        while b"\r\n\r\n" not in self.rest:
            data = self.sock.recv(65536)
            if not data:
                return None
            self.rest += data
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        with self.server.lock:
            self.server.requests.append(head.decode())
        return head.decode()

    def requests(self):
        while (head := self.request()) is not None:
            yield head

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Server:
    """Accepts connections and plays `script` on each in a thread."""

    def __init__(self, script, listener=None):
        self.script, self.lock = script, threading.Lock()
        self.requests, self.accepted, self.open = [], 0, 0
        self.listener = listener or socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.accepted += 1
                self.open += 1
            threading.Thread(target=self.play, args=(sock,), daemon=True).start()

    def play(self, sock):
        try:
            with sock:
                self.script(Peer(self, sock))
        except OSError:
            pass
        with self.lock:
            self.open -= 1

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.close()
        except OSError:
            pass

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"


def always(reply):
    """Answer every request with these bytes."""
    def script(peer):
        for _ in peer.requests():
            peer.send(reply)
    return script


def calibration_text():
    """A calibration of this machine with round numbers: 100 hash units/ms, 50 us per request."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    return json.dumps({"schema": "archbench-calibration/1",
                       "cpu_model": model.group(1) if model else "unknown",
                       "units_per_ms": {"hash": 100.0, "infer": 100.0, "image": 100.0,
                                        "json": 100.0, "risk": 100.0}, "request_us": 50.0, "parallel": 1.0})


def hash_digest(units):
    """The digest of one cpu=hash step, from its definition in common/work.h."""
    block = bytes(1024)
    for _ in range(units):
        block = hashlib.sha256(block).digest() + block[32:]
    return int.from_bytes(block[:8], "little")


def start(*arguments, **more):
    return subprocess.Popen([LOADGEN, *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **more)


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_for(condition, limit_s=5):
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain")
        time.sleep(0.01)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name, text=None):
        path = os.path.join(self.folder, name)
        if text is not None:
            with open(path, "w") as file:
                file.write(text)
        return path

    def refused(self, *arguments):
        """It ends with one line, which is returned, and status 2."""
        run = subprocess.run([LOADGEN, *arguments], capture_output=True, text=True, timeout=10)
        self.assertEqual(run.returncode, 2)
        self.assertEqual(run.stdout, "")
        self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
        return run.stderr

    def load(self, url, *arguments, default_time=True):
        """Run to the end and return the JSON, after checking what holds for every run."""
        out = self.path("out.json")
        window = ["-d", "300ms"] if default_time else []
        process = start("--warmup", "0", *window, "--drain", "200ms", "--json", out, *arguments,
                        url)
        self.stdout, self.stderr = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0, self.stderr)
        with open(out) as file:
            result = json.load(file)
        self.check_sums(result)
        return result

    def check_sums(self, result):
        """Every request of the window ended in exactly one way, and every latency counts it."""
        errors = sum(result["errors"].values())
        self.assertEqual(result["requests"], result["good"] + errors)
        self.assertEqual(result["requests"], result["total"]["requests"])
        self.assertEqual(result["total"]["errors"], errors)
        for entry in [result["total"], *result["classes"].values()]:
            self.assertEqual(entry["requests"], entry["good"] + entry["errors"])
            for latency in "response", "service":
                self.assertEqual(entry[latency]["count"], entry["requests"])
        for key in "requests", "good", "answered", "errors":
            self.assertEqual(result["total"][key],
                             sum(entry[key] for entry in result["classes"].values()))

    def only_errors(self, result, **expected):
        """These kinds and no other; None stands for at least one."""
        found = {kind: n for kind, n in result["errors"].items() if n}
        self.assertEqual(found.keys(), expected.keys())
        for kind, n in expected.items():
            if n is not None:
                self.assertEqual(found[kind], n)
