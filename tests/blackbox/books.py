"""Order books that all connections share: what the server says of them at its end is what its journal comes to,
one operation after the other, whoever was killed meanwhile."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time

import harness
from harness import BUILD, SLOW, Ended, ServerCase, composed, order_books, request, wait_until

from .helpers import together

REPLAY = os.path.join(BUILD, "replay")
STEPS_MAX = 16  # of a request


class Trading:
    """What the themes have in common."""

    options = None

    def modes(self):
        """The options for each way in which this architecture shares its books."""
        words = re.search(r"--book ([a-z|]+)", self.target.help)
        return [("--book", word) for word in words[1].split("|")] if words else [()]

    def journal(self):
        """The path of a journal that does not exist yet."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return os.path.join(folder.name, "journal")

    @staticmethod
    def replayed(path):
        done = subprocess.run([REPLAY, path], capture_output=True, text=True, check=True,
                              timeout=60 * SLOW)
        return json.loads(done.stdout)

    def agrees(self, final, path):
        """What the server says of its books, and what a replay of its journal comes to."""
        found = self.replayed(path)
        self.assertEqual((final.get("book_digest", "0" * 16), final.get("book_entries", 0)),
                         (found["digest"], found["entries"]))
        return found

    def accepted(self, path):
        """Seeds of the journal; each test uses one only once. An architecture that tries an event again
        when its instance has died may perform it twice."""
        _, operations = order_books.read_journal(path)
        seeds = [seed for _, seed in operations]
        if not self.target.has("--retries"):
            self.assertEqual(len(set(seeds)), len(seeds), "an operation was accepted twice")
        return set(seeds)

    @staticmethod
    def seeds(index, round_number, count):
        base = (index + 1) * 10**12 + round_number * 100
        return range(base, base + count)

    @staticmethod
    def target_of(seeds):
        """A request for one step for each: a trade now and then, else an update."""
        steps = [f"book={'trade' if seed % 10 == 0 else 'update'}:{seed}" for seed in seeds]
        return "/work?" + "&".join(steps)

    def crowd(self, server, count):
        """How many connections of `count` this server can have at a time."""
        return min(count, server.room)


