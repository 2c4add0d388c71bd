"""A run on disk: results/RUN with manifest.json, summary.csv and cells/, or the same packed. See
docs/formats.md."""
from collections import defaultdict
import configparser
import csv
from dataclasses import dataclass, field
from functools import lru_cache
import json
from lzma import LZMAError
import math
from pathlib import Path
import re
import sys

from archbench.formats import abouts, former, schema, stored
from archbench.formats.names import TWIN, is_twin, server_of
from archbench.formats.workload import Workload
from archbench.places import REPOSITORY
from archbench.stats.estimates import estimate


CPU_CLASSES = ("cpu", "slow")  # classes that are the disturbance, not the object of a latency
# Numbers of a trial: see Run._correct_for_the_clock().
CPU_TIME, CPU_TIME_READ, SPEED = (("", name) for name in (
    "cpu_us_per_request", "cpu_us_per_request_as_read", "hash_units_per_ms"))
READING_ORDER = ("trivial", "io", "cpu", "mix")


class NoData(Exception):
    """This run holds nothing that the figure or table could show."""


@dataclass
class Trial:
    number: str
    values: dict = field(default_factory=dict)  # (class, metric) -> float
    refused: set = field(default_factory=set)   # of these numbers, those that are not sure
    verdict: str = "VALID"                      # INVALID: none of them is

    @property
    def valid(self):
        """At least one number of it is sure."""
        return self.verdict == "VALID" and (not self.values or len(self.refused) < len(self.values))

    def has(self, name):
        """Is this number known, and sure?"""
        return self.valid and name in self.values and name not in self.refused


def number_in(name):
    """'cpu30' -> 30.0; None without a number."""
    found = re.search(r"\d+(?:\.\d+)?", name)
    return float(found.group()) if found else None


