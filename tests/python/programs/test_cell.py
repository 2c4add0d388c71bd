"""One cell, measured and judged."""
import json
import os
import pathlib
import re
import subprocess
import time

from runner_case import BUILD, COMPUTE, ROOT, TINY, CellCase, alive, wait_until


class CellTest(CellCase):
    def documented_keys(self):
        """Names in the first column of the table in docs/formats.md."""
        text = (ROOT / "docs" / "formats.md").read_text()
        section = text.split("## Cell")[1].split("\n## ")[0]
        keys = set()
        for row in re.findall(r"^\| (`.*?) \|", section, re.M):
            keys |= set(re.findall(r"`(\w+)`", row))
        return keys

    def test_every_documented_key(self):
        self.do(*self.cell("threads", self.tiny, "--point", "b", "--duration", "250ms"))
        cell = self.read("tiny/b/threads.1")
        self.assertEqual(set(cell), self.documented_keys())
        self.assertEqual(set(cell["cost"]), set(
            "cpu_s cpu_us_per_request cores_used switches_voluntary switches_involuntary "
            "switches_per_request tasks cgroup".split()))
        kinds = set("user_kb page_tables_kb kernel_stacks_kb sockets_kb".split())
        for state in "before", "during":
            self.assertEqual(set(cell["memory"][state]), kinds | {"time_waits"})
        self.assertEqual(set(cell["memory"]["per_connection"]), kinds | {"total_kb"})
        self.assertEqual(set(cell["host"]), {"steal", "others", "held", "listen_overflows", "listen_drops",
                                             "hash_units_per_ms"})
        self.assertGreater(cell["host"]["hash_units_per_ms"], 0)
        self.assertEqual(set(cell["placement"]),
                         {"mode", "server_cores", "generator_cores", "realtime"})
        self.assertEqual(cell["memory"]["connections"], 4)
        self.assertEqual(sum(slot["connections"] for slot in cell["slots"]), 4)
        # The slots are read a moment after the sums, while the server goes on.
        self.assertAlmostEqual(sum(slot["requests"] for slot in cell["slots"]),
                               cell["counters"]["requests"], delta=3)
        helper = "thread" in BUILD.name  # ThreadSanitizer runs a thread of its own
        self.assertEqual(cell["cost"]["tasks"], 5 + helper)  # one that accepts, one per connection
        self.assertEqual(cell["memory"]["per_connection"]["kernel_stacks_kb"], 16)
        self.assertEqual(cell["exit"]["final"]["name"], "threads")
        self.assertEqual({path.name for path in (self.folder / "cells/tiny/b/threads.1").iterdir()}
                         - {"total.hgrm"},
                         {"cell.json", "short.hgrm", "timeseries.jsonl", "server.log",
                          "loadgen.log"})
        self.assert_nothing_left()

    def test_cpu_time_is_the_work_that_was_done(self):
        """5 ms of work are 5 ms of CPU time, whether threads, processes or one loop spend it. What
        5 ms are is asked anew for each try: a shared machine's speed changes within minutes."""
        compute = self.workload("compute", COMPUTE)
        calibration = self.folder / "calibration.json"
        self.environment["ARCHBENCH_CALIBRATION"] = str(calibration)
        for server in "threads", "processes", "event":
            for _ in range(4):
                self.do(BUILD / "calibrate", "--calibration", calibration)
                self.do(*self.cell(server, compute, "--duration", "600ms"))
                cost = self.read(f"compute/base/{server}.1")["cost"]
                if 0.8 < cost["cpu_us_per_request"] / 5000 < 1.25:
                    break
            else:
                self.fail(f"{server}: {cost}")
            if server == "event":
                self.assertLess(cost["cores_used"], 1.05)

    def cgroups(self):
        """Folders of cells in all hierarchies."""
        return {path for path in pathlib.Path("/sys/fs/cgroup").rglob("archbench.*.*")}

    def test_the_kernel_adds_up_the_same_cpu_time(self):
        """Where there are cgroups for us: children that live, and those that have ended."""
        if os.geteuid() != 0 or not any("cgroup2" in line for line in open("/proc/self/mounts")):
            self.skipTest("no cgroup v2 that we may write to")
        compute = self.workload("compute", COMPUTE)
        for server in "prefork", "processes":
            self.do(*self.cell(server, compute, "--duration", "600ms"))
            cost = self.read(f"compute/base/{server}.1")["cost"]
            self.assertAlmostEqual(cost["cgroup"]["cpu_s"] / cost["cpu_s"], 1, delta=0.1)
            peak_kb = cost["cgroup"]["memory_peak_kb"]
            if peak_kb is not None:
                self.assertGreater(peak_kb, 100)
        self.assertEqual(self.cgroups(), set())

    def test_what_a_killed_cell_left_of_its_cgroup_is_removed(self):
        tiny = self.cell("threads", self.tiny, "--point", "b", "--duration", "250ms")
        command = [*map(str, tiny), "--duration", "20s"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        if not wait_until(self.cgroups, 3):
            process.terminate()
            process.wait()
            self.skipTest("no cgroups here")
        process.kill()
        process.wait()
        # Its processes are still dying; until they are gone their folder cannot be removed.
        self.assertTrue(wait_until(lambda: self.do(*tiny) and not self.cgroups(), 10))

    def test_options_for_every_server(self):
        """They come before those of this one, which hold: the last one counts."""
        stated = self.workload("stated", TINY.replace(
            "[class", "server_options = --workers=1  --stack=128k\n    [class"))
        self.do(*self.cell("threads", stated, "--point", "a", "--duration", "250ms", "--",
                           "--stack=64k"))
        command = self.read("stated/a/threads.1")["command"]["server"]
        self.assertEqual(command[-3:], ["--workers=1", "--stack=128k", "--stack=64k"])

    def test_a_killed_cell_leaves_nothing(self):
        for server in "processes", "threads":
            cell = self.start(*self.cell(server, self.tiny, "--point", "a", "--duration", "20s"))
            # cell, guard, server, generator, its worker, and threads or processes of the server
            self.assertTrue(wait_until(lambda: len(alive(self.mark)) >= 5))
            time.sleep(0.2)
            cell.kill()
            cell.communicate()
            self.assert_nothing_left()
            self.assertFalse((self.folder / f"cells/tiny/a/{server}.1").exists())

    def test_a_server_that_dies_makes_the_cell_invalid(self):
        build = self.fake_server("""
            import os, socket
            listener = socket.create_server(("127.0.0.1", 0))
            print("ready fake 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
            listener.accept()
            os.kill(os.getpid(), 11)
        """)
        status, out, _ = self.do(*self.cell("fake", self.tiny, "--point", "a", build=build))
        self.assertEqual(status, 1)
        self.assertRegex(out, "^INVALID tiny/a fake.1: .*died of signal 11")
        cell = self.read("tiny/a/fake.1")
        self.assertEqual(cell["validity"]["verdict"], "INVALID")
        self.assertEqual((cell["attempt"], cell["earlier_reasons"]), (1, []))
        self.assertEqual(cell["exit"]["status"], -11)
        self.assertIsNone(cell["cost"])
        self.assert_nothing_left()

    def test_one_more_attempt_remembers_the_invalid_one(self):
        build = self.fake_server(f"""
            import os, pathlib, sys
            mark = pathlib.Path("{self.folder}/healthy")
            if not mark.exists():
                sys.exit("not yet")
            os.execv("{BUILD}/servers/threads", ["threads", *sys.argv[1:]])
        """)
        attempt = self.cell("fake", self.tiny, "--point", "a", "--duration", "100ms", "--again",
                            build=build)
        for again, number in (True, 1), (True, 2), (False, 1), (True, 2):
            self.do(*[word for word in attempt if again or word != "--again"])
            self.assertEqual(self.read("tiny/a/fake.1")["attempt"], number)
        (self.folder / "healthy").touch()
        self.do(*attempt)
        cell = self.read("tiny/a/fake.1")
        self.assertEqual(cell["attempt"], 3)
        self.assertEqual([reason[:10] for reason in cell["earlier_reasons"]],
                         ["attempt 1:", "attempt 1:", "attempt 2:", "attempt 2:"])
        self.assertRegex(cell["earlier_reasons"][0], "^attempt 1: the server ended too early")
        log = (self.folder / "cells/tiny/a/fake.1/server.log").read_text()
        self.assertRegex(log, r"^not yet\nnot yet\nready threads ")

    def test_a_valid_or_torn_cell_is_no_past(self):
        attempt = self.cell("threads", self.tiny, "--point", "a", "--duration", "100ms", "--again")
        path = self.folder / "cells/tiny/a/threads.1/cell.json"
        path.parent.mkdir(parents=True)
        valid = {"attempt": 1, "earlier_reasons": [], "validity": {"verdict": "VALID",
                                                                   "reasons": []}}
        for text in "{", "[]", json.dumps(valid):
            path.write_text(text)
            self.do(*attempt)
            cell = self.read("tiny/a/threads.1")
            self.assertEqual((cell["attempt"], cell["earlier_reasons"]), (1, []))

    def test_an_invalid_set_up_is_one_line(self):
        for options, word in ((["--server", "nobody"], "nobody"), (["--point", "z"], "z"),
                              (["--workload", "/nowhere.ini"], "nowhere"),
                              (["--trial", "x"], "trial")):
            status, _, err = self.do(*self.cell("threads", self.tiny, "--point", "a", *options))
            self.assertEqual(status, 2)
            self.assertRegex(err, rf"^cell: .*{word}.*\n$")
