"""What the benchmarks compute from what they measure; and the soak, which must notice."""
import os
import subprocess
import time
import unittest

from archbench.bench import disturbed, proc, rig, serving, soak
from archbench.places import ENTRY, REPOSITORY


class Turns(unittest.TestCase):
    def test_in_turns_warms_up_and_swaps(self):
        calls = []
        pairs = rig.in_turns(lambda: calls.append("a") or 1, lambda: calls.append("b") or 2, 2)
        self.assertEqual(pairs, [(1, 2)] * 2)
        self.assertEqual("".join(calls), "baabba")

    def test_alternate_warms_up_and_turns_round(self):
        calls = []
        measures = {name: lambda name=name: calls.append(name) or len(calls) for name in "abc"}
        values = serving.alternate(measures, 2)
        self.assertEqual("".join(calls), "abccbaabc")
        self.assertEqual(values, {"a": [6, 7], "b": [5, 8], "c": [4, 9]})

    def test_ratio_by_round(self):
        self.assertEqual(serving.ratio_by_round([2, 9], [4, 3]), [0.5, 3])


class KnownAnswers(unittest.TestCase):
    """What counts as a wrong number, and how the two kinds of error are counted."""

    def test_off_by_more_than_the_stated_share_from_all_undisturbed_ones(self):
        alone = [100.0, 105.0, 120.0]
        for value, wrong in (92, False), (90, True), (133, False), (134, True):
            self.assertEqual(disturbed.is_wrong(value, alone), wrong, value)
        self.assertEqual([disturbed.is_wrong(v, [0.0, 0.0]) for v in (0.0, 0.01)], [False, True])

    def test_counts(self):
        counts = disturbed.Counts()
        alone = {("case", key): [1.0, 1.0, 1.0] for key in ("ab", "cd", "ef", "gh")}
        counts.take("case", {"ab": (1.0, False), "cd": (2.0, True), "ef": (1.0, True),
                             "gh": (3.0, False), "ij": (9.0, False)}, alone)
        self.assertEqual(counts.row("some"),
                         "| some | 1 | 4 | 1 | 1 | 1 (25.0%) | 1 (25.0%) |")
        self.assertEqual(counts.missed, {("case", "h"): [3.0]})
        self.assertEqual(counts.spoiled, {("case", "f"): [1.0]})

    def test_what_undisturbed_cells_refused_is_no_truth(self):
        cells = [("case", {"a": (1.0, False), "b": (1.0, False)}),
                 ("case", {"a": (2.0, False), "b": (2.0, True)}),
                 ("other", {"a": (3.0, False)})]
        self.assertEqual(disturbed.kept(cells, 2), {("case", "a"): [1.0, 2.0]})


class Room(unittest.TestCase):
    def test_room_for(self):
        self.assertEqual(serving.room_for({}, 10_000), [])
        self.assertEqual(serving.room_for({"peers": 1}, 1), [])
        self.assertIsNone(serving.room_for({"peers": 1}, 2))
        self.assertEqual(serving.room_for({"peers": "--workers"}, 9), ["--workers", "9"])


class Predictions(unittest.TestCase):
    def test_imbalance(self):
        self.assertEqual(serving.imbalance([5, 5]), 1)
        self.assertEqual(serving.imbalance([10, 0]), 2)
        self.assertEqual(serving.imbalance([2, 1, 1]), 1.5)

    def test_chance_imbalance(self):
        """Of two workers: 1 + sqrt(2 / (pi n)), the mean distance of a binomial from its middle."""
        for connections, expected in ((64, 1.0997), (1000, 1.0252)):
            self.assertAlmostEqual(serving.chance_imbalance(connections, 2), expected, delta=0.01)
        self.assertEqual(serving.chance_imbalance(7, 1), 1)

    def test_stalled_p99(self):
        """50 reads of 1 ms per second: 5 % find a read, and the longest-waiting fifth of them has
        more than four fifths of it before them."""
        self.assertAlmostEqual(serving.stalled_p99_us(100, 1000, 50), 100 + 800)
        self.assertAlmostEqual(serving.stalled_p99_us(100, 150, 50), 100)

    def test_memory_of_a_pool(self):
        memory = {"connections": 10,
                  "before": {"user_kb": 100, "page_tables_kb": 20, "kernel_stacks_kb": 40,
                             "sockets_kb": 70000},
                  "per_connection": {"user_kb": 1.0, "page_tables_kb": 0.0, "kernel_stacks_kb": 0.0,
                                     "sockets_kb": 5.0, "total_kb": 6.0}}
        self.assertEqual(sum(serving.per_connection_kb(memory, False).values()), 6)
        self.assertEqual(sum(serving.per_connection_kb(memory, True).values()), 6 + 16)


class Proc(unittest.TestCase):
    """Read of a shell with a child, and of one that has computed."""

    def test_tree_and_its_cost(self):
        with subprocess.Popen(["sh", "-c", "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); "
                               "done'; echo; sleep 30 & read line; kill $!"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
            shell.stdout.readline()  # the computing child has been reaped
            self.assertGreater(proc.reaped_cpu_s(shell.pid), 0.02)
            self.assertGreaterEqual(proc.cpu_s(shell.pid), proc.reaped_cpu_s(shell.pid))
            for _ in range(100):
                if len(proc.tree(shell.pid)) == 2:
                    break
                time.sleep(0.02)
            self.assertEqual(proc.tree(shell.pid), [shell.pid, *proc.children(shell.pid)])
            self.assertEqual(len(proc.children(shell.pid)), 1)
            self.assertEqual(proc.tasks(shell.pid), 1)
            self.assertGreater(proc.descriptors(shell.pid), 2)
            self.assertGreater(proc.pss_kb([shell.pid]), 10)
            shell.stdin.write(b"\n")
            shell.stdin.close()

    def test_gone(self):
        gone = subprocess.Popen(["true"])
        gone.wait()
        self.assertEqual(proc.cpu_s(gone.pid), 0)


class Soak(unittest.TestCase):
    FIRST = soak.Usage(5000, 9, 2)

    def test_what_may_be(self):
        self.assertEqual(soak.grown(self.FIRST, self.FIRST), [])
        self.assertEqual(soak.grown(self.FIRST, soak.Usage(5000 + 4096 + 128, 8, 1)), [])

    def test_what_grew(self):
        for last, what in ((soak.Usage(5000 + 4096 + 129, 9, 2), "memory"),
                           (soak.Usage(5000, 10, 2), "descriptors"),
                           (soak.Usage(5000, 9, 3), "threads or processes")):
            with self.subTest(what=what):
                self.assertEqual(soak.grown(self.FIRST, last), [what])

    def test_a_leak_of_64_bytes_per_request_would_be_seen(self):
        leaked_kb = 64 * soak.DAY_REQUESTS * 9 // 10 // 1024
        allowed_kb = soak.TOLERANCE_KB + soak.TASK_TOLERANCE_KB * (soak.PLACES + 1)
        self.assertGreater(leaked_kb, 5 * allowed_kb)

    def test_runs(self):
        build = os.environ.get("BUILD", str(REPOSITORY / "build"))
        done = subprocess.run([ENTRY, "soak", "--build", build, "--requests", "300", "--only",
                               "event,processes"], capture_output=True, text=True, timeout=300,
                              check=False)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()[2:]],
                         ["event", "processes"])
