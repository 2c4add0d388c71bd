"""Table C1: the words of the guide's performance table, and the words the measurements earn.

docs/table-c1.md gives the reasoning behind each measure and threshold."""
from dataclasses import dataclass
import math

from archbench.drawing import style
from archbench.formats.run import NoData
from archbench.tables.parts import table

ROWS = {  # architecture: the guide's name of its row
    "event": "event-driven",
    "threads": "multi-threading",
    "hybrid": "hybrid",
    "processes": "(not in the guide's table)",
}
COLUMNS = {"io": "I/O throughput", "cpu": "CPU efficiency", "latency": "Latency profile"}
GUIDE = {
    ("event", "io"): "Excellent", ("event", "cpu"): "Poor", ("event", "latency"): "Low (I/O)",
    ("threads", "io"): "Moderate", ("threads", "cpu"): "Excellent",
    ("threads", "latency"): "High (blocking)",
    ("hybrid", "io"): "Excellent", ("hybrid", "cpu"): "Excellent",
    ("hybrid", "latency"): "Optimal",
}

# The thresholds. All are ratios, so that they mean the same on any machine.
IO_WORDS = ((0.75, "Excellent"), (0.33, "Moderate"), (0.0, "Poor"))  # share of the best
CPU_WORDS = ((0.85, "Excellent"), (0.60, "Moderate"), (0.0, "Poor"))  # share of all cores
LOW_IO = 2.0  # p99 / the wait itself: the architecture adds less than the operation takes
SHORT_STAYS_SHORT = 0.1  # p99 of short / CPU time of a slow one; one that waits for it: 0.5 to 1
SATURATED = 0.98  # an open loop that is answered to this share was not saturated
ENOUGH_TRIALS = 3

THRESHOLDS = {
    "io": "share of the best architecture, in rate and in requests per CPU second, whichever is "
          "less: Excellent ≥ 75 % (at most a third more cores for the same load), Moderate ≥ 33 % "
          "(up to three times the cores), else Poor",
    "cpu": "requests done / requests that all server cores could do at the least CPU time that a "
           "request cost anyone in this run: Excellent ≥ 85 %, Moderate ≥ 60 %, else Poor",
    "latency": "low under I/O: p99 in io ≤ 2 × the wait; short stays short: p99 of short in "
               "bimodal ≤ 0.1 × CPU time of a slow request. Both: Optimal; the first: Low (I/O); "
               "else High (blocking)",
}
MECHANISM = {
    ("event", "io"): "one loop waits for all connections at once",
    ("threads", "io"): "every waiting request holds a thread that must sleep and be woken",
    ("hybrid", "io"): "I/O never leaves the loop, and the workers stay asleep",
    ("processes", "io"): "every waiting request holds a process, and a switch changes the address "
                         "space too",
    ("event", "cpu"): "one thread runs all handlers, one after the other",
    ("threads", "cpu"): "the kernel spreads the runnable threads over the cores",
    ("hybrid", "cpu"): "the loop hands CPU steps to a pool of workers",
    ("processes", "cpu"): "the kernel spreads the runnable processes over the cores",
    ("event", "latency"): "a CPU step in a handler holds up the loop and everybody behind it",
    ("threads", "latency"): "short and slow requests share the cores in the scheduler's time "
                            "slices",
    ("hybrid", "latency"): "the loop goes on answering while workers of lower priority compute",
    ("processes", "latency"): "short and slow requests share the cores in the scheduler's time "
                              "slices",
}


@dataclass
class Result:
    """What one architecture showed in one column."""

    earned: str  # a word, or why there is none
    value: float = None  # the ratio that the threshold is about
    low: float = None
    high: float = None
    measured: str = ""  # the numbers behind it, for a reader
    evidence: str = ""  # what the mechanism left in the measurements
    trials: int = 0
    judged: bool = False  # `earned` is a word of the scale
    note: str = ""


def word(scale, share):
    return next(name for least, name in scale if share >= least)


def percent(share):
    return f"{100 * share:.0f} %"