class Run:
    """All cells of a run. Cells are addressed by workload, point, architecture and trial."""

    def __init__(self, folder):
        """Raises NoData when the folder holds no finished run, or one of another version."""
        self.folder = Path(folder)
        self._cells = defaultdict(dict)  # (workload, point, arch) -> {trial number: Trial}
        self._workloads = {}
        try:
            self.manifest = former.manifest(self._checked("manifest.json", schema.RUN))
            self._predictions = self._read_predictions()
            self._read_summary()
            self._correct_for_the_clock()
            self._stored = stored.open_cells(self.folder)
            self.cells = sorted(self._read_cells(), key=lambda c: c["where"])
        except FileNotFoundError as error:
            raise NoData(f"{self.folder} is not a finished run: it has no "
                         f"{Path(error.filename).name}") from error
        except schema.Refused as refusal:
            raise NoData(str(refusal)) from refusal
        self.damaged = list(self._stored.damaged)  # sentences: what was left out

    def _checked(self, name, understood):
        """A JSON file of the run, of the version `understood`."""
        path = self.folder / name
        return schema.check(path, schema.read_json(path), understood)

    def _read_predictions(self):
        """{(workload, point, arch): what archbench predict said before the first cell}. Old runs
        have none."""
        try:
            cells = self._checked("predictions.json", schema.PREDICTIONS)["cells"]
        except FileNotFoundError:
            return {}
        return {(said["workload"], said["point"], said["arch"]): said
                for said in former.predictions(cells)}

    def _read_summary(self):
        with stored.open_summary(self.folder) as file:
            try:
                for row in csv.DictReader(file):
                    self._take(row)
            except (KeyError, TypeError, ValueError, EOFError, LZMAError) as error:
                raise schema.Damaged(f"{self.folder / stored.SUMMARY} is damaged: it is no table "
                                     "of numbers") from error

    def _take(self, row):
        """A line of summary.csv."""
        workload = former.workload(row["workload"])
        trials = self._cells[workload, row["point"], row["arch"]]
        trial = trials.setdefault(row["trial"], Trial(row["trial"]))
        name = (row["class"], former.metric(row["metric"]))
        trial.values[name] = float(row["value"])
        if row["verdict"] != "VALID":
            trial.refused.add(name)

    @property
    def calibrated_units(self):
        """Units of hash per ms of CPU time when the machine was calibrated; None where unknown."""
        return self.manifest.get("calibration", {}).get("units_per_ms", {}).get("hash")

    def _correct_for_the_clock(self):
        """CPU time is shown as it would be at the speed at which the machine was calibrated
        (docs/method.md, section 6); what was read is kept beside it."""
        for trials in self._cells.values():
            for trial in trials.values():
                cost, units = trial.values.get(CPU_TIME), trial.values.get(SPEED)
                if cost is None:
                    continue
                trial.values[CPU_TIME_READ] = cost
                if CPU_TIME in trial.refused:
                    trial.refused.add(CPU_TIME_READ)
                if units and self.calibrated_units:
                    trial.values[CPU_TIME] = cost * units / self.calibrated_units

    def _read_cells(self):
        """Every cell.json, with `where` added, and `name`, under which it is stored. A cell that failed before it measured anything has
        no row in summary.csv: it is known only from here, and must not vanish."""
        for name, stated in self._stored:
            where = (former.workload(name[0]), *name[1:])
            cell = former.cell(stated) | {"where": where, "name": name}
            verdict = cell.get("validity", {}).get("verdict", "INVALID")
            self._cells[where[:3]].setdefault(where[3], Trial(where[3], verdict=verdict))
            yield cell

    def own_workload(self, name):
        """The run's own copy of a workload file; None when it has none."""
        found = (self.folder / "workloads" / f"{stem}.ini" for stem in former.file_names(name))
        return next((path for path in found if path.is_file()), None)

    @staticmethod
    def _ours(name):
        """The repository's file of that workload; None without one."""
        files = (REPOSITORY / "workloads" / room / f"{name}.ini" for room in ("", "cases"))
        return next((file for file in files if file.is_file()), None)

    def workload(self, name):
        """The Workload: the run's own copy, else the repository's, else an empty one."""
        if name not in self._workloads:
            path = self.own_workload(name) or self._ours(name)
            try:
                self._workloads[name] = Workload(path)
            except (configparser.Error, UnicodeDecodeError) as error:
                raise NoData(f"{path} is damaged: {' '.join(str(error).split())}") from error
        return self._workloads[name]

    def reported(self, name):
        """Section [report] of a workload; that of the repository's file where the run's own copy is
        older than such sections."""
        ours = self._ours(name)
        said = self.workload(name).section("report")
        return said or (Workload(ours).section("report") if ours else {})

    def case_workloads(self, case):
        """Those of its workloads that belong to this case study, in the case's order."""
        stated = {w: self.workload(w).case for w in self.workloads()}
        mine = [w for w, keys in stated.items() if keys.get("name") == case]
        return sorted(mine, key=lambda w: (int(stated[w].get("order", 99)), w))

    def of_case(self, case):
        """The Run that holds this case study: this one, or the one that is kept beside it, which was
        measured by itself (results/reference-cases/NAME for results/reference). None without one."""
        if self.case_workloads(case):
            return self
        beside = self.folder.resolve()
        beside = beside.with_name(beside.name + stored.CASES) / case
        return open_beside(beside) if (beside / "manifest.json").is_file() else None

    @property
    def defaults(self):
        """What a workload has that its file does not say: arrivals, connections, placement."""
        return abouts.decided_in(self.manifest)["defaults"]

    def arrivals(self, workload, point):
        return self.workload(workload).setting(point, "arrivals", self.defaults["arrivals"])

    def workloads(self):
        """Simple ones first, then by name."""
        def place(name):
            known = name in READING_ORDER
            return (READING_ORDER.index(name) if known else len(READING_ORDER), name)
        return sorted({w for w, _, _ in self._cells}, key=place)

    def archs(self, workload=None):
        """Without twins, which are for noise.py alone."""
        return sorted({a for w, _, a in self._cells if workload in (None, w) and not is_twin(a)})

    def twins(self):
        """[(workload, point, arch, twin)] of each architecture that took part twice. `twin` is the
        name under which it did so the second time."""
        return sorted((w, p, a, a + TWIN) for w, p, a in self._cells
                      if (w, p, a + TWIN) in self._cells)

    def points(self, workload):
        """In the order of the workload file, else by the number in the name."""
        stated = self.workload(workload).points
        names = {p for w, p, _ in self._cells if w == workload}

        def key(name):
            place = stated.index(name) if name in stated else len(stated)
            return (place, number_in(name) or 0, name)
        return sorted(names, key=key)

    def single_point_workloads(self):
        """Those that are not sweeps, of which a profile may have run one point: one number per
        architecture says what they say."""
        return [w for w in self.workloads() if len(self.points(w)) == 1
                and self.reported(w).get("throughput") != "no" and not self.workload(w).points]

    def classes(self, workload):
        return sorted({c for (w, _, _), trials in self._cells.items() if w == workload
                       for t in trials.values() for c, _ in t.values} - {"", "total"})

    def short_class(self, workload):
        """The class whose latency is the point of a mix: not the one that computes."""
        classes = [c for c in self.classes(workload) if c not in CPU_CLASSES]
        return "short" if "short" in classes else (classes or [None])[0]

    def trials(self, workload, point, arch):
        return list(self._cells.get((workload, point, arch), {}).values())

    def verdicts(self, workload, arch):
        """(valid, invalid): how many cells of a workload ended how."""
        trials = [t for p in self.points(workload) for t in self.trials(workload, p, arch)]
        valid = sum(t.valid for t in trials)
        return valid, len(trials) - valid

    def values(self, workload, point, arch, metric, cls=""):
        """(of the valid trials, of the others): a number for each trial that has one."""
        having = [t for t in self.trials(workload, point, arch) if (cls, metric) in t.values]
        return tuple([t.values[cls, metric] for t in having if t.has((cls, metric)) is wanted]
                     for wanted in (True, False))

    def estimate(self, workload, point, arch, metric, cls=""):
        """The median over the trials, with its interval; None when it was not measured."""
        return estimate(*self.values(workload, point, arch, metric, cls))

    def cells_at(self, workload, point, arch):
        """The cell.json of every trial that left one, `where` added."""
        return [c for c in self.cells if c["where"][:3] == (workload, point, arch)]

    def text_of(self, cell, file):
        """What a cell of cells_at() left in a file of its folder, such as `short.hgrm`; None when
        it left none."""
        return self._stored.text(cell["name"], file)

    def timeseries(self, cell):
        """[line of timeseries.jsonl] of a cell of cells_at(): docs/loadgen-json.md."""
        try:
            return [json.loads(line)
                    for line in (self.text_of(cell, "timeseries.jsonl") or "").splitlines()]
        except ValueError as error:
            raise NoData(f"timeseries.jsonl of {'/'.join(cell['name'])} is damaged") from error

    def histogram(self, cell, cls):
        """[(response time in us, how many took up to that, and longer than the one before)] of a
        class of a cell of cells_at(), infinite ones last; [] where nothing was kept."""
        try:
            return self._counts(self.text_of(cell, f"{cls}.hgrm") or "")
        except ValueError as error:
            raise NoData(f"{cls}.hgrm of {'/'.join(cell['name'])} is damaged") from error

    @staticmethod
    def _counts(text):
        found, before = [], 0
        for value_ms, _, total, *_ in (line.split() for line in text.splitlines()
                                       if re.match(r" *\d", line)):
            if int(total) > before:
                found.append((float(value_ms) * 1e3, int(total) - before))
            before = int(total)
        lost = re.search(r"#\[Infinite = (\d+)\]", text)
        return found + ([(math.inf, int(lost[1]))] if lost else [])

    def prediction(self, workload, point, arch):
        """What the model said of it before the first cell; {} where it said nothing."""
        return self._predictions.get((workload, point, arch), {})

    def estimate_of(self, workload, point, arch, number):
        """As estimate(), of what summary.csv does not have: number(cell) is a number or None."""
        found = [(c["validity"]["verdict"] == "VALID", number(c))
                 for c in self.cells_at(workload, point, arch)]
        return estimate(*([x for valid, x in found if valid is wanted and x is not None]
                          for wanted in (True, False)))

    def why_absent(self, workload, point, arch):
        """Why this architecture has no cell there, in a few words; None when it has one."""
        if self.trials(workload, point, arch):
            return None
        if any(where[:3] == (workload, point, arch) for where in self._planned()):
            return "never finished"
        said = self._limit_met(workload, point, arch)
        if said:
            return said
        about = self.manifest.get("servers", {}).get(server_of(arch), {})
        if about.get("peers") == 1:
            return "serves one connection at a time"
        if "peers" in about:
            return "needs a worker for each connection"
        return "not in the plan of this run"

    def _limit_met(self, workload, point, arch):
        """What the plan said of a limit of the machine that this architecture met there; None when
        it met none."""
        for sentence in self.manifest.get("left_out", ()):
            met = re.search(rf"\b{re.escape(workload)}\.ini without {re.escape(arch)}, which cannot "
                            r"serve so many connections: (.*)", sentence)
            for part in met[1].split("; ") if met else ():
                why, _, where = part.rpartition(", at point ")
                if where == point and not why.endswith(" at a time"):
                    return why
        return None

    def need(self, *workloads):
        """Those of the named workloads that this run has; NoData when none."""
        present = [w for w in workloads if w in self.workloads()]
        if not present:
            raise NoData(f"this run has no workload {' or '.join(workloads)}")
        return present

    @property
    def stopped(self):
        """Was it stopped before its last cell? Then a cell that is missing is nobody's fault."""
        return bool(self.manifest.get("stopped")) and not self.manifest.get("finished")

    def missing_cells(self):
        """The places of the plan that have no cell."""
        return [where for where in self._planned()
                if where[3] not in self._cells.get(where[:3], {})]

    def refused(self):
        """(where, number, reason) of every number that is not sure in a valid cell. A `number`
        with an asterisk names several: total.response_* is all of that class's response times."""
        for cell in self.cells:
            for number, reason in cell.get("validity", {}).get("refused", {}).items():
                yield cell["where"], number, reason

    def count_valid(self):
        """How many cells are valid, those of twins too."""
        return sum(t.valid for trials in self._cells.values() for t in trials.values())

    def invalid_cells(self):
        """(where, reasons) of every invalid cell, and of those that never ran though the run came
        to its end."""
        known = {c["where"]: c.get("validity", {}).get("reasons", []) for c in self.cells}
        for key, trials in sorted(self._cells.items()):
            for trial in trials.values():
                if not trial.valid:
                    where = (*key, trial.number)
                    yield where, known.get(where, ["no cell.json: see summary.csv"])
        if not self.stopped:
            for where in self.missing_cells():
                yield where, ["planned, but never finished"]

    def _planned(self):
        """The plan of the manifest."""
        for cell in self.manifest.get("cells", []):
            yield cell["workload"], cell["point"], cell["arch"], str(cell["trial"])

    def server_cores(self, workload):
        """How many cores the servers might use there, as the cells were placed: workloads differ in
        that. None when unknown."""
        placed = (cell["placement"].get("server_cores") for cell in self.cells
                  if cell["where"][0] == workload and cell.get("placement"))
        return len(next(filter(None, placed), ())) or self.machine()[1]

    def machine(self):
        """(CPU model, number of cores, kernel release); None where the manifest does not say."""
        environment = self.manifest.get("environment", {})
        cpu, cores, kernel = (environment.get(k) for k in ("cpu", "cores", "kernel"))
        if isinstance(cpu, dict):
            cpu = cpu.get("model")
        if isinstance(cores, dict):
            cores = cores.get("online")
        return cpu, cores, kernel and kernel.split()[0]


@lru_cache(maxsize=8)
def open_beside(folder):
    """The Run of a case study that is kept beside another run, read once by all that draw it."""
    return Run(folder)


@lru_cache(maxsize=1)
def open_run(folder):
    """The Run of a path, which is read once by all that draw it in one process. What was left out of
    it because it is damaged is named on the standard error."""
    run = Run(folder)
    for sentence in run.damaged:
        print(f"left out: {sentence}", file=sys.stderr)
    return run
