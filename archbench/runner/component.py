"""Start Redis or PostgreSQL as a part of a case: on loopback, with nothing in it, until SIGTERM.

It says `ready NAME HOST:PORT` when the component answers, kills it and starts it again (as a supervisor does) on
SIGUSR1, and tells at its end, as one line of JSON, what it was and how often it was killed. Whatever ends this program
ends the component. Its data lies in a folder of its own under $TMPDIR that is removed with it: PostgreSQL refuses to run
as root, and its own user may not enter the folder of a run."""
import ctypes
import glob
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from archbench.arguments import Parser

PR_SET_PDEATHSIG = 1
READY_S = 30       # for a start, recovery after a kill included
LOOK_S = 0.02      # between two looks whether it is ready
PREFIX = "archbench-component-"
TABLES = "select table_name from information_schema.tables where table_schema = 'public'"
# Waits for what is under way, a second at most: nothing that a case asks for takes longer.
BUSY = """do $$ begin
    for i in 1..50 loop
        exit when not exists (select from pg_stat_activity where state = 'active'
                              and backend_type = 'client backend' and pid <> pg_backend_pid());
        perform pg_sleep(0.02), pg_stat_clear_snapshot();
    end loop;
end $$"""
NOT_INSTALLED = 69  # exit status, EX_UNAVAILABLE of sysexits.h
HOST = "127.0.0.1"


