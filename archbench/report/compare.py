"""Runs side by side: what differs between the first and each other one, and what does not.

Ratios are later run / first run, of the geometric means over valid trials. docs/comparing.md tells
how a difference is told from chance. Status 3: the runs cannot be compared."""
import csv
import math
from pathlib import Path
import sys

from archbench.arguments import Parser
from archbench.formats.names import server_of
from archbench.formats.run import NoData, open_run
from archbench.runner import plan
from archbench.stats import noise, significance
from archbench.tables.parts.table import markdown


REFUSED = 3
OF_CELLS = ("achieved_rate", "cpu_us_per_request", "switches_per_request",
            "memory_total_kb_per_connection")
OF_CLASSES = ("response_p50_us", "response_p99_us")
MEMORY_WORKLOADS = ("connections", "concurrency")  # elsewhere too few connections to tell
ENVIRONMENT = ("kernel", "cpu", "governor", "mitigations", "compiler", "flags", "commit")
HEADER = ("workload", "point", "architecture", "class", "metric", "ratio", "interval")
COLUMNS = ("run", "workload", "point", "arch", "class", "metric", "before", "after", "ratio", "low",
           "high", "p", "verdict")


class Refusal(Exception):
    """Why two runs cannot be compared."""


def same_workload(first, other, name):
    """Do both ask the same of servers? What the profiles choose of it is compared by put()."""
    if not (first.own_workload(name) and other.own_workload(name)):
        return True
    before, after = (run.workload(name).asked(leaving_out=plan.PROFILES) for run in (first, other))
    return before == after


def put(run):
    """{(workload, point, architecture): how its cells were put}, as far as profiles choose it."""
    return {(c["workload"], c["point"], c["arch"]): (c["connections"], c["options"])
            for c in run.manifest.get("cells", []) if "options" in c}


def check(first, other, anyway):
    """Raise Refusal unless a request asks for the same in both."""
    shared = sorted(set(first.workloads()) & set(other.workloads()))
    if not shared:
        raise Refusal("they have no workload in common")
    for name in shared:
        if not same_workload(first, other, name):
            raise Refusal(f"workload {name} is not the same in both")
    there, here = put(first), put(other)
    for where in sorted(set(there) & set(here)):
        if there[where] != here[where]:
            raise Refusal(f"{' '.join(where)} had other connections or options in one of them")
    if not anyway and first.manifest.get("calibration") != other.manifest.get("calibration"):
        raise Refusal("a millisecond of work is not the same amount in both: another calibration "
                      "(--anyway compares them all the same)")


def differences_of_environment(first, other):
    """[(what, there, here)]"""
    before, after = (run.manifest.get("environment", {}) for run in (first, other))
    return [(key, before.get(key), after.get(key)) for key in ENVIRONMENT
            if before.get(key) != after.get(key)]


def values(run, workload, point, arch, cls, metric):
    return tuple(t.values[cls, metric] for t in run.trials(workload, point, arch)
                 if t.has((cls, metric)))


def measured(metric, workload):
    return not metric.startswith("memory") or workload in MEMORY_WORKLOADS


def keys(run):
    """(workload, point, arch, class, metric) of all that a run can be compared by."""
    for workload in run.workloads():
        metrics = [("", m) for m in OF_CELLS if measured(m, workload)]
        metrics += [(c, m) for c in run.classes(workload) for m in OF_CLASSES]
        for point in run.points(workload):
            for arch in run.archs(workload):
                for cls, metric in metrics:
                    yield workload, point, arch, cls, metric


def can_be_compared(pair):
    """Have both values at all, and are all of them positive and finite?"""
    return all(pair) and all(0 < v < math.inf for side in pair for v in side)


def comparable_rows(first, other):
    """[Row] of what both have."""
    rows = []
    for key in keys(first):
        pair = [values(run, *key) for run in (first, other)]
        if can_be_compared(pair):
            rows.append(significance.Row(key, (key[0], key[3], key[4]), *pair))
    return rows


def witnesses(*runs):
    """[Row] of the twins: what lies between the two of a run is chance, as between trials."""
    rows = []
    for run in runs:
        twin_of = {(w, p, a): twin for w, p, a, twin in run.twins()}
        for key in keys(run):
            workload, point, arch, cls, metric = key
            twin = twin_of.get((workload, point, arch))
            pair = [values(run, workload, point, a, cls, metric) for a in (arch, twin) if twin]
            if twin and can_be_compared(pair):
                rows.append(significance.Row(key, (workload, cls, metric), pair[0] + pair[1], ()))
    return rows


def least_factor(*runs):
    """The factor below which nothing is called a difference, of a Row: what the twins of these runs
    usually differ by, or LEAST_FACTOR if that is more."""
    return lambda row: max([significance.LEAST_FACTOR,
                            *(noise.usual(run, row.key[4]) for run in runs)])


