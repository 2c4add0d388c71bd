"""The chapters of the report, one for each workload of a run: what it asked, by which mechanism it
tells architectures apart, who came out where, and how to repeat it."""
from dataclasses import dataclass
import shlex

from archbench.drawing import measures, style
from archbench.report import sources
from archbench.runner import plan
from archbench.stats.groups import rank


# The guide's claims, in reading order, that workloads put to the test: `part` of a workload's
# [report] names one.
PARTS = {
    "Blocking": "A blocking operation in a handler blocks the whole server; a server that puts it "
                "elsewhere, on workers, on the kernel or on threads, does not make others wait.",
    "Waiting": "Event-driven servers hold many connections and many waits at a time; a pool of "
               "blocking workers holds as many as it has workers.",
    "Capacity": "A hybrid uses every core and answers fast; a single loop computes on one core "
                "alone.",
    "Cost": "Processes and threads cost memory and context switches; an event loop costs neither.",
    "Failure": "Functions that scale out on demand absorb surges and failures; they pay with a cold "
               "start.",
    "More": "",  # workloads that name none
}


@dataclass(frozen=True)
class Part:
    """A claim, and the workloads of a run that put it to the test, in reading order."""
    name: str
    claim: str
    workloads: tuple


def workload_of(run, stem):
    """The workload of a run whose chapter shows this figure: the only one that names it in its
    [report], or that has its name. None where there is none or several."""
    named = [w for w in run.workloads() if stem in run.reported(w).get("figure", "").split()]
    named = named or [w for w in run.workloads() if w == stem]
    return named[0] if len(named) == 1 else None


def parts(run):
    """The Parts of a run that have a workload in it. Those of case studies are in a part of their own:
    case_chapters.py."""
    def place(workload):
        return int(run.reported(workload).get("place", 99)), workload
    found = {name: [] for name in PARTS}
    for workload in sorted((w for w in run.workloads() if not run.workload(w).case), key=place):
        name = run.reported(workload).get("part", "More")
        found[name if name in PARTS else "More"].append(workload)
    return [Part(name, PARTS[name], tuple(workloads))
            for name, workloads in found.items() if workloads]


def loads(run, workload):
    """What its requests are about: which functions of the servers to read beside it."""
    return run.reported(workload).get("shows", "requests").split()


def meaning(run, workload, point):
    """What a point sets: 'connections = 16, cpu.weight = 30'; '' when it has no section."""
    ini, section = run.workload(workload).ini, f"point {point}"
    settings = ini.items(section) if ini.has_section(section) else ()
    return ", ".join(f"{key} = {value}" for key, value in settings)


def predicted(prediction, measure, cls):
    """What the model said of this measure beforehand; None when it said nothing."""
    if measure.metric == "achieved_rate":
        return prediction.get("achieved_rate")
    of_class = prediction.get("classes", {}).get(cls, {})
    return of_class.get(measure.metric.removeprefix("response_"))


@dataclass(frozen=True)
class Row:
    """One architecture in a ranking, as text."""
    arch: str
    value: str
    letters: str
    ratio: str
    predicted: str
    trials: str
    valid: bool


def _times(e):
    """A ratio with its interval: '1.92 [1.90, 1.95]'; '' when there is none. That of the best to
    itself is 1 and in no doubt."""
    if not e.valid:
        return ""
    interval = f" [{style.human(e.low)}, {style.human(e.high)}]"
    if e.low is None or e.low == e.high:
        interval = ""
    return f"{style.human(e.value)}{interval}"


def _trials(run, workload, point, arch):
    """'3', or '2 and 1 INVALID'."""
    trials = run.trials(workload, point, arch)
    valid = sum(t.valid for t in trials)
    if valid == len(trials):
        return str(valid)
    return f"{valid} and {len(trials) - valid} INVALID" if valid else f"{len(trials)} INVALID"


def ranking(run, workload, point):
    """(rows best first, note) of a point, by the workload's measure. Architectures without a number
    come last."""
    measure = measures.of_workload(run, workload)
    cls = measure.cls(run, workload)
    ranked = rank(run, workload, point, measure.metric, cls, measure.ascending)
    rows = []
    for r in ranked.entries:
        said = predicted(run.prediction(workload, point, r.name), measure, cls)
        rows.append(Row(r.name, measure.with_interval(r.estimate), r.letters,
                        _times(r.ratio),
                        "" if said is None else measure.text(said),
                        _trials(run, workload, point, r.name), r.estimate.valid))
    known = {row.arch for row in rows}
    for arch in style.in_order(run.archs(workload)):
        if arch not in known and run.trials(workload, point, arch):
            rows.append(Row(arch, "not measured", "", "", "",
                            _trials(run, workload, point, arch), False))
    return rows, ranked.note


def telling_point(rankings):
    """Which of them is shown first: the last in which anybody has a valid number, as workloads list
    their points from light to heavy."""
    telling = [r for r in rankings if any(row.valid for row in r["rows"])]
    return (telling or rankings)[-1]


def word_of(cell):
    """The word of --only that names the architecture of a planned cell: its server, with those of
    its options that make it a variant. Options that the plan adds (a worker for each connection)
    stand before them, and it will add them again."""
    options = cell["options"]
    words = (":".join([cell["program"], *options[first:]])
             for first in range(len(options), -1, -1))
    return next(word for word in words if plan.entrant(word).name == cell["arch"])


def command(run, workload):
    """The command line that measures this workload anew as this run did: the same architectures,
    order and arrivals."""
    planned = [c for c in run.manifest.get("cells", [])
               if c["workload"] == workload and "program" in c]
    words = dict.fromkeys(map(word_of, planned))
    profile, seed = run.manifest.get("profile"), run.manifest.get("seed")
    file = planned[0]["file"] if planned else f"workloads/{workload}.ini"
    case = run.workload(workload).case.get("name")
    parts_of_it = ["./run_all.sh", *(["--cases", case] if case else []), "--workloads",
                   workload if case or file == f"workloads/{workload}.ini" else file,
                   "--only", ",".join(words) or ",".join(run.archs(workload))]
    if profile:
        parts_of_it.append(f"--{profile}")
    if planned:
        parts_of_it += ["--trials", str(max(c["trial"] for c in planned))]
    if seed is not None:
        parts_of_it += ["--seed", str(seed)]
    return shlex.join(parts_of_it)


def chapter(run, workload):
    """Everything that the report says of one workload, but the figures."""
    measure = measures.of_workload(run, workload)
    rankings = []
    for point in run.points(workload):
        rows, note = ranking(run, workload, point)
        rankings.append({"point": point, "meaning": meaning(run, workload, point),
                         "rows": rows, "note": note,
                         "predicted": any(row.predicted for row in rows)})
    first = telling_point(rankings)
    rankings.sort(key=lambda r: r is not first)
    verdicts = [run.verdicts(workload, a) for a in run.archs(workload)]
    return {
        "workload": workload,
        "question": run.workload(workload).question or workload,
        "mechanism": run.workload(workload).mechanism,
        "measure": measure.name(run, workload),
        "better": "smallest" if measure.ascending else "largest",
        "rankings": rankings,
        "valid": sum(v for v, _ in verdicts), "invalid": sum(i for _, i in verdicts),
        "places": sources.places(run.archs(workload), loads(run, workload)),
        "command": command(run, workload),
    }
