"""RUN/report.html: the whole run in one file that opens from disk, without a network.

docs/reading-the-report.md explains it to its readers. What it says is computed in headline.py (the
answer), chapters.py (each workload), case_chapters.py (case studies), sources.py (the servers' code) and percentile_lesson.py, all
beside this file; the templates are in templates/."""
import ast
import csv
import html
from pathlib import Path
import re

import jinja2
import markupsafe

from archbench.drawing import style
from archbench.drawing.measures import RATE
from archbench.places import REPOSITORY
from archbench.report import case_chapters, chapters, headline, percentile_lesson, sources
from archbench.stats import noise
from archbench.tables import c1 as table_c1, overview as table_overview

TEMPLATES = Path(__file__).resolve().parent / "templates"
FIGURES = REPOSITORY / "archbench" / "figures"
HEADLINES = ("small_multiples", "bimodal", "cpu_share")  # the first that exists opens the report
AS_DRAWN = ("heatmap",)  # a scale from pale to dark, of which the text speaks: not to be inverted
NOISE = {"good replies per second": "achieved_rate", "p50 of the response time": "response_p50_us",
         "p99 of the response time": "response_p99_us", "CPU time per request": "cpu_us_per_request",
         "context switches per request": "switches_per_request"}
GUIDE_TABLES = {
    "b": "Table B: the guide's numbers", "capacity": "Capacity: predicted and measured",
    "c2": "Table C2: for and against processes, threads and events",
    "c3": "Table C3: traditional against event-driven", "c4": "Table C4: company A in summary",
    "d": "The guide's questions",
}


def data_uri(svg):
    """As text, which is a quarter less than in base64; for an attribute in double quotes."""
    text = slim(svg).replace("%", "%25").replace("#", "%23")
    text = text.replace('"', "%22" if "'" in text else "'")
    return markupsafe.Markup("data:image/svg+xml," + text.replace("&", "&amp;"))


def slim(svg):
    """A drawing at less than half the size: without comments, metadata and line ends, with short names,
    and with coordinates to four digits, or to whole units for the letters of a text (a hundredth of
    their height). Numbers below 10 stay as they are: they may be factors of a scale."""
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<use [^>]*x="\d+)\.\d+"/>', r'\1"/>', svg)
    svg = re.sub(r"(\d\d\d\.\d|\d\d\.\d\d)\d+", r"\1", svg)
    svg = re.sub(r' d="([^"]+)"', lambda d: f' d="{compact(d[1])}"', svg)
    return re.sub(r"\s*\n\s*", " ", with_short_names(svg))


def compact(path):
    """The same drawn with fewer blanks."""
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", path.strip())


def with_short_names(svg):
    """Names of parts that others refer to are short, and those of all others left out."""
    used = set(re.findall(r"#([\w.-]+)", svg))
    names = [name for name in re.findall(r' id="([^"]+)"', svg) if name in used]
    short = {name: f"i{number}" for number, name in enumerate(dict.fromkeys(names))}
    svg = re.sub(r' id="([^"]+)"',
                 lambda name: f' id="{short[name[1]]}"' if name[1] in short else "", svg)
    svg = re.sub(r"#([\w.-]+)", lambda name: "#" + short.get(name[1], name[1]), svg)
    return svg.replace("xlink:href", "href")


def finding(svg):
    """The title that a figure's script gave to it; None without one."""
    title = re.search(r"<dc:title>(.*?)</dc:title>", svg, re.DOTALL)
    return title and html.unescape(title.group(1))


def size(svg):
    """(width, height) in points, so that a page does not move while it loads; 16:9 when it does
    not say."""
    box = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', svg)
    return tuple(round(float(x)) for x in box.groups()) if box else (16, 9)


def explained(stem):
    """(question, how to read it) from the docstring of the figure's script."""
    script = FIGURES / f"{stem}.py"
    if not script.is_file():
        return "", ""
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    question, _, reading = text.partition("\n\n")
    return " ".join(question.split()), " ".join(reading.split())


def figure(path, stem, question, reading):
    """What the page says of a drawing."""
    svg = path.read_text(encoding="utf-8")
    width, height = size(svg)
    return {"stem": stem, "image": data_uri(svg), "finding": finding(svg) or stem, "width": width,
            "height": height, "question": question, "reading": reading, "as_drawn": stem in AS_DRAWN}


def figures(run):
    """{stem: what figures/STEM.py left in figures/}, by name."""
    return {path.stem: figure(path, path.stem, *explained(path.stem))
            for path in sorted((run.folder / "figures").glob("*.svg"))}


def cases(run):
    """The chapters of case studies, with their drawings."""
    return [chapter | {"figures": [figure(path, stem, "", reading)
                                   for path, stem, reading in chapter["drawings"]]}
            for chapter in case_chapters.part(run)]


def shared_out(run, drawn):
    """({workload: its figures}, [figures about no single workload of this run])."""
    of, rest = {}, []
    for stem, figure in drawn.items():
        workload = chapters.workload_of(run, stem)
        if workload:
            # The figure that bears the workload's name comes first.
            of.setdefault(workload, []).insert(0 if stem == workload else len(of.get(workload, ())),
                                               figure)
        else:
            rest.append(figure)
    return of, rest


def could_open(run):
    """Which workloads of this run have a figure that can open a report."""
    return [w for w in (chapters.workload_of(run, stem) for stem in HEADLINES) if w]


