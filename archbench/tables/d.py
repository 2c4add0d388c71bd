"""Questions D1, D2 and D3 of the guide, answered by an experiment each.

docs/guide-tables.md says how each number comes about."""
from dataclasses import replace

from archbench.drawing import style
from archbench.stats.estimates import clearly_above, ratio_of_medians
from archbench.tables.parts import guide_million, guide_table as gt
from archbench.tables.parts.facts import MEMORY_METRIC, Facts, guide

INTRO = (f"{guide_million.INTRO} D1: what do 500 ms of CPU instead of 50 ms do to the throughput of "
         "the whole system? D3: how does network latency change the worth of the event-driven part? "
         "The round trip of D3 is emulated: a client pauses between a reply and its next request, for as long as "
         "a round trip takes in the mean.")
D1_POINTS = ("mix50", "mix500")
SPARED = 2.0  # requests that only wait are not affected while p99 stays below this many times
NETWORK = "network"


# D1: ten times longer computations.

def d1(facts, arch):
    draft = gt.blank("D1", f"{arch}: CPU tasks of 500 ms instead of 50 ms, in 30 % of the requests",
                     "asked. Its formulas: 300/s / 0.3 = 1,000/s, and 30/s / 0.3 = 100/s")
    ratio = ratio_of_medians(*(facts.valid_values("cpu_time", p, arch, "achieved_rate")
                               for p in D1_POINTS))
    if not ratio:
        missing = next((p for p in D1_POINTS
                        if not facts.estimate("cpu_time", p, arch, "achieved_rate")), D1_POINTS[1])
        return gt.unmeasured(draft, facts.why_not("cpu_time", missing, arch))
    times_s = [facts.cpu_of("cpu_time", p)[1] for p in D1_POINTS]
    expected = times_s[1] / times_s[0]
    rates = [facts.estimate("cpu_time", p, arch, "achieved_rate") for p in D1_POINTS]
    draft = replace(draft, formula=d1_formula(facts), model=d1_model(facts, arch))
    text = (f"{gt.told(rates[0], '/s')}, then {gt.told(rates[1], '/s')}: {gt.told(ratio)} times "
            "less")
    return gt.measured(draft, text, gt.near(ratio, expected), f"Tasks {style.human(expected)} "
                       f"times as long left {arch} {style.human(ratio.value)} times fewer requests "
                       f"of all kinds per second. {waiting_ones(facts, arch)}")


def d1_formula(facts):
    """The guide's cap of all requests (B5), for both times."""
    found = []
    for point in D1_POINTS:
        share, task_s = facts.cpu_of("cpu_time", point)
        machine = facts.machine(facts.cores("cpu_time"))
        tasks = guide.cpu_tasks(machine, task_s)
        found.append(f"{gt.rate(tasks)} / {share:.2g} = "
                     f"{gt.rate(guide.capped_by_cpu(tasks, share))}")
    return ", then ".join(found)


def d1_model(facts, arch):
    texts = [facts.capacity_text("cpu_time", p, arch) for p in D1_POINTS]
    return gt.NOTHING if gt.NOTHING in texts else ", then ".join(texts)


def waiting_ones(facts, arch):
    """What became of the requests that compute nothing: a sentence."""
    waits = next(d.name for d in facts.demands("cpu_time", D1_POINTS[0]) if not d.cpu_s)
    before, after = (facts.estimate("cpu_time", p, arch, "response_p99_us", waits)
                     for p in D1_POINTS)
    if not (before and after):
        return "What became of those that only wait is not known."
    times = f"p99 {style.duration(before.value)}, then {style.duration(after.value)}"
    if after.value <= SPARED * before.value:
        return (f"Those that only wait take no longer ({times}), but are fewer: a client that has "
                "a computation under way asks for nothing else.")
    return f"Those that only wait for 10 ms wait for the computations as well: {times}."


# D3: distance.

def distance_s(facts, point):
    """The mean round trip of a point."""
    return facts.load(NETWORK, point).think_s


def ends(facts, known):
    """(nearest, farthest) of the points for which known(point) is true; None without two."""
    having = sorted((p for p in facts.run.points(NETWORK) if known(p)),
                    key=lambda p: distance_s(facts, p))
    return (having[0], having[-1]) if len(having) > 1 else None


