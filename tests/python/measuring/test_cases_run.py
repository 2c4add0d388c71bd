"""Runs of case studies: what is planned of them, what the runner calls, what is kept and packed."""
import csv
import json
import lzma
from pathlib import Path
import re
import shutil
import subprocess
import tempfile
import unittest

from archbench.formats.run import Run
from archbench.formats.workload import Workload
from archbench.places import ENTRY
from archbench.runner import pack, plan
from runner_case import BUILD, FAKE_CELL, ROOT, RunnerTest, TINY, script
import synthetic_cases as made

TALK = """
    [workload]
    components     = redis
    schema         = talk.schema.sql
    sql = talk.sql
    server_options = --database-pool=5
    [class a]
    request = /
    [point one]
    [point two]
    sql = other.sql
    [case]
    name  = %s
    order = %s
"""


class Planned(RunnerTest):
    def dry(self, *options):
        """(status, [cells without trials and options], stderr)"""
        status, out, err = self.do(*self.runner("--dry-run", *options))
        return status, [line.rpartition(".")[0] for line in out.splitlines()], err

    def test_only_the_workloads_of_the_cases(self):
        status, cells, err = self.dry("--cases", "chat")
        self.assertEqual(status, 0, err)
        self.assertEqual({name.partition("/")[0] for name in cells},
                         {"chat", "chat_pool", "chat_scale", "chat_slow"})
        status, cells, _ = self.dry("--cases", "chat,trading")
        self.assertEqual(status, 0)
        self.assertLessEqual({"trading", "trading_rate", "trading_burst", "chat"},
                             {name.partition("/")[0] for name in cells})

    def test_workloads_chooses_among_them(self):
        status, cells, _ = self.dry("--cases", "chat", "--workloads", "chat_pool")
        self.assertEqual((status, {name.partition("/")[0] for name in cells}), (0, {"chat_pool"}))
        status, _, err = self.dry("--cases", "chat", "--workloads", "trading")
        self.assertEqual(status, 2)
        self.assertIn("no workload trading in chat; there is: chat chat_pool", err)

    def test_a_case_that_is_not_there(self):
        status, _, err = self.dry("--cases", "images")
        self.assertEqual(status, 2)
        self.assertIn("no case images; there is: chat trading", err)

    def test_without_cases_none_is_run(self):
        for profile in "--smoke", "--quick", "--full":
            status, cells, err = self.dry(profile)
            self.assertEqual(status, 0, err)
            self.assertTrue(cells)
            self.assertFalse({file.stem for files in plan.cases().values() for file in files} &
                             {name.partition("/")[0] for name in cells})

    def test_quick_keeps_to_its_time(self):
        """Six minutes with everything around it: two and a half for the cells of both."""
        err = self.dry("--cases", "chat,trading")[2]
        minutes, seconds = re.search(r"cells, about (\d+):(\d+), until", err).groups()
        self.assertLessEqual(60 * int(minutes) + int(seconds), 150)

    def test_full_has_every_architecture_that_can_push(self):
        """But processes: chat.ini says why."""
        _, cells, _ = self.dry("--full", "--cases", "chat")
        archs = {name.split()[1] for name in cells if name.startswith("chat/full")}
        self.assertLessEqual({"event", "multi_loop", "io_uring", "hybrid", "coroutines", "actors", "staged",
                              "threads"}, archs)
        self.assertNotIn("processes", archs)

    def test_files_say_to_which_case_they_belong(self):
        folder = self.folder / "cases"
        folder.mkdir()
        for name, case, order in (("b", "talk", 1), ("a", "talk", 2), ("c", "other", 1)):
            shutil.move(self.workload(name, TALK % (case, order)), folder)
        found = plan.cases(folder)
        self.assertEqual({case: [file.stem for file in files] for case, files in found.items()},
                         {"talk": ["b", "a"], "other": ["c"]})
        shutil.move(self.workload("d", TINY), folder)
        with self.assertRaisesRegex(plan.PlanError, "d.ini does not say in .case. to which case"):
            plan.cases(folder)

    def test_components_where_a_workload_asks_for_them(self):
        talk = self.workload("talk", TALK % ("talk", 1))
        servers = plan.architectures(BUILD, ["event"])
        decided = {"defaults": {"connections": 10, "arrivals": "closed"}}
        for real, expected in (True, {"talk": True, "tiny": False}), (False, {"talk": False, "tiny": False}):
            cells, _ = plan.make_plan(plan.Programs(servers, decided, real), ["event"],
                                      [Path(talk), Path(self.tiny)], "quick", 1, 1)
            self.assertEqual({cell.workload: cell.components for cell in cells}, expected)