def table_c1_rows(run):
    """[(architecture, the guide's row, [cell of each column])]; a cell is a dict by HEADER."""
    rows = [dict(zip(table_c1.HEADER, r)) for r in table_c1.make_rows(run)]
    width = len(table_c1.COLUMNS)
    return [(rows[k]["architecture"], rows[k]["row"], rows[k:k + width])
            for k in range(0, len(rows), width)]


def guide_tables(run):
    """[(name, title, rows)] of those tables of the guide that were written; a row is a dict."""
    found = []
    for name, title in GUIDE_TABLES.items():
        path = run.folder / "tables" / f"{name}.csv"
        if path.is_file():
            with open(path, newline="", encoding="utf-8") as file:
                found.append((name, title, list(csv.DictReader(file))))
    return found


def overview(run):
    """{workload: rows}; numbers as text with their intervals."""
    found = {}
    for workload, point, arch, of, valid, invalid in table_overview.lines(run):
        found.setdefault(workload, []).append(
            {"point": point, "arch": arch, "valid": valid, "invalid": invalid,
             "numbers": [table_overview.with_interval(e) for e in of]})
    return found


def prediction_rows(run):
    """{workload: [(point, arch, capacity, what sets it, predicted rate, measured)]}; workloads of
    which nothing was predicted are missing."""
    found = {}
    for workload, point, arch in places(run):
        said = run.prediction(workload, point, arch)
        if said:
            rate = said.get("achieved_rate")
            measured = run.estimate(workload, point, arch, RATE.metric)
            found.setdefault(workload, []).append((
                point, arch, style.human(said["capacity"]), said["bottleneck"],
                "" if rate is None else RATE.text(rate),
                RATE.with_interval(measured) if measured and measured.valid else "not measured"))
    return found


def places(run):
    """Every (workload, point, architecture) of a run, in reading order."""
    for workload in run.workloads():
        for point in run.points(workload):
            for arch in style.in_order(run.archs(workload)):
                yield workload, point, arch


def refused_numbers(run):
    """[(workload, number, how many cells, architectures, an example of why)], most cells first."""
    found = {}
    for (workload, _, arch, _), number, reason in run.refused():
        found.setdefault((workload, number), []).append((arch, reason))
    rows = [(*what, len(of), ", ".join(style.in_order({arch for arch, _ in of})), of[0][1])
            for what, of in found.items()]
    return sorted(rows, key=lambda row: (-row[2], row))


def twins(run):
    """[(metric, pairs, the usual factor between twins, the largest)]; [] without any."""
    rows = []
    for name, metric in NOISE.items():
        factors = noise.all_factors(run, metric)
        if factors:
            rows.append((name, len(factors), f"{noise.usual(run, metric):.3f}",
                         f"{factors[-1]:.3f}"))
    return rows


def first_cell_started(run):
    """When the first of the cells began, as ISO time; None when no cell says."""
    return min((c["started"] for c in run.cells if c.get("started")), default=None)


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


def inline(text):
    """Plain text as HTML, with what is between backquotes as code."""
    escaped = str(markupsafe.escape(text))
    return markupsafe.Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped))


def merged(of, runs):
    """The dicts that `of` makes of several runs, as one."""
    found = {}
    for run in runs:
        found |= of(run)
    return found


def context(run):
    drawn = figures(run)
    runs = [run, *case_chapters.elsewhere(run)]  # whose cells this page shows
    first = next((drawn.pop(stem) for stem in HEADLINES if stem in drawn), None)
    of_workload, across = shared_out(run, drawn)
    columns = headline.columns(run)
    return {
        "run_id": run.manifest.get("run_id", run.folder.name),
        "profile": run.manifest.get("profile"),
        "started": run.manifest.get("started"),
        "machine": run.machine(),
        "answer": headline.answer(columns, run.workloads()), "widest": headline.widest(columns),
        "headline": first, "could_open": could_open(run), "columns": columns, "rows": headline.rows(columns),
        "parts": [(part, [chapters.chapter(run, w) for w in part.workloads])
                  for part in chapters.parts(run)],
        "figures": of_workload, "across": across, "cases": cases(run),
        "c1": table_c1_rows(run),
        "c1_columns": list(table_c1.COLUMNS.values()),
        "c1_thresholds": [(table_c1.COLUMNS[c], t) for c, t in table_c1.THRESHOLDS.items()],
        "guide_tables": guide_tables(run),
        "overview": merged(overview, runs),
        "overview_columns": [c[0] for c in table_overview.COLUMNS],
        "lesson": percentile_lesson.lesson(run),
        "invalid": [cell for one in runs for cell in one.invalid_cells()],
        "valid": sum(one.count_valid() for one in runs),
        "missing": len(run.missing_cells()) if run.stopped else 0,
        "refused": [row for one in runs for row in refused_numbers(one)], "twins": twins(run),
        "twin_archs": ", ".join(sorted({arch for *_, arch, _ in run.twins()})),
        "predictions": merged(prediction_rows, runs), "first_cell": first_cell_started(run),
        "environment": list(environment(run)),
        "sources": sources.of_runs(runs), "source_note": sources.differences(run),
        "abouts": merged(lambda one: one.manifest.get("servers", {}), runs),
    }


def render(run):
    jinja = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True,
                               trim_blocks=True, lstrip_blocks=True,
                               undefined=jinja2.StrictUndefined)
    jinja.filters["inline"] = inline
    jinja.filters["colour"] = lambda arch: style.look(arch)[0]
    return jinja.get_template("report.html.j2").render(context(run))


def save(run, target=None):
    """Write the report of a run to the file `target`, or else into its folder. Returns [the path]."""
    target = target or run.folder / "report.html"
    target.write_text(render(run), encoding="utf-8")
    return [target]
