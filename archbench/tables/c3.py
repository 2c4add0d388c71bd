"""Table C3: traditional against event-driven servers, as measurements.

docs/guide-tables.md gives the reasoning behind each measure."""
from dataclasses import replace
import math

from archbench.drawing import style
from archbench.formats import timeseries
from archbench.stats.estimates import clearly_above
from archbench.tables.parts import guide_table as gt
from archbench.tables.parts.facts import Facts

INTRO = ("The guide sets traditional servers (processes, threads) against event-driven ones "
         "(event, serverless), and calls the latter better in each row. Every measure is compared "
         "between all of the one kind and all of the other.")
TRADITIONAL = ("processes", "threads")
EVENT_DRIVEN = ("event", "serverless")
ARCHS = TRADITIONAL + EVENT_DRIVEN
BACK = 2.0  # times its value before: a p99 is back when it is no more than that


# The two kinds against each other.

def ahead(found, kind, rivals, more_is_better):
    """{architecture of `kind`: those of `rivals` that it is clearly better than}."""
    def better(a, b):
        return clearly_above(found[a], found[b]) if more_is_better else clearly_above(found[b],
                                                                                    found[a])
    return {a: [b for b in rivals if b in found and better(a, b)] for a in kind if a in found}


def judge(found, more_is_better):
    """(agreement, verdict) on 'event-driven is better', from {arch: Estimate}."""
    wins = ahead(found, EVENT_DRIVEN, TRADITIONAL, more_is_better)
    losses = ahead(found, TRADITIONAL, EVENT_DRIVEN, more_is_better)
    if not (wins and losses):
        there = " and ".join(found)
        return gt.OPEN, f"Only {there} {'was' if len(found) == 1 else 'were'} measured."
    if all(len(beaten) == len(losses) for beaten in wins.values()):
        return gt.AGREE, f"{names(wins)} clearly better than {' and '.join(losses)}."
    behind = {a: b for a, b in losses.items() if b}
    said = [f"{a} is clearly better than {' and '.join(b)}"
            for a, b in (*behind.items(), *wins.items()) if b]
    if behind:
        mixed = "; the kind alone does not decide it" if any(wins.values()) else ""
        return gt.DISAGREE, f"{'; '.join(said)}{mixed}."
    return gt.OPEN, f"{'; '.join(said) or 'No clear difference between the two kinds'}."


def names(archs):
    return f"{' and '.join(archs)} {'is' if len(archs) == 1 else 'are'}"


def texts(found, say):
    """'processes 1,180/s [..]; threads not measured; ...'"""
    return "; ".join(f"{a} {say(found[a]) if a in found else gt.NOT_MEASURED}" for a in ARCHS)


def compared(facts, draft, workload, found, say, more_is_better=False):
    """The row of {arch: Estimate or None}."""
    found = {a: e for a, e in found.items() if e}
    if not found:
        reason = (f"No valid trial in workload {workload} tells it" if facts.has(workload)
                  else f"This run has no workload {workload}")
        return gt.unmeasured(draft, reason)
    return gt.measured(draft, texts(found, say), *judge(found, more_is_better))


def duration_of(e):
    return gt.told(e, say=style.duration)


# Scalability.

def scalability(facts):
    draft = gt.blank("C3", "Scalability: the most requests/s as the load grows past saturation",
                     "event-driven scales better")
    there = [a for a in ARCHS if facts.has("load") and a in facts.run.archs("load")]
    reached = {a: facts.saturation("load", a) for a in there}
    found = {a: s.rate for a, s in reached.items() if s}
    if found:
        cores = facts.cores("load")
        everything = cores / facts.cost_s("load", facts.run.points("load")[-1])
        model = {a: facts.capacity_text("load", reached[a].point, a) for a in found}
        draft = replace(draft, formula=f"{cores} cores at the calibrated cost: "
                        f"{gt.rate(everything)}",
                        model="; ".join(f"{a} {text}" for a, text in model.items()
                                        if text != gt.NOTHING) or gt.NOTHING)
    return compared(facts, draft, "load", found, lambda e: gt.told(e, "/s"), more_is_better=True)


# Resilience.

def intervals(facts, cell, cls):
    """[(begin, end, what the generator wrote of `cls`)] of a cell's time series."""
    found, begin_s = [], 0.0
    for line in facts.run.timeseries(cell):
        if cls in line.get("classes", {}):
            found.append((begin_s, line["time_s"], line["classes"][cls]))
        begin_s = line["time_s"]
    return found


