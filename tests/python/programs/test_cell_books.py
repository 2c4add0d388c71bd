"""Cells whose requests use order books: what the server says of them is put against its journal."""

from runner_case import BUILD, CellCase

TRADING = """
    [workload]
    question    = Are the books what their journal comes to?
    arrivals    = poisson
    connections = 8
    rate        = 600
    timeout     = 500ms
    [class trade]
    request = /work?book=update&book=trade&book=quote&class=trade
    [point calm]
    [point killed]
    kill        = 150ms
    kill_period = 100ms
    [point none]
    trade.request = /work?class=trade
"""
# The real server, but for what it says of its books.
LIES = """
    import subprocess, sys, signal
    server = subprocess.Popen(["SERVER", *sys.argv[1:]], stdout=subprocess.PIPE, text=True,
                              close_fds=False)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    for line in server.stdout:
        print(line.rstrip().replace('"book_digest":"', '"book_digest":"x'), flush=True)
    sys.exit(server.wait())
"""


class BooksTest(CellCase):
    def setUp(self):
        super().setUp()
        self.file = self.workload("trading", TRADING)

    def measure(self, server, point, *options, **more):
        status, _, err = self.do(*self.cell(server, self.file, "--point", point, "--duration",
                                            "600ms", *options, **more))
        self.assertIn(status, (0, 1), err)
        self.assert_nothing_left()
        return self.read(f"trading/{point}/{server}.1")

    def agrees(self, cell):
        """The books of this cell are what the journal says."""
        book, final = cell["book"], cell["exit"]["final"]
        self.assertTrue(book["agrees"])
        self.assertEqual((book["digest"], book["entries"]),
                         (final["book_digest"], final["book_entries"]))
        self.assertFalse([each for each in cell["validity"]["reasons"] if "book" in each])
        return book

    def test_every_operation_is_in_the_journal(self):
        for server in "event", "threads", "processes":
            with self.subTest(server=server):
                cell = self.measure(server, "calm")
                final = cell["exit"]["final"]
                self.assertGreater(self.agrees(cell)["entries"], 300)
                self.assertEqual(cell["book"]["entries"],
                                 final["book_updates"] + final["book_trades"])
                self.assertEqual((cell["book"]["filled"], cell["book"]["unfilled"]),
                                 (final["book_filled"], final["book_unfilled"]))
                self.assertIn("--book-journal", cell["command"]["server"])

    def test_without_books(self):
        cell = self.measure("event", "none")
        self.assertIsNone(cell["book"])
        self.assertNotIn("--book-journal", cell["command"]["server"])

    def test_killed(self):
        """A server that is started again goes on with its journal; one of several processes dies alone."""
        for server, options in (("event", ()), ("threads", ()), ("multi_loop", ()),
                                ("prefork", ("--", "--workers=12")), ("actors", ("--", "--processes=2"))):
            with self.subTest(server=server):
                cell = self.measure(server, "killed", *options)
                self.assertGreaterEqual(cell["kill"]["count"], 4)
                good = cell["load"]["total"]["good"]  # two entries each, and those not answered
                self.assertGreater(good, 50)
                self.assertGreaterEqual(self.agrees(cell)["entries"], 2 * good)

    def test_a_server_that_says_something_else(self):
        build = self.fake_server(LIES.replace("SERVER", str(BUILD / "servers/event")))
        cell = self.measure("fake", "calm", build=build)
        self.assertFalse(cell["book"]["agrees"])
        self.assertEqual(cell["validity"]["verdict"], "INVALID")
        self.assertTrue([each for each in cell["validity"]["reasons"]
                         if "order books are not what their journal comes to" in each])
