"""The guide's three lists of ticks and crosses for the trading platform (processes, threads, event loop),
and what it promises of the hybrid: each gets a verdict from the same run."""
from dataclasses import dataclass

from archbench.drawing import style
from archbench.formats.names import server_of
from archbench.stats.estimates import clearly_above
from archbench.tables.parts import guide_table as gt
from archbench.tables.parts.case_rows import held_back, why_missing

TICK, CROSS = "tick", "cross"
NO_RISK = "no-risk"  # the point without risk computations
NO_SWITCHES = 0.1  # a request, at most: as in table C2
INCONSISTENT = 10  # times the median, at the p99.9
TWICE = 2
SHORTER = 0.9  # as in table C2
MEMORY, SWITCHES, CPU = "cgroup_memory_peak_kb", "switches_per_request", "cpu_us_per_request"
P99 = ("response_p99_us", "trade")


@dataclass(frozen=True)
class Entry:
    """A line of a list. `judge(facts, at)` returns (measured, agreement, verdict), or a text on why there
    is nothing to judge; at(arch) is the Place of the full load."""
    arch: str
    mark: str
    says: str
    judge: object


def _missing(facts, at, archs, metric, cls=""):
    """Why one of these has no such number."""
    for arch in archs:
        if not facts.estimate(*at(arch), metric, cls):
            return why_missing(facts, at(arch), f"{cls}.{metric}" if cls else metric)
    return ""


def _verdict(holds, text):
    return (gt.AGREE if holds else gt.DISAGREE), text


def dearer(arch, other, metric, what, unit, cls=""):
    """Does `arch` clearly take more than `other`?"""
    def judge(facts, at):
        lacking = _missing(facts, at, (arch, other), metric, cls)
        if lacking:
            return lacking
        mine, others = (facts.estimate(*at(a), metric, cls) for a in (arch, other))
        say = style.duration if "_us" in metric else style.human
        holds = clearly_above(mine, others)
        text = f"{say(mine.value)}{unit}, {other} {say(others.value)}{unit}"
        side = "clearly more" if holds else "not clearly more"
        return text, *_verdict(holds, f"{what} is {side} in {arch} than in {other}.")
    return judge


def simple(facts, at):
    lines = {a: facts.run.manifest.get("servers", {}).get(a, {}).get("loc")
             for a in ("processes", "threads")}
    if not all(lines.values()):
        return "The run does not say how long the servers are"
    holds = lines["processes"] <= SHORTER * lines["threads"]
    return (f"{lines['processes']} lines of code, threads {lines['threads']}",
            *_verdict(holds, "The file is " + ("" if holds else "not ") + "shorter by a tenth; the book in "
                      "shared memory is common to both."))


def much_memory(facts, at):
    lacking = _missing(facts, at, ("processes", "threads"), MEMORY)
    if lacking:
        return lacking
    mine, other = (facts.estimate(*at(a), MEMORY).value / 1024 for a in ("processes", "threads"))
    return (f"{style.human(mine)} MiB at the most, threads {style.human(other)} MiB",
            *_verdict(mine >= TWICE * other, f"That is {style.human(mine / other)} times as much; the word "
                      f"is earned from {TWICE} on."))


def cheap_switches(facts, at):
    lacking = _missing(facts, at, ("threads", "processes"), CPU)
    if lacking:
        return lacking
    mine, other = (facts.estimate(*at(a), CPU) for a in ("threads", "processes"))
    holds = clearly_above(other, mine)
    return (f"{style.duration(mine.value)} of CPU time a request, processes "
            f"{style.duration(other.value)}",
            *_verdict(holds, "A request of threads costs " + ("clearly" if holds else "not clearly")
                      + " less."))


def ways_to_share(facts, server):
    """{variant: Estimate of the p99 of trades} of a server with each --book that was measured."""
    found = {}
    for arch in facts.run.archs("trading"):
        if server_of(arch) == server:
            p99 = facts.estimate("trading", "full", arch, *P99)
            if p99:
                found[arch] = p99
    return found


def needs_synchronisation(facts, at):
    ways = ways_to_share(facts, "threads")
    if "threads-lock" not in ways or len(ways) < 2:
        return "threads was not measured with a lock and without one"
    best = min((a for a in ways if a != "threads-lock"), key=lambda a: ways[a].value)
    holds = clearly_above(ways["threads-lock"], ways[best])
    told = ", ".join(f"{a} {style.duration(e.value)}" for a, e in ways.items())
    return (f"p99 of a trade: {told}", *_verdict(
        holds, f"One lock for the book costs trades {'clearly more' if holds else 'no more'} than {best}."))


