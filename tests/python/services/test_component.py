"""Redis and PostgreSQL as parts of a case: bin/archbench component, and cells that have them."""
import glob
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

from harness import RespClient, proc_stat, tree, wait_until
from runner_case import ROOT, SLOW, CellCase

CHAT = """
    [workload]
    question    = Does it reach the room?
    arrivals    = poisson
    rate        = 200
    connections = 20
    components  = redis
    server_options = --feed
    [class message]
    protocol = websocket
    rooms    = 4
    request  = /work?io=redis:publish:room{room}&class=message
    [point plain]
    [point kill]
    kill      = 300ms
    kill_what = redis
"""


def command(name, *arguments):
    return [ROOT / "bin" / "archbench", "component", name, *arguments]


def installed(name):
    return subprocess.run(command(name, "--installed"), capture_output=True,
                          check=False).returncode == 0


class Running:
    """A component under its supervisor."""

    def __init__(self, name, *arguments):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command(name, *arguments), stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True)
        self.ready = self.process.stdout.readline()
        self.port = int(self.ready.rpartition(":")[2] or 0)

    def complaints(self):
        self.errors.seek(0)
        return self.errors.read().decode()

    def stop(self):
        """(status, its last line)"""
        self.process.send_signal(signal.SIGTERM)
        try:
            out, _ = self.process.communicate(timeout=20 * SLOW)
        finally:
            self.process.kill()
        return self.process.returncode, json.loads(out.splitlines()[-1])


def is_gone(pid):
    """... or a zombie, for which nobody has waited yet."""
    return (proc_stat(pid) or "Z")[0] == "Z"


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class ComponentCase(CellCase):
    name = None

    def setUp(self):
        super().setUp()
        if self.name and not installed(self.name):
            self.skipTest(f"{self.name} is not installed: ./deps.sh cases")

    def start_component(self, *arguments):
        component = Running(self.name, *arguments)
        self.addCleanup(component.errors.close)
        self.addCleanup(component.process.communicate)
        self.addCleanup(component.process.kill)
        self.assertRegex(component.ready, rf"^ready {self.name} 127\.0\.0\.1:\d+\n$",
                         component.complaints())
        return component

    def folders(self):
        return glob.glob(os.path.join(tempfile.gettempdir(), "archbench-component-*"))

    def assert_ends_well(self, component, kills=0):
        status, final = component.stop()
        self.assertEqual(status, 0, component.complaints())
        self.assertEqual((final["name"], final["kills"], len(final["down_s"])),
                         (self.name, kills, kills))
        self.assertFalse(answers(component.port))
        self.assertEqual([folder for folder in self.folders()
                          if f"-{component.process.pid}-" in folder], [])
        return final


class RedisTest(ComponentCase):
    name = "redis"

    def test_begins_empty_and_ends_whole(self):
        component = self.start_component()
        with RespClient(component.port) as client:
            self.assertEqual(client.call("SET", "a", "1"), "OK")
        self.assertRegex(self.assert_ends_well(component)["program"], r"^Redis \d")
        component = self.start_component()
        with RespClient(component.port) as client:
            self.assertIsNone(client.call("GET", "a"))
        self.assert_ends_well(component)

    def test_is_killed_and_comes_back(self):
        component = self.start_component()
        for _ in range(3):
            with RespClient(component.port) as client:
                self.assertIsNone(client.call("GET", "a"), "not empty")
                self.assertEqual(client.call("SET", "a", "1"), "OK")
                component.process.send_signal(signal.SIGUSR1)
                with self.assertRaises((EOFError, ConnectionResetError)):
                    client.reply()
            self.assertTrue(wait_until(lambda: answers(component.port), 10))
            time.sleep(0.1)  # SIGUSR1 has no queue
        self.assert_ends_well(component, kills=3)

    def test_ends_with_its_supervisor(self):
        component = self.start_component()
        children = tree(component.process.pid)
        component.process.kill()
        component.process.wait()
        self.assertTrue(wait_until(lambda: all(is_gone(pid) for pid in children), 10),
                        "it outlives its supervisor")
        following = self.start_component()  # removes what the first left behind
        self.assertEqual([folder for folder in self.folders()
                          if f"-{component.process.pid}-" in folder], [])
        self.assert_ends_well(following)

    def test_one_that_dies_by_itself(self):
        component = self.start_component()
        redis = tree(component.process.pid)[1]
        os.kill(redis, signal.SIGKILL)
        self.assertEqual(component.process.wait(20 * SLOW), 1)
        self.assertIn("redis has ended", component.complaints())


