"""Table C2: the guide's pros and cons of processes, threads and event loops, as measurements.

docs/guide-tables.md gives the reasoning behind each measure and threshold."""
from dataclasses import replace

from archbench.drawing import style
from archbench.formats.run import number_in
from archbench.stats.estimates import clearly_above
from archbench.tables.parts import guide_table as gt
from archbench.tables.parts.facts import ARCHS, Facts

INTRO = ("The guide compares processes, threads and event loops in words; hybrid stands beside "
         "them. Where the guide has no word for an architecture the row is open.")
HIGH = 2.0  # times the memory of the least
CHEAP = 0.5  # switches are cheap when they add no more than this to a request without any
FEW_SWITCHES = 0.1  # per request: less is none
BLOCKED = 0.5  # of the blocking operation's time: a p99 of that length means that requests waited for it
ALIKE = 1.1  # lengths of files that differ by less

MEMORY = {"processes": "high memory use", "threads": "memory is shared", "event": "smaller memory"}
SWITCHES = {"processes": "costly context switches", "threads": "cheap context switch",
            "event": "no context switches"}
CODE = {"processes": "simple programming", "threads": "not simple"}
STATE = {"processes": "shared state is hard and costly",
         "threads": "shared state, which needs synchronisation",
         "event": "no synchronisation"}
BLOCKING = {"event": "a blocking operation in a handler blocks the whole server"}
SILENT = "no word"


def blank(arch, words, what, model=gt.NOTHING):
    return gt.blank("C2", f"{arch}: {what}", words.get(arch, SILENT), model=model)


def settled(draft, arch, words, text, judgement):
    """The row; open where the guide has no word for `arch`, though it is measured."""
    agreement, verdict = judgement
    return gt.measured(draft, text, agreement if arch in words else gt.OPEN, verdict)


def against_others(found, arch):
    """(those clearly above `arch`, those clearly below) among {arch: Estimate}."""
    own = found[arch]
    above = [a for a, e in found.items() if a != arch and clearly_above(e, own)]
    return above, [a for a, e in found.items() if a != arch and clearly_above(own, e)]


# Memory per connection.

def memory(facts, arch):
    draft = blank(arch, MEMORY, "memory per connection")
    found = facts.memory_kb(ARCHS)
    if arch not in found:
        return gt.unmeasured(draft, f"No valid trial tells the memory of a connection of {arch}")
    return settled(draft, arch, MEMORY, gt.told(found[arch], " KiB"), judge_memory(found, arch))


def judge_memory(found, arch):
    least = min(found, key=lambda a: found[a].value)
    own, low = found[arch], found[least]
    if len(found) < 2 or low.value <= 0:
        return gt.OPEN, "There is nothing to compare with."
    above, under = against_others(found, arch)
    stands = f"{arch} needs {style.human(own.value)} KiB for a connection"
    if arch == "processes":
        high = own.value >= HIGH * low.value and least in under
        return (gt.AGREE if high else gt.DISAGREE), (
            f"{stands}, {gt.compared(own.value, low.value)} the {style.human(low.value)} of "
            f"{least}.")
    if arch == "threads":
        return judge_less(stands, above, under, ["processes"], found)
    return judge_less(stands, above, under, ["processes", "threads"], found)


def judge_less(stands, above, under, rivals, found):
    """Is it less than what each of `rivals` needs?"""
    there = [a for a in rivals if a in found]
    if not there:
        return gt.OPEN, f"{stands}; {' and '.join(rivals)} were not measured."
    if all(a in above for a in there):
        return gt.AGREE, f"{stands}, clearly less than {' and '.join(there)}."
    if any(a in under for a in there):
        more = [a for a in there if a in under]
        return gt.DISAGREE, f"{stands}, clearly more than {' and '.join(more)}."
    return gt.OPEN, f"{stands}, not clearly less than {' and '.join(there)}."


# Context switches.

def switches(facts, arch):
    draft = blank(arch, SWITCHES, "context switches of a request that waits (workload io)")
    own = facts.estimate("io", "base", arch, "switches_per_request")
    costs = facts.estimates("io", "base", ARCHS, "cpu_us_per_request")
    if not own or arch not in costs:
        return gt.unmeasured(draft, facts.why_not("io", "base", arch))
    text = f"{gt.told(own)} switches, {gt.told(costs[arch], ' µs')} of CPU time per request"
    return settled(draft, arch, SWITCHES, text, judge_switches(arch, own, costs))


def judge_switches(arch, own, costs):
    if arch == "processes":
        return judge_costly(costs)
    if arch == "threads":
        return judge_cheap(own, costs)
    none = own.value <= FEW_SWITCHES
    return (gt.AGREE if none else gt.DISAGREE), (
        f"{arch} switches {style.human(own.value)} times per request: "
        + ("a batch of requests for each time that it sleeps." if none else
           "it sleeps and is woken too often to call it none."))


def judge_costly(costs):
    if "threads" not in costs:
        return gt.OPEN, "Threads, with which to compare, were not measured."
    own, of_threads = costs["processes"], costs["threads"]
    stands = (f"A request costs processes {gt.compared(own.value, of_threads.value)} the CPU time "
              "of threads, which switch as often and stay in one address space")
    if clearly_above(own, of_threads):
        return gt.AGREE, f"{stands}."
    if clearly_above(of_threads, own):
        return gt.DISAGREE, f"{stands}."
    return gt.OPEN, f"{stands}: no clear difference."


def judge_cheap(own, costs):
    if "event" not in costs:
        return gt.OPEN, "The event loop, which does not switch, was not measured."
    added = costs["threads"].value - costs["event"].value
    share = added / costs["event"].value
    cheap = share <= CHEAP
    return (gt.AGREE if cheap else gt.DISAGREE), (
        f"{style.human(own.value)} switches and what comes with them add "
        f"{style.human(added)} µs to the {style.human(costs['event'].value)} that a request costs "
        f"the event loop: {gt.percent(share)} more.")