def inconsistent(facts, at):
    place = at("threads")
    ends = [facts.estimate(*place, f"response_{rank}_us", "trade") for rank in ("p50", "p999")]
    if not all(ends):
        return why_missing(facts, place, "trade.response_p999_us")
    times = ends[1].value / ends[0].value
    return (f"p50 {style.duration(ends[0].value)}, p99.9 {style.duration(ends[1].value)}",
            *_verdict(times >= INCONSISTENT, f"One trade in a thousand takes {style.times(times)} the "
                      f"median; the word is earned from {INCONSISTENT} times on."))


def little_memory(facts, at):
    others = [a for a in ("threads", "processes") if facts.estimate(*at(a), MEMORY)]
    mine = facts.estimate(*at("event"), MEMORY)
    if not mine or not others:
        return why_missing(facts, at("event" if not mine else "threads"), MEMORY)
    least = min(others, key=lambda a: facts.estimate(*at(a), MEMORY).value)
    other = facts.estimate(*at(least), MEMORY)
    return (f"{style.human(mine.value / 1024)} MiB at the most, {least} "
            f"{style.human(other.value / 1024)} MiB",
            *_verdict(clearly_above(other, mine), "With so few connections the order books are most of it."))


def no_switches(facts, at):
    found = facts.estimate(*at("event"), SWITCHES)
    if not found:
        return why_missing(facts, at("event"), SWITCHES)
    return (f"{style.human(found.value)} a request", *_verdict(
        found.value <= NO_SWITCHES, f"None means at most {NO_SWITCHES}."))


def no_synchronisation(facts, at):
    """One thread has the book: then nothing makes a trade wait but what is in front of it."""
    place = at("event")._replace(point=NO_RISK)
    found = facts.estimate(*place, *P99)
    if not found:
        return why_missing(facts, place, "trade.response_p99_us")
    return (f"p99 of a trade without risk computations: {style.duration(found.value)}",
            gt.below(found, 1000), "Updates and trades share one thread, and take no lock.")


def blocks(facts, at):
    alone, beside = (facts.estimate(*place, *P99) for place in
                     (at("event")._replace(point=NO_RISK), at("event")))
    if not alone or not beside:
        return why_missing(facts, at("event"), "trade.response_p99_us")
    holds = clearly_above(beside, alone)
    return (f"p99 of a trade: {style.duration(alone.value)} without risk computations, "
            f"{style.duration(beside.value)} beside them", *_verdict(
                holds, "A computation in a handler makes trades "
                + ("wait: they are behind it in the only loop." if holds else "wait no longer.")))


def guaranteed(facts, at):
    found = facts.estimate(*at("hybrid"), "response_max_us", "trade")
    if not found:
        return why_missing(facts, at("hybrid"), "trade.response_max_us")
    return (f"the longest took {style.duration(found.value)}", gt.below(found, 1000),
            "A guarantee is about the longest, not about a percentile.")


LISTS = (
    Entry("processes", TICK, "simple programming", simple),
    Entry("processes", CROSS, "high memory use", much_memory),
    Entry("processes", CROSS, "costly context switches",
          dearer("processes", "threads", CPU, "CPU time per request", "")),
    Entry("processes", CROSS, "shared state is hard and costly",
          dearer("processes", "threads", P99[0], "The p99 of a trade", "", P99[1])),
    Entry("threads", TICK, "cheap context switches", cheap_switches),
    Entry("threads", CROSS, "needs synchronisation", needs_synchronisation),
    Entry("threads", CROSS, "inconsistent latency from scheduling", inconsistent),
    Entry("event", TICK, "smaller memory", little_memory),
    Entry("event", TICK, "no context switches", no_switches),
    Entry("event", TICK, "no synchronisation", no_synchronisation),
    Entry("event", CROSS, "a blocking operation blocks the whole server", blocks),
    Entry("hybrid", TICK, "critical operations are guaranteed below 1 ms", guaranteed),
)


def list_rows(facts, at):
    """A CaseRow for each line of the lists."""
    for entry in LISTS:
        row = gt.blank("B7", f"{entry.arch}: {entry.says}", f"a {entry.mark}")
        found = entry.judge(facts, at)
        if isinstance(found, str):
            row = gt.unmeasured(row, found)
        else:
            row = gt.measured(row, *found)
        yield held_back(facts, at(entry.arch), row)
