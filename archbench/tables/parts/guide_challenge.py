"""Row B5 of the guide, its challenge: 100,000 connections, 30 % CPU, critical operations below 1 ms
and 99.99 % uptime."""
from dataclasses import replace

from archbench.drawing import style
from archbench.tables.parts import guide_table as gt
from archbench.tables.parts.facts import MEMORY_METRIC, Saturation, guide
from archbench.tables.parts.guide_holding import most_open

CHALLENGE = "challenge"  # the workload that has all of it at once
GUIDE_USERS = 100_000  # B5: the challenge
CRITICAL_US = 1000  # B5: critical operations take less
UPTIME = 0.9999  # B5
YEAR_S = 365 * 86400


def b5_cap(facts, arch, tasks, mixed, point):
    """`tasks`: (workload, point) of computing alone. `mixed`: the workload with waits beside it, at
    `point` (None: where it is saturated)."""
    name = mixed if point is None else f"{mixed} at {point}"
    draft = gt.blank("B5", f"{arch}, {name}: requests that compute cap all others",
                     "not said. Its own numbers: 300/s / 0.3 = 1,000 requests/s")
    found = saturated(facts, mixed, point, arch)
    if not found:
        return gt.unmeasured(draft, facts.why_not(mixed, point, arch) if point or not
                             facts.has(mixed) else facts.why_unsaturated(mixed, arch))
    share, task_s = facts.cpu_of(mixed, found.point)
    machine = facts.machine(facts.cores(mixed))
    formula = guide.capped_by_cpu(guide.cpu_tasks(machine, task_s), share)
    draft = replace(draft, formula=f"{gt.rate(guide.cpu_tasks(machine, task_s))} / "
                    f"{share:.2g} = {gt.rate(formula)}",
                    model=facts.capacity_text(mixed, found.point, arch))
    text = f"{'at least ' if found.at_least else ''}{gt.told(found.rate, '/s')}"
    alone = facts.estimate(*tasks, arch, "achieved_rate")
    if not alone:
        return gt.measured(draft, text, gt.OPEN, f"{facts.why_not(*tasks, arch)}: the cap by what "
                           "it computes alone is not known.")
    return gt.measured(draft, text, *judge_cap(arch, found, alone.value, share))


def judge_cap(arch, found, tasks_per_s, share):
    cap = guide.capped_by_cpu(tasks_per_s, share)
    agreement = gt.near(found.rate, cap)
    if agreement == gt.DISAGREE and found.at_least and found.rate.value < cap:
        agreement = gt.OPEN  # more was not asked for
    return agreement, (f"Alone, {arch} does {gt.rate(tasks_per_s)} of these tasks; / {share:.2g} = "
                       f"{gt.rate(cap)} is the cap of all requests together, and the mix reached "
                       f"{gt.compared(found.rate.value, cap)} it, however many waits the server "
                       "could hold.")


def saturated(facts, workload, point, arch):
    if not facts.has(workload):
        return None
    if point is None:
        return facts.saturation(workload, arch)
    rate = facts.estimate(workload, point, arch, "achieved_rate")
    return Saturation(point, rate) if rate else None


def b5_caps(facts):
    for arch in facts.archs("cpu_time", always=("hybrid",)):
        yield b5_cap(facts, arch, ("cpu_time", "alone50"), "cpu_time", "mix50")
    for arch in facts.archs("load", always=("hybrid",)):
        yield b5_cap(facts, arch, ("cpu", "base"), "load", None)


def b5_connections(facts, arch):
    draft = gt.blank("B5", f"{arch} holds 100,000 connections and more at a time",
                     "100,000 and more", "100,000 x 64 KiB = "
                     f"{style.size(GUIDE_USERS * guide.CONNECTION_BYTES)}")
    held = most_open(facts, arch)
    if held is None:
        return gt.unmeasured(draft, f"No valid trial tells how many connections {arch} held")
    each = facts.estimate(*facts.memory_point(arch), arch, MEMORY_METRIC)
    needs = max(0.0, each.value) * guide.KIB * GUIDE_USERS
    text = f"{gt.count(held)} at a time, at {gt.told(each, ' KiB')} each"
    if held >= GUIDE_USERS:
        return gt.measured(draft, text, gt.AGREE, f"{gt.count(held)} were open at a time.")
    return gt.measured(draft, text, gt.OPEN, f"No more than {gt.count(held)} were tried. By memory "
                       f"alone 100,000 would take {style.size(needs)}.")


