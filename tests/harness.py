"""What the suites over the servers share: a server under test, a peer on a raw
socket, and a runner that ends with the line `N passed, N failed`.

Environment: BUILD is the build folder (default `build`), SLOW a factor on every time
limit (3 for a build with sanitizers)."""

import argparse
import atexit
import concurrent.futures
import json
import math
import mmap
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BUILD = os.environ.get("BUILD", "build")
SLOW = float(os.environ.get("SLOW", "1"))
TICK_S = 0.02  # between two looks at a condition
SANITIZER = re.compile(r"Sanitizer|runtime error:")


def wait_until(condition, seconds):
    """Look at `condition` until it holds; its last value when time is up."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(TICK_S)


# ---------------------------------------------------------------- processes


def proc_stat(pid):
    """Fields of /proc/PID/stat behind the name: [0] is the state, [1] the parent. None: gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def children(pid):
    """Pids of the direct children, zombies included."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        stat = proc_stat(entry)
        if stat and int(stat[1]) == pid:
            found.append(int(entry))
    return found


def tree(pid):
    """The process and all that descend from it."""
    return [pid] + [each for child in children(pid) for each in tree(child)]


def zombies(pid):
    return [child for child in children(pid) if (proc_stat(child) or "X")[0] == "Z"]


def cpu_seconds(pid):
    """CPU time of the living processes of the tree, ended threads included, to the nanosecond."""
    total_s = 0.0
    for each in tree(pid):
        try:
            total_s += time.clock_gettime(~each << 3 | 2)  # what clock_getcpuclockid(3) returns
        except OSError:  # it has just ended
            pass
    return total_s


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])


# ---------------------------------------------------------------- servers


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
            options += (self.room, str(peers))
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

    def peer(self, **options):
        """A connection. One more than the architecture can serve at a time (--about: peers) would
        only wait; the test that asks for it does not apply."""
        if len(self.open_peers) >= self.room:
            raise unittest.SkipTest(f"not applicable: it serves {self.room} at a time")
        peer = Peer(self.port, crowd=self.open_peers, **options)
        self.open_peers.add(peer)
        return peer

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


# ---------------------------------------------------------------- the upstream


class Upstream:
    """What io=upstream calls, in this process: answers as a Redis would, or fails as `mood` says:
    "error", "drop" (ends the connection in place of a reply), "stall" (says nothing)."""

    def __init__(self, port=0):
        self.mood, self.connections, self.most, self.ended = "well", set(), 0, False
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections.add(connection)
                self.most = max(self.most, len(self.connections))
                if self.ended:
                    self.hang_up(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    @staticmethod
    def hang_up(connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def serve(self, connection):
        with connection, connection.makefile("rb") as file:
            try:
                while self.answer(connection, self.words(file)):
                    pass
            except (OSError, ValueError):
                pass
            with self.lock:
                self.connections.discard(connection)

    @staticmethod
    def words(file):
        """A command: an array of strings."""
        count = int(file.readline()[1:])
        return [file.read(int(file.readline()[1:]) + 2)[:-2].decode() for _ in range(count)]

    def answer(self, connection, words):
        if self.mood == "drop":
            return False
        if self.mood == "error":
            connection.sendall(b"-ERR the test wants it so\r\n")
        elif self.mood == "well" and words[0] == "PING":
            connection.sendall(b"+PONG\r\n")
        elif self.mood == "well":
            time.sleep(float(words[2]))
            connection.sendall(b"*-1\r\n")
        return True

    def stop(self):
        """As if it were killed: the port is free, all connections end."""
        self.hang_up(self.listener)
        self.listener.close()
        with self.lock:
            self.ended = True
            for connection in self.connections:
                self.hang_up(connection)
        wait_until(lambda: not self.connections, 5)


# ---------------------------------------------------------------- peers


class Reply:
    """A parsed reply; header names in lower case, repeated fields joined by a comma."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.version, status, self.reason = (lines[0].split(" ", 2) + ["", ""])[:3]
        self.status = int(status)
        self.headers, self.body = {}, b""
        for line in lines[1:]:
            name, _, value = line.partition(":")
            old = self.headers.get(name.lower())
            self.headers[name.lower()] = value.strip() if old is None else f"{old}, {value.strip()}"

    def closes(self):
        return self.headers.get("connection", "").lower() == "close"

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} {bytes(self.body[:80])}>"


def request(target="/", method="GET", version="1.1", body=b"", *headers):
    """The bytes of a request; `headers` are whole lines."""
    lines = [f"{method} {target} HTTP/{version}", "Host: test", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines + ["", ""]).encode("latin-1") + body


