"""What the counters and the last line account for."""

import os
import time

import harness
from harness import SLOW, ServerCase, wait_until


class Accounts(ServerCase):
    """What threads and processes cost is not forgotten when they end."""

    options = None

    def test_switches_of_all_workers(self):
        """Each has slept at least once, for want of work."""
        options = ("--workers", "100")
        if self.target.has("--max-workers"):
            options = ("--min-workers", "100", "--max-workers", "100")
        server = self.start(*options, peers=100)
        server.get()
        time.sleep(0.3 * SLOW)
        final = server.stop()
        if final["spawned"] < 100:
            self.skipTest("it has no fixed number of workers")
        self.assertGreaterEqual(final["switches_voluntary"], final["spawned"])
        self.assertEqual(final["workers"], 0)


class Children(ServerCase):
    """With a process per connection, the death of one costs its connection only."""

    @classmethod
    def suits(cls, target):
        return "A1" in target.about["ids"]

    def test_killed_child(self):
        before = self.server.metrics()["crashed"]
        wait_until(lambda: not harness.children(self.server.pid), 5)
        victim = self.peer()
        victim.get()
        children = harness.children(self.server.pid)
        self.assertEqual(len(children), 1)
        other = self.peer()
        other.get()
        os.kill(children[0], 9)
        self.assertTrue(victim.ended())
        self.assertEqual(other.get().status, 200)
        self.assertEqual(self.server.get().status, 200)
        self.assertTrue(wait_until(lambda: not harness.zombies(self.server.pid), 5))
        self.assertEqual(self.server.metrics()["crashed"], before + 1)
