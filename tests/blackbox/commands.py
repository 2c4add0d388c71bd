"""The command line, the ready line and the last one."""

import json
import re
import struct
import subprocess
import tempfile

from harness import SLOW, ServerCase

from .helpers import counter_names


class Commands(ServerCase):
    """Options, the ready line, exit statuses."""

    options = None

    def fails(self, *options):
        """The command must end with 2 and one line on stderr."""
        done = subprocess.run([self.target.path, *options], capture_output=True, text=True,
                              timeout=20 * SLOW, check=False)
        self.assertEqual(done.returncode, 2, done)
        self.assertRegex(done.stderr, r"\A[^\n]+\n\Z")
        self.assertEqual(done.stdout, "")
        return done.stderr

    def test_about(self):
        lines = self.target.output("--about").splitlines()
        self.assertEqual(len(lines), 1)
        about = json.loads(lines[0])
        self.assertEqual(about["name"], self.target.name)
        self.assertTrue(about["ids"] and all(re.fullmatch(r"[A-E]\d+\w?", i) for i in about["ids"]))
        self.assertLessEqual(set(about["blocks"]), {"compute", "timer", "upstream", "disk"})
        self.assertGreater(about["loc"], 0)
        self.assertTrue(about["family"] and about["summary"] and about["book"])

    def test_help(self):
        for option in ("host", "port", "workers", "idle-timeout", "header-timeout", "backlog",
                       "calibration", "stats-file", "upstream-address", "upstream-pool",
                       "upstream-timeout", "feed", "sql", "database", "database-pool",
                       "database-timeout", "symbols", "book-journal",
                       "help", "about"):
            with self.subTest(option=option):
                self.assertTrue(self.target.has(f"--{option}"))

    def test_ready_line(self):
        server = self.start("--host", "127.0.0.1")
        self.assertEqual(server.ready, f"ready {self.target.name} 127.0.0.1:{server.port}\n")
        self.assertEqual(server.get().status, 200)

    def test_final_line(self):
        server = self.start()
        for _ in range(3):
            server.get()
        final = server.stop()
        self.assertEqual(final["name"], self.target.name)
        self.assertEqual((final["connections"], final["requests"]), (3, 3))
        self.assertLessEqual(set(counter_names()), set(final))

    def test_bad_options(self):
        for options in (["--no-such-option"], ["--port", "70000"], ["--port", "x"], ["--port"],
                        ["--workers", "-1"], ["--workers", "2x"], ["--idle-timeout", "5"],
                        ["--idle-timeout", "soon"], ["--backlog", "-5"], ["operand"],
                        ["--host", "no.such.host."], ["--host", "192.0.2.1"],
                        ["--upstream-address", "127.0.0.1"], ["--upstream-address", "127.0.0.1:0"],
                        ["--upstream-address", ":6380"], ["--upstream-address", "no.such.host.:6380"],
                        ["--upstream-pool", "0"], ["--upstream-timeout", "0"],
                        ["--database-pool", "0"], ["--database-timeout", "0"],
                        ["--sql", "/dev/null"]):
            with self.subTest(options=options):
                self.fails(*options)

    def test_missing_files(self):
        for option in ("--stats-file", "--calibration", "--sql"):
            with self.subTest(option=option):
                self.fails("--port", "0", option, "/no/such/folder/file")

    def test_port_in_use(self):
        server = self.start()
        self.assertIn(str(server.port), self.fails("--port", str(server.port)))
        self.assertEqual(server.get().status, 200)

    def test_restart_on_same_port(self):
        """Connections in TIME_WAIT must not keep the next start from the port."""
        first = self.start()
        for _ in range(5):
            with first.peer() as peer:
                peer.get("/", "Connection: close")
                self.assertTrue(peer.ended())
        first.stop()
        second = self.start(port=first.port)
        self.assertEqual((second.port, second.get().status), (first.port, 200))

    def test_stats_file(self):
        with tempfile.NamedTemporaryFile() as file:
            server = self.start("--stats-file", file.name)
            for _ in range(4):
                server.get()
            names = counter_names()
            slot = (8 * len(names) + 63) // 64 * 64
            data = file.read()
            values = [struct.unpack_from("q", data, at + 8 * names.index("requests"))[0]
                      for at in range(64, len(data) - slot + 1, slot)]
            self.assertEqual(sum(values), 4)