class Peer:
    """A client on a raw socket. Every wait ends after `timeout` seconds times SLOW. It leaves
    `crowd` when either side has ended the connection."""

    def __init__(self, port, timeout=15, receive_buffer=None, crowd=()):
        self.crowd = crowd
        self.socket = socket.socket()
        self.socket.settimeout(timeout * SLOW)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def send(self, data):
        self.socket.sendall(data)

    def send_in_parts(self, parts, pause_s=0.001):
        """Each part in a segment of its own."""
        for part in filter(None, parts):
            self.send(part)
            time.sleep(pause_s)

    def receive(self, size=1 << 16):
        """Add what comes to the buffer; False at the end of the stream."""
        try:
            data = self.socket.recv(size)
        except ConnectionResetError:
            self.leave()
            raise
        if not data:
            self.leave()
        self.buffer += data
        return bool(data)

    def leave(self):
        if self in self.crowd:
            self.crowd.remove(self)

    def reply(self, head=False):
        while b"\r\n\r\n" not in self.buffer:
            if not self.receive():
                raise AssertionError(f"closed before a reply: {bytes(self.buffer)!r}")
        end = self.buffer.index(b"\r\n\r\n")
        reply = Reply(bytes(self.buffer[:end]))
        del self.buffer[:end + 4]
        if not head and reply.status >= 200:
            length = int(reply.headers["content-length"])
            while len(self.buffer) < length:
                if not self.receive():
                    raise AssertionError(f"closed after {len(self.buffer)} of {length} bytes")
            reply.body = bytes(self.buffer[:length])
            del self.buffer[:length]
        return reply

    def get(self, target="/", *headers, method="GET", version="1.1", body=b""):
        self.send(request(target, method, version, body, *headers))
        return self.reply(head=method == "HEAD")

    def ended(self):
        """True when the server ends the connection and sends nothing more before."""
        try:
            while self.receive():
                pass
        except ConnectionResetError:
            pass
        except socket.timeout:
            return False
        return not self.buffer

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def vanish(self):
        """Close with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.leave()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---------------------------------------------------------------- the runner


class ServerCase(unittest.TestCase):
    """One theme, run over every server. A subclass per target is made by the runner."""

    target = None
    options = ()   # of the server that the tests of this class share; None: they start their own
    alone = False  # measures time: nothing else runs beside it

    @classmethod
    def suits(cls, target):
        """Is this theme one of this server's?"""
        return True

    @classmethod
    def setUpClass(cls):
        cls.server = None if cls.options is None else Server(cls.target, *cls.options)

    @classmethod
    def tearDownClass(cls):
        if cls.server:
            cls.server.settle()

    def start(self, *options, **more):
        """A server for this test alone, stopped and checked at its end."""
        server = Server(self.target, *options, **more)
        self.addCleanup(server.settle)
        return server

    def peer(self, server=None, **options):
        peer = (server or self.server).peer(**options)
        self.addCleanup(peer.close)
        return peer


