"""D2 of the guide, what must change for a million connections, and B5 with its hundred thousand: from
the workloads scale and challenge."""
from dataclasses import replace

from archbench.drawing import style
from archbench.tables.parts import guide_table as gt
from archbench.tables.parts.facts import MEMORY_METRIC, guide

SCALE, CHALLENGE = "scale", "challenge"
PORTS = 28_232  # of one pair of addresses: Linux's default range, 32768 to 60999
CRITICAL_US = 1000
UPTIME = 0.9999
INTRO = ("D2: what must change so that a server holds more than a million connections? One thing at "
         "a time is in the way; each row names it, the sum, what was done, and what came of it.")


def cell_at(facts, workload, point, arch):
    return next(iter(facts.run.cells_at(workload, point, arch)), {})


def option(cell, program, name):
    """The value of an option of a cell's server or generator, as text; None without it."""
    words = (cell.get("command") or {}).get(program) or []
    for word, following in zip(words, [*words[1:], ""]):
        if word == name:
            return following
        if word.startswith(name + "="):
            return word.partition("=")[2]
    return None


def used(cell):
    """How many connections carried a reply."""
    return ((cell.get("load") or {}).get("connection_use") or {}).get("used", 0)


def held_text(cell, point, arch):
    return f"{arch}: {gt.count(used(cell))} of {gt.count(int(point))} connections used"


def descriptors(facts, point, arch):
    limit = (facts.run.manifest.get("environment", {}).get("limits", {}).get("open_files")
             or [None, None])[1]
    cell = cell_at(facts, SCALE, point, arch)
    copies, workers = option(cell, "server", "--processes"), option(cell, "loadgen", "-w")
    says = gt.count(limit) if limit else "no limit"
    draft = gt.blank("D2", "Descriptors of a process are in the way", "asked",
                     f"{gt.count(int(point))} connections; {says} descriptors for each process")
    text = (f"{held_text(cell, point, arch)}, by {copies or 1} server and {workers or 1} generator "
            "processes")
    if not copies:
        return gt.measured(draft, text, gt.OPEN, "One process has enough of them here.")
    return gt.measured(draft, text, gt.AGREE, f"{copies} copies of the server behind one port "
                       "(SO_REUSEPORT) changed it; no copy is a program of its own.")


