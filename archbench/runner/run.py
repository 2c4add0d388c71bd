"""Run a plan of cells, one at a time, into results/RUN/; or go on with an interrupted run."""
import ctypes
import dataclasses
import datetime
import fcntl
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

from archbench.arguments import Parser
from archbench.formats import abouts, schema, stored, summary
from archbench.formats.workload import Workload
from archbench.places import ENTRY, REPOSITORY as ROOT
from archbench.runner import alone, calm, environment, plan
from archbench.runner.attempts import attempts_left, is_valid, load_cell, turns
from archbench.runner.progress import Progress, as_clock, time_of_day

PATIENCE = 1 / 3  # of the planned time: for how long to wait for a calm machine
PR_SET_PDEATHSIG = 1
VALID, INVALID = 0, 1  # exit statuses of build/cell
STOPPED = 130  # our own, as a shell has it for one that SIGINT ended


def located(text):
    """A path as seen from the project's folder, where everything runs: relative when it is inside,
    so that results name no folder of this machine."""
    path = pathlib.Path(text).resolve()
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


class Stopped(Exception):
    """SIGINT or SIGTERM came."""


def on_signal(number, frame):
    raise Stopped


def listed(text):
    return [word for word in text.split(",") if word]


def workloads(text):
    """Names, and paths that end in .ini."""
    return [str(located(word)) if word.endswith(".ini") else word for word in listed(text)]


def parse_arguments(words):
    parser = Parser("run", __doc__)
    profile = parser.add_mutually_exclusive_group()
    for name in plan.PROFILES:
        profile.add_argument(f"--{name}", dest="profile", action="store_const", const=name,
                             help=f"profile {name}" + " (default)" * (name == "quick"))
    parser.add_argument("--only", type=listed, default=[], metavar="ARCH,...",
                        help="only these architectures, whatever the workloads say: servers, "
                             "variants such as event:--multiplexer=poll, or all")
    parser.add_argument("--workloads", type=workloads, default=[], metavar="W,...",
                        help="only these workloads: names, or paths that end in .ini")
    parser.add_argument("--cases", type=listed, default=[], metavar="NAME,...",
                        help="the workloads of these case studies (workloads/cases/), with Redis and "
                             "PostgreSQL where they are installed; --workloads chooses among them")
    parser.add_argument("--trials", type=int, help="repetitions, whatever the workloads say")
    parser.add_argument("--seed", type=int, help="of the order and of the arrivals")
    parser.add_argument("--patience", type=float, metavar="SECONDS",
                        help="after an invalid cell, how long to wait in all for a machine that "
                             "others leave alone (default: a third of the planned time; 0: never)")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    parser.add_argument("--resume", metavar="DIR", type=located,
                        help="go on with this run; all else is as it was planned")
    parser.add_argument("--build", type=located, default=pathlib.Path("build"), metavar="DIR",
                        help="where the programs are")
    parser.add_argument("--results", type=located, default=pathlib.Path("results"), metavar="DIR",
                        help="where runs are kept")
    parser.add_argument("--with-parent", action="store_true",
                        help="stop when the process that started this one ends")
    arguments = parser.parse_args(words)
    if arguments.trials is not None and arguments.trials < 1:
        parser.error("--trials: at least 1")
    arguments.profile = arguments.profile or "quick"
    return arguments


def replace_json(path, data):
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def timestamp():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def calibration(build):
    """What a millisecond of work is here; measured now when nobody has, or when it is of an older
    version that knew fewer kinds of work."""
    path = pathlib.Path(os.environ.setdefault("ARCHBENCH_CALIBRATION",
                                              str(build.resolve() / "calibration.json")))
    program = build / "calibrate"
    if program.exists() or not path.is_file():
        subprocess.run([program, "--keep"], check=True, stdout=subprocess.DEVNULL)
    return json.loads(path.read_text(encoding="utf-8"))


def new_manifest(arguments):
    seed = random.randrange(2**31) if arguments.seed is None else arguments.seed
    servers = plan.architectures(arguments.build, arguments.only)
    decided = abouts.decided(arguments.build)
    if arguments.cases:
        files = plan.find_cases(arguments.cases, arguments.workloads)
    else:
        files = plan.find_workloads(arguments.workloads, "workloads")
    real = bool(arguments.cases) or arguments.profile == "full"
    cells, left_out = plan.make_plan(plan.Programs(servers, decided, real), arguments.only, files,
                                     arguments.profile, arguments.trials, seed)
    for sentence in left_out:
        print(f"archbench run: {sentence}", file=sys.stderr)
    used = {cell.program for cell in cells}
    return {"schema": schema.RUN, "profile": arguments.profile, "seed": seed,
            "cases": arguments.cases,
            "servers": {name: about for name, about in servers.items() if name in used},
            "cell": decided, "left_out": left_out,
            "cells": [dataclasses.asdict(cell) for cell in cells]}