class Measurements:
    """The estimates this table needs, each asked for once by name."""

    def __init__(self, run):
        self.run = run

    def single(self, workload, arch, metric, cls=""):
        """The estimate of a workload that is not a sweep; None when there is none."""
        if workload not in self.run.workloads():
            return None
        points = self.run.points(workload)
        point = points[0] if len(points) == 1 else "base"
        return self.run.estimate(workload, point, arch, metric, cls)

    def valid(self, workload, metric, cls=""):
        """{arch: Estimate} of all architectures of the run with a valid trial."""
        found = {a: self.single(workload, a, metric, cls) for a in self.run.archs()}
        return {a: e for a, e in found.items() if e and e.valid}


def judge_io(m, arch):
    rates, costs = m.valid("io", "achieved_rate"), m.valid("io", "cpu_us_per_request")
    if arch not in rates:
        return Result("not measured")
    if len(rates) < 2:
        return Result("nothing to compare with", trials=rates[arch].trials)
    rate, best = rates[arch], max(e.value for e in rates.values())
    shares = [(rate.value / best, rate.low, rate.high, best)]
    measured = f"{style.human(rate.value)}/s, {percent(rate.value / best)} of the best"
    evidence = ""
    if arch in costs:
        cost, least = costs[arch], min(e.value for e in costs.values())
        shares.append((least / cost.value, cost.high and 1 / cost.high, cost.low and 1 / cost.low,
                       1 / least))
        measured += (f"; {style.human(1e6 / cost.value)} requests per CPU second, "
                     f"{percent(least / cost.value)} of the best")
        evidence = f"{style.human(cost.value)} µs of CPU"
    switches = m.single("io", arch, "switches_per_request")
    if switches:
        evidence += f"{' and ' if evidence else ''}{style.human(switches.value)} context switches"
    share, low, high, unit = min(shares, key=lambda s: s[0])
    return Result(word(IO_WORDS, share), share, low and low / unit, high and high / unit, measured,
                  f"{evidence} per request" if evidence else "", rate.trials, True,
                  borderline(IO_WORDS, low and low / unit, high and high / unit))


def borderline(scale, low, high):
    """A remark when the interval reaches into another word."""
    if low is None or word(scale, low) == word(scale, high):
        return ""
    return f"borderline: the interval reaches from {word(scale, low)} to {word(scale, high)}"


def judge_cpu(m, arch):
    rate, cores = m.single("cpu", arch, "achieved_rate"), m.run.server_cores("cpu")
    costs = m.valid("cpu", "cpu_us_per_request")
    if rate is None or not rate.valid:
        return Result("not measured")
    if not costs or not cores:
        return Result("not measured", note="the cost of a request or the cores are not known")
    if cores < 2:
        return Result("not measurable", note="with one core nobody can leave a core idle")
    least_us = min(cost.value for cost in costs.values())
    done = rate.scaled(1e-6 * least_us / cores)
    used = m.single("cpu", arch, "cores_used")
    evidence = f"it kept {used.value:.2f} of {cores} cores busy" if used else ""
    measured = f"{style.human(rate.value)}/s, {percent(done.value)} of what the cores can do"
    result = Result(word(CPU_WORDS, done.value), done.value, done.low, done.high, measured,
                    evidence, rate.trials, True, borderline(CPU_WORDS, done.low, done.high))
    target = m.single("cpu", arch, "target_rate")
    if target and rate.value >= SATURATED * target.value and result.earned != "Excellent":
        return Result("not saturated", measured=f"at least {percent(done.value)}", note="the "
                      "offered rate was answered in full: more was not asked for",
                      trials=rate.trials)
    return result


def wait_of_io(run):
    workload = run.workload("io")
    return next((s for s in map(workload.wait_s, workload.classes) if s), None)


def cpu_of_slow(run):
    workload = run.workload("bimodal")
    return max(filter(None, map(workload.cpu_s, workload.classes)), default=None)