class Books(Trading, ServerCase):
    def test_steps(self):
        path = self.journal()
        server = self.start("--symbols", "3", "--book-journal", path)
        with server.peer() as peer:
            for query in ("book=update", "book=trade", "book=quote", "book=update:1",
                          "book=trade:18446744073709551615", "book=quote:7", "book=update:0",
                          "book=trade:2&io=timer:1ms&book=update:3&cpu=risk:1ms&book=quote",
                          "book=update:4&body=5", "cpu=hash:1ms&book=trade:5&class=a"):
                with self.subTest(query=query):
                    self.assertEqual(peer.get("/work?" + query).status, 200)
            for query in ("book=", "book=sell", "book=trade:", "book=trade:x", "book=trade:-1",
                          "book=update:18446744073709551616", "io=book:trade", "book=quote:1:2"):
                with self.subTest(query=query):
                    self.assertEqual(peer.get("/work?" + query).status, 400)
            metrics = server.metrics() if server.room > 1 else None
        final = server.stop()
        names = ("book_updates", "book_trades", "book_quotes", "book_refused", "book_rebuilt")
        self.assertEqual([final[name] for name in names], [5, 4, 3, 0, 0])
        found = self.agrees(final, path)
        self.assertEqual((found["filled"], found["unfilled"]),
                         (final["book_filled"], final["book_unfilled"]))
        if metrics:
            self.assertEqual([metrics[name] for name in names], [5, 4, 3, 0, 0])

    def test_without_steps(self):
        """A server that is not asked for a book says nothing of one, and writes no entry."""
        path = self.journal()
        server = self.start("--book-journal", path)
        self.assertEqual(server.get("/work?body=5").status, 200)
        self.assertEqual(server.get("/work?book=quote").status, 200)
        final = server.stop()
        self.assertFalse({"book_digest", "book_entries"} & set(final))
        self.assertEqual(self.agrees(final, path)["entries"], 0)

    def test_all_at_once(self):
        """Requests by HTTP and one-way messages of several connections, in each way of sharing. The other
        implementation, which is slow, comes to the same."""
        for mode in self.modes():
            with self.subTest(mode=mode):
                path = self.journal()
                server = self.start("--workers", "3", "--symbols", "5", *mode, "--book-journal", path)
                count, rounds = self.crowd(server, 6), 12

                def trade(index, server=server, rounds=rounds):
                    seeds = [self.seeds(index, number, STEPS_MAX) for number in range(rounds)]
                    if index % 2 == 0:
                        with server.peer() as peer:
                            return [peer.get(self.target_of(each)).status for each in seeds]
                    with server.websocket() as websocket:
                        websocket.send(*(composed("-", self.target_of(each)) for each in seeds))
                        return [websocket.ask("end", "/work?book=quote").status]

                statuses = together(count, trade)
                self.assertEqual({status for each in statuses for status in each}, {200})
                final = server.stop()
                found = self.agrees(final, path)
                self.assertEqual(found["entries"], count * rounds * STEPS_MAX)
                self.assertEqual({**order_books.replayed(path), "skipped": 0}, found)

    def test_among_other_work(self):
        """While connections compute and wait, steps before and after each other are performed in order."""
        for mode in self.modes():
            with self.subTest(mode=mode):
                path = self.journal()
                server = self.start("--workers", "2", *mode, "--book-journal", path)
                count = self.crowd(server, 4)

                def mix(index, server=server):
                    with server.peer() as peer:
                        for number in range(10):
                            first = 10**6 * (index + 1) + 3 * number
                            reply = peer.get(
                                f"/work?book=update:{first}&cpu=risk:200us&book=update:{first + 1}"
                                f"&io=timer:1ms&book=trade:{first + 2}&cpu=hash:100us")
                            self.assertEqual(reply.status, 200)

                together(count, mix)
                self.assertEqual(self.agrees(server.stop(), path)["entries"], 30 * count)
                _, operations = order_books.read_journal(path)
                order = [seed for _, seed in operations]
                for index in range(count):
                    mine = [seed for seed in order if seed // 10**6 == index + 1]
                    self.assertEqual(mine, sorted(mine))

    def test_the_same_books_on_every_path(self):
        """Two servers that get the same operations in the same order have the same books."""
        digests = set()
        for mode in self.modes():
            server = self.start("--symbols", "4", *mode)
            with server.peer() as peer:
                for number in range(20):
                    peer.get(self.target_of(self.seeds(0, number, STEPS_MAX)))
            digests.add(server.stop()["book_digest"])
        market = order_books.Market(4)
        for number in range(20):
            for seed in self.seeds(0, number, STEPS_MAX):
                market.apply(order_books.TRADE if seed % 10 == 0 else order_books.UPDATE, seed)
        self.assertEqual(digests, {market.total()["digest"]})


class JournalOfBooks(Trading, ServerCase):
    def feed(self, server, index, number, count=100):
        """So many requests; the seeds of those that were answered."""
        answered = []
        with server.peer() as peer:
            for turn in range(count):
                seeds = self.seeds(index, number * 1000 + turn, 4)
                try:
                    if peer.get(self.target_of(seeds)).status == 200:
                        answered += seeds
                except (AssertionError, OSError):  # it has been killed
                    break
        return answered

    def test_a_server_that_is_killed_is_replaced(self):
        """The next one begins with what the journal has; what was answered is in it."""
        path, answered, before = self.journal(), set(), 0
        for number in range(3):
            server = self.start("--book-journal", path, "--workers", "2")
            answered |= set(self.feed(server, 0, number))
            if number < 2:
                server.kill()
                self.assertTrue(wait_until(lambda: not server.alive(), 5))
            before = max(before, len(answered))
        found = self.agrees(server.stop(), path)
        self.assertEqual(found["entries"], 3 * 400)
        self.assertEqual(self.accepted(path), answered)

    def test_by_descriptor(self):
        """A file in memory that the server inherits."""
        memory = os.memfd_create("journal", 0)
        self.addCleanup(os.close, memory)
        os.set_inheritable(memory, True)
        path = f"/proc/{os.getpid()}/fd/{memory}"
        server = self.start("--book-journal", path)
        self.feed(server, 0, 0, 10)
        self.assertEqual(self.agrees(server.stop(), path)["entries"], 40)

    def test_what_is_no_journal(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"something else" * 1000)
            file.flush()
            for path, symbols in ((file.name, "16"), ("/nowhere/at/all", "16")):
                done = subprocess.run([self.target.path, "--port", "0", "--book-journal", path,
                                       "--symbols", symbols], capture_output=True, text=True,
                                      check=False, timeout=20 * SLOW)
                self.assertEqual(done.returncode, 2)
                self.assertIn("journal", done.stderr)
        path = self.journal()
        server = self.start("--book-journal", path, "--symbols", "5")
        self.feed(server, 0, 0, 1)
        server.stop()
        done = subprocess.run([self.target.path, "--port", "0", "--book-journal", path,
                               "--symbols", "6"], capture_output=True, text=True, check=False,
                              timeout=20 * SLOW)
        self.assertEqual(done.returncode, 2)
        self.assertIn("5 symbols", done.stderr)

    def test_full(self):
        """When the file must not grow, operations are refused and counted, and all else goes on."""
        path, room = self.journal(), 1 << 16
        server = self.start("--book-journal", path,
                            prefix=("prlimit", f"--fsize={order_books.HEAD_BYTES + 16 * room}"))
        with server.websocket() as websocket:
            for number in range(0, room, STEPS_MAX):
                websocket.send(composed("-", self.target_of(range(number + 1,
                                                                  number + 1 + STEPS_MAX))))
            self.assertEqual(websocket.ask("q", "/work?book=quote").status, 200)
            for target in ("/work?book=trade:5", "/work?book=update"):
                self.assertEqual(websocket.ask("a", target).status, 503)
            self.assertEqual(websocket.ask("b", "/work?cpu=hash:1ms&body=3").status, 200)
        final = server.stop(30)
        self.assertGreaterEqual(final["book_refused"], 2)  # serverless tries again
        self.assertEqual(self.agrees(final, path)["entries"], room)


class KilledTraders(Trading, ServerCase):
    """A process that is killed takes its own connections along; the books are as if it had not been there."""

    ROUNDS = int(os.environ.get("KILLS", "8"))  # in each way of sharing
    alone = True  # processes come and go

    @classmethod
    def suits(cls, target):
        """Those that have several processes, of themselves or by --processes."""
        return "shared" not in target.label and "--multiplexer" not in target.label and \
            target.about.get("peers") != 1

    def settings(self):
        """The options with which there are children that serve, in each way of sharing."""
        found = []
        for mode in self.modes():
            if self.target.about["tasks"] == "1 process" or self.target.has("--listen"):
                found.append((*mode, "--workers", "3"))
            elif self.target.has("--max-instances"):
                found.append((*mode, "--max-instances", "3", "--cold-start", "0ms"))
            elif mode != ("--book", "owner"):
                found.append((*mode, "--processes", "3"))
            elif self.target.about["ids"][0] in ("A11", "A13"):  # owned by an object, not a thread
                found.append((*mode, "--processes", "3"))
        return found

    def trade_on(self, server, index, stop, answered):
        """Requests and one-way messages, over connections that are made anew when they break."""
        number = 0
        while time.monotonic() < stop[0]:
            try:
                with server.websocket(timeout=5 * SLOW) as websocket:
                    while time.monotonic() < stop[0]:
                        feed = [composed("-", self.target_of(self.seeds(index, number + turn, 8)))
                                for turn in range(8)]
                        seeds = self.seeds(index, number + 8, 4)
                        number += 9
                        websocket.send(*feed)
                        if websocket.ask("t", self.target_of(seeds)).status == 200:
                            answered.append(seeds)
            except (Ended, AssertionError, OSError):
                number += 9
                time.sleep(0.01)

    def test_killed_again_and_again(self):
        for options in self.settings():
            with self.subTest(options=options):
                path, answered = self.journal(), []
                server = self.start(*options, "--book-journal", path, peers=3)
                self.assertTrue(self.target.about["tasks"] == "1 process" or
                                wait_until(lambda s=server: s.get("/work?book=quote").status == 200, 5))
                stop = [time.monotonic() + (20 + self.ROUNDS / 10) * SLOW]

                def run(index, server=server, stop=stop, answered=answered):
                    if index < 3:
                        return self.trade_on(server, index, stop, answered)
                    for _ in range(self.ROUNDS):
                        time.sleep(0.03 * SLOW)
                        alive = [pid for pid in harness.children(server.pid)
                                 if (harness.proc_stat(pid) or "Z")[0] != "Z"]
                        if alive:
                            os.kill(alive[-1], signal.SIGKILL)
                    time.sleep(0.1 * SLOW)
                    stop[0] = 0
                    return None

                together(4, run)
                with self.peer(server) as peer:
                    peer.send(request("/work?book=update:77"))
                    self.assertEqual(peer.reply().status, 200)
                final = server.stop(20)
                found = self.agrees(final, path)
                self.assertGreater(final["crashed"], 0)
                self.assertTrue(answered)
                missing = {seed for seeds in answered for seed in seeds} - self.accepted(path)
                self.assertFalse(missing, "answered, but not in the journal")
                self.assertGreater(found["entries"], len(answered))
