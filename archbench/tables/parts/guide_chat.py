"""Row B9 of the guide: the chat of company A, line by line. The workloads are in workloads/cases/."""
from dataclasses import replace

from archbench.drawing import style
from archbench.stats.estimates import ratio_of_medians
from archbench.tables.parts import guide_table as gt
from archbench.tables.parts.case_rows import (Place, counted, held_back, model_cores, model_mean,
                                              model_memory, model_rate, of_cells, per_second, quotient,
                                              told, why_missing, window_s)
from archbench.tables.parts.facts import MEMORY_METRIC, guide

CASE = "chat"
WORKLOAD, SCALE = "chat", "chat_scale"
FULL, QUIET = "full", "quiet"  # points: the guide's load, and a tenth of it
CLIENTS, PER_S = 10_000, 250
STATEMENTS = 1.5  # of a message, in the mean
DATABASE_S, MESSAGE_S = 0.100, 0.004
DELIVERY_US, OVERHEAD_US = 50_000, 5_000
BASE_MB, WEBSOCKET_KB = 500, 1
POOL = 50
# What the guide proposes, and what it warns of.
ARCHS = ("event", "hybrid", "multi_loop", "threads")
ONE_CORE = {"hybrid": "hybrid-1", "multi_loop": "multi_loop-1"}  # variants with a core for messages
# Counters of a server that speaks to a database.
CALLS, BUSY_US, WAITS, WAIT_US = ("database_calls", "database_busy_us", "database_waits",
                                  "database_wait_us")


def at_full(arch):
    return Place(WORKLOAD, FULL, arch)


def messages(facts, arch):
    place = at_full(arch)
    row = gt.blank("B9", f"{arch}: messages per second", f"{PER_S}/s",
                   "10,000 clients x 1.5 messages a minute / 60 = 250/s", model_rate(facts, place))
    rate = facts.estimate(*place, "achieved_rate")
    if not rate:
        return told(facts, place, gt.unmeasured(row, why_missing(facts, place, "achieved_rate")))
    lost = lost_deliveries(facts, place)
    said = f"The rate of {arch} is {gt.compared(rate.value, PER_S)} the guide's" + lost
    agreement = gt.near(rate, PER_S)
    return held_back(facts, place, gt.measured(row, gt.told(rate, "/s"), agreement, said + "."))


def lost_deliveries(facts, place):
    """What became of deliveries, as the end of a sentence."""
    found = [facts.estimate(*place, f"deliveries_{kind}", "total") for kind in ("lost", "doubled")]
    if not all(found):
        return ""
    lost, doubled = (round(e.value) for e in found)
    if not lost and not doubled:
        return "; no delivery was lost or doubled"
    return f"; {gt.count(lost)} deliveries were lost and {gt.count(doubled)} doubled"


def statements(facts, arch):
    place = at_full(arch)
    expected = PER_S * STATEMENTS
    row = gt.blank("B9", f"{arch}: database operations per second", f"{expected:.0f}/s",
                   "250/s x (1 insert + half a read) = 375/s")
    said = facts.prediction(*place).get("achieved_rate")
    row = replace(row, model=gt.rate(said * STATEMENTS) if said else gt.NOTHING)
    rate = per_second(facts, place, CALLS)
    if not rate:
        return told(facts, place, gt.unmeasured(row, why_missing(facts, place, CALLS)))
    return held_back(facts, place, gt.measured(
        row, gt.told(rate, "/s"), gt.near(rate, expected),
        f"The rate of {arch} is {gt.compared(rate.value, expected)} the formula."))


def pool(facts, arch):
    """Little's law against what was counted."""
    place = at_full(arch)
    rate = PER_S * STATEMENTS
    in_flight = guide.in_flight(rate, DATABASE_S)
    row = gt.blank("B9", f"{arch}: connections to the database in use", "38 in flight, a pool of 50",
                   f"375/s x 100 ms = {style.human(in_flight)}; x {guide.HEADROOM} = "
                   f"{style.human(guide.pool_size(rate, DATABASE_S))}", model_pool(facts, place))
    used = of_cells(facts, place, lambda cell: busy_connections(cell))
    if not used:
        return told(facts, place, gt.unmeasured(row, why_missing(facts, place, BUSY_US)))
    return held_back(facts, place, gt.measured(
        row, f"{gt.told(used)} in use{waiting_text(facts, place)}", gt.near(used, in_flight),
        f"The number in use is {gt.compared(used.value, in_flight)} what Little's law says; "
        f"{pool_verdict(facts, place)}"))