def damage_s(lines, at_s):
    """From a kill until the end of the last interval with errors after it: 0 without any, infinite
    when they go on to the end of the window."""
    bad = [end for _, end, line in lines if end > at_s and line["errors"]]
    if not bad:
        return 0.0
    return math.inf if bad[-1] == lines[-1][1] else bad[-1] - at_s


def damage_of(facts):
    def number(cell):
        lines = intervals(facts, cell, "short")
        killed = cell.get("kill")
        return damage_s(lines, killed["at_s"]) if lines and killed else None
    return number


def by_cell(facts, workload, number):
    """{arch: Estimate of number(cell)}, of valid trials."""
    if not facts.has(workload):
        return {}
    point = facts.run.points(workload)[0]
    found = {a: facts.run.estimate_of(workload, point, a, number) for a in ARCHS}
    return {a: e for a, e in found.items() if e and e.valid}


def resilience(facts):
    lost = {a: e.scaled(100) for a, e in
            facts.estimates("failure", "base", ARCHS, "error_share").items()}
    yield compared(facts, gt.blank(
        "C3", "Resilience: requests without a good reply while one process is killed",
        "event-driven is more resilient"), "failure", lost, lambda e: gt.told(e, " %"))
    yield compared(facts, gt.blank(
        "C3", "Resilience: from the kill until the last errors", "event-driven is more resilient"),
        "failure", by_cell(facts, "failure", damage_of(facts)),
        lambda e: gt.told(e, say=gt.seconds))


# A surge.

def before_us(lines, begin_s):
    """The median p99 of the intervals before the surge; None without any."""
    values = sorted(timeseries.number(line, "p99_us") for _, end, line in lines if end <= begin_s
                    if timeseries.number(line, "p99_us") is not None)
    return values[len(values) // 2] if values else None


def absorbed_s(lines, spans):
    """From the end of the surge until the first interval begins whose p99 is back; infinite when
    none is, None when nothing is known of the time before."""
    begin_s, end_s = spans[0][0], spans[-1][1]
    usual = before_us(lines, begin_s)
    if usual is None:
        return None
    for begin, _, line in lines:
        p99 = timeseries.number(line, "p99_us")
        if begin >= end_s and p99 is not None and p99 <= BACK * usual:
            return begin - end_s
    return math.inf


def absorbing(facts):
    draft = gt.blank("C3", "A surge of ten times the computation: from its end until the p99 of "
                     "short requests is at most twice what it was before",
                     "event-driven absorbs surges better")
    spans = facts.run.workload("surge").surges if facts.has("surge") else []

    def number(cell):
        lines = intervals(facts, cell, "short")
        return absorbed_s(lines, spans) if lines and spans else None
    return compared(facts, draft, "surge", by_cell(facts, "surge", number),
                    lambda e: gt.told(e, say=gt.seconds))


# Flexibility, and reaction time.

def flexibility(facts):
    """No workload asks for it. The row says what there is to count."""
    draft = gt.blank("C3", "Flexibility: how much must change for something new",
                     "event-driven is more flexible")
    servers = facts.run.manifest.get("servers", {})
    lines = {a: servers[a]["loc"] for a in ARCHS if "loc" in servers.get(a, {})}
    if not lines:
        return gt.unmeasured(draft, "The manifest does not say how long the servers are")
    short, long = min(lines, key=lines.get), max(lines, key=lines.get)
    text = "; ".join(f"{a} {n} lines" for a, n in lines.items())
    return gt.measured(draft, text, gt.OPEN, f"What a design is written in can be counted: "
                       f"{lines[short]} lines ({short}) to {lines[long]} ({long}), a file each. "
                       "How easily it changes is no quantity that a run measures, so no number "
                       "earns or refutes the word.")


def real_time(facts):
    for key, name in (("p50", "median"), ("p99", "p99")):
        metric = f"response_{key}_us"
        draft = gt.blank("C3", f"Real-time: reaction to a trivial request, {name}",
                         "event-driven reacts faster")
        yield compared(facts, draft, "trivial",
                       facts.estimates("trivial", "base", ARCHS, metric, "total"), duration_of)


def rows(facts):
    yield scalability(facts)
    yield from resilience(facts)
    yield absorbing(facts)
    yield flexibility(facts)
    yield from real_time(facts)


def make(run):
    return gt.make("Table C3: traditional against event-driven", INTRO, rows(Facts(run)))