def make_run_folder(arguments):
    """results/TIME-PROFILE/, of case studies results/TIME-PROFILE-CASES/, with a number behind when
    two runs start in one second."""
    base = datetime.datetime.now().strftime("%Y-%m-%dT%H-%M-%S-")
    base += "-".join([arguments.profile, *arguments.cases])
    for name in [base] + [f"{base}-{number}" for number in range(2, 100)]:
        try:
            (arguments.results / name).mkdir(parents=True)
            return arguments.results / name
        except FileExistsError:
            continue
    raise plan.PlanError(f"no free name for a run in {arguments.results}")


def start_run(folder, manifest, arguments):
    """Complete the manifest of a new run and save it."""
    manifest.update(run_id=folder.name, started=timestamp(), finished=None, resumed=[],
                    environment=environment.describe(arguments.build),
                    calibration=calibration(arguments.build))
    keep_workloads(folder, manifest)
    replace_json(folder / "manifest.json", manifest)
    subprocess.run([ENTRY, "predict", folder], check=True)
    return manifest


def keep_workloads(folder, manifest):
    """The questions as they were put, for whoever draws this run after a workload has changed."""
    (folder / "workloads").mkdir(exist_ok=True)
    for workload in sorted({cell["file"] for cell in manifest["cells"]}):
        for file in plan.files_of(workload):
            shutil.copy(file, folder / "workloads")


def differences(manifest, arguments):
    """Sentences: what is no longer as it was when the run began."""
    found = []
    before, now = manifest["environment"]["binaries"], environment.binaries(arguments.build)
    for name in sorted(set(before) | set(now)):
        if before.get(name) != now.get(name):
            found.append(f"program {name} is another one")
    if manifest["calibration"] != calibration(arguments.build):
        found.append("the calibration is another one")
    return found