def busy_connections(cell):
    busy_us, seconds = counted(cell, BUSY_US), window_s(cell)
    return None if busy_us is None or not seconds else busy_us / 1e6 / seconds


def model_pool(facts, place):
    said = facts.prediction(*place).get("database")
    if not said:
        return gt.NOTHING
    if said["pool"] is None:
        return f"{style.human(said['in_flight'])} in flight; nobody waits"
    wait = "for ever" if said["wait_us"] is None else f"{style.duration(said['wait_us'])} in the mean"
    return (f"{style.human(said['in_flight'])} in flight; of {said['pool']:.0f}, "
            f"{gt.percent(said['waiting'])} wait, {wait} (M/D/c)")


def waiting_text(facts, place):
    share = quotient(facts, place, WAITS, CALLS)
    each_us = quotient(facts, place, WAIT_US, CALLS)
    if not share or not each_us:
        return ""
    return (f"; {gt.percent(share.value)} of the operations waited for one, all of them "
            f"{style.duration(each_us.value)} in the mean")


def pool_verdict(facts, place):
    share = quotient(facts, place, WAITS, CALLS)
    if not share:
        return "how many waited is not known."
    said = facts.prediction(*place).get("database", {}).get("waiting")
    erlang = "" if said is None else f", where Erlang's formula gives {gt.percent(said)}"
    return f"of a pool of {POOL}, {gt.percent(share.value)} found no connection free{erlang}."


def cores(facts, arch):
    place = at_full(arch)
    expected = guide.cores_for(PER_S, MESSAGE_S)
    row = gt.blank("B9", f"{arch}: CPU cores", "1, or 1.2 with headroom, of 8",
                   f"250/s x 4 ms = {style.human(expected)}; x {guide.HEADROOM} = "
                   f"{style.human(expected * guide.HEADROOM)}", model_cores(facts, place))
    used = facts.estimate(*place, "cores_used")
    if not used:
        return told(facts, place, gt.unmeasured(row, why_missing(facts, place, "cores_used")))
    return told(facts, place, gt.measured(row, gt.told(used), cores_agreement(used, expected),
                                          cores_verdict(facts, place, used, expected)))


def cores_agreement(used, expected):
    """Between the guide's number and its headroom."""
    if expected * (1 - gt.TOLERANCE) <= used.value <= expected * guide.HEADROOM * (1 + gt.TOLERANCE):
        return gt.AGREE
    return gt.DISAGREE


def cores_verdict(facts, place, used, expected):
    text = f"That is {gt.compared(used.value, expected)} what the messages compute."
    if place.arch == "event":
        rate = facts.estimate(*place, "achieved_rate")
        done = f", and it answered {gt.rate(rate.value)}" if rate else ""
        text += (f" 250/s x 4 ms fill its one loop to {gt.percent(expected)}{done}: there is no place for the "
                 "guide's headroom in one loop, however many cores there are.")
    return text


def memory(facts, arch):
    place = at_full(arch)
    row = gt.blank("B9", f"{arch}: memory", "510 MB", f"500 MB + {gt.count(CLIENTS)} x 1 KB = 510 MB",
                   model_memory(facts, place))
    each = facts.estimate(*place, MEMORY_METRIC)
    if not each:
        return told(facts, place, gt.unmeasured(row, why_missing(facts, place, MEMORY_METRIC)))
    total_mib = each.value * CLIENTS / 1024
    return told(facts, place, gt.measured(
        row, f"{gt.told(each, ' KiB')} for each WebSocket, kernel and both ends included",
        gt.near(each, WEBSOCKET_KB),
        f"A WebSocket costs {gt.compared(each.value, WEBSOCKET_KB)} the guide's 1 KB, and 10,000 of "
        f"{arch} {style.human(total_mib)} MiB. The guide's other {BASE_MB} MB are for a program that these "
        "servers do not need."))


