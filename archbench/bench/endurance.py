"""`archbench bench endurance`: the chat for ten minutes, in five parts, and what became of every message.

undisturbed, redis, postgresql (killed ten times each), worker (the same, of multi_loop, which has worker
processes) and stand-in (undisturbed, but the bundled upstream plays Redis and PostgreSQL). docs/cases/chat.md
says what is counted, and why the account is drawn up like this."""
import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import typing

from archbench.bench import accounts
from archbench.bench.measured import table
from archbench.bench.proc import descriptors, pss_kb, read, tree
from archbench.bench.rig import end
from archbench.places import REPOSITORY

CASES = REPOSITORY / "workloads" / "cases"
WORKLOAD = "chat_endurance"
BESIDE = ("chat.sql", "chat_endurance.schema.sql")
CLIENTS, RATE, ROOM = 10_000, 250, 20
KILLS = 10
SAMPLE_S = 0.25
PATIENCE_S = 180  # beyond the window: a start, 10,000 connections, the drain and the ends


class Part(typing.NamedTuple):
    """One measurement."""

    name: str
    point: str
    server: str
    components: bool = True


def parts(server):
    return [Part("undisturbed", "undisturbed", server), Part("redis", "redis", server),
            Part("postgresql", "postgresql", server), Part("worker", "worker", "multi_loop"),
            Part("stand-in", "undisturbed", server, components=False)]


def scaled(text, clients, seconds):
    """The workload for so many clients, with their share of the messages, and so long."""
    period = seconds / KILLS
    values = {"connections": f"{clients}", "rate": f"{RATE * clients / CLIENTS:g}",
              "rooms": f"{clients // ROOM}", "kill": f"{period / 2 * 1000:.0f}ms",
              "kill_period": f"{period * 1000:.0f}ms"}
    for key, value in values.items():
        text = re.sub(rf"^({key} *=) .*$", rf"\1 {value}", text, flags=re.MULTILINE)
    return text


def write_workload(folder, clients, seconds):
    """With the files that it names. Returns its path."""
    for name in BESIDE:
        shutil.copy(CASES / name, folder)
    path = pathlib.Path(folder) / f"{WORKLOAD}.ini"
    text = (CASES / path.name).read_text(encoding="utf-8")
    path.write_text(scaled(text, clients, seconds), encoding="utf-8")
    return path


# ---------------------------------------------------------------- memory


def server_of(cell, name):
    """The server's first process, among those below a cell; None: there is none yet."""
    for pid in tree(cell):
        with contextlib.suppress(OSError):
            words = read(f"/proc/{pid}/cmdline").split("\0")
            if words[0].endswith(f"/servers/{name}"):
                return pid
    return None


def cgroup_kb(pid):
    """What the kernel adds up for the server's cgroup, its sockets' memory included; None: it has none of its own."""
    for line in read(f"/proc/{pid}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for file in ((f"/sys/fs/cgroup{path}/memory.current",) if not controllers else
                     (f"/sys/fs/cgroup/memory{path}/memory.usage_in_bytes",)
                     if "memory" in controllers.split(",") else ()):
            with contextlib.suppress(OSError):
                return int(read(file)) // 1024
    return None


def usage(root):
    """(PSS of all its processes, that of its cgroup), in KiB. Processes that end meanwhile are no part of it."""
    kb = 0
    for pid in tree(root):
        with contextlib.suppress(OSError, TypeError):  # no more file, or an empty one
            kb += pss_kb([pid])
    return kb, cgroup_kb(root)


class Watch:
    """Looks at the memory of a cell's server at the moments of its window, for a `with` statement. The window begins when
    all clients are connected."""

    def __init__(self, cell, name, clients, seconds):
        self.cell, self.name, self.clients, self.seconds = cell, name, clients, seconds
        self.samples, self.over = [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def is_connected(self, server):
        held = 0
        for pid in tree(server):
            with contextlib.suppress(OSError):
                held += descriptors(pid)
        return held >= self.clients

    def server(self):
        """When everybody is connected to it; None: that did not come to pass."""
        while not self.over.wait(SAMPLE_S):
            server = server_of(self.cell, self.name)
            if server and self.is_connected(server):
                return server
        return None

    def run(self):
        server, begin_s = self.server(), time.monotonic()
        for moment in accounts.MOMENTS:
            if server is None or self.over.wait(max(0, begin_s + moment * self.seconds -
                                                    time.monotonic())):
                return
            with contextlib.suppress(OSError):
                self.samples.append(usage(server))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


# ---------------------------------------------------------------- a part


def command(options, part, workload, folder, seconds):
    words = [f"{options.build}/cell", "--server", part.server, "--workload", str(workload), "--point",
             part.point, "--out", str(folder), "--warmup", "0s", "--duration",
             f"{seconds * 1000:.0f}ms", "--build", options.build]
    return words + (["--components"] if part.components else [])


def measure(options, part):
    """The account of one part. No warm-up: whatever was sent is in the account."""
    seconds = options.minutes * 60
    with tempfile.TemporaryDirectory() as folder:
        workload = write_workload(folder, options.clients, seconds)
        process = subprocess.Popen(command(options, part, workload, folder, seconds),
                                   stdout=subprocess.DEVNULL)
        try:
            with Watch(process.pid, part.server, options.clients, seconds) as watch:
                process.wait(seconds + PATIENCE_S)
        finally:
            end(process, 30)
        cell = pathlib.Path(folder, WORKLOAD, part.point, f"{part.server}.1")
        if options.keep:
            shutil.copytree(cell, pathlib.Path(options.keep, part.name), dirs_exist_ok=True)
        if not (cell / "cell.json").is_file():
            sys.exit(f"endurance: {part.name}: the cell has left no result")
        kills = KILLS if part.point != "undisturbed" else 0
        with open(cell / "cell.json", encoding="utf-8") as file:
            return accounts.Account(part.name, json.load(file), ROOM, watch.samples, kills)


def add_options(parser):
    parser.add_argument("--minutes", type=float, default=10, help="of each part of `endurance`")
    parser.add_argument("--clients", type=int, default=CLIENTS, help="of `endurance`")
    parser.add_argument("--server", default="hybrid",
                        help="for `endurance` and `components`; a worker is killed of multi_loop")
    parser.add_argument("--parts", metavar="NAMES",
                        help="of `endurance`, separated by commas: "
                             + " ".join(part.name for part in parts("")))
    parser.add_argument("--markdown", metavar="FILE", help="for the table of `endurance`")
    parser.add_argument("--keep", metavar="FOLDER", help="for the cells of `endurance`")


def bench(options):
    """The parts that are asked for, a table of all, and whether every line of every account holds."""
    if options.clients % ROOM:
        sys.exit(f"endurance: rooms have {ROOM} members, so the clients must be a multiple of it")
    chosen = options.parts.split(",") if options.parts else []
    known = parts(options.server)
    for name in set(chosen) - {part.name for part in known}:
        sys.exit(f"endurance: no part '{name}'; there is: {' '.join(part.name for part in known)}")
    found, well = [], True
    for part in known:
        if chosen and part.name not in chosen:
            continue
        print(f"endurance: {part.name}: {part.server}, {options.clients:,} clients, "
              f"{options.minutes:g} minutes", flush=True)
        found.append(measure(options, part))
        well &= accounts.show_verdict(found[-1])
    print(accounts.text(found))
    if options.markdown:
        pathlib.Path(options.markdown).write_text(table(*accounts.table_of(found)),
                                                  encoding="utf-8")
    return well
