"""Statements of a database: what stands in for it with every server, and a real one."""

import tempfile
import time
import unittest

import harness
from harness import SLOW, ServerCase, request, wait_until

from .helpers import together

STATEMENTS = """
-- name: quick
select 1
-- name: slow  stand-in: 100ms
select pg_sleep(0.1)
-- name: add  stand-in: 1ms
insert into message (room, id, text) values ($1, $2, convert_from($3, 'UTF8'));
-- name: keep
insert into message (room, raw) values ($1, $3)
-- name: read
select text from message where room = $1
-- name: fail
select 1 / $1::int
-- name: again
insert into once values ($1)
-- name: sleep
select pg_sleep($1::int)
-- name: open
begin
"""


class Asking:
    """What the themes over statements have in common: servers of their own, which know STATEMENTS."""

    options = None

    def file_of(self, text):
        file = tempfile.NamedTemporaryFile("w", suffix=".sql", encoding="utf-8")
        self.addCleanup(file.close)
        file.write(text)
        file.flush()
        return file.name

    def start(self, *options, timeout_s=10.0, sql=STATEMENTS):
        if self.target.has("--retries"):  # what fails is to be seen, not tried again
            options = ("--retries", "0", *options)
        if sql:
            options = ("--sql", self.file_of(sql), *options)
        return super().start("--database-timeout", f"{timeout_s * SLOW * 1000:g}ms", *options)

    def refused(self, server, query, status, reason):
        reply = server.get(f"/work?{query}")
        self.assertEqual((reply.status, reply.body.decode()), (status, reason + "\n"))

    def one_process(self, server):
        """Is the pool that of the whole server?"""
        return len(harness.children(server.pid)) <= 1 and self.target.name not in (
            "processes", "prefork", "multi_loop", "serverless")

    def ask_together(self, server, target, count):
        """`count` peers ask at the same time: the statuses, and how long it took."""
        peers = [self.peer(server) for _ in range(count)]
        begin = time.monotonic()
        for peer in peers:
            peer.send(request(target))
        statuses = [peer.reply().status for peer in peers]
        for peer in peers:
            peer.close()
        return statuses, time.monotonic() - begin


class StandIns(Asking, ServerCase):
    """io=sql without a database: the upstream waits as long as the file says."""

    def setUp(self):
        self.upstream = harness.Upstream()
        self.addCleanup(self.upstream.stop)

    def start(self, *options, **more):
        return super().start("--upstream-address", f"127.0.0.1:{self.upstream.port}", "--database",
                             "", *options, **more)

    def test_a_statement_is_a_wait(self):
        server = self.start()
        for query, least_s in (("io=sql:quick", 0), ("io=sql:slow", 0.1), ("io=sql:add:room", 0),
                               ("io=sql:slow:a&cpu=hash:1ms&io=sql:slow&body=7", 0.2)):
            with self.subTest(query=query):
                begin = time.monotonic()
                self.assertEqual(server.get("/work?" + query).status, 200)
                lasted = time.monotonic() - begin
                self.assertGreaterEqual(lasted, least_s)
                self.assertLess(lasted, least_s + 2 * SLOW)
        metrics = server.metrics()
        self.assertEqual([metrics["database_" + name] for name in
                          ("calls", "waits", "failed", "late")], [5, 0, 0, 0])
        self.assertEqual(metrics["upstream_calls"], 0)
        self.assertGreaterEqual(metrics["database_connects"], 1)
        self.assertGreaterEqual(metrics["database_busy_us"], 0.3e6)
        self.assertLess(metrics["database_busy_us"], (0.4 + 2 * SLOW) * 1e6)

    def test_unknown_statements(self):
        server = self.start()
        for query in ("io=sql:none", "io=timer:50s&io=sql:none", "io=sql:quick&io=sql:Quick"):
            self.refused(server, query, 400, "there is no such statement in the file of --sql")
        self.assertEqual(server.metrics()["database_calls"], 0)
        server = self.start(sql=None)
        self.refused(server, "io=sql:quick", 501,
                     "this server was started without --sql, a file of statements")

    def test_messages_ask_as_requests_do(self):
        server = self.start()
        with server.websocket() as websocket:
            self.assertEqual(websocket.ask("a", "/work?io=sql:add:room", "text").status, 200)
            self.assertEqual(websocket.ask("b", "/work?io=sql:none", "text").status, 400)

    def test_both_pools_are_used_and_bounded(self):
        """A statement that waits for a connection does not wait for one of the other pool."""
        threads = () if isinstance(self.target.about.get("peers"), str) else ("--workers", "4")
        server = self.start("--database-pool", "1", "--upstream-pool", "1", *threads, timeout_s=30)
        statuses, lasted = self.ask_together(server, "/work?io=sql:slow&io=upstream:10ms", 6)
        self.assertEqual(statuses, [200] * 6)
        if self.one_process(server):
            self.assertLessEqual(self.upstream.most, 2)
            self.assertGreaterEqual(lasted, 0.6)
            metrics = server.metrics()
            self.assertEqual((metrics["database_calls"], metrics["upstream_calls"]), (6, 6))
            self.assertEqual((metrics["database_connects"], metrics["upstream_connects"]), (1, 1))
            self.assertGreaterEqual(metrics["database_busy_us"], 0.6e6)
        if self.one_process(server) and "upstream" not in self.target.about["blocks"]:
            self.assertEqual(metrics["database_waits"], 5)
            self.assertGreaterEqual(metrics["database_wait_us"], 1.4e6)

    def test_failures(self):
        server = self.start(timeout_s=0.2)
        for mood, status, reason in (
                ("error", 502, "the upstream answered with an error"),
                ("drop", 502, "the upstream closed the connection"),
                ("stall", 504, "the upstream did not answer in time")):
            with self.subTest(mood=mood):
                self.upstream.mood = mood
                self.refused(server, "io=sql:quick&io=timer:50s", status, reason)
                self.upstream.mood = "well"
                self.assertEqual(server.get("/work?io=sql:quick").status, 200)
        metrics = server.metrics()
        self.assertEqual((metrics["database_failed"], metrics["database_late"]), (2, 1))

    def test_libpq_is_loaded_at_need_only(self):
        """What no process needs no fork pays for."""
        for options, loaded in (((), False), (("--database", "host=127.0.0.1 user=a"), True)):
            server = self.start(*options)
            with open(f"/proc/{server.pid}/maps", encoding="utf-8") as maps:
                self.assertEqual("libpq.so" in maps.read(), loaded)