class Failed(Exception):
    """It could not be started; a sentence."""


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def begin_child():
    """In a child before it executes: it ends with us, and takes the signals that we hold."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Component:
    """A program that is started in `folder`. `ends`: the signal that ends it at once and in order."""

    ends = signal.SIGTERM

    def __init__(self, folder, port, schema):
        self.folder, self.port, self.schema = folder, port, schema

    def prepare(self):
        """Before the first start."""

    def fill(self):
        """After it: what is to be in it."""

    def found(self):
        """What the last line says of its contents. Called while it still runs."""
        return {}


class Redis(Component):
    """Without files: what is in it is gone when it ends, which a case has to live with."""

    name = "redis"
    program = shutil.which("redis-server")

    @classmethod
    def version(cls):
        return "Redis " + re.search(r"v=([\d.]+)", output(cls.program, "--version"))[1]

    def command(self):
        return [self.program, "--bind", HOST, "--port", str(self.port), "--dir", str(self.folder),
                "--save", "", "--appendonly", "no", "--maxclients", "15000"]

    def answers(self):
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as client:
                client.sendall(b"PING\r\n")
                return client.recv(7) == b"+PONG\r\n"
        except OSError:
            return False


class PostgreSQL(Component):
    """A cluster that trusts everybody on loopback, with the database and the user `archbench`. A kill loses nothing of
    what it has acknowledged; a power cut would, as it does not wait for the disk (fsync)."""

    name = "postgresql"
    ends = signal.SIGQUIT
    user = "postgres"
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"),
                     key=lambda path: int(path.split("/")[4]))
    program = folders[-1] if folders else None
    SETTINGS = ("listen_addresses=" + HOST, "fsync=off", "max_connections=300", "autovacuum=off")

    @classmethod
    def version(cls):
        return "PostgreSQL " + re.search(r"PostgreSQL\) ([\d.]+)", output(cls.program, "--version"))[1]

    def tool(self, name):
        return str(pathlib.Path(self.program).with_name(name))

    def as_its_user(self):
        """What comes before a command; another user is needed by root only."""
        if os.geteuid() != 0:
            return []
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups",
                "--pdeathsig=SIGKILL"]

    def prepare(self):
        if os.geteuid() == 0:
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        output(*self.as_its_user(), self.tool("initdb"), "--pgdata", f"{self.folder}/data",
               "--username", "archbench", "--auth", "trust", "--no-sync", "--encoding", "UTF8",
               "--locale", "C")

    def command(self):
        settings = [word for setting in self.SETTINGS for word in ("-c", setting)]
        return [*self.as_its_user(), self.program, "-D", f"{self.folder}/data", "-p",
                str(self.port), "-k", "", *settings]

    def client(self, name, *arguments):
        return output(self.tool(name), "--host", HOST, "--port", str(self.port), "--username",
                      "archbench", *arguments)

    def answers(self):
        ready = subprocess.run([self.tool("pg_isready"), "--quiet", "--host", HOST, "--port",
                                str(self.port), "--username", "archbench"], check=False)
        return ready.returncode == 0

    def fill(self):
        self.client("createdb", "archbench")
        if self.schema:
            self.client("psql", "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file",
                        self.schema, "archbench")

    def query(self, sql):
        return self.client("psql", "--quiet", "--no-psqlrc", "--tuples-only", "--no-align", "--command",
                           sql, "archbench").split()

    def found(self):
        """The rows of each table and view. A statement whose client has gone goes on to its end, and counts: so
        they come first."""
        self.query(BUSY)
        return {"rows": {name: int(self.query(f'select count(*) from "{name}"')[0])
                         for name in self.query(TABLES)}}


COMPONENTS = {component.name: component for component in (Redis, PostgreSQL)}


class Supervisor:
    """Keeps a component running."""

    def __init__(self, component):
        self.component, self.process, self.down_s = component, None, []

    def start(self):
        """Return when it answers. One that was killed may leave its port or its memory busy for a moment: then it ends
        at once, and is tried again."""
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            if self.process is None or self.process.poll() is not None:
                self.process = subprocess.Popen(self.component.command(), stdin=subprocess.DEVNULL,
                                                stdout=sys.stderr, preexec_fn=begin_child)
            if self.component.answers():
                return
            time.sleep(LOOK_S)
        raise Failed(f"{self.component.name} was not ready within {READY_S} s")

    def kill(self):
        """As an accident does, and start it again on what is left."""
        killed = time.monotonic()
        self.process.kill()
        self.process.wait()
        self.start()
        self.down_s.append(round(time.monotonic() - killed, 4))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.component.ends)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def run(self):
        """Until a signal ends it; a component that ends by itself is a failure."""
        signals = {signal.SIGUSR1, signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
        while True:
            came = signal.sigwait(signals)
            if came == signal.SIGUSR1:
                self.kill()
            elif came != signal.SIGCHLD:
                return
            elif self.process.poll() is not None:
                raise Failed(f"{self.component.name} has ended with {self.process.returncode}")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def remove_leftovers():
    """Folders of components whose supervisor was killed."""
    for folder in glob.glob(f"{tempfile.gettempdir()}/{PREFIX}*"):
        pid = folder.split("-")[2]
        if not (pid.isdigit() and alive(int(pid))):
            shutil.rmtree(folder, ignore_errors=True)


def supervise(kind, port, schema):
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-",
                                     ignore_cleanup_errors=True) as folder:
        component = kind(folder, port or free_port(), schema)
        supervisor = Supervisor(component)
        try:
            component.prepare()
            supervisor.start()
            component.fill()
            print(f"ready {component.name} {HOST}:{component.port}", flush=True)
            supervisor.run()
            found = component.found()
        finally:
            supervisor.stop()
        print(json.dumps({"name": component.name, "program": component.version(),
                          "kills": len(supervisor.down_s), "down_s": supervisor.down_s, **found}))


def parse_arguments(words):
    parser = Parser("component", __doc__)
    parser.add_argument("name", choices=COMPONENTS, help="which")
    parser.add_argument("--port", type=int, default=0, help="port to listen on, 0: a free one")
    parser.add_argument("--schema", metavar="FILE", help="SQL that makes what a case needs")
    parser.add_argument("--installed", action="store_true",
                        help=f"only say what is installed, with status {NOT_INSTALLED} if nothing")
    return parser.parse_args(words)


def main(words):
    arguments = parse_arguments(words)
    kind = COMPONENTS[arguments.name]
    if not kind.program:
        print(f"archbench component: {kind.name} is not installed: ./deps.sh cases",
              file=sys.stderr)
        return NOT_INSTALLED
    if arguments.installed:
        print(kind.version())
        return 0
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGCHLD, signal.SIGTERM,
                                              signal.SIGINT})
    remove_leftovers()
    try:
        supervise(kind, arguments.port, arguments.schema)
    except (Failed, OSError, subprocess.CalledProcessError) as error:
        print(f"archbench component: {error}\n{getattr(error, 'stderr', '') or ''}".rstrip(),
              file=sys.stderr)
        return 1
    return 0
