#!/usr/bin/python3
"""What a server says about its own code: its lines are those of all its files, at any time."""

import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import tempfile
import unittest

import harness

ROOT = Path(__file__).resolve().parents[3]
SERVERS = ROOT / "servers"


def files_of(name, servers=SERVERS):
    """Of a server that is a file, or of one that is a folder."""
    folder = servers / name
    return sorted(folder.glob("*.[ch]")) if folder.is_dir() else [servers / f"{name}.c"]


def code_lines(files):
    """Those that are not blank."""
    return sum(1 for file in files for line in file.read_text(encoding="utf-8").splitlines()
               if line.strip())


def names():
    return sorted({path.stem for path in SERVERS.iterdir()
                   if path.is_dir() or path.suffix == ".c"})


class Lines(unittest.TestCase):
    def test_all_files_of_a_server_count(self):
        folders = 0
        for name in names():
            with self.subTest(server=name):
                program = Path(harness.BUILD) / "servers" / name
                if not program.is_file():
                    continue
                about = json.loads(subprocess.run([program, "--about"], capture_output=True,
                                                  check=True).stdout)
                self.assertEqual(about["name"], name)
                self.assertEqual(about["loc"], code_lines(files_of(name)))
                folders += len(files_of(name)) > 1
        self.assertGreaterEqual(folders, 2)

    def test_parts_are_most_of_a_folder(self):
        for name in "serverless", "io_uring":
            main = SERVERS / name / f"{name}.c"
            self.assertGreater(code_lines(files_of(name)), 2 * code_lines([main]))


class Copy(unittest.TestCase):
    """In a copy of the tree, so that files can be changed."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        shutil.copy(ROOT / "Makefile", self.root)
        for name in "common", "servers":
            shutil.copytree(ROOT / name, self.root / name)

    def out(self, *command):
        own = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True,
                              env=own).stdout

    def test_a_part_adds_its_lines(self):
        (self.root / "part.h").write_text("/* one */\n\n  \n\t\nint two;\n", encoding="utf-8")
        lines = [int(re.search(r'"loc\\":(\d+)', self.out("awk", "-f", "servers/about.awk",
                                                         "servers/event.c", *parts))[1])
                 for parts in ((), ("part.h",))]
        self.assertEqual(lines[1] - lines[0], 2)

    def test_only_the_first_file_has_header_lines(self):
        (self.root / "part.h").write_text("/* part: of another\n *\n * Name:    other\n */\n",
                                          encoding="utf-8")
        self.assertIn('server_name[] = "event"', self.out("awk", "-f", "servers/about.awk",
                                                          "servers/event.c", "part.h"))

    def make(self, *options):
        return self.out("make", "-j2", "V=1", "CFLAGS=-O0", "SANITIZE=", *options,
                        "build/servers/io_uring")

    def test_a_changed_file_is_counted_anew(self):
        folder = self.root / "servers/io_uring"
        self.make()
        self.assertIn("up to date", self.make("-n"))
        for file in sorted(folder.glob("*.[ch]")):
            with self.subTest(file=file.name):
                touched = f"servers/io_uring/{file.name}"
                self.assertIn("servers/about.awk", self.make("-n", "-W", touched))
        with open(folder / "buffers.h", "a", encoding="utf-8") as file:
            file.write("/* one more */\n")
        (self.root / "common/only.h").touch()
        with open(folder / "ring.c", "a", encoding="utf-8") as file:
            file.write('#include "common/only.h"\n')
        (folder / "another.c").write_text("extern int another;\n", encoding="utf-8")
        self.make()
        about = json.loads(self.out("build/servers/io_uring", "--about"))
        self.assertEqual(about["loc"], code_lines(files_of("io_uring")) + 3)
        self.assertIn("up to date", self.make("-n"))
        self.assertIn("servers/about.awk", self.make("-n", "-W", "common/only.h"))