class Sentinel:
    """A process that only sleeps, and notices when it is woken late: the time this machine did
    not have for us. Times in seconds since the beginning."""

    NAP_S, PATIENCE_S = 0.005, 0.005

    def __init__(self):
        self.shared = mmap.mmap(-1, 8)
        parent, begin = os.getpid(), time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self.watch(parent, begin)
            os._exit(0)
        atexit.register(self.stop)

    def stop(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def watch(self, parent, woken):
        late_s = 0.0
        while os.getppid() == parent:
            time.sleep(self.NAP_S)
            before, woken = woken, time.monotonic()
            delay_s = woken - before - self.NAP_S
            if delay_s > self.PATIENCE_S:
                late_s += delay_s
                struct.pack_into("d", self.shared, 0, late_s)

    @staticmethod
    def stolen_s():
        """What the hypervisor gave to others while somebody here wanted to run, over all cores."""
        with open("/proc/stat", encoding="ascii") as file:
            return int(file.readline().split()[8]) / os.sysconf("SC_CLK_TCK")

    def lost_s(self):
        return struct.unpack_from("d", self.shared)[0] + self.stolen_s()


class Tally(unittest.TestResult):
    """Counts what passed and prints each failure when it happens.

    Many tests measure time, which they cannot while the machine is somebody else's. A failure is
    final if nothing disturbed the test; else the test is in `disturbed`, to be run again. One that
    is disturbed in its last attempt too, and badly, is `undecided`: neither passed nor failed."""

    TOLERATED_S = 0.02
    BADLY = 0.1  # of the test's duration
    # No lost time makes a test fail like this.
    MISTAKES = (AttributeError, ImportError, NameError, TypeError)
    output = threading.Lock()
    sentinel = None

    def __init__(self, label, verbose, final=True):
        super().__init__()
        self.label, self.verbose, self.final = label, verbose, final
        self.passed, self.disturbed, self.undecided = 0, [], []

    def startTest(self, test):
        super().startTest(test)
        self.begin = time.monotonic()
        self.lost_s = Tally.sentinel.lost_s()

    def is_disturbed(self, test, err):
        """Note it then, and say so."""
        if not isinstance(test, unittest.TestCase):  # a class that cannot be set up
            return False
        if issubclass(err[0], self.MISTAKES):
            return False
        lasted_s = time.monotonic() - self.begin
        lost_s = Tally.sentinel.lost_s() - self.lost_s
        if lost_s <= max(self.TOLERATED_S, self.BADLY * lasted_s * self.final):
            return False
        noted, word = (self.undecided, "undecided") if self.final else (self.disturbed, "again")
        if test not in noted:
            noted.append(test)
            self.say(f"{word} {self.name(test)}: the machine lost {lost_s:.2f} s of "
                     f"{lasted_s:.2f} s")
        return True

    def name(self, test):
        match = re.search(r"(\w+) \((?:\w+\.)*?(\w+)(?:\.\1)?\)(.*)", str(test), re.DOTALL)
        name = f"{match[2]}.{match[1]}{match[3]}" if match else str(test)
        return f"{self.label}: {name}"

    def say(self, *lines):
        with Tally.output:
            print(*lines, sep="\n", flush=True)

    def addSuccess(self, test):
        self.passed += 1
        if self.verbose:
            self.say(f"ok    {self.name(test)} ({time.monotonic() - self.begin:.2f} s)")

    def addFailure(self, test, err):
        if self.is_disturbed(test, err):
            return
        super().addFailure(test, err)
        self.say(f"FAIL  {self.name(test)}", self.failures[-1][1])

    def addError(self, test, err):
        if self.is_disturbed(test, err):
            return
        super().addError(test, err)
        self.say(f"FAIL  {self.name(test)}", self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        if err is not None and self.is_disturbed(test, err):
            return
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.say(f"FAIL  {self.name(subtest)}",
                     "".join(self._exc_info_to_string(err, subtest)))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say(f"skip  {self.name(test)}: {reason}")

    def add(self, other):
        self.passed += other.passed
        self.undecided += other.undecided
        self.failures += other.failures
        self.errors += other.errors
        self.unexpectedSuccesses += other.unexpectedSuccesses

    def failed(self):
        return len(self.failures) + len(self.errors) + len(self.unexpectedSuccesses)


UNDECIDED_MAX = 5  # of a whole suite; with more it says too little


def count_failed(tallies):
    """What failed; and where too much is undecided, that too."""
    undecided = sum(len(tally.undecided) for tally in tallies)
    return sum(tally.failed() for tally in tallies) + undecided * (undecided > UNDECIDED_MAX)


def watch_machine():
    """Before the first run_suite, while this process has one thread."""
    Tally.sentinel = Tally.sentinel or Sentinel()


ATTEMPTS = 3  # of a test that fails on a disturbed machine
REST_S = 1.0  # before another one: what disturbs a machine lasts for a moment


def run_suite(label, suite, verbose=False):
    """Run it, and again what failed while the machine was disturbed."""
    total = Tally(label, verbose)
    for attempt in range(1, ATTEMPTS + 1):
        if attempt > 1:
            time.sleep(REST_S)
        tally = Tally(label, verbose, final=attempt == ATTEMPTS)
        suite.run(tally)
        total.add(tally)
        suite = unittest.TestSuite(type(test)(test._testMethodName) for test in tally.disturbed)
        if not tally.disturbed:
            break
    return total


def suite_of(case, target, pattern):
    """The tests of `case` for `target` whose Class.name contains the pattern."""
    if not case.suits(target):
        return unittest.TestSuite()
    bound = type(case.__name__, (case,), {"target": target})
    names = unittest.TestLoader().getTestCaseNames(bound)
    return unittest.TestSuite(bound(name) for name in names
                              if pattern in f"{case.__name__}.{name}")


def calibrate(targets):
    """Calibration wants a quiet machine: have it measured before anything runs in parallel."""
    for target in targets[:1]:
        try:
            with Server(target) as server:
                server.get("/work?cpu=hash:1ms")
        except AssertionError as error:  # the tests will show what of theirs this breaks
            print(f"{target.label}: calibration: {str(error).splitlines()[0]}", flush=True)


def main(module, variants=lambda target: [target], jobs=8):
    """Run all ServerCases of a module over all servers and their variants."""
    parser = argparse.ArgumentParser(description=sys.modules[module].__doc__)
    parser.add_argument("servers", nargs="*", metavar="SERVER", help="default: all")
    parser.add_argument("-k", dest="pattern", default="", help="only tests named like this")
    parser.add_argument("-v", dest="verbose", action="store_true", help="name what passed, too")
    arguments = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    cases = [case for case in vars(sys.modules[module]).values()
             if isinstance(case, type) and issubclass(case, ServerCase) and case is not ServerCase]
    targets = find_targets(arguments.servers)
    watch_machine()
    calibrate(targets)
    work = [(case.alone, target.label, suite_of(case, target, arguments.pattern))
            for case in cases for base in targets for target in variants(base)]
    work = [item for item in work if item[2].countTestCases()]

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        together = [pool.submit(run_suite, label, suite, arguments.verbose)
                    for alone, label, suite in work if not alone]
        tallies = [future.result() for future in together]
    tallies += [run_suite(label, suite, arguments.verbose)
                for alone, label, suite in work if alone]
    passed = sum(tally.passed for tally in tallies)
    failed = count_failed(tallies)
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not passed else 0)
