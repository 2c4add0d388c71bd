"""A small copy of a finished run, to be kept or passed on: archbench draw and compare.sh read it as they
read the run itself. Left out: logs, the command lines of generator and upstream, percentiles that
nobody asks for, and tables and figures, which can be drawn again.

Without DEST a run of case studies is packed case by case, each with its own workloads, into
results/reference-cases/NAME: a case that is measured anew leaves the others as they are. archbench draw
results/reference shows the reference run and these as one."""
import json
import lzma
import os
import pathlib
import shutil
import sys

from archbench.arguments import Parser
from archbench.formats import schema, stored
from archbench.formats.workload import Workload
from archbench.places import REPOSITORY

UNREAD = {"min_us", "p75_us", "p9999_us", "p75", "p9999"}  # of latencies
REFERENCE_CASES = REPOSITORY / "results" / f"reference{stored.CASES}"
STRONGEST = 9 | lzma.PRESET_EXTREME


class Unfit(Exception):
    """Why this cannot be packed: a sentence for the user."""


def without(data, names):
    """Parsed JSON without the members of these names, however deep."""
    if isinstance(data, dict):
        return {key: without(value, names) for key, value in data.items() if key not in names}
    if isinstance(data, list):
        return [without(value, names) for value in data]
    return data


def slim(cell):
    """A cell.json without what nobody reads."""
    command = cell.get("command") or {}
    return dict(cell, command=dict(command, loadgen=None, upstream=None),
                load=without(cell.get("load"), UNREAD))


def compact(data):
    return json.dumps(data, separators=(",", ":")) + "\n"


def finished_manifest(run):
    """manifest.json of a run that can be packed."""
    path = run / "manifest.json"
    if stored.is_packed(run):
        raise Unfit(f"{run} is packed already")
    if not path.is_file() or not (run / stored.SUMMARY).is_file():
        raise Unfit(f"{run} is not a finished run: it has no manifest.json or no summary.csv")
    return schema.check(path, json.loads(path.read_text(encoding="utf-8")), schema.RUN)


class Everything:
    """All workloads of a run, as what is taken of it."""

    def __contains__(self, name):
        return True


def workloads_of(run, case):
    """The names of the workloads of a run that belong to a case study."""
    files = (run / "workloads").glob("*.ini")
    return {file.stem for file in files if Workload(file).case.get("name") == case}


def write_cells(run, target, taken):
    cells = stored.CellFolders(run)
    with lzma.open(target / stored.PACKED_CELLS, "wt", preset=STRONGEST, encoding="utf-8") as file:
        for name, cell in cells:
            if name[0] in taken:
                file.write(compact({"schema": schema.PACKED, "name": name, "cell": slim(cell),
                                    "texts": cells.texts(name)}))


def write_summary(run, target, taken):
    header, *lines = (run / stored.SUMMARY).read_text(encoding="utf-8").splitlines(keepends=True)
    kept = "".join([header, *(line for line in lines if line.partition(",")[0] in taken)])
    (target / stored.PACKED_SUMMARY).write_bytes(lzma.compress(kept.encode(), preset=STRONGEST))


def write_predictions(run, target, taken):
    if (run / "predictions.json").exists():
        said = json.loads((run / "predictions.json").read_text(encoding="utf-8"))
        cells = [cell for cell in said["cells"] if cell["workload"] in taken]
        (target / "predictions.json").write_text(
            json.dumps(dict(said, cells=cells), indent=1) + "\n", encoding="utf-8")


def copy_workloads(run, target, taken):
    """The questions, and the files that they name."""
    if isinstance(taken, Everything):
        shutil.copytree(run / "workloads", target / "workloads")
        return
    (target / "workloads").mkdir()
    for name in sorted(taken):
        workload = Workload(run / "workloads" / f"{name}.ini")
        named = [workload.trace, *workload.files_named()]
        for file in [f"{name}.ini", *filter(None, named)]:
            path = run / "workloads" / pathlib.Path(file).name
            if path.is_file():
                shutil.copy(path, target / "workloads")


def pack(run, target, case=None):
    """Write the packed copy of the finished run `run` into the new folder `target`; of one case only,
    if it is named."""
    manifest = finished_manifest(run)
    taken = workloads_of(run, case) if case else Everything()
    if case:
        cells = [cell for cell in manifest["cells"] if cell["workload"] in taken]
        manifest = dict(manifest, cases=[case], cells=cells)
    target.mkdir(parents=True)
    (target / "manifest.json").write_text(compact(manifest), encoding="utf-8")
    write_summary(run, target, taken)
    write_predictions(run, target, taken)
    copy_workloads(run, target, taken)
    write_cells(run, target, taken)


def targets(run, dest):
    """[(folder to be made, case or None)]"""
    if dest:
        return [(dest, None)]
    named = finished_manifest(run).get("cases")
    if not named:
        raise Unfit(f"{run} has no case studies: say where its copy is to be (DEST)")
    return [(REFERENCE_CASES / case, case) for case in named]


def size_kb(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1024


def pack_whole(run, dest, case):
    """The copy appears whole or not at all."""
    unfinished = dest.with_name(f".{dest.name}.tmp.{os.getpid()}")
    try:
        pack(run, unfinished, case)
        unfinished.rename(dest)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    print(f"{dest}: {size_kb(dest):.0f} KiB")


def main(words):
    parser = Parser("pack", __doc__)
    parser.add_argument("run", type=pathlib.Path, metavar="RUN", help="a finished run")
    parser.add_argument("dest", type=pathlib.Path, metavar="DEST", nargs="?",
                        help="a folder to be made (default, of a run of case studies: "
                             "results/reference-cases/NAME for each)")
    options = parser.parse_args(words)
    try:
        wanted = targets(options.run, options.dest)
        for dest, _ in wanted:
            if dest.exists():
                raise Unfit(f"{dest} is there already")
        for dest, case in wanted:
            pack_whole(options.run, dest, case)
    except (Unfit, schema.Refused, OSError, ValueError) as error:
        sys.exit(f"archbench pack: {error}")
