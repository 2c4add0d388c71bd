"""docs/adding-an-architecture.md keeps its promise: the code on that page is a server, and one new
file is all it takes. So it is with a workload."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "adding-an-architecture.md"
NEW_NAME = "newcomer"  # no server of the suite
COLOUR = "#123456"  # and no colour of one
WORKLOAD = """; Is one file enough?
;
; It is.
[workload]
question = Is one file enough?
connections = 1

[class a]
request = /

[smoke]
servers = newcomer event

[report]
part    = Cost
place   = 50
measure = throughput
shows   = requests
figure  = by_point
"""


def code_of_the_page():
    return re.search(r"```c\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]


class Tree(unittest.TestCase):
    """The tree of folders in CONTRIBUTING.md is what is there, and fits one screen."""

    ROOMS = ("archbench", "common", "loadgen", "servers", "services", "tests")

    def setUp(self):
        page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
        self.tree = re.search(r"## Where is what\n\n```\n(.*?)```", page, re.DOTALL)[1]
        files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True,
                               check=True).stdout.split()
        self.folders = {"/".join(file.split("/")[:-1][:depth])
                        for file in files for depth in (1, 2) if "/" in file}

    def test_it_fits_one_screen(self):
        self.assertLessEqual(self.tree.count("\n"), 50)

    def test_every_folder_is_in_it(self):
        for folder in self.folders:
            room, _, name = folder.partition("/")
            if not folder.startswith(".") and (not name or room in self.ROOMS):
                with self.subTest(folder):
                    self.assertRegex(self.tree, rf"(?m)(^|[ /]){name or room}/")

    def test_nothing_else_is_in_it(self):
        names = {name for folder in self.folders for name in folder.split("/")}
        for name in re.findall(r"(?<![\w./])([\w.]+)/(?=[\w ,]|$)", self.tree):
            with self.subTest(name):
                self.assertIn(name, names)


class Example(unittest.TestCase):
    """A copy of the sources, with the one file of the page added under a name of its own."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        for name in ("archbench", "bin", "cell", "common", "docs", "loadgen", "servers", "services",
                     "tests", "Makefile", "workloads"):
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, cls.folder / name)
        code = re.sub(r"\biterative\b", NEW_NAME, code_of_the_page())
        code = re.sub(r"(?m)^ \* Look: .*$", f" * Look:    {COLOUR} D", code)
        (cls.folder / "workloads" / "novelty.ini").write_text(WORKLOAD, encoding="utf-8")
        (cls.folder / "servers" / f"{NEW_NAME}.c").write_text(code, encoding="utf-8")
        subprocess.run(["make", "-s", "-j2", "CI=true", "B=build"], cwd=cls.folder, check=True,
                       env={**os.environ, "MAKEFLAGS": ""}, stdout=subprocess.DEVNULL)
        cls.binary = cls.folder / "build" / "servers" / NEW_NAME

    def test_the_page_shows_the_server_as_it_is(self):
        code = (ROOT / "servers" / "iterative.c").read_text(encoding="utf-8")
        self.assertEqual(code_of_the_page(), code)

    def test_about_says_what_the_header_says(self):
        about = json.loads(subprocess.check_output([self.binary, "--about"], text=True))
        self.assertEqual(about["name"], NEW_NAME)
        self.assertEqual(about["blocks"], ["compute", "timer", "upstream", "disk"])
        self.assertEqual((about["tasks"], about["computes"], about["peers"]), ("0", 1, 1))

    def about_of(self, *lines, tasks="0", compute="1", push="no",
                 book="a lock"):
        """What about.awk makes of a file with these header lines: status and output."""
        file = self.folder / "header.c"
        header = ("/* header: a sentence.", " *", " * Name:    header", " * Ids:     A0",
                  " * Family:  threads", " * Blocks:  nothing", f" * Tasks:   {tasks}",
                  f" * Compute: {compute}", f" * Push:    {push}",
                  *((f" * Book:    {book}",) if book else ()), *lines, " */", "")
        file.write_text("\n".join(header), encoding="utf-8")
        done = subprocess.run(["awk", "-f", ROOT / "servers" / "about.awk", file],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.replace("\\", "")

    def test_push_line(self):
        self.assertIn('"push":null,', self.about_of()[1])
        self.assertIn('"push":"a bell",', self.about_of(push="a bell")[1])

    def test_book_line(self):
        self.assertIn('"book":"a lock",', self.about_of()[1])
        self.assertNotEqual(self.about_of(book=None)[0], 0)

    def test_peers_line(self):
        self.assertIn('"peers":12,', self.about_of(" * Peers:   12")[1])
        self.assertIn('"peers":"--workers",', self.about_of(" * Peers:   --workers")[1])
        status, output = self.about_of()
        self.assertEqual(status, 0)
        self.assertNotIn("peers", output)
        for wrong in ("0", "-1", "any", "1 2", "--"):
            with self.subTest(peers=wrong):
                self.assertNotEqual(self.about_of(f" * Peers:   {wrong}")[0], 0)

    def test_holds_line(self):
        self.assertIn('"holds":"--slots=64",', self.about_of(" * Holds:   --slots=64")[1])
        self.assertNotIn("holds", self.about_of()[1])
        for wrong in ("64", "--slots", "--slots=0", "--slots=many"):
            with self.subTest(holds=wrong):
                self.assertNotEqual(self.about_of(f" * Holds:   {wrong}")[0], 0)

    def test_options_have_the_default_that_help_tells(self):
        build = pathlib.Path(os.environ.get("BUILD", ROOT / "build"))
        for binary in sorted((build / "servers").glob("*")):
            if binary.suffix or binary.is_dir():
                continue
            about, told = (subprocess.check_output([binary, option], text=True)
                           for option in ("--about", "--help"))
            for key in "computes", "peers", "holds":
                option, _, usual = str(json.loads(about).get(key, "")).partition("=")
                if usual:
                    self.assertRegex(told, f"{option} [^\\[]*\\[{usual}\\]\n")

    def test_tasks_and_compute_lines(self):
        for tasks in "0", "1 thread", "1 process":
            self.assertIn(f'"tasks":"{tasks}",', self.about_of(tasks=tasks)[1])
        for compute, value in (("4", "4"), ("any", '"any"'), ("--workers", '"--workers"'),
                               ("--workers=200", '"--workers=200"')):
            self.assertIn(f'"computes":{value},', self.about_of(compute=compute)[1])
        for wrong in ({"tasks": "2 threads"}, {"tasks": ""}, {"compute": "some"}, {"compute": "0"}):
            with self.subTest(wrong):
                self.assertNotEqual(self.about_of(**wrong)[0], 0)

    def test_the_plan_finds_it(self):
        out = subprocess.check_output(
            ["bin/archbench", "run", "--smoke", "--workloads", "concurrency", "--dry-run"], cwd=self.folder,
            text=True, stderr=subprocess.DEVNULL)
        self.assertIn(NEW_NAME, out)

    def test_the_black_box_suite_accepts_it(self):
        """What needs more than one connection at a time is skipped; it has no more to give."""
        for theme in ("Commands", "Persistence", "Malformed", "Metrics", "Draining"):
            done = subprocess.run(
                ["/usr/bin/python3", ROOT / "tests" / "blackbox.py", NEW_NAME, "-k", theme],
                env={**os.environ, "BUILD": str(self.folder / "build")}, capture_output=True,
                text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertRegex(done.stdout, r"[1-9]\d* passed, 0 failed")

    def test_both_are_in_the_report_and_the_figures(self):
        subprocess.run(["bin/archbench", "run", "--smoke", "--workloads", "novelty",
                        "--results", self.folder / "results"], cwd=self.folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        run = self.folder / "results" / "latest"
        subprocess.run(["bin/archbench", "draw", run], cwd=self.folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        page = (run / "report.html").read_text(encoding="utf-8")
        part = re.search(r'<section id="part-Cost".*', page, re.DOTALL)[0]
        self.assertIn("Is one file enough?", part)
        self.assertIn("It is.", part)
        self.assertRegex(part, rf'href="#{NEW_NAME}\.c-L\d+"')
        self.assertIn(COLOUR, (run / "figures" / "by_point.svg").read_text(encoding="utf-8"))
        self.assertIn(f"novelty,base,{NEW_NAME},",
                      (run / "tables" / "overview.csv").read_text(encoding="utf-8"))

    def test_it_is_listed_and_the_reading_order_asks_for_it(self):
        listed = subprocess.check_output(["bin/archbench", "architectures"], cwd=self.folder,
                                         text=True)
        self.assertRegex(listed, rf"(?m)^{NEW_NAME} +A0 +processes ")
        done = subprocess.run(["tests/run", "--build", "build", "--module", "test_reading_order"],
                              cwd=self.folder, capture_output=True, text=True, check=False)
        self.assertRegex(done.stdout, r"FAIL .*test_every_server_has_its_section")
        self.assertIn(f"'{NEW_NAME}'", done.stdout)