def b5_critical(facts, arch):
    claimed = arch == "hybrid"
    draft = gt.blank("B5", f"{arch}: critical operations take less than 1 ms (short requests "
                     "beside slow ones)", "< 1 ms, guaranteed" if claimed else "no number",
                     "< 1 ms" if claimed else gt.NOTHING)
    cls = facts.run.short_class("bimodal")
    p99 = cls and facts.estimate("bimodal", "base", arch, "response_p99_us", cls)
    if not p99:
        return gt.unmeasured(draft, facts.why_not("bimodal", "base", arch))
    predicted = facts.prediction("bimodal", "base", arch).get("classes", {}).get(cls, {})
    draft = replace(draft, model=predicted_text(predicted))
    worst = facts.estimate("bimodal", "base", arch, "response_max_us", cls)
    agreement = gt.below(p99, CRITICAL_US)
    verdict = {gt.AGREE: f"99 of 100 short requests took less than 1 ms in {arch}",
               gt.DISAGREE: f"More than one short request in 100 took longer than 1 ms in {arch}",
               gt.OPEN: f"The trials of {arch} lie on both sides of 1 ms"}[agreement]
    if worst and worst.value >= CRITICAL_US:
        verdict += f"; the slowest took {style.duration(worst.value)}, so nothing is guaranteed"
    return gt.measured(draft, f"p99 {gt.told(p99, say=style.duration)}",
                       agreement if claimed else gt.OPEN, f"{verdict}.")


def predicted_text(predicted):
    """What a class was predicted to take."""
    for key, name in (("p99_us", "p99"), ("mean_us", "mean")):
        if predicted.get(key) is not None:
            return f"{name} {style.duration(predicted[key])} ({predicted['model']})"
    return gt.NOTHING


def b5_uptime(facts, arch):
    """A window of seconds shows no year; it shows what one death costs."""
    year_s = guide.downtime_s(UPTIME, YEAR_S)
    draft = gt.blank("B5", f"{arch}: 99.99 % uptime", "99.99 %",
                     f"0.01 % of a year = {gt.seconds(year_s)} without service")
    share = facts.estimate("failure", "base", arch, "error_share")
    if not share:
        return gt.unmeasured(draft, facts.why_not("failure", "base", arch))
    window = facts.run.estimate_of("failure", "base", arch,
                                   lambda c: (c.get("load") or {}).get("duration_s"))
    lost_s = share.value * window.value if window else 0.0
    text = f"{gt.told(share.scaled(100), ' %')} of the requests lost when one process died"
    if not lost_s:
        return gt.measured(draft, text, gt.OPEN, f"The death of one process cost {arch} nothing; "
                           "how often one dies, no run tells.")
    return gt.measured(draft, text, gt.OPEN, f"One death cost {arch} as much as "
                       f"{gt.seconds(lost_s)} without service: 99.99 % leaves room for "
                       f"{style.human(year_s / lost_s)} a year. How often one dies, no run tells.")


def why_not(facts, point, arch):
    """Why the challenge has no number of it there, as the start of a sentence."""
    why = facts.run.why_absent(CHALLENGE, point, arch)
    return f"{arch}: {why}" if why else facts.why_not(CHALLENGE, point, arch)


def b5_critical_beside(facts, arch):
    draft = gt.blank("B5", f"{arch}: critical operations take less than 1 ms beside 100,000 "
                     "connections and computation at its cap", "< 1 ms, guaranteed", "< 1 ms")
    p99 = facts.estimate(CHALLENGE, "calm", arch, "response_p99_us", "critical")
    p50 = facts.estimate(CHALLENGE, "calm", arch, "response_p50_us", "critical")
    if not p99 or not p50:
        return gt.unmeasured(draft, why_not(facts, "calm", arch))
    text = f"p99 {gt.told(p99, say=style.duration)}, p50 {style.duration(p50.value)}"
    agreement = gt.below(p99, CRITICAL_US)
    half = gt.below(p50, CRITICAL_US) == gt.AGREE
    return gt.measured(draft, text, agreement, "99 of 100 did." if agreement == gt.AGREE else
                       "Half of them did, one in a hundred did not." if half else
                       "Not even half of them did.")


def b5_kills(facts, arch):
    draft = gt.blank("B5", f"{arch}: 99.99 % of the requests are answered while a process dies each "
                     "second", "99.99 %", "at most 0.01 % lost")
    share = facts.estimate(CHALLENGE, "kills", arch, "error_share")
    if not share:
        return gt.unmeasured(draft, why_not(facts, "kills", arch))
    killed = facts.run.estimate_of(CHALLENGE, "kills", arch,
                                   lambda cell: (cell.get("kill") or {}).get("count"))
    text = (f"{100 * (1 - share.value):.4g} % answered, {gt.count(killed.value) if killed else 'no'}"
            " processes killed")
    return gt.measured(draft, text, gt.AGREE if share.value <= 1 - UPTIME else gt.DISAGREE,
                       "Whoever was on a connection of the dead process lost it, and many come back "
                       "at once while the cores are busy anyway.")


def b5_challenge(facts):
    if not facts.has(CHALLENGE):
        return
    archs = style.in_order(facts.run.archs(CHALLENGE))
    for row in b5_critical_beside, b5_kills:
        for arch in [*archs, *(["threads"] if "threads" not in archs else [])]:
            yield row(facts, arch)


def b5_rows(facts):
    yield from b5_caps(facts)
    for arch in ("event", "hybrid"):
        yield b5_connections(facts, arch)
    for arch in facts.archs("bimodal", always=("hybrid",)):
        yield b5_critical(facts, arch)
    for arch in facts.archs("failure", always=("hybrid",)):
        yield b5_uptime(facts, arch)
    yield from b5_challenge(facts)