def ports(facts, point, arch):
    pairs = -(-int(point) // (PORTS // 4))
    draft = gt.blank("D2", "Ports of a pair of addresses are in the way", "asked",
                     f"{gt.count(int(point))} / {gt.count(PORTS)} = "
                     f"{-(-int(point) // PORTS)} source addresses at least")
    cell = cell_at(facts, SCALE, point, arch)
    connect = (cell.get("load") or {}).get("connect") or {}
    text = held_text(cell, point, arch)
    if connect.get("p99_us"):
        text += f", connected in {style.duration(connect['p99_us'])} (p99)"
    return gt.measured(draft, text, gt.AGREE, f"The generator took {pairs} source addresses: each "
                       "pair then uses a quarter of its ports, and the kernel finds a free one at "
                       "once. Clients of a real service bring addresses of their own.")


def memory(facts, point, arch):
    each = facts.estimate(SCALE, point, arch, MEMORY_METRIC)
    draft = gt.blank("D2", f"{arch}: memory of connections is in the way", "64 KB each: 64 GB",
                     f"{gt.count(int(point))} x 64 KiB = "
                     f"{style.size(int(point) * guide.CONNECTION_BYTES)}")
    if not each:
        return gt.unmeasured(draft, facts.why_not(SCALE, point, arch))
    own = facts.estimate(SCALE, point, arch, "memory_user_kb_per_connection")
    total = each.value * guide.KIB * int(point)
    text = f"{gt.told(each, ' KiB')} each, {style.size(total)} in all"
    verdict = (f"A loop that keeps nothing for an idle connection needs "
               f"{style.human(own.value) if own else '?'} KiB of its own for one; the rest is the "
               "kernel's sockets, both ends of them here.")
    return gt.measured(draft, text, gt.DISAGREE, verdict)


def cpu(facts, points, arch):
    """What a request costs more, when there are so many connections."""
    costs = [facts.estimate(SCALE, p, arch, "cpu_us_per_request") for p in points]
    draft = gt.blank("D2", f"{arch}: a request costs more CPU time among so many connections",
                     "asked")
    if not all(costs):
        return gt.unmeasured(draft, f"{arch} was not measured at both ends of workload {SCALE}")
    text = "; ".join(f"{gt.told(cost, ' µs')} at {gt.count(int(p))}"
                     for p, cost in zip(points, costs))
    return gt.measured(draft, text, gt.OPEN, "The request is the same: what it costs more is the "
                       f"memory that the caches no longer hold, {style.times(costs[1].value / costs[0].value)} "
                       "in all. No timer is kept for an idle connection; all are looked at once a "
                       "second.")


def threads(facts, point):
    """Where an architecture with a task for each connection stops."""
    draft = gt.blank("D2", "threads: a thread for each connection is in the way", "asked",
                     f"{gt.count(int(point))} threads")
    why = facts.run.why_absent(SCALE, point, "threads")
    if why is None:
        cell = cell_at(facts, SCALE, point, "threads")
        return gt.measured(draft, held_text(cell, point, "threads"), gt.DISAGREE,
                           "The system had room for as many.")
    most = [p for p in facts.run.points(SCALE) if not facts.run.why_absent(SCALE, p, "threads")]
    text = held_text(cell_at(facts, SCALE, most[-1], "threads"), most[-1], "threads") if most \
        else "none"
    return gt.measured(draft, text, gt.AGREE, f"Not planned beyond: {why}. kernel.pid_max, "
                       "kernel.threads-max and vm.max_map_count can be raised; the stacks remain.")


def d2_rows(facts):
    if not facts.has(SCALE):
        return
    points = facts.run.points(SCALE)
    most = points[-1]
    archs = [a for a in style.in_order(facts.run.archs(SCALE))
             if a != "threads" and used(cell_at(facts, SCALE, most, a))]
    if archs:
        first = "event" if "event" in archs else archs[0]
        yield descriptors(facts, most, first)
        yield ports(facts, most, first)
        for arch in archs:
            yield memory(facts, most, arch)
        for arch in archs:
            yield cpu(facts, (points[0], most), arch)
    if len(points) > 1:
        yield threads(facts, points[1])


def critical(facts, arch):
    draft = gt.blank("B5", f"{arch}: critical operations take less than 1 ms beside 100,000 "
                     "connections and computation at its cap", "< 1 ms, guaranteed", "< 1 ms")
    p99 = facts.estimate(CHALLENGE, "calm", arch, "response_p99_us", "critical")
    if not p99:
        why = facts.run.why_absent(CHALLENGE, "calm", arch)
        return gt.unmeasured(draft, f"{arch}: {why}" if why
                             else facts.why_not(CHALLENGE, "calm", arch))
    p50 = facts.estimate(CHALLENGE, "calm", arch, "response_p50_us", "critical")
    text = f"p99 {gt.told(p99, say=style.duration)}, p50 {style.duration(p50.value)}"
    agreement = gt.below(p99, CRITICAL_US)
    half = gt.below(p50, CRITICAL_US) == gt.AGREE
    return gt.measured(draft, text, agreement, "99 of 100 did." if agreement == gt.AGREE else
                       "Half of them did, one in a hundred did not." if half else
                       "Not even half of them did.")


def uptime(facts, arch):
    draft = gt.blank("B5", f"{arch}: 99.99 % of the requests are answered while a process dies each "
                     "second", "99.99 %", "at most 0.01 % lost")
    share = facts.estimate(CHALLENGE, "kills", arch, "error_share")
    if not share:
        why = facts.run.why_absent(CHALLENGE, "kills", arch)
        return gt.unmeasured(draft, f"{arch}: {why}" if why
                             else facts.why_not(CHALLENGE, "kills", arch))
    killed = (cell_at(facts, CHALLENGE, "kills", arch).get("kill") or {}).get("count", 0)
    text = f"{100 * (1 - share.value):.4g} % answered, {killed} processes killed"
    return gt.measured(draft, text, gt.AGREE if share.value <= 1 - UPTIME else gt.DISAGREE,
                       "Whoever was on a connection of the dead process lost it, and many come back "
                       "at once while the cores are busy anyway.")


def b5_rows(facts):
    if not facts.has(CHALLENGE):
        return
    archs = [*style.in_order(facts.run.archs(CHALLENGE))]
    for row in critical, uptime:
        for arch in [*archs, *(["threads"] if "threads" not in archs else [])]:
            yield row(facts, arch)
