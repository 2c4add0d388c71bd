#!/usr/bin/python3
"""What becomes of a calibration that an older version wrote, which knew fewer kinds of work."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import harness
from generator_case import calibration_text

CALIBRATE = os.path.join(harness.BUILD, "calibrate")
KINDS = {"hash", "infer", "image", "json", "risk"}


class Keep(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name, "calibration.json")

    def after(self, *options):
        """The file after the program has run."""
        subprocess.run([CALIBRATE, *options], check=True, timeout=60 * harness.SLOW,
                       stdout=subprocess.DEVNULL,
                       env={**os.environ, "ARCHBENCH_CALIBRATION": str(self.file)})
        return json.loads(self.file.read_text())

    def test_a_whole_one_is_kept(self):
        whole = json.loads(calibration_text())
        self.file.write_text(json.dumps(whole))
        self.assertEqual(self.after("--keep"), whole)
        self.assertNotEqual(self.after()["units_per_ms"], whole["units_per_ms"])

    def test_a_missing_or_old_one_is_measured_again(self):
        self.assertEqual(set(self.after("--keep")["units_per_ms"]), KINDS)
        old = json.loads(calibration_text())
        del old["units_per_ms"]["risk"]
        self.file.write_text(json.dumps(old))
        units = self.after("--keep")["units_per_ms"]
        self.assertEqual(set(units), KINDS)
        self.assertNotEqual(units["hash"], old["units_per_ms"]["hash"])


if __name__ == "__main__":
    unittest.main()