def program_of(run):
    """The program behind the architecture of a Row, as a function."""
    programs = {c["arch"]: c["program"] for c in run.manifest.get("cells", []) if "program" in c}
    return lambda row: programs.get(row.key[2], server_of(row.key[2]))


def of_servers(program, differences):
    """[Overall] of each server, its variants included, and metric. `program`: as program_of()."""
    return significance.overall(differences, lambda row: ((program(row), row.key[4]), row.key[:3]))


def interval(difference):
    return f"{difference.low:.3f} to {difference.high:.3f}" if difference.known else "-"


def readable(differences):
    """The significant ones, largest first."""
    chosen = sorted((d for d in differences if d.significant),
                    key=lambda d: -abs(math.log(d.ratio)))
    return [(*d.row.key[:3], d.row.key[3] or "-", d.row.key[4], f"{d.ratio:.3f}", interval(d))
            for d in chosen]


def noise_line(*runs):
    """What twins say of chance, in a line of Markdown; nothing where no run has any."""
    floors = [f"{name} {max(found):.3f}" for name, found in
              ((m, [noise.usual(run, m) for run in runs]) for m in (*OF_CELLS, *OF_CLASSES))
              if max(found) > 1]
    if not floors:
        return []
    return ["Twins (one architecture twice in a run) usually differ by these factors, and nothing "
            f"below is called a difference: {', '.join(floors)}.", ""]


def on_servers(servers):
    """Lines of Markdown."""
    if not servers:
        return []
    found = [o for o in servers if o.significant]
    lines = [f"All cells of a server together, variants included: {len(found)} of {len(servers)} "
             "differ significantly.", ""]
    if found:
        lines.append(markdown(("server", "metric", "cells", "ratio", "interval"), [
            (*o.what, o.cells, f"{o.ratio:.3f}", f"{o.low:.3f} to {o.high:.3f}") for o in found]))
    return lines


def report(first, other, differences, shifts, servers):
    """Markdown."""
    known = [d for d in differences if d.known]
    found = readable(differences)
    lines = [f"## {other.folder.name} against {first.folder.name}", ""]
    lines += [f"* {what}: {before} there, {after} here"
              for what, before, after in differences_of_environment(first, other)]
    lines += ["", f"{len(found)} of {len(known)} rows differ significantly; "
              f"{len(differences) - len(known)} more have too few valid trials to say.", ""]
    lines += noise_line(first, other)
    if found:
        lines.append(markdown(HEADER, found))
    lines += on_servers(servers)
    moved = sorted(((group, factor) for group, factor in shifts.items()
                    if abs(math.log(factor)) >= math.log(significance.LEAST_FACTOR)),
                   key=lambda item: -abs(math.log(item[1])))
    if moved:
        lines += ["Common to most architectures, as when the machine itself was faster or slower, "
                  "and set aside above:", ""]
        lines += [f"* {', '.join(filter(None, group))}: {factor:.3f}" for group, factor in moved]
    return "\n".join(lines) + "\n"


def csv_rows(name, differences, servers):
    for o in servers:
        yield (name, "all", "", o.what[0], "", o.what[1], "", "", o.ratio, o.low, o.high, o.p,
               "differs" if o.significant else "same")
    for d in differences:
        verdict = "differs" if d.significant else "same" if d.known else "too few trials"
        before, after = (math.exp(significance.logs(v).mean()) for v in (d.row.before, d.row.after))
        yield (name, *d.row.key, before, after, d.ratio, d.low, d.high, d.p, verdict)


def main(words):
    parser = Parser("compare", __doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders in results/")
    parser.add_argument("-o", type=Path, metavar="FOLDER",
                        help="also write compare.md and compare.csv")
    parser.add_argument("--anyway", action="store_true", help="although the calibrations differ")
    options = parser.parse_args(words)
    if len(options.runs) < 2:
        parser.error("two runs at least")
    texts, rows = [], []
    try:
        first, *others = map(open_run, options.runs)
        program = program_of(first)
        for other in others:
            check(first, other, options.anyway)
            differences, shifts = significance.compare(
                comparable_rows(first, other), least_factor(first, other), witnesses(first, other),
                program)
            servers = of_servers(program, differences)
            texts.append(report(first, other, differences, shifts, servers))
            rows += csv_rows(other.folder.name, differences, servers)
    except (NoData, Refusal) as reason:
        print(f"archbench compare: {reason}", file=sys.stderr)
        sys.exit(REFUSED)
    print("\n".join(texts), end="")
    if options.o:
        options.o.mkdir(parents=True, exist_ok=True)
        (options.o / "compare.md").write_text("\n".join(texts), encoding="utf-8")
        with open(options.o / "compare.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
