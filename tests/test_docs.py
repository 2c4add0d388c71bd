#!/usr/bin/python3
"""docs/adding-an-architecture.md keeps its promise: the code on that page is a server, and one new
file is all it takes."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "adding-an-architecture.md"


class Example(unittest.TestCase):
    """A copy of the sources, with the one file of the page added."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        for name in ("common", "loadgen", "runner", "servers", "Makefile", "workloads"):
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, cls.folder / name)
        code = re.search(r"```c\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
        name = re.search(r"^ \* Name: *(\w+)$", code, re.MULTILINE)[1]
        cls.name = name
        (cls.folder / "servers" / f"{name}.c").write_text(code, encoding="utf-8")
        subprocess.run(["make", "-s", "-j2", "CI=true", "B=build"], cwd=cls.folder, check=True,
                       env={**os.environ, "MAKEFLAGS": ""}, stdout=subprocess.DEVNULL)
        cls.binary = cls.folder / "build" / "servers" / name

    def test_about_says_what_the_header_says(self):
        about = json.loads(subprocess.check_output([self.binary, "--about"], text=True))
        self.assertEqual(about["name"], self.name)
        self.assertEqual(about["blocks"], ["compute", "timer", "fd", "disk"])

    def test_the_plan_finds_it(self):
        out = subprocess.check_output(
            ["runner/run", "--smoke", "--workloads", "concurrency", "--dry-run"], cwd=self.folder,
            text=True, stderr=subprocess.DEVNULL)
        self.assertIn(self.name, out)

    def test_the_black_box_suite_accepts_it(self):
        """What needs one connection at a time, that is; it has no more to give."""
        for theme in ("Commands", "Persistence", "Malformed", "Metrics"):
            done = subprocess.run(
                ["/usr/bin/python3", ROOT / "tests" / "blackbox.py", self.name, "-k", theme],
                env={**os.environ, "BUILD": str(self.folder / "build")}, capture_output=True,
                text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertRegex(done.stdout, r"[1-9]\d* passed, 0 failed")


if __name__ == "__main__":
    unittest.main()