class Calls(RunnerTest):
    """What the runner makes of the plan, with a cell that measures nothing."""

    def setUp(self):
        super().setUp()
        self.build = self.fake_servers(event={"push": "itself"})
        for program in "loadgen", "upstream", "calibrate":
            (self.build / program).symlink_to(BUILD / program)
        told = FAKE_CELL.replace("given = parser.parse_known_args()[0]", "given = parser.parse_known_args()[0]\n"
                                 "    open(pathlib.Path(__file__).parent / 'said', 'a').write(' '.join(sys.argv) + chr(10))")
        script(self.build / "cell", told)
        (self.build / "verdicts.json").write_text("{}")
        (self.build / "calibration.json").write_text(json.dumps(
            {"request_us": 20.0, "parallel": 1.0, "units_per_ms": {"hash": 1000}, "cpu_model": "x"}))

    def run_it(self, *options):
        command = [ENTRY, "run", "--build", self.build, "--results", self.results, "--patience", "0",
                   *options]
        status, _, err = self.do(*command)
        self.assertEqual(status, 0, err)
        return self.run_folder(), (self.build / "said").read_text().splitlines()

    def test_a_run_of_a_case(self):
        folder, said = self.run_it("--cases", "chat", "--workloads", "chat_scale", "--only", "event")
        self.assertRegex(folder.name, r"-quick-chat$")
        manifest = json.loads((folder / "manifest.json").read_text())
        self.assertEqual(manifest["cases"], ["chat"])
        self.assertEqual({cell["components"] for cell in manifest["cells"]}, {True})
        self.assertTrue(all(" --components " in line for line in said))
        self.assertEqual({path.name for path in (folder / "workloads").iterdir()},
                         {"chat_scale.ini", "chat.sql", "chat.schema.sql"})
        found = json.loads((folder / "predictions.json").read_text())["cells"][0]["database"]
        self.assertAlmostEqual(found["in_flight"], 1.5 * 750 * 0.1)

    def test_ordinary_runs_ask_for_no_components(self):
        folder, said = self.run_it("--smoke", "--workloads", self.tiny)
        self.assertRegex(folder.name, r"-smoke$")
        self.assertEqual(json.loads((folder / "manifest.json").read_text())["cases"], [])
        self.assertFalse(any("--components" in line for line in said))

    def test_full_takes_real_ones(self):
        talk = self.workload("talk", TALK % ("talk", 1))
        _, said = self.run_it("--full", "--workloads", talk, "--trials", "1")
        self.assertTrue(all(" --components " in line for line in said))
        shutil.rmtree(self.results)
        (self.build / "said").unlink()
        _, said = self.run_it("--workloads", talk, "--trials", "1")
        self.assertFalse(any("--components" in line for line in said))


