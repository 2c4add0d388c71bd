"""What a case study consists of: the picture of its system, the guide's table, figures, what to learn."""
from dataclasses import dataclass
import importlib
from pathlib import Path

from archbench.cases import PARTS
from archbench.drawing import chart
from archbench.formats.run import NoData
from archbench.tables.parts import case_rows, guide_table, table
from archbench.tables.parts.facts import Facts

FOLDER = Path(__file__).resolve().parent
PICTURE, TABLE = "system", "table"


@dataclass(frozen=True)
class Figure:
    """One figure of a case. draw(run) returns a finished Chart or raises NoData."""
    stem: str
    reading: str  # how to read it, for a reader who sees it for the first time
    draw: object


@dataclass(frozen=True)
class Case:
    name: str  # as [case] of its workloads names it
    id: str  # the row of the guide
    title: str
    question: str
    picture: object  # a picture.Picture
    emulated: str  # what is not as in the guide's system, and why that is fair
    rows: object  # rows(Facts) yields the CaseRows of its table
    figures: tuple
    lessons: tuple  # what to learn: sentences that hold whatever is measured

    def in_run(self, run):
        """The Run that holds this case: `run`, or the one that is kept beside it; None without one."""
        return run.of_case(self.name)


def cases():
    """{name: Case}, of every module of this folder that is one, in the order of the guide's rows from
    the one that comes first in a course: the chat before the trading platform."""
    stems = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", *PARTS))
    return {stem: importlib.import_module(f"archbench.cases.{stem}").CASE for stem in stems}


def folder_of(run, case):
    """Where what is drawn of a case in the report of `run` is: a folder."""
    return run.folder / "cases" / case.name


def table_of(run, case):
    """(header, rows, Markdown text) of the guide's table. Raises NoData."""
    found = list(case.rows(Facts(run)))
    if all(one.row.measured == guide_table.NOT_MEASURED for one in found):
        raise NoData(f"this run measured nothing that the table of case {case.name} is about")
    rows = [case_rows.values(one) for one in found]
    readable = [[*row[:-2], f"**{row[-2]}**: {row[-1]}"] for row in rows]
    text = "\n".join([f"# {case.title} ({case.id})", "",
                      table.markdown([*case_rows.HEADER[:-2], "verdict"], readable)])
    return case_rows.HEADER, rows, text


def save(run, name, target=None):
    """Draw everything of the case that is called `name`, from the run that holds it, into `target` or
    else the folder of `run`. Returns (paths, sentences on what was left out); raises NoData."""
    case = cases()[name]
    holder = case.in_run(run)
    if holder is None:
        raise NoData(f"this run has no case study {name}")
    folder, left_out = target or folder_of(run, case), []
    paths = table.save(lambda _: table_of(holder, case), holder, TABLE, folder)
    drawings = {PICTURE: lambda _: case.picture.draw(), **{f.stem: f.draw for f in case.figures}}
    for stem, draw in drawings.items():
        try:
            made = draw(holder)
        except NoData as reason:
            left_out.append(f"figure {stem} of case {name}: {reason}")
            continue
        for kind in ("png", "svg"):
            made.save(folder / f"{stem}.{kind}")
            paths.append(folder / f"{stem}.{kind}")
        chart.plt.close("all")
    return paths, left_out
