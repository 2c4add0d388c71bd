"""Tests of tests/lint.py: each rule finds a planted fault and lets the good form pass."""
import unittest

import lint


def said(rule, name, text):
    return list(rule(name, text))


class Rules(unittest.TestCase):
    def finds(self, rule, name, bad, good, words):
        found = said(rule, name, bad)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])
        self.assertEqual(said(rule, name, good), [])

    def test_syntax(self):
        self.finds(lint.syntax, "x.py", "def f(:\n", "def f():\n    pass\n", "x.py:1:")

    def test_paths_of_one_machine(self):
        folder = "/" + "home/somebody"
        self.finds(lint.portability, "x.md", f"see {folder}", "see common/work/x", "absolute")

    def test_trailing_blanks(self):
        self.finds(lint.portability, "x.c", "int a;" + " \n", "int a;\n", "trailing")

    def test_includes_go_one_way(self):
        def line(header):
            return f'#include "{header}"\n'
        for name, bad, good in (
                ("common/base/a.c", "common/work/job.h", "common/base/util.h"),
                ("common/work/a.c", "common/serve/conn.h", "common/base/util.h"),
                ("common/serve/a.c", "servers/serverless/performer.h", "common/work/job.h"),
                ("servers/event.c", "servers/serverless/journal.h", "common/serve/loop.h"),
                ("servers/io_uring/ring.c", "servers/serverless/journal.h",
                 "servers/io_uring/ring.h"),
                ("servers/event.c", "loadgen/plan/plan.h", "common/serve/loop.h"),
                ("loadgen/plan/a.c", "loadgen/books/stats.h", "common/serve/calibrate.h"),
                ("loadgen/books/a.c", "loadgen/worker/client.h", "loadgen/plan/plan.h"),
                ("loadgen/judge/a.c", "loadgen/output/report.h", "loadgen/books/hist.h"),
                ("loadgen/main.c", "common/serve/server.h", "loadgen/output/report.h"),
                ("cell/a.c", "common/serve/loop.h", "loadgen/plan/workload.h"),
                ("services/upstream/a.c", "common/work/job.h", "services/upstream/upstream.h")):
            with self.subTest(name=name, bad=bad):
                self.finds(lint.includes, name, line(bad), line(good), "must not include")

    def test_imports_go_one_way(self):
        for name, bad, good in (
                ("archbench/stats/a.py", "from archbench.formats import b",
                 "from . import schema"),
                ("archbench/model/a.py", "from ..runner import plan", "from ..formats import b"),
                ("archbench/figures/a.py", "import archbench.runner.plan",
                 "from archbench import stats"),
                ("archbench/tables/a.py", "from .. import report", "import json"),
                ("archbench/bench/a.py", "from ..report.chapters import x",
                 "from ..runner.plan import x")):
            with self.subTest(name=name, bad=bad):
                self.finds(lint.imports, name, bad, good, "must not import")

    def test_files_fit(self):
        self.finds(lint.length, "a.c", "\n" * 451, "\n" * 450, "451 lines")

    def test_an_exception_must_be_needed(self):
        self.addCleanup(lint.LONG_FILES.clear)
        lint.LONG_FILES["a.c"] = "a table"
        self.finds(lint.length, "a.c", "\n" * 450, "\n" * 451, "no exception")
        others = [key.partition(":")[0] for key in lint.LONG_FUNCTIONS]
        self.assertEqual(list(lint.forgotten(["b.c", *others])),
                         ["a.c: is not there, but has an exception"])
        self.assertEqual(list(lint.forgotten(["a.c", *others])), [])

    def test_functions_fit(self):
        for name, form in (("a.c", "static int f(int a,\n             int b)\n{{\n{}}}\n"),
                           ("a.py", "def f(a, b):\n    pass\n    pass\n{}")):
            with self.subTest(name=name):
                self.finds(lint.functions, name, form.format("    a();\n" * 58),
                           form.format("    a();\n" * 56), "f has ")

    def test_sizeof(self):
        self.finds(lint.dialect, "a.c", "n = sizeof" + "(buffer);",
                   "n = sizeof buffer + sizeof(struct x) + sizeof(uint64_t);", "sizeof")

    def test_english(self):
        for bad, good in (("/* Who wa" + "its is served. */", "/* Those that wait are served. */"),
                          ("/* At the be" + "gin of the window. */", "/* When we begin. */"),
                          ("/* It waits, f" + "or it must. */", "/* It waits for it. */"),
                          ("/* It sta" + "nds in the list\n * of all. */", "/* It is there. */")):
            with self.subTest(bad=bad):
                self.finds(lint.english, "a.c", bad, good, "a.c:1:")

    def test_english_is_looked_for_in_comments_only(self):
        self.assertEqual(said(lint.english, "a.c", 'char *a = "At the be' + 'gin of";'), [])

    def test_folders_are_seen_at_a_glance(self):
        names = [f"a/{number}" for number in range(26)]
        self.assertEqual(len(list(lint.folders(names))), 1)
        self.assertEqual(list(lint.folders(names[:25])), [])
