"""The servers that are built, and one that runs."""

import atexit
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from .base import BUILD, SANITIZER, SLOW
from .peers import Peer
from .processes import tree
from .websocket import WebSocket


class Target:
    """A server to test: its binary, and options that every start of it gets."""

    def __init__(self, path, options=()):
        self.path, self.options = path, tuple(options)
        self.name = os.path.basename(path)
        self.label = " ".join((self.name,) + self.options)
        self.about = json.loads(self.output("--about"))
        self.help = self.output("--help")

    def output(self, option):
        return subprocess.run([self.path, option], capture_output=True, text=True,
                              timeout=20 * SLOW, check=True).stdout

    def has(self, option):
        return re.search(rf"{option}(?![\w-])", self.help) is not None


def find_targets(names=()):
    """Every executable in BUILD/servers that answers --about, or those named."""
    folder = os.path.join(BUILD, "servers")
    found = []
    for name in names or sorted(os.listdir(folder) if os.path.isdir(folder) else ()):
        path = os.path.join(folder, name)
        if not names and not (os.path.isfile(path) and os.access(path, os.X_OK)):
            continue
        try:
            found.append(Target(path))
        except (subprocess.SubprocessError, ValueError, OSError) as error:
            if names:
                sys.exit(f"{path}: {error}")
    return found


class Server:
    """A running server. `prefix` is a command that executes it, such as taskset; `peers` is how
    many connections the test needs at a time, where an option of the server says how many."""

    running = set()

    def __init__(self, target, *options, prefix=(), port=0, peers=64):
        self.errors = tempfile.TemporaryFile()
        self.open_peers = set()
        self.room = target.about.get("peers", math.inf)
        if isinstance(self.room, str):
            options += (self.room.partition("=")[0], str(peers))
            self.room = peers
        command = [*prefix, target.path, "--port", str(port), *target.options, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors)
        Server.running.add(self.process)
        self.pid = self.process.pid
        watchdog = threading.Timer(20 * SLOW, self.process.kill)
        watchdog.start()
        self.ready = self.process.stdout.readline().decode()
        watchdog.cancel()
        match = re.fullmatch(r"ready (\S+) ([\d.]+):(\d+)\n", self.ready)
        if not match:
            raise AssertionError(f"{command}: not ready: {self.ready!r} {self.complaints()!r}")
        self.name, self.host, self.port = match[1], match[2], int(match[3])

    def check_room(self):
        """One connection more than the architecture can serve at a time (--about: peers) would only
        wait; the test that asks for it does not apply."""
        if len(self.open_peers) >= self.room:
            raise unittest.SkipTest(f"not applicable: it serves {self.room} at a time")

    def peer(self, **options):
        """A connection, if there is room for it."""
        self.check_room()
        peer = Peer(self.port, crowd=self.open_peers, **options)
        self.open_peers.add(peer)
        return peer

    def websocket(self, **options):
        """A connection that is a WebSocket, if there is room for it."""
        self.check_room()
        websocket = WebSocket(self.port, crowd=self.open_peers, **options)
        self.open_peers.add(websocket.peer)
        return websocket

    def get(self, target="/"):
        """One request on a connection of its own."""
        with self.peer() as peer:
            return peer.get(target)

    def catch_up(self):
        """Return when it has accepted those who came before: a later one is served, or, where
        there is no room for one, a moment has passed."""
        if len(self.open_peers) < self.room:
            self.get()
        else:
            time.sleep(0.2 * SLOW)

    def metrics(self):
        """Samples of /metrics, by name without prefix and suffix."""
        text = self.get("/metrics").body.decode()
        return {name: float(value) for name, value in
                re.findall(r"^archbench_(\w+?)(?:_total)? (\S+)$", text, re.MULTILINE)}

    def alive(self):
        return self.process.poll() is None

    def complaints(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def finish(self, seconds=10):
        """Wait for the end after terminate(): exit status, last line as JSON, duration."""
        begin = time.monotonic()
        try:
            output, _ = self.process.communicate(timeout=seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {seconds * SLOW:g} s after SIGTERM") from None
        finally:
            Server.running.discard(self.process)
        complaints = self.complaints()
        if SANITIZER.search(complaints):
            raise AssertionError(complaints)
        if self.process.returncode != 0:
            raise AssertionError(f"exit status {self.process.returncode}: {complaints}")
        lines = output.decode().splitlines()
        if not lines:
            raise AssertionError("no last line with counters")
        return json.loads(lines[-1]), time.monotonic() - begin

    def stop(self, seconds=10):
        """SIGTERM, and insist on a clean end. Returns the final counters."""
        self.terminate()
        return self.finish(seconds)[0]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.settle()
        elif self.process in Server.running:
            self.kill()

    def settle(self):
        """Stop unless the test did. One that died by itself fails here."""
        if self.process in Server.running:
            self.stop()

    def kill(self):
        """The test has failed already: leave nothing behind."""
        for pid in reversed(tree(self.pid)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.communicate()
        Server.running.discard(self.process)


@atexit.register
def kill_servers():
    for process in list(Server.running):
        process.kill()