class PostgresqlTest(ComponentCase):
    name = "postgresql"

    def schema(self, text):
        path = self.folder / "schema.sql"
        path.write_text(text, encoding="utf-8")
        return str(path)

    def psql(self, component, sql):
        return subprocess.run(["psql", "-h", "127.0.0.1", "-p", str(component.port), "-U", "archbench",
                               "-tAc", sql, "archbench"], capture_output=True, text=True, check=False)

    def ask(self, component, sql):
        answer = self.psql(component, sql)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        return answer.stdout.strip()

    def kill(self, component):
        """As a case does it; return when it answers again."""
        postgres = tree(component.process.pid)[1]
        component.process.send_signal(signal.SIGUSR1)
        self.assertTrue(wait_until(lambda: is_gone(postgres), 20))
        self.assertTrue(wait_until(lambda: self.psql(component, "select 1").returncode == 0, 20))

    def test_has_its_schema_and_keeps_what_it_has_acknowledged(self):
        component = self.start_component("--schema", self.schema("create table t (n int); "
                                                       "insert into t values (1);"))
        self.ask(component, "insert into t values (2)")
        self.kill(component)
        self.assertEqual(self.ask(component, "select sum(n) from t"), "3")
        self.assertRegex(self.assert_ends_well(component, kills=1)["program"], r"^PostgreSQL \d")

    def test_tells_how_many_rows_it_has(self):
        """Of tables and views; those too of a statement that is under way, and of a kill just before."""
        component = self.start_component("--schema", self.schema(
            "create table t (n int); create table nothing (n int); "
            "create view large as select n from t where n > 5;"))
        self.ask(component, "insert into t select generate_series(1, 7)")
        self.kill(component)
        late = subprocess.Popen(["psql", "-h", "127.0.0.1", "-p", str(component.port), "-U",
                                 "archbench", "-c", "insert into t select 8 from pg_sleep(0.3)",
                                 "archbench"], stdout=subprocess.DEVNULL)
        self.addCleanup(late.wait)
        time.sleep(0.15)
        final = self.assert_ends_well(component, kills=1)
        self.assertEqual(final["rows"], {"t": 8, "nothing": 0, "large": 3})

    def test_a_schema_that_is_wrong(self):
        process = subprocess.run(command(self.name, "--schema", self.schema("create tabel t;")),
                                 capture_output=True, text=True, timeout=60 * SLOW, check=False)
        self.assertEqual((process.returncode, process.stdout), (1, ""))
        self.assertIn("syntax error", process.stderr)