def resume_run(folder, arguments):
    """The manifest of an existing run. What changed since is said and recorded, not forbidden."""
    path = folder / "manifest.json"
    try:
        manifest = schema.check(path, json.loads(path.read_text(encoding="utf-8")), schema.RUN)
    except ValueError as error:
        raise plan.PlanError(f"{path}: {error}") from error
    plan.architectures(arguments.build, list(manifest["servers"]))
    changes = differences(manifest, arguments)
    for change in changes:
        print(f"warning: since the run began, {change}", file=sys.stderr)
    manifest["resumed"].append({"at": timestamp(), "changes": changes})
    replace_json(folder / "manifest.json", manifest)
    for leftover in (folder / "cells").glob("*/*/.*.tmp.*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return manifest


def lock(folder):
    """One runner per run, for as long as the returned file is open: not longer than we live."""
    file = open(folder / ".lock", "w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise plan.PlanError(f"another runner is at work in {folder}") from error
    return file


def run_cell(cell, folder, build):
    """One attempt at a cell; returns (what build/cell said about it, the cell)."""
    command = [build / "cell", "--build", build, "--server", cell.program, "--name", cell.arch,
               "--workload", cell.file, "--point", cell.point, "--trial", str(cell.trial),
               "--out", folder / "cells", "--warmup", cell.warmup, "--duration", cell.duration,
               "--seed", str(cell.seed), "--again"]
    if cell.components:
        command.append("--components")
    if cell.connections:
        command += ["--connections", str(cell.connections)]
    command += ["--", *cell.options]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               text=True)
    try:
        said = process.communicate()[0].strip()
    except Stopped:
        # A second Ctrl-C must not cut this short: the cell stops its server and generator.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        process.terminate()
        process.wait()
        raise
    measured = load_cell(folder / "cells" / cell.folder)
    if process.returncode not in (VALID, INVALID) or not measured:
        raise plan.PlanError(f"cell {cell.name} failed with status {process.returncode}")
    return said, measured


def run_cells(planned, folder, arguments, waited):
    """Run every cell that is not settled until it is valid, or has no attempt left. waited(seconds)
    is told at the end, whichever way it comes, how long we waited for a calm machine."""
    about = {file: Workload(file).metric() for file in {cell.file for cell in planned}}
    left = {cell.name: attempts_left(load_cell(folder / "cells" / cell.folder), about[cell.file])
            for cell in planned}
    progress = Progress(planned, left)
    progress.announce(folder)
    patience = calm.Patience(progress.left_s() * PATIENCE if arguments.patience is None
                             else arguments.patience,
                             lambda: calm.lost_share(os.sched_getaffinity(0)))
    try:
        for cell in turns(planned, left):
            began = time.monotonic()
            progress.begin(cell)
            said, measured = run_cell(cell, folder, arguments.build)
            metric = about[cell.file]
            progress.end(cell, attempts_left(measured, metric), said, time.monotonic() - began)
            if not is_valid(measured, metric):
                patience.wait(progress.waiting)
    finally:
        progress.finish()
        waited(patience.waited_s)


def point_latest(folder):
    """results/latest names the run, relative, so that the folder can be moved as a whole."""
    temporary = folder.parent / f".latest.{os.getpid()}"
    temporary.symlink_to(folder.name)
    temporary.replace(folder.parent / "latest")


def write_summary(folder, planned):
    """The table of what has been measured. Returns (the cells, how many numbers, how many of them
    are not sure)."""
    cells = [load_cell(folder / "cells" / cell.folder) for cell in planned]
    finished = [cell for cell in cells if cell]
    return finished, *summary.write(finished, folder / "summary.csv")


def stop_run(folder, manifest, planned):
    """What there is can be drawn."""
    finished = write_summary(folder, planned)[0]
    replace_json(folder / "manifest.json", dict(manifest, stopped=timestamp()))
    if finished:
        point_latest(folder)
    print(f"\nstopped after {len(finished)} of {len(planned)} cells; go on with: --resume {folder}"
          + f"; draw what there is with: bin/archbench draw {folder}" * bool(finished),
          file=sys.stderr)


def finish_run(folder, manifest, planned):
    """Everything is measured: the table, the manifest's end, and a word on what is not sure."""
    finished, numbers, refused = write_summary(folder, planned)
    replace_json(folder / "manifest.json", dict(manifest, finished=timestamp()))
    point_latest(folder)
    repeated = sum(cell["attempt"] > 1 for cell in finished)
    invalid = [cell for cell in finished if not is_valid(cell)]
    waited = as_clock(manifest["waited_s"])
    print(f"{len(finished)} cells in {folder}; repeated: {repeated}; "
          f"still invalid: {len(invalid)}; not sure: {refused} of {numbers} numbers"
          + f"; waited {waited} for a calm machine" * (manifest["waited_s"] > 0))
    for cell in invalid:
        print(f"  {cell['workload']}/{cell['point']} {cell['server']}.{cell['trial']}: "
              + "; ".join(cell["validity"]["reasons"]))


def carry_out(folder, manifest, arguments):
    """Run what is missing of the cells. Returns the exit status."""
    planned = [plan.planned_cell(entry) for entry in manifest["cells"]]

    def waited(seconds):
        manifest["waited_s"] = manifest.get("waited_s", 0) + seconds
        replace_json(folder / "manifest.json", manifest)

    try:
        run_cells(planned, folder, arguments, waited)
    except Stopped:
        stop_run(folder, manifest, planned)
        return STOPPED
    finish_run(folder, manifest, planned)
    return 0


def execute(arguments):
    if arguments.resume:
        if not (arguments.resume / "manifest.json").is_file():
            raise plan.PlanError(f"{arguments.resume} is no run: it has no manifest.json")
        if stored.is_packed(arguments.resume):
            raise plan.PlanError(f"{arguments.resume} is packed: only the run itself can go on")
        with lock(arguments.resume), alone.measuring():
            manifest = resume_run(arguments.resume, arguments)
            return carry_out(arguments.resume, manifest, arguments)
    manifest = new_manifest(arguments)
    with alone.measuring():
        folder = make_run_folder(arguments)
        with lock(folder):
            return carry_out(folder, start_run(folder, manifest, arguments), arguments)


def show_plan(arguments):
    manifest = new_manifest(arguments)
    cells = [plan.planned_cell(entry) for entry in manifest["cells"]]
    for cell in cells:
        print(cell.name, *cell.options)
    expected = sum(cell.expected_s for cell in cells)
    print(f"{len(cells)} cells, about {as_clock(expected)}, until {time_of_day(expected)}; "
          f"seed {manifest['seed']}", file=sys.stderr)
    return 0


def main(words):
    arguments = parse_arguments(words)
    os.chdir(ROOT)
    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    if arguments.with_parent:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        return show_plan(arguments) if arguments.dry_run else execute(arguments)
    except Stopped:
        return STOPPED
    except (plan.PlanError, schema.Refused, subprocess.CalledProcessError, OSError) as error:
        print(f"archbench run: {error}", file=sys.stderr)
        return 2
