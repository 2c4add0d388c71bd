"""A PostgreSQL of the test's own: its data in a folder of its own, reached over loopback."""

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

from .base import SLOW, wait_until

NAME = "archbench"  # of its user and its database


def postgres_folder():
    """Where the newest PostgreSQL has its programs; None: there is none."""
    folders = glob.glob("/usr/lib/postgresql/*/bin")
    folders = [folder for folder in folders if os.access(f"{folder}/initdb", os.X_OK)]
    return max(folders, key=lambda folder: int(folder.split("/")[-2]), default=None)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Postgres:
    """A running one. It insists on not being root, so where the test is, it runs as postgres. `options`
    are settings: Postgres("max_connections=5"). Call remove() at the end, whatever happens."""

    def __init__(self, *options):
        self.programs, self.options = postgres_folder(), options
        self.folder = tempfile.mkdtemp(prefix="archbench-postgres-", dir="/tmp")
        self.data, self.port, self.process = os.path.join(self.folder, "data"), free_port(), None
        try:
            if os.getuid() == 0:
                user = pwd.getpwnam("postgres")
                os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.execute("initdb", "--pgdata", self.data, "--username", NAME, "--auth", "trust",
                         "--no-sync", "--encoding", "UTF8", "--locale", "C")
            self.begin()
            self.query(f"create database {NAME}", database="postgres")
        except BaseException:
            self.remove()
            raise

    def command(self, program, *arguments):
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        return [*(user if os.getuid() == 0 else []), os.path.join(self.programs, program),
                *arguments]

    def execute(self, program, *arguments):
        done = subprocess.run(self.command(program, *arguments), capture_output=True, text=True,
                              cwd=self.folder, timeout=60 * SLOW, check=False)
        if done.returncode:
            raise AssertionError(f"{program}: {done.stderr}")
        return done.stdout

    def begin(self):
        """Start it, on the same port as before."""
        settings = ("listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}",
                    "fsync=off", "shared_buffers=16MB", "log_min_messages=fatal", *self.options)
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                self.command("postgres", "-D", self.data, "-p", str(self.port),
                             *(f"--{setting}" for setting in settings)),
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        ask = self.command("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port))
        if not wait_until(lambda: subprocess.run(ask, cwd=self.folder, check=False).returncode == 0,
                          30 * SLOW):
            with open(os.path.join(self.folder, "log"), errors="replace", encoding="utf-8") as log:
                raise AssertionError(f"postgres is not ready: {log.read()}")

    def end(self):
        """Stop it at once: those that are connected lose their connections."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait(20 * SLOW)

    def remove(self):
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def conninfo(self):
        return f"host=127.0.0.1 port={self.port} user={NAME} dbname={NAME}"

    def query(self, text, database=NAME):
        """The rows, as psql prints them: a line each, columns divided by |."""
        return self.execute("psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p",
                            str(self.port), "-U", NAME, "-d", database, "-c", text).splitlines()