class CellTest(ComponentCase):
    """A cell has what is installed, and says what it had."""

    def measure(self, point, *options):
        status, _, _ = self.do(*self.cell("event", self.workload("chat", CHAT), "--point", point,
                                          "--duration", "1s", *options))
        self.assert_nothing_left()
        cell = self.read(f"chat/{point}/event.1")
        self.assertEqual(status, 0, cell["validity"])
        return cell

    def test_played_by_the_upstream(self):
        cell = self.measure("plain")
        component, = cell["components"]
        self.assertEqual((component["name"], component["program"]), ("redis", "bundled"))
        self.assertGreater(component["final"]["published"], 100)
        self.assertIsNotNone(cell["upstream"])
        self.assert_all_delivered(cell)

    def assert_all_delivered(self, cell):
        found = cell["load"]["classes"]["message"]["deliveries"]
        self.assertEqual((found["lost"], found["doubled"], found["disordered"]), (0, 0, 0))
        self.assertGreater(found["delivered"], 500)

    def test_a_real_one(self):
        if not installed("redis"):
            self.skipTest("redis is not installed: ./deps.sh cases")
        cell = self.measure("plain", "--components")
        component, = cell["components"]
        self.assertRegex(component["program"], r"^Redis \d")
        self.assertGreater(component["cpu_s"], 0)
        self.assertIsNone(cell["upstream"])
        self.assertTrue((pathlib.Path(self.folder) / "cells/chat/plain/event.1/redis.log").exists())
        self.assert_all_delivered(cell)

    def test_kills(self):
        for options, victim in ((("--components",), "component"), ((), "upstream")):
            with self.subTest(victim=victim):
                if options and not installed("redis"):
                    self.skipTest("redis is not installed: ./deps.sh cases")
                cell = self.measure("kill", *options)
                self.assertEqual((cell["kill"]["pid_was"], cell["kill"]["count"]), (victim, 1))
                found = cell["load"]["classes"]["message"]["deliveries"]
                self.assertEqual((found["doubled"], found["disordered"]), (0, 0))
                self.assertEqual(found["published"] * 5, found["delivered"] + found["lost"])
                self.assertGreaterEqual(cell["counters"]["feed_connects"], 1)


class StatementsTest(CellCase):
    """A cell whose requests have statements executed."""

    def measure(self, point, *options):
        (self.folder / "chat.sql").write_text(
            "-- name: add  stand-in: 2ms\ninsert into message (room) values ($1)\n")
        (self.folder / "tables.sql").write_text("create table message (room text);\n")
        workload = self.workload("statements", f"""
            [workload]
            question    = What does a statement cost?
            arrivals    = poisson
            rate        = 200
            connections = 20
            components  = postgresql
            schema      = tables.sql
            sql = {self.folder}/chat.sql
            server_options = --database-pool 5
            [class add]
            request = /work?io=sql:add:lobby&class=add
            [point plain]
            [point kill]
            kill      = 300ms
            kill_what = postgresql
            """)
        status, _, _ = self.do(*self.cell("event", workload, "--point", point, "--duration", "1s",
                                          *options))
        self.assert_nothing_left()
        cell = self.read(f"statements/{point}/event.1")
        self.assertEqual(status, 0, cell["validity"])
        self.assertGreater(cell["counters"]["database_calls"], 100)
        return cell

    def test_whoever_executes_them(self):
        for options, program in (((), "bundled"), (("--components",), r"^PostgreSQL \d")):
            with self.subTest(program=program):
                if options and not installed("postgresql"):
                    self.skipTest("PostgreSQL is not installed: ./deps.sh cases")
                cell = self.measure("plain", *options)
                self.assertEqual(cell["load"]["total"]["errors"], 0)
                self.assertEqual(cell["counters"]["database_failed"], 0)
                self.assertGreater(cell["counters"]["database_busy_us"], 0)
                self.assertRegex(cell["components"][0]["program"], program)

    def test_a_database_that_is_killed_comes_back(self):
        if not installed("postgresql"):
            self.skipTest("PostgreSQL is not installed: ./deps.sh cases")
        cell = self.measure("kill", "--components")
        self.assertEqual(cell["kill"]["count"], 1)
        self.assertGreater(cell["counters"]["database_failed"], 0)
        self.assertGreater(cell["counters"]["database_connects"], 1)
        self.assertGreater(cell["load"]["total"]["good"], 20)
        final = cell["components"][0]["final"]
        self.assertEqual(final["kills"], 1)
        self.assertGreaterEqual(final["rows"]["message"], cell["load"]["total"]["good"])
