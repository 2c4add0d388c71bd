"""One measurement at a time on this machine."""
import os
import signal
import subprocess
import sys
import unittest

from archbench.places import REPOSITORY
from archbench.runner import alone

MEASURE = """
import sys
sys.path.insert(0, sys.argv[1])
from archbench.runner import alone
with alone.measuring():
    print("measures", flush=True)
    sys.stdin.readline()
"""


class Alone(unittest.TestCase):
    def setUp(self):
        name = f"archbench-test-alone-{os.getpid()}"
        self.environment = {**os.environ, alone.VARIABLE: name}

    def start(self, code=MEASURE, **more):
        process = subprocess.Popen([sys.executable, "-c", code, str(REPOSITORY)], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env={**self.environment, **more})
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_the_second_waits_with_a_word_until_the_first_has_ended(self):
        first = self.start()
        self.assertEqual(first.stdout.readline(), "measures\n")
        second = self.start()
        said = second.stderr.readline()
        self.assertRegex(said, rf"^waits for another measurement on this machine: "
                               rf"process {first.pid}, \S*python3 ")
        first.communicate("\n", timeout=30)
        self.assertEqual(second.stdout.readline(), "measures\n")

    def test_a_killed_one_leaves_nothing_behind(self):
        first = self.start()
        self.assertEqual(first.stdout.readline(), "measures\n")
        first.send_signal(signal.SIGKILL)
        first.wait()
        self.assertEqual(self.start().stdout.readline(), "measures\n")

    def test_what_the_first_starts_in_turn_does_not_wait(self):
        nested = MEASURE.replace("sys.stdin.readline()", "\n    ".join((
            "import subprocess", f"subprocess.run([sys.executable, '-c', {MEASURE!r}, sys.argv[1]])")))
        first = self.start(nested)
        self.assertEqual([first.stdout.readline() for _ in range(2)], ["measures\n"] * 2)

    def test_another_name_is_another_right(self):
        self.assertEqual(self.start().stdout.readline(), "measures\n")
        other = self.start(**{alone.VARIABLE: self.environment[alone.VARIABLE] + "-b"})
        self.assertEqual(other.stdout.readline(), "measures\n")


if __name__ == "__main__":
    unittest.main()
