"""Which cells a run consists of, and in which order.

A cell is one architecture on one point of one workload, once. Cells come in blocks: a block holds
every combination once, in random order, so that whatever drifts while a run goes on (temperature,
neighbours) meets all architectures alike and shows as a difference between blocks.
"""
import configparser
import dataclasses
import json
import os
import pathlib
import random
import re
import subprocess
import zlib

PROFILES = {  # what a workload does not say itself
    "smoke": {"trials": 1, "warmup": "100ms", "duration": "400ms"},
    "quick": {"trials": 3, "warmup": "300ms", "duration": "1s"},
    "full": {"trials": 5, "warmup": "1s", "duration": "5s"},
}
OVERHEAD_S = 0.3  # of a cell beside warm-up and window: start, connect, collect, stop
UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


class PlanError(Exception):
    """A sentence for the user."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One measurement to take."""
    arch: str
    workload: str
    file: str  # of the workload, relative to the current folder
    point: str
    trial: int
    warmup: str
    duration: str
    connections: int  # 0: as the workload says
    seed: int  # of the arrivals: the same for all architectures, so that they meet the same load

    @property
    def name(self):
        return f"{self.workload}/{self.point} {self.arch}.{self.trial}"

    @property
    def folder(self):
        return pathlib.Path(self.workload, self.point, f"{self.arch}.{self.trial}")

    @property
    def expected_s(self):
        return seconds(self.warmup) + seconds(self.duration) + OVERHEAD_S


def seconds(text):
    """'250ms' as 0.25."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s|m)", text)
    if not match:
        raise PlanError(f"'{text}' is not a duration such as 500ms or 2s")
    return float(match[1]) * UNITS_S[match[2]]


def read_workload(path):
    """The sections of a workload file. Its keys are checked by the programs that use them."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",),
                                       comment_prefixes=(";",), inline_comment_prefixes=(";",))
    parser.optionxform = str
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise PlanError(f"workload {path}: {error}") from error
    return parser


def files_of(path):
    """The workload file and the trace that it replays, if it replays one."""
    trace = read_workload(path).get("workload", "trace", fallback=None)
    return [path] + ([pathlib.Path(path).parent / trace] if trace else [])


def points_of(parser):
    points = [name.split(None, 1)[1] for name in parser.sections() if name.startswith("point ")]
    return points or ["base"]


def settings(path, profile):
    """What this profile runs of a workload: points, trials, warmup, duration, connections."""
    parser = read_workload(path)
    known = points_of(parser)
    chosen = dict(PROFILES[profile], connections=0, points=" ".join(known))
    if parser.has_section(profile):
        chosen.update(parser[profile])
    chosen["points"] = chosen["points"].split()
    unknown = set(chosen["points"]) - set(known)
    if unknown:
        raise PlanError(f"workload {path}: [{profile}] names points that are not there: "
                        + " ".join(sorted(unknown)))
    return chosen


def find_workloads(wanted, folder):
    """Files of workloads, by name (in `folder`) or by path; all of the folder without `wanted`."""
    if not wanted:
        return sorted(pathlib.Path(folder).glob("*.ini"))
    files = [pathlib.Path(name if name.endswith(".ini") else f"{folder}/{name}.ini")
             for name in wanted]
    for file in files:
        if not file.is_file():
            raise PlanError(f"no workload {file}")
    return files


def architectures(build, wanted=()):
    """What `--about` says of every server that is built, by name."""
    found = {}
    for path in sorted(pathlib.Path(build, "servers").glob("*")):
        if path.suffix or not os.access(path, os.X_OK):
            continue  # an object or dependency file of the build
        about = subprocess.run([path, "--about"], capture_output=True, text=True, check=True)
        found[path.name] = json.loads(about.stdout)
    missing = set(wanted) - set(found)
    if missing or not found:
        raise PlanError(f"not in {build}/servers: {' '.join(sorted(missing)) or 'any server'}; "
                        f"there is: {' '.join(found) or 'nothing, try make'}")
    return {name: about for name, about in found.items() if not wanted or name in wanted}


def arrival_seed(seed, workload, point, trial):
    return zlib.crc32(f"{seed}/{workload}/{point}/{trial}".encode()) % (2**31 - 1) + 1


def block(archs, files, profile, trials, trial, seed):
    """All cells of one repetition, in the order of the files."""
    cells = []
    for file in files:
        chosen = settings(file, profile)
        if trial > int(trials or chosen["trials"]):
            continue
        for point in chosen["points"]:
            arrivals = arrival_seed(seed, file.stem, point, trial)
            cells += [Cell(arch, file.stem, str(file), point, trial, chosen["warmup"],
                           chosen["duration"], int(chosen["connections"]), arrivals)
                      for arch in archs]
    return cells


def make_plan(archs, files, profile, trials, seed):
    """All cells in the order to run them. `trials` overrides the workloads when it is not None."""
    shuffler = random.Random(seed)
    last = max(int(trials or settings(file, profile)["trials"]) for file in files)
    cells = []
    for trial in range(1, last + 1):
        cells_of_block = block(archs, files, profile, trials, trial, seed)
        shuffler.shuffle(cells_of_block)
        cells += cells_of_block
    return cells
