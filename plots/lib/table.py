"""Tables: the same rows as CSV, for programs, and as Markdown, for readers."""
import argparse
import csv
from pathlib import Path
import sys

from .run import NoData, open_run

NOTHING_TO_SHOW = 3  # exit status


def markdown(header, rows):
    def line(cells):
        return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |"
    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)]) + "\n"


def write_csv(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def main(make, script):
    """The command line of a table: SCRIPT RUN_DIR [-o FOLDER]. `make` takes a Run, returns
    (header, rows, Markdown text), or raises NoData. table_X.py writes X.csv and X.md."""
    stem = Path(script).stem.removeprefix("table_")
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("run", metavar="RUN_DIR", type=Path)
    parser.add_argument("-o", metavar="FOLDER", type=Path, help="default: RUN_DIR/tables")
    options = parser.parse_args()
    try:
        header, rows, text = make(open_run(options.run))
    except NoData as reason:
        print(f"{stem}: {reason}", file=sys.stderr)
        sys.exit(NOTHING_TO_SHOW)
    folder = options.o or options.run / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / f"{stem}.csv", header, rows)
    (folder / f"{stem}.md").write_text(text, encoding="utf-8")
    print(folder / f"{stem}.csv", folder / f"{stem}.md", sep="\n")
