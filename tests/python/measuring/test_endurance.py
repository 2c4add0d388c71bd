"""`archbench bench endurance` over a few seconds: it keeps the books of real runs, and notices what is wrong."""
import json
import os
import subprocess
import unittest

from archbench.bench import accounts
from archbench.runner.component import COMPONENTS
from runner_case import BUILD, ROOT, SLOW, RunnerTest



class Endurance(RunnerTest):
    """200 clients for six seconds."""

    def endure(self, part, minutes="0.1"):
        command = [ROOT / "bin" / "archbench", "bench", "endurance", "--build", BUILD, "--minutes",
                   minutes, "--clients", "200", "--parts", part, "--keep", self.folder,
                   "--markdown", self.folder / "table.md"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120 * SLOW,
                              check=False, env={**os.environ, "ARCHBENCH_MEASURES": "test-endurance"})
        return done

    def cell(self, part):
        return json.loads((self.folder / part / "cell.json").read_text())

    def test_the_stand_in(self):
        done = self.endure("stand-in")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("MISSED", done.stdout)
        self.assertIn("| messages sent |", (self.folder / "table.md").read_text())
        found = accounts.Account("stand-in", self.cell("stand-in"), 20, [], 0)
        self.assertGreater(found.sent, 10)
        self.assertEqual(found.delivered, 20 * found.sent)

    @unittest.skipUnless(all(each.program for each in COMPONENTS.values()),
                         "Redis and PostgreSQL are not installed: ./deps.sh cases")
    def test_a_database_that_is_killed(self):
        done = self.endure("postgresql", "0.2")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        found = accounts.Account("postgresql", self.cell("postgresql"), 20, [], 10)
        self.assertEqual(found.killed, 10)
        self.assertGreater(found.refused, 0)
        self.assertGreater(found.unacknowledged, 0, "told before they were refused")
        self.assertGreaterEqual(found.rows, found.acknowledged)

    def test_mistakes(self):
        for words, complaint in (("nobody", "no part 'nobody'"),):
            done = self.endure(words)
            self.assertEqual(done.returncode, 1)
            self.assertIn(complaint, done.stderr)