class Databases(Asking, ServerCase):
    """io=sql with a PostgreSQL: one of the test's own for each server."""

    SERVERS = ("event", "threads", "io_uring", "hybrid", "processes", "coroutines", "serverless")
    CONNECTIONS = 40
    postgres = None

    @classmethod
    def suits(cls, target):
        return target.name in cls.SERVERS and not target.options

    @classmethod
    def setUpClass(cls):
        if not harness.postgres_folder():
            raise unittest.SkipTest("PostgreSQL is not installed")
        cls.postgres = harness.Postgres(f"max_connections={cls.CONNECTIONS}",
                                        "superuser_reserved_connections=0")
        cls.addClassCleanup(cls.postgres.remove)
        super().setUpClass()

    def setUp(self):
        self.postgres.query("drop table if exists message, once; "
                            "create table message (room text, id text, text text, raw bytea); "
                            "create table once (name text primary key)")

    def start(self, *options, **more):
        return super().start("--database", self.postgres.conninfo, *options, **more)

    def rows(self, columns="room, id, text"):
        return self.postgres.query(f"select {columns} from message")

    def test_inserts_and_reads(self):
        server = self.start()
        self.assertEqual(server.get("/work?io=sql:add:lobby&io=sql:read:lobby&body=7").status, 200)
        with server.websocket() as websocket:
            self.assertEqual(websocket.ask("m1", "/work?io=sql:add:a", "h\u00e4\u20ac' $1\n").status,
                             200)
            self.assertEqual(websocket.ask("x" * 32, "/work?io=sql:add:b", "x" * 65000).status, 200)
            websocket.send("- /work?io=sql:add:c\none way")
            self.assertEqual(websocket.ask("m2", "/work?io=sql:keep:d", b"\0\xff").status, 200)
            self.assertEqual(websocket.ask("m3", "/work?io=sql:read").status, 200)
        self.assertEqual(sorted(self.postgres.query(
            "select room, id, length(text), encode(raw, 'hex') from message")),
            ["a|m1|8|", f"b|{'x' * 32}|65000|", "c|-|7|", "d|||00ff", "lobby|-|0|"])
        self.assertEqual(self.postgres.query("select text from message where room = 'a'"),
                         ["h\u00e4\u20ac' $1", ""])
        metrics = server.metrics()
        self.assertEqual([metrics["database_" + name] for name in ("calls", "failed", "late")],
                         [7, 0, 0])

    def test_a_refused_statement_costs_nothing_else(self):
        server = self.start("--database-pool", "1")
        with server.peer() as peer:
            self.assertEqual(peer.get("/work?io=sql:again:a").status, 200)
            for query in ("io=sql:fail:0", "io=sql:fail:x", "io=sql:again:a"):
                reply = peer.get(f"/work?{query}&io=timer:50s")
                self.assertEqual((reply.status, reply.body),
                                 (502, b"the database refused the statement\n"))
                self.assertEqual(peer.get("/work?io=sql:fail:1").status, 200)
        metrics = server.metrics()
        self.assertEqual(metrics["database_failed"], 3)
        if self.one_process(server):
            self.assertEqual(metrics["database_connects"], 1)
        self.assertEqual(server.complaints(),
                         "database: cannot execute fail: division by zero\n")

    def test_a_pool_of_one(self):
        server = self.start("--database-pool", "1", timeout_s=30)
        statuses, lasted = self.ask_together(server, "/work?io=sql:slow&io=sql:add:a", 8)
        self.assertEqual(statuses, [200] * 8)
        self.assertEqual(len(self.rows()), 8)
        if self.one_process(server):
            self.assertGreaterEqual(lasted, 0.8)
            metrics = server.metrics()
            self.assertEqual((metrics["database_calls"], metrics["database_connects"]), (16, 1))
            self.assertGreaterEqual(metrics["database_waits"], 7)
            self.assertGreaterEqual(metrics["database_wait_us"], 2e6)
            self.assertGreaterEqual(metrics["database_busy_us"], 0.8e6)
            self.assertLessEqual(metrics["database_busy_us"], lasted * 1e6)

    def test_a_crowd(self):
        server = self.start("--database-pool", "4", timeout_s=30)
        count, each = 8, 20

        def ask(index):
            with server.peer() as peer:
                peer.send(request(f"/work?io=sql:add:r{index}&io=sql:read:r{index}") * each)
                return [peer.reply().status for _ in range(each)]
        self.assertEqual(together(count, ask), [[200] * each] * count)
        self.assertEqual(len(self.rows()), count * each)

    def test_late(self):
        """Its connection is closed; nobody gets the answer that comes after all."""
        server = self.start("--database-pool", "1", timeout_s=0.5)
        with server.peer() as peer:
            begin = time.monotonic()
            reply = peer.get("/work?io=sql:sleep:3&io=timer:50s")
            self.assertEqual((reply.status, reply.body),
                             (504, b"the database did not answer in time\n"))
            self.assertLess(time.monotonic() - begin, 0.5 * SLOW + 1)
            self.assertEqual(peer.get("/work?io=sql:add:a").status, 200)
        metrics = server.metrics()
        self.assertEqual((metrics["database_late"], metrics["database_failed"]), (1, 0))

    def test_a_transaction_is_left_to_nobody(self):
        server = self.start("--database-pool", "1")
        with server.peer() as peer:
            self.assertEqual(peer.get("/work?io=sql:open").status, 200)
            self.assertEqual(peer.get("/work?io=sql:add:a").status, 200)
        self.assertEqual(len(self.rows()), 1)

    def test_restart(self):
        """A statement under way fails; the next ones find the database as soon as it is there."""
        server = self.start("--database-pool", "2")
        with server.peer() as peer:
            self.assertEqual(peer.get("/work?io=sql:add:a").status, 200)
            peer.send(request("/work?io=sql:sleep:30"))
            time.sleep(0.3 * SLOW)
            self.postgres.end()
            self.addCleanup(self.begin_again)
            reply = peer.reply()
            self.assertEqual((reply.status, reply.body),
                             (502, b"the database closed the connection\n"))
            reply = peer.get("/work?io=sql:add:b")
            self.assertEqual((reply.status, reply.body), (502, b"cannot connect to the database\n"))
            self.begin_again()
            for _ in range(3):
                self.assertEqual(peer.get("/work?io=sql:add:c").status, 200)
            self.postgres.end()
            self.begin_again()  # nobody has asked meanwhile
            self.assertEqual(peer.get("/work?io=sql:add:d").status, 200)
        self.assertEqual(self.rows("room"), ["a", "c", "c", "c", "d"])

    def begin_again(self):
        if self.postgres.process.poll() is not None:
            self.postgres.begin()

    def test_too_many_connections(self):
        server = self.start("--database-pool", "5")
        other = self.start("--database-pool", str(self.CONNECTIONS), timeout_s=60)
        try:
            for _ in range(self.CONNECTIONS):
                other.peer().send(request("/work?io=sql:sleep:50"))
            self.assertTrue(wait_until(
                lambda: other.metrics()["database_connects"] == self.CONNECTIONS, 10 * SLOW))
            for _ in range(2):
                self.refused(server, "io=sql:quick", 502,
                             "the database is full: of connections, memory or disk")
        finally:
            other.kill()
        self.postgres.end()  # nobody tells its sleepers that their client is gone
        self.postgres.begin()
        self.assertEqual(server.get("/work?io=sql:quick").status, 200)

    def test_what_cannot_be_prepared_is_said_once(self):
        server = self.start(sql="-- name: quick\nselect 1\n-- name: lost\nselect * from nowhere\n")
        for _ in range(3):
            self.refused(server, "io=sql:quick", 502, "the database cannot prepare the statements")
        self.assertEqual(server.complaints(),
                         'database: cannot prepare lost: relation "nowhere" does not exist\n')

    def test_a_wrong_user(self):
        server = self.start("--database", self.postgres.conninfo + " user=nobody_here")
        self.refused(server, "io=sql:quick", 502, "the database refuses connections")
        self.assertIn("nobody_here", server.complaints())

    def test_small_stacks_suffice(self):
        options = {"coroutines": ("--coroutine-stack", "24k"), "threads": ("--stack", "64k")}
        if self.target.name not in options:
            self.skipTest("not applicable: its stacks are the system's")
        server = self.start(*options[self.target.name])
        self.assertEqual(server.get("/work?io=sql:add:a&io=sql:read:a").status, 200)
        self.refused(server, "io=sql:fail:0", 502, "the database refused the statement")
