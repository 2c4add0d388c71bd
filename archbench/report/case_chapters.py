"""The part "Case studies" of the report: what it says of each case but the drawings. A case may come from a
run of its own, of another day; then what was different there is said."""
import csv
import re
import shlex

from archbench.cases import case as cases
from archbench.report import chapters, compare
from archbench.tables.parts.guide_table import NOTHING


def held(run):
    """[(Case, the Run that holds it)] of the cases that this report shows."""
    found = ((case, case.in_run(run)) for case in cases.cases().values())
    return [(case, holder) for case, holder in found if holder is not None]


def elsewhere(run):
    """The Runs of cases that were measured apart from `run`."""
    return [holder for _, holder in held(run) if holder is not run]


def command(holder, case):
    """The command line that measures a case anew as this run did."""
    words = ["./run_all.sh", "--cases", case.name]
    profile, seed = holder.manifest.get("profile"), holder.manifest.get("seed")
    if profile:
        words.append(f"--{profile}")
    if seed is not None:
        words += ["--seed", str(seed)]
    return shlex.join(words)


def table(run, case):
    """The rows of the guide's table, as dicts, as they were written; [] when they were not."""
    path = cases.folder_of(run, case) / f"{cases.TABLE}.csv"
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def when(holder):
    """'2026-11-30T10:00:00Z, profile full, Example CPU, 2 cores, Linux 6.1.0'"""
    cpu, cores, kernel = holder.machine()
    said = (holder.manifest.get("started"), f"profile {holder.manifest.get('profile')}", cpu,
            cores and f"{cores} cores", kernel and f"Linux {kernel}")
    return ", ".join(str(text) for text in said if text)


def changed_programs(run, holder):
    """Programs that both runs have, and that are not the same."""
    before, after = (r.manifest.get("environment", {}).get("binaries", {}) for r in (run, holder))
    return sorted(name for name in set(before) & set(after) if before[name] != after[name])


def readable(value):
    """A fact of the environment in few words: the first of what uname says, a commit by its beginning."""
    if isinstance(value, dict):
        known = ((value.get("model"), ""), (value.get("mhz"), " MHz"), (value.get("cache"), " of cache"))
        return ", ".join(f"{fact}{unit}" for fact, unit in known if fact)
    text = str(value)
    return text[:9] if re.fullmatch(r"[0-9a-f]{40}", text) else text.split(" #")[0]


def change(key, here, there):
    if key == "flags":  # a line of options each: which they are is in the manifests
        return "other flags of the compiler"
    return f"{key}: {readable(here)} for the case, {readable(there)} for the rest"


def different(run, holder):
    """Sentences: what was not the same when the case was measured as for the rest of the report."""
    if holder is run:
        return []
    found = [change(key, here, there)
             for key, there, here in compare.differences_of_environment(run, holder)]
    programs = changed_programs(run, holder)
    if programs:
        found.append(f"{len(programs)} programs were others, among them {programs[0]}")
    if run.manifest.get("calibration") != holder.manifest.get("calibration"):
        found.append("the calibration was another one: a millisecond of work is not the same amount")
    return found


def drawings(run, case):
    """[(path of an SVG, stem, how to read it)] of those that were drawn, the picture of the system first."""
    folder = cases.folder_of(run, case)
    named = [(cases.PICTURE, ""), *((figure.stem, figure.reading) for figure in case.figures)]
    return [(folder / f"{stem}.svg", f"{case.name}-{stem}", reading) for stem, reading in named
            if (folder / f"{stem}.svg").is_file()]


def chapter(run, case, holder):
    rows = table(run, case)
    return {
        "name": case.name, "id": case.id, "title": case.title, "question": case.question,
        "emulated": case.emulated, "lessons": case.lessons, "rows": rows,
        "has_components": any(row["components"] != NOTHING for row in rows),
        "drawings": drawings(run, case), "command": command(holder, case), "when": when(holder),
        "apart": holder is not run, "different": different(run, holder),
        "workloads": [chapters.chapter(holder, w) for w in holder.case_workloads(case.name)],
    }


def part(run):
    """The chapters of this part."""
    return [chapter(run, case, holder) for case, holder in held(run)]
