"""What the verdict says of a server whose core others take: disturbed on purpose."""
import os
import unittest

from archbench.bench import disturbed
from runner_case import BUILD, CellCase


@unittest.skipIf(os.geteuid() != 0, "real-time priority is for root")
class Held(CellCase):
    def measure(self, name, share):
        with disturbed.Hog(disturbed.CORES[0], share):
            return disturbed.measure(str(BUILD), str(self.folder), name, 1)

    def test_times_of_a_light_load(self):
        numbers = self.measure("light", 0.3)
        self.assertTrue(numbers["total", "response_p99_us"][1], numbers)
        self.assertFalse(numbers["", "achieved_rate"][1], "all were answered")

    def test_a_wait_that_is_known_to_be_longer(self):
        """Of 20 ms a hold of 3 ms is much for the last, and nothing for those in the middle."""
        value, refused = self.measure("planted", 0.3)["total", "response_p50_us"]
        self.assertAlmostEqual(value, 20e3, delta=2e3)
        self.assertFalse(refused)

    def test_throughput_of_a_server_that_is_always_busy(self):
        numbers = self.measure("closed", 0.3)
        self.assertTrue(numbers["", "achieved_rate"][1], numbers)
        self.assertFalse(numbers["", "error_share"][1], "there are no errors")