def d3_law(facts):
    """Little's law: distance alone makes connections."""
    draft = gt.blank("D3", "A server holds rate x round trip connections, whatever it is built of",
                     "asked, not answered")
    points = ends(facts, lambda p: facts.estimate(NETWORK, p, "event", "achieved_rate"))
    if not points:
        return gt.unmeasured(draft, facts.why_not(NETWORK, None, "event"))
    far_s = distance_s(facts, points[1])
    held = facts.connections(NETWORK, points[1], "event")
    expected = guide.rate_of_concurrency(held, far_s)
    rates = [facts.estimate(NETWORK, p, "event", "achieved_rate") for p in points]
    predicted = facts.prediction(NETWORK, points[1], "event").get("achieved_rate")
    draft = replace(draft, formula=f"{gt.rate(expected)} x {gt.seconds(far_s)} = {gt.count(held)}",
                    model=gt.rate(predicted) if predicted else gt.NOTHING)
    text = "; ".join(f"{gt.count(facts.connections(NETWORK, p, 'event'))} connections at "
                     f"{gt.seconds(distance_s(facts, p))}: {gt.told(rate, '/s')}"
                     for p, rate in zip(points, rates))
    return gt.measured(draft, text, gt.near(rates[1], expected), f"{gt.count(held)} clients "
                       f"{gt.seconds(far_s)} away are served "
                       f"{gt.compared(rates[1].value, expected)} the {gt.rate(expected)} that they "
                       "ask for.")


def advantage(facts, arch, point):
    """How many times the CPU time of event a request costs `arch`: an Estimate or None."""
    return ratio_of_medians(*(facts.valid_values(NETWORK, point, a, "cpu_us_per_request")
                              for a in (arch, "event")))


def d3(facts, arch):
    draft = gt.blank("D3", f"The worth of an event loop beside {arch} grows with the distance",
                     "asked, not answered")
    points = ends(facts, lambda p: advantage(facts, arch, p))
    if not points:
        return gt.unmeasured(draft, f"{arch} and event were not measured, or are not valid, at two "
                             "distances")
    away = [gt.seconds(distance_s(facts, p)) for p in points]
    near, far = (advantage(facts, arch, p) for p in points)
    text = (f"CPU time per request of {arch} / of event: {gt.told(near)} at {away[0]}, "
            f"{gt.told(far)} at {away[1]}{switches(facts, arch, points)}")
    agreement, verdict = judge_d3(arch, near, far, away)
    sizes = [held_kb(facts, a, points[1]) for a in (arch, "event")]
    if all(sizes):
        own, of_event = (style.size(kb * guide.KIB) for kb in sizes)
        few, many = (facts.connections(NETWORK, p, arch) for p in points)
        text += f"; memory of all connections at {away[1]} {own} (event {of_event})"
        verdict += (f" {gt.count(few)} connections have become {gt.count(many)}, and their memory "
                    f"is {gt.compared(*sizes)} that of event.")
    return gt.measured(draft, text, agreement, verdict)


def switches(facts, arch, points):
    found = [facts.estimate(NETWORK, p, a, "switches_per_request")
             for a in (arch, "event") for p in points]
    if not all(found):
        return ""
    own, of_event = (" and ".join(style.human(e.value) for e in pair)
                     for pair in (found[:2], found[2:]))
    return f"; switches per request {own} (event {of_event})"


def held_kb(facts, arch, point):
    """Memory of all connections of a point; None where it is unknown or below the noise."""
    each = facts.estimate(NETWORK, point, arch, MEMORY_METRIC)
    if not each or each.value <= 0:
        return None
    return each.value * facts.connections(NETWORK, point, arch)


def judge_d3(arch, near, far, away):
    """From the advantage at both ends, which are `away[0]` and `away[1]` from the server."""
    change = (f"at {away[0]} a request costs {arch} {style.human(near.value)} times the CPU time "
              f"of event, at {away[1]} {style.human(far.value)} times")
    if clearly_above(far, near):
        return gt.AGREE, f"In CPU time it grows: {change}."
    if clearly_above(near, far):
        return gt.DISAGREE, f"In CPU time it shrinks: {change}."
    return gt.OPEN, f"In CPU time no clear change: {change}."


def rows(facts):
    for arch in facts.archs("cpu_time", always=("event", "hybrid")):
        yield d1(facts, arch)
    yield from guide_million.d2_rows(facts)
    yield d3_law(facts)
    rivals = [a for a in style.in_order(facts.run.archs(NETWORK)) if a != "event"]
    for arch in rivals or ["threads"]:
        yield d3(facts, arch)


def make(run):
    return gt.make("The guide's questions: D1, D2 and D3", INTRO, rows(Facts(run)))