def judge_latency(m, arch):
    wait_s, slow_s = wait_of_io(m.run), cpu_of_slow(m.run)
    io = m.single("io", arch, "response_p99_us", "total")
    short_class = m.run.short_class("bimodal")
    short = short_class and m.single("bimodal", arch, "response_p99_us", short_class)
    if not (io and io.valid and short and short.valid):
        return Result("not measured")
    if not (wait_s and slow_s):
        return Result("not measured", note="the workload files do not say wait and CPU time")
    added, held_up = io.scaled(1e-6 / wait_s), short.scaled(1e-6 / slow_s)
    measured = (f"io: p99 {style.duration(io.value)}, {style.human(added.value)} × the wait; "
                f"bimodal: p99 of short {style.duration(short.value)}, "
                f"{style.human(held_up.value)} × a slow request")
    evidence = (f"one short request in a hundred takes {style.duration(short.value)} or more "
                f"beside slow ones of {style.duration(1e6 * slow_s)}")
    return Result(latency_word(added.value, held_up.value), held_up.value, held_up.low,
                  held_up.high, measured, evidence, min(io.trials, short.trials), True,
                  latency_borderline(added, held_up))


def latency_word(added, held_up):
    if added > LOW_IO:
        return "High (blocking)"
    return "Optimal" if held_up <= SHORT_STAYS_SHORT else "Low (I/O)"


def latency_borderline(added, held_up):
    if added.low is None or held_up.low is None:
        return ""
    best, worst = latency_word(added.low, held_up.low), latency_word(added.high, held_up.high)
    return "" if best == worst else f"borderline: the intervals reach from {best} to {worst}"


JUDGES = {"io": judge_io, "cpu": judge_cpu, "latency": judge_latency}


def agreement(claim, result):
    if claim is None:
        return "no claim"
    if not result.judged:
        return "open"
    return "agree" if claim == result.earned else "disagree"


def why(arch, column, result):
    """One sentence: what the architecture does, and what that left in the measurements."""
    parts = [p for p in (MECHANISM.get((arch, column)), result.evidence) if p]
    sentence = ": ".join(parts) if result.judged else ""
    return sentence[:1].upper() + sentence[1:] + ("." if sentence else "")


def note(result):
    few = ""
    if result.judged and result.trials < ENOUGH_TRIALS:
        few = f"only {result.trials} valid trial{'s' if result.trials > 1 else ''}"
    return "; ".join(filter(None, (result.note, few)))


HEADER = ["architecture", "row", "column", "guide", "earned", "agreement", "value", "low", "high",
          "valid_trials", "measured", "threshold", "why", "note"]


def make_rows(run):
    measurements = Measurements(run)
    for arch, row in ROWS.items():
        for column, heading in COLUMNS.items():
            result = JUDGES[column](measurements, arch)
            claim = GUIDE.get((arch, column))
            numbers = ["" if v is None else "inf" if math.isinf(v) else f"{v:.4g}"
                       for v in (result.value, result.low, result.high)]
            yield [arch, row, heading, claim or "", result.earned, agreement(claim, result),
                   *numbers, result.trials, result.measured, THRESHOLDS[column],
                   why(arch, column, result), note(result)]


def cell_text(row):
    """One cell of the matrix: the guide's word, the earned one, and whether they agree."""
    of = dict(zip(HEADER, row))
    claim = f"guide: {of['guide']}<br>" if of["guide"] else ""
    remark = f"<br>*{of['note']}*" if of["note"] else ""
    return f"{claim}measured: **{of['earned']}** ({of['agreement']})<br>{of['measured']}{remark}"


def make(run):
    rows = list(make_rows(run))
    if all(row[HEADER.index("earned")] == "not measured" for row in rows):
        raise NoData("this run has neither io, cpu nor bimodal for the guide's architectures")
    width = len(COLUMNS)
    matrix = [[f"**{rows[k][0]}**<br>{rows[k][1]}", *map(cell_text, rows[k:k + width])]
              for k in range(0, len(rows), width)]
    reasons = [f"- {r[0]}, {r[2]}: {r[HEADER.index('why')]}" for r in rows
               if r[HEADER.index("why")]]
    scales = [f"- {COLUMNS[c]}: {text}." for c, text in THRESHOLDS.items()]
    text = "\n".join(["# Table C1: the guide's words, measured", "",
                      table.markdown(["", *COLUMNS.values()], matrix), "## What earns a word", "",
                      *scales, "", "## Why", "", *reasons, ""])
    return HEADER, rows, text
