#!/usr/bin/python3
"""RUN_DIR/report.html: one file with the figures, Table C1, the overview and the environment."""
import argparse
import ast
import base64
from dataclasses import dataclass
from pathlib import Path
import re
import sys

import jinja2

from lib import style
from lib.run import NoData, Run
import table_c1
import table_overview

HERE = Path(__file__).resolve().parent
HEADLINES = ("bimodal", "cpu_share")  # the first that exists opens the report


@dataclass(frozen=True)
class Section:
    """A claim of the guide, and the figures that put it to the test, in reading order."""
    name: str
    claim: str
    stems: tuple


SECTIONS = (
    Section("Blocking", "A blocking operation in a handler blocks the whole server; whoever puts "
            "it elsewhere, on workers, on the kernel or on threads, does not make others wait.",
            ("bimodal", "cpu_share", "disk", "mixed_io", "surge")),
    Section("Waiting", "Event-driven servers hold many connections and many waits at a time; a "
            "pool of blocking workers holds as many as it has workers.",
            ("concurrency", "backend", "idle")),
    Section("Capacity", "A hybrid uses every core and answers fast; a single loop computes on one "
            "core alone.", ("load", "throughput", "balance")),
    Section("Cost", "Processes and threads cost memory and context switches; an event loop costs "
            "neither.", ("baseline", "cost", "memory", "churn", "counters")),
)
OTHERS = Section("More", "", ())  # figures that no section names


def data_uri(path):
    kind = {".svg": "svg+xml", ".png": "png"}[path.suffix]
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def finding(path):
    """The title that the figure's script gave to its SVG file."""
    found = re.search(r"<dc:title>(.*?)</dc:title>", path.read_text(encoding="utf-8"), re.DOTALL)
    return found.group(1) if found else path.stem


def explained(stem):
    """(question, how to read it) from the docstring of the figure's script."""
    script = HERE / f"{stem}.py"
    if not script.is_file():
        return "", ""
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    question, _, reading = text.partition("\n\n")
    return " ".join(question.split()), " ".join(reading.split())


def figures(run):
    """{stem: what plots/STEM.py left in figures/}, by name."""
    found = {}
    for path in sorted((run.folder / "figures").glob("*.svg")):
        question, reading = explained(path.stem)
        found[path.stem] = {
            "stem": path.stem, "image": data_uri(path), "finding": finding(path),
            "question": run.workload(path.stem).question or question, "reading": reading}
    return found


def sections(drawn):
    """[(section, its figures)] of those that have any; figures that no section names come last."""
    named = {stem for section in SECTIONS for stem in section.stems}
    rest = [stem for stem in drawn if stem not in named]
    found = [(section, [drawn[s] for s in section.stems if s in drawn]) for section in SECTIONS]
    return [(section, of) for section, of in (*found, (OTHERS, [drawn[s] for s in rest])) if of]


def table_c1_rows(run):
    """[(architecture, the guide's row, [cell of each column])]; a cell is a dict by HEADER."""
    rows = [dict(zip(table_c1.HEADER, r)) for r in table_c1.make_rows(run)]
    width = len(table_c1.COLUMNS)
    return [(rows[k]["architecture"], rows[k]["row"], rows[k:k + width])
            for k in range(0, len(rows), width)]


def overview(run):
    """{workload: (question, rows)}; numbers as text with their intervals."""
    found = {}
    for workload, point, arch, of, valid, invalid in table_overview.lines(run):
        _, rows = found.setdefault(workload, (run.workload(workload).question or "", []))
        rows.append({"point": point, "arch": arch, "valid": valid, "invalid": invalid,
                     "numbers": [table_overview.with_interval(e) for e in of]})
    return found


def flat(value, name=""):
    """Nested objects as (dotted name, text) pairs."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        yield name, ", ".join(str(v) for v in value)
    elif value is not None:
        yield name, str(value)


def environment(run):
    """(heading, pairs): what a reader asks first, the calibration, then all the rest."""
    cpu, cores, kernel = run.machine()
    told = {"CPU": cpu, "cores": cores, "Linux": kernel, "profile": run.manifest.get("profile"),
            "seed": run.manifest.get("seed"), "started": run.manifest.get("started"),
            "finished": run.manifest.get("finished")}
    yield "In short", list(flat(told))
    yield "Calibration", list(flat(run.manifest.get("calibration", {})))
    yield "Everything recorded", list(flat(run.manifest.get("environment", {})))


def context(run):
    drawn = figures(run)
    first = next((drawn.pop(stem) for stem in HEADLINES if stem in drawn), None)
    return {
        "run_id": run.manifest.get("run_id", run.folder.name),
        "profile": run.manifest.get("profile"),
        "started": run.manifest.get("started"),
        "headline": first,
        "sections": sections(drawn),
        "c1": table_c1_rows(run),
        "c1_columns": list(table_c1.COLUMNS.values()),
        "c1_thresholds": [(table_c1.COLUMNS[c], t) for c, t in table_c1.THRESHOLDS.items()],
        "overview": overview(run),
        "overview_columns": [c[0] for c in table_overview.COLUMNS],
        "invalid": list(run.invalid_cells()),
        "cells": len(run.cells),
        "environment": list(environment(run)),
        "colour": lambda arch: style.look(arch)[0],
    }


def render(run):
    loader = jinja2.FileSystemLoader(HERE)
    jinja = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True,
                               lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    return jinja.get_template("report.html.j2").render(context(run))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", metavar="RUN_DIR", type=Path)
    parser.add_argument("-o", metavar="FILE", type=Path, help="default: RUN_DIR/report.html")
    options = parser.parse_args()
    try:
        text = render(Run(options.run))
    except NoData as reason:
        sys.exit(f"report: {reason}")
    target = options.o or options.run / "report.html"
    target.write_text(text, encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