# Shared state.

def state(facts, arch):
    draft = blank(arch, STATE, "the cost of shared state (workload counters)")
    if arch != "threads" or not facts.has("counters"):
        return gt.unmeasured(draft, facts.why_not("counters", None, arch))
    ways = {way: f"threads-{way}" for way in ("tss", "mutex", "atomic")}
    for point in sorted(facts.run.points("counters"), key=lambda p: -(number_in(p) or 0)):
        found = {way: facts.estimate("counters", point, a, "achieved_rate")
                 for way, a in ways.items()}
        shared = [way for way in ("mutex", "atomic") if found[way]]
        if found["tss"] and shared:
            text = ", ".join(f"{way} {gt.told(found[way], '/s')}" for way in found if found[way])
            return settled(draft, arch, STATE, f"{text} on {point} connections",
                           judge_state(found, shared[0], point))
    return gt.unmeasured(draft, "counters has no point where threads counted both each for itself "
                         "and together")


def judge_state(found, way, point):
    """`way` of sharing a counter against a counter for each thread."""
    own, shared = found["tss"], found[way]
    ratio = style.times(own.value / shared.value) if shared.value else "infinitely many times"
    if clearly_above(own, shared):
        return gt.AGREE, (f"With {point} connections threads count {ratio} as fast each for itself "
                          f"as together by {way}: that is the price of the shared counter.")
    if clearly_above(shared, own):
        return gt.DISAGREE, f"Sharing by {way} was not slower: {style.human(shared.value)}/s."
    return gt.OPEN, f"No clear difference between counting apart and together by {way}."


# Lines of code.

def code(facts, arch):
    draft = blank(arch, CODE, "lines of code")
    lines = {a: s["loc"] for a in ARCHS
             for s in [facts.run.manifest.get("servers", {}).get(a, {})] if "loc" in s}
    if arch not in lines:
        return gt.unmeasured(draft, f"The manifest does not say how long {arch} is")
    return settled(draft, arch, CODE, f"{lines[arch]} lines", judge_code(lines, arch))


def judge_code(lines, arch):
    rival = "threads" if arch == "processes" else "processes"
    if rival not in lines:
        return gt.OPEN, "There is nothing to compare with."
    ratio = lines[arch] / lines[rival]
    stands = (f"{arch} takes {lines[arch]} lines and {rival} {lines[rival]}. Length is not all "
              "there is to simplicity: what both share stands in common/ and is not counted")
    if 1 / ALIKE <= ratio <= ALIKE:
        return gt.OPEN, f"{stands}."
    simpler = ratio < 1
    claimed_simple = arch == "processes"
    return (gt.AGREE if simpler == claimed_simple else gt.DISAGREE), f"{stands}."


# A blocking call beside short requests.

def operation_us(facts, workload, point, arch, cls):
    """What a blocking operation takes by itself: its CPU time, or what the device needs."""
    cpu_s = facts.run.workload(workload).cpu_s(cls)
    if cpu_s:
        return 1e6 * cpu_s
    found = facts.estimate(workload, point, arch, "service_p50_us", cls)
    return found.value if found else None


# workload: (the class that blocks, the point without it)
BLOCKERS = {"bimodal": ("slow", None), "cpu_share": ("cpu", "0"), "disk": ("disk", "none")}


def mixed_point(facts, workload, arch, cls, alone):
    """The last point, in the order of the workload, where short and blocking requests mix."""
    having = [p for p in facts.run.points(workload) if p != alone
              and facts.estimate(workload, p, arch, "response_p99_us", "short")
              and facts.estimate(workload, p, arch, "requests", cls)]
    return having[-1] if having else None


def blocking(facts, arch, workload):
    cls, alone = BLOCKERS[workload]
    draft = blank(arch, BLOCKING, f"short requests beside blocking ones (workload {workload})")
    point = facts.has(workload) and mixed_point(facts, workload, arch, cls, alone)
    if not point:
        return gt.unmeasured(draft, facts.why_not(workload, None, arch))
    p99 = facts.estimate(workload, point, arch, "response_p99_us", "short")
    predicted = facts.prediction(workload, point, arch).get("classes", {}).get("short", {})
    if predicted.get("p99_us"):
        draft = replace(draft, model=f"p99 {style.duration(predicted['p99_us'])}")
    text = f"p99 of short {gt.told(p99, say=style.duration)}"
    before = alone and facts.estimate(workload, alone, arch, "response_p99_us", "short")
    if before:
        text += f", without the others {gt.told(before, say=style.duration)}"
    takes_us = operation_us(facts, workload, point, arch, cls)
    return settled(draft, arch, BLOCKING, text, judge_blocking(arch, p99, takes_us))


def judge_blocking(arch, p99, takes_us):
    if not takes_us:
        return gt.OPEN, "How long the blocking operation takes by itself is not known."
    stands = (f"one short request in 100 took {style.duration(p99.value)} or more in {arch}, "
              f"beside operations of {style.duration(takes_us)}")
    if p99.value >= BLOCKED * takes_us:
        return gt.AGREE, f"Short ones wait for the others: {stands}."
    return gt.DISAGREE, f"Short ones do not wait for the others: {stands}."


def rows(facts):
    for measure in (memory, switches, state, code):
        for arch in ARCHS:
            yield measure(facts, arch)
    for workload in BLOCKERS:
        for arch in ARCHS:
            yield blocking(facts, arch, workload)


def make(run):
    return gt.make("Table C2: pros and cons, measured", INTRO, rows(Facts(run)))
