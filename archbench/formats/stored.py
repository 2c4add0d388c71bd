"""The cells of a run on disk, and what is beside them: as the runner left them, a folder each,
or packed into one file by archbench pack (docs/formats.md, "Packed run")."""
import json
import lzma

from archbench.formats import schema

PACKED_CELLS = "cells.jsonl.xz"
SUMMARY = "summary.csv"
PACKED_SUMMARY = "summary.csv.xz"
CASES = "-cases"  # behind the name of a run's folder: the one with the runs of its case studies


def is_packed(folder):
    return (folder / PACKED_CELLS).exists()


def open_cells(folder):
    """The cells of a run, in the form that they have there."""
    return PackedCells(folder / PACKED_CELLS) if is_packed(folder) else CellFolders(folder)


def open_summary(folder):
    """summary.csv of a run in either form, as a text file for the csv module. FileNotFoundError in
    a folder that is no finished run."""
    if (folder / PACKED_SUMMARY).exists():
        return lzma.open(folder / PACKED_SUMMARY, "rt", newline="", encoding="utf-8")
    return open(folder / SUMMARY, newline="", encoding="utf-8")


class CellFolders:
    """A folder for each cell. A cell's name: (workload, point, architecture, trial), all text."""

    def __init__(self, folder):
        self.folder = folder / "cells"
        self.damaged = []  # a sentence for each cell.json that __iter__ left out

    def __iter__(self):
        """(name, cell.json) of each that can be read. Raises schema.Refused."""
        for path in sorted(self.folder.glob("*/*/[!.]*/cell.json")):
            workload, point, name = path.parts[-4:-1]
            try:
                cell = schema.read_json(path)
            except schema.Damaged as damage:
                self.damaged.append(str(damage))
                continue
            yield (workload, point, *name.rsplit(".", 1)), schema.check(path, cell, schema.CELL)

    def folder_of(self, name):
        workload, point, arch, trial = name
        return self.folder / workload / point / f"{arch}.{trial}"

    def texts(self, name):
        """{file: text} of the measurements beside cell.json: histograms and the time series."""
        return {path.name: path.read_text(encoding="utf-8")
                for pattern in ("*.hgrm", "timeseries.jsonl")
                for path in sorted(self.folder_of(name).glob(pattern))}

    def text(self, name, file):
        """One of them; None when the cell has left none."""
        path = self.folder_of(name) / file
        return path.read_text(encoding="utf-8") if path.is_file() else None


class PackedCells:
    """The same of a packed run."""

    def __init__(self, path):
        """Reads all of it. Raises schema.Refused."""
        self.damaged = []
        try:
            with lzma.open(path, "rt", encoding="utf-8") as file:
                lines = [schema.check(path, json.loads(line), schema.PACKED) for line in file]
        except (ValueError, EOFError, lzma.LZMAError) as error:
            raise schema.Damaged(f"{path} is damaged: {error}") from error
        for line in lines:
            schema.check(path, line["cell"], schema.CELL)
        self.lines = {tuple(line["name"]): line for line in lines}

    def __iter__(self):
        for name, line in self.lines.items():
            yield name, line["cell"]

    def texts(self, name):
        return self.lines[name]["texts"]

    def text(self, name, file):
        return self.lines[name]["texts"].get(file)
