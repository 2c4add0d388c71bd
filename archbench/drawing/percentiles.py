"""Percentile plot of one cell, a line per class: CELL_DIR/percentiles.png, or as text."""
import json
from pathlib import Path
import re
import shutil
import subprocess
import sys

from archbench.arguments import Parser

SCRIPT = Path(__file__).resolve().with_suffix(".gp")


def quoted(text):
    """A gnuplot string constant."""
    return "'" + str(text).replace("'", "''") + "'"


def label(path):
    """The class, and how many of its requests the curve cannot show."""
    infinite = re.search(r"#\[Infinite = (\d+)\]", path.read_text(encoding="utf-8"))
    lost = int(infinite.group(1)) if infinite else 0
    return f"{path.stem} ({lost} infinite)" if lost else path.stem


def has_rows(path):
    return any(line.strip() and line.split()[0][0].isdigit()
               for line in path.read_text(encoding="utf-8").splitlines())


def describe(folder):
    """(heading, note) from cell.json, or from the path when there is none."""
    try:
        cell = json.loads((folder / "cell.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return folder.name, str(folder)
    validity = cell.get("validity", {})
    heading = f"{cell['server']}: {cell['workload']} {cell['point']}, trial {cell['trial']}"
    if validity.get("verdict") != "VALID":
        heading += "  (INVALID)"
    return heading, "; ".join(validity.get("reasons", [])) or "response time by percentile"


def terminal(options):
    """The gnuplot commands that choose where the plot goes."""
    if options.terminal:
        size = shutil.get_terminal_size((100, 32))
        return f"set terminal dumb noenhanced size {size.columns},{max(12, size.lines - 2)}"
    output = options.o or options.cell / "percentiles.png"
    return ("set terminal pngcairo noenhanced size 1920,1080 font 'DejaVu Sans,26' "
            f"background 'white'; set output {quoted(output.absolute())}")


def main(words):
    parser = Parser("percentiles", __doc__)
    parser.add_argument("cell", metavar="CELL_DIR", type=Path)
    parser.add_argument("-o", metavar="FILE.png", type=Path)
    parser.add_argument("--terminal", action="store_true", help="as text, on stdout")
    options = parser.parse_args(words)
    files = [p for p in sorted(options.cell.glob("*.hgrm")) if has_rows(p)]
    if not files:
        sys.exit(f"{options.cell}: no .hgrm file with a reply in it")
    heading, note = describe(options.cell)
    setting = "; ".join([
        f"heading = {quoted(heading)}", f"note = {quoted(note)}",
        f"plain = {int(options.terminal)}",
        f"classes = {quoted(' '.join(p.stem for p in files))}",
        "labels = " + quoted(" ".join(f'"{label(p)}"' for p in files)), terminal(options)])
    try:
        done = subprocess.run(["gnuplot", "-e", setting, SCRIPT], cwd=options.cell, check=False)
    except FileNotFoundError:
        sys.exit("archbench percentiles: gnuplot is not installed (Debian: gnuplot-nox)")
    if done.returncode == 0 and not options.terminal:
        print(options.o or options.cell / "percentiles.png")
    sys.exit(done.returncode)