def delivery(facts, arch, rank):
    """`rank`: p50 or p99."""
    place, metric = at_full(arch), f"delivery_{rank}_us"
    row = gt.blank("B9", f"{arch}: {rank} of the time to delivery", "< 50 ms",
                   "4 ms of computation, publish and fan-out; the database is off the path",
                   model_delivery(facts, place))
    found = facts.estimate(*place, metric, "total")
    if not found:
        return told(facts, place, gt.unmeasured(row, why_missing(facts, place, f"total.{metric}")))
    agreement = gt.below(found, DELIVERY_US)
    side = {gt.AGREE: "below", gt.DISAGREE: "not below"}.get(agreement, "on both sides of")
    return held_back(facts, place, gt.measured(
        row, gt.told(found, say=style.duration), agreement,
        f"The {rank} of {arch} is {side} 50 ms."))


def model_delivery(facts, place):
    """The mean of a write without its statement, which follows the delivery."""
    said = facts.prediction(*place)
    write, pooled = said.get("classes", {}).get("write"), said.get("database")
    if not write or not pooled:
        return gt.NOTHING
    if write["mean_us"] is None:
        return model_mean(facts, place, "write")
    mean_us = write["mean_us"] - 1e6 * DATABASE_S - pooled["wait_us"]
    return f"{style.duration(mean_us)} in the mean ({write['model']})"


def overhead(facts, arch):
    """At a tenth of the load nobody queues: what a reply takes beside its statement and its 4 ms."""
    place = Place(WORKLOAD, QUIET, arch)
    row = gt.blank("B9", f"{arch}: overhead of the loop", "< 5 ms",
                   "median reply to a write at a tenth of the load - 100 ms - 4 ms")
    found = facts.estimate(*place, "response_p50_us", "write")
    if not found:
        return told(facts, place,
                    gt.unmeasured(row, why_missing(facts, place, "write.response_p50_us")))
    asked_us = 1e6 * (DATABASE_S + MESSAGE_S)
    left = replace(found, value=found.value - asked_us,
                   low=None if found.low is None else found.low - asked_us,
                   high=None if found.high is None else found.high - asked_us)
    text = style.duration(left.value) if left.value >= 0 else f"-{style.duration(-left.value)}"
    return held_back(facts, place, gt.measured(
        row, text, gt.below(left, OVERHEAD_US),
        f"Half of the writes take {style.duration(found.value)} in {arch}. What is beside the statement "
        "and the computation is the loop, the generator's socket, and what Redis and PostgreSQL take."))


def scaling(facts, arch):
    place, alone = Place(SCALE, "over", arch), ONE_CORE[arch]
    machine_cores = facts.cores(SCALE)
    row = gt.blank("B9", f"{arch}: messages per second from one core to all", "grows with the cores",
                   f"{machine_cores} cores / 1 core = {machine_cores}")
    said = [facts.prediction(SCALE, "over", a).get("capacity") for a in (arch, alone)]
    if all(said):
        row = replace(row, model=f"{style.human(said[0] / said[1])} times")
    ratio = ratio_of_medians(*(facts.valid_values(SCALE, "over", a, "achieved_rate")
                               for a in (arch, alone)))
    if not ratio:
        return told(facts, place, gt.unmeasured(row, why_missing(facts, place, "achieved_rate")))
    return held_back(facts, place, gt.measured(
        row, f"{gt.told(ratio)} times", gt.near(ratio, machine_cores),
        f"With all cores {arch} answers {style.human(ratio.value)} times as many messages as with one; "
        "generator and components are on the same cores."))


def rows(facts, archs=ARCHS):
    """CaseRows, a block for each line of the guide's table. Architectures that the run does not have are
    left out, but for the first."""
    there = [a for a in archs if a in facts.run.archs(WORKLOAD)] or list(archs[:1])
    for line in (messages, statements, pool, cores, memory):
        yield from (line(facts, arch) for arch in there)
    for rank in ("p50", "p99"):
        yield from (delivery(facts, arch, rank) for arch in there)
    yield from (overhead(facts, arch) for arch in there)
    yield from (scaling(facts, arch) for arch in there if arch in ONE_CORE)
