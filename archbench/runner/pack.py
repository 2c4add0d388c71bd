"""A small copy of a finished run, to be kept or passed on: archbench draw and compare.sh read it as they
read the run itself. Left out: logs, the command lines of generator and upstream, percentiles that
nobody asks for, and tables and figures, which can be drawn again."""
import json
import lzma
import os
import pathlib
import shutil
import sys

from archbench.arguments import Parser
from archbench.formats import schema, stored

UNREAD = {"min_us", "p75_us", "p9999_us", "p75", "p9999"}  # of latencies
KEPT_AS_THEY_ARE = ("predictions.json", "workloads")
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


def write_cells(run, target):
    cells = stored.CellFolders(run)
    with lzma.open(target / stored.PACKED_CELLS, "wt", preset=STRONGEST, encoding="utf-8") as file:
        for name, cell in cells:
            file.write(compact({"schema": schema.PACKED, "name": name, "cell": slim(cell),
                                "texts": cells.texts(name)}))


def copy_others(run, target):
    """What is small already."""
    for name in KEPT_AS_THEY_ARE:
        if (run / name).is_dir():
            shutil.copytree(run / name, target / name)
        elif (run / name).exists():
            shutil.copy(run / name, target / name)


def pack(run, target):
    """Write the packed copy of the finished run `run` into the new folder `target`."""
    manifest = finished_manifest(run)
    target.mkdir(parents=True)
    (target / "manifest.json").write_text(compact(manifest), encoding="utf-8")
    table = (run / stored.SUMMARY).read_bytes()
    (target / stored.PACKED_SUMMARY).write_bytes(lzma.compress(table, preset=STRONGEST))
    copy_others(run, target)
    write_cells(run, target)


def size_kb(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1024


def main(words):
    parser = Parser("pack", __doc__)
    parser.add_argument("run", type=pathlib.Path, metavar="RUN", help="a finished run")
    parser.add_argument("dest", type=pathlib.Path, metavar="DEST", help="a folder to be made")
    options = parser.parse_args(words)
    if options.dest.exists():
        sys.exit(f"archbench pack: {options.dest} is there already")
    unfinished = options.dest.with_name(f".{options.dest.name}.tmp.{os.getpid()}")
    try:
        pack(options.run, unfinished)
        unfinished.rename(options.dest)
    except (Unfit, schema.Refused, OSError, ValueError) as error:
        sys.exit(f"archbench pack: {error}")
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    print(f"{options.dest}: {size_kb(options.dest):.0f} KiB")