class Files(RunnerTest):
    """The files that a workload names."""

    def test_statements_and_what_they_take(self):
        path = Path(self.workload("talk", TALK % ("talk", 1)))
        (path.parent / "talk.sql").write_text("-- A file.\n-- name: add  stand-in: 100ms\ninsert 1;\n"
                                              "-- name: find-it\nselect 2;\n-- name: slow stand-in: 1.5s\n")
        workload = Workload(path)
        self.assertEqual(workload.case, {"name": "talk", "order": "1"})
        self.assertEqual(workload.files_named(), ["talk.sql", "other.sql", "talk.schema.sql"])
        self.assertEqual(workload.statements("one"), {"add": 0.1, "find-it": 0.0, "slow": 1.5})
        self.assertEqual(workload.statements("two"), {})  # other.sql is not there
        self.assertEqual(plan.files_of(path), [path, path.parent / "talk.sql"])

    def test_what_a_case_is_called_asks_nothing_of_servers(self):
        path = self.workload("talk", TALK % ("talk", 1))
        self.assertNotIn("case", Workload(path).asked(leaving_out=()))

    def test_the_statements_of_the_chat(self):
        for file in plan.cases(ROOT / plan.CASES)["chat"]:
            workload = Workload(file)
            asked = set(re.findall(r"io=sql:([\w-]+)", workload.text))
            if asked:
                self.assertEqual({workload.statements(point)[name] for name in asked
                                  for point in workload.points}, {0.1}, file)


class Packed(unittest.TestCase):
    """Case by case."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        self.run = made.CaseRun(self.folder / "run", "chat", "trading", finished="2026-11-30T10:00:00Z")
        made.add_chat(self.run, 1, 1.0)
        made.add_trading(self.run, 1, 1.0)
        for workload, arch in (("chat", "event"), ("trading", "event")):
            self.run.predict(workload, "full", arch, capacity=1.0, bottleneck="loop")
            self.run.manifest["cells"].append({"workload": workload, "point": "full", "arch": arch,
                                               "trial": 1})
        self.run.write()

    def test_one_case_of_a_run(self):
        pack.pack(self.run.folder, self.folder / "kept", "chat")
        whole, kept = Run(self.run.folder), Run(self.folder / "kept")
        self.assertEqual(set(kept.workloads()), {"chat", "chat_pool", "chat_scale", "chat_slow"})
        self.assertEqual({c["where"][0] for c in kept.cells}, set(kept.workloads()))
        self.assertEqual(kept.manifest["cases"], ["chat"])
        self.assertEqual([c["workload"] for c in kept.manifest["cells"]], ["chat"])
        where = ("chat", "full", "event", "delivery_p99_us", "total")
        self.assertEqual(kept.values(*where), whole.values(*where))
        self.assertTrue(kept.prediction("chat", "full", "event"))
        self.assertFalse(kept.prediction("trading", "full", "event"))
        names = {path.name for path in (self.folder / "kept" / "workloads").iterdir()}
        self.assertLessEqual({"chat.ini", "chat.sql", "chat.schema.sql"}, names)
        self.assertNotIn("trading.ini", names)
        with lzma.open(self.folder / "kept" / "summary.csv.xz", "rt", encoding="utf-8") as file:
            self.assertEqual({row["workload"] for row in csv.DictReader(file)}, set(kept.workloads()))

    def test_without_a_place_each_case_has_its_own(self):
        targets = pack.targets(self.run.folder, None)
        self.assertEqual(targets, [(ROOT / "results" / "reference-cases" / name, name)
                                   for name in ("chat", "trading")])
        self.assertEqual(pack.targets(self.run.folder, Path("there")), [(Path("there"), None)])

    def test_with_a_place_the_run_is_packed_whole(self):
        done = subprocess.run([ENTRY, "pack", self.run.folder, self.folder / "all"], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(Run(self.folder / "all").workloads(), Run(self.run.folder).workloads())

    def test_a_run_without_cases_needs_a_place(self):
        self.run.manifest["cases"] = []
        self.run.write()
        done = subprocess.run([ENTRY, "pack", self.run.folder], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("has no case studies: say where its copy is to be", done.stderr)

    def test_a_packed_case_is_found_beside_its_run(self):
        main = made.SyntheticRun(self.folder / "main")
        main.cell("trivial", "base", "event", 1, {"achieved_rate": 5})
        main.write()
        pack.pack(self.run.folder, self.folder / "main-cases" / "trading", "trading")
        found = Run(self.folder / "main").of_case("trading")
        self.assertEqual(found.case_workloads("trading"), ["trading", "trading_rate", "trading_burst"])
        self.assertIsNone(Run(self.folder / "main").of_case("chat"))
