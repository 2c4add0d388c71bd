"""Draw every figure and table of a run, then the report; or those that are named.

    archbench draw RUN                      all of them, into figures/, tables/ and report.html
    archbench draw RUN bimodal c1           one figure and one table
    archbench draw RUN bimodal -o FILE.svg  into a file of your own, by its ending

What there is is found, not listed: each module of archbench/figures is a figure, each of
archbench/tables a table, and each of archbench/cases a case study with a table and figures, which go into
cases/NAME/. A case that was packed by itself (results/reference-cases) is drawn with results/reference. Exit status 3:
the run has nothing that what is named could show."""
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
import importlib
import io
import multiprocessing
import os
from pathlib import Path
import sys
import traceback

from archbench.arguments import Parser
from archbench.cases import case
from archbench.drawing import chart
from archbench.formats.run import NoData, open_run
from archbench.report import report
from archbench.tables.parts import table

PACKAGE = Path(__file__).resolve().parents[1]
FAILED, NOTHING_TO_DRAW = 1, 3
REPORT = "report"  # shows what the others made, so it comes last


def stems(room):
    return sorted(p.stem for p in (PACKAGE / room).glob("*.py") if p.stem != "__init__")


def names():
    """All that can be drawn, in the order in which it is."""
    return [*stems("figures"), *stems("tables"), *case.cases(), REPORT]


def draw_one(name, run, target=None):
    """Draw a figure, write a table or the report. Returns the paths; raises NoData."""
    if name == REPORT:
        return report.save(run, target)
    if name in stems("figures"):
        module = importlib.import_module(f"archbench.figures.{name}")
        return chart.save(module.draw, run, name, target)
    if name in case.cases():
        paths, left_out = case.save(run, name, target)
        for sentence in left_out:
            print(f"left out: {sentence}")
        return paths
    module = importlib.import_module(f"archbench.tables.{name}")
    return table.save(module.make, run, name, target)


def draw_quietly(name, folder):
    """Draw it as one of many. Returns (name, exit status, what there is to say)."""
    output, status = io.StringIO(), 0
    with redirect_stdout(output), redirect_stderr(output):
        try:
            print(*draw_one(name, open_run(folder)), sep="\n")
        except NoData as reason:
            print(f"{name}: {reason}")
            status = NOTHING_TO_DRAW
        except Exception:  # of one of them: the others are to be drawn all the same
            traceback.print_exc()
            status = FAILED
    chart.plt.close("all")
    return name, status, output.getvalue().strip()


def draw_together(several, folder):
    """The results of draw_quietly() for each, as they come. Processes are forked: they have the run
    and what it takes to draw it already in memory."""
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 4), mp_context=fork) as pool:
        yield from pool.map(draw_quietly, several, [folder] * len(several))


def tell(name, status, text):
    if status == 0:
        print(text)
    elif status == NOTHING_TO_DRAW:
        print(f"left out: {text}")
    else:
        print(f"FAILED: {name} (status {status})\n{text}", file=sys.stderr)
    return status in (0, NOTHING_TO_DRAW)


def draw_all(folder):
    """Returns the exit status."""
    try:
        open_run(folder)  # what cannot be read is said once, and not by every figure
    except NoData as reason:
        sys.exit(f"archbench draw: {reason}")
    several = [name for name in names() if name != REPORT]
    fine = [tell(*result) for result in draw_together(several, folder)]
    fine.append(tell(*draw_quietly(REPORT, folder)))
    return 0 if all(fine) else FAILED


def draw_named(chosen, folder, target):
    """Returns the exit status."""
    status = 0
    for name in chosen:
        try:
            print(*draw_one(name, open_run(folder), target), sep="\n")
        except NoData as reason:
            print(f"{name}: {reason}", file=sys.stderr)
            status = NOTHING_TO_DRAW
    return status


def main(words):
    parser = Parser("draw", __doc__)
    parser.add_argument("run", metavar="RUN", type=Path, help="its folder")
    parser.add_argument("names", metavar="NAME", nargs="*", default=[],
                        help=f"some of: {' '.join(names())} (default: all)")
    parser.add_argument("-o", metavar="PATH", type=Path,
                        help="of one that is named: a file for a figure or the report, a folder "
                             "for a table or a case study")
    options = parser.parse_args(words)
    unknown = [name for name in options.names if name not in names()]
    if unknown:
        parser.error(f"no figure or table is called {unknown[0]!r}")
    if options.o and len(options.names) != 1:
        parser.error("-o wants one name")
    if options.names:
        return draw_named(options.names, options.run, options.o)
    return draw_all(options.run)
