"""Rows B1 and B4 of the guide: how many operations and connections a server holds at a time."""
from dataclasses import replace

from archbench.drawing import style
from archbench.tables.parts import guide_table as gt
from archbench.tables.parts.facts import ARCHS, MEMORY_METRIC, MEMORY_WORKLOADS, guide

ANSWERED = 0.999  # connections are held when at least so many of their requests are answered
KINDS = {"user": "user memory", "page_tables": "page tables", "kernel_stacks": "kernel stacks",
         "sockets": "sockets of both ends"}
GUIDE_CONNECTIONS = 1_000_000  # B4


def held_point(facts, arch):
    """The point with most connections at which `arch` answered (nearly) all requests."""
    answered = [p for p in facts.run.points("concurrency")
                if facts.estimate("concurrency", p, arch, "achieved_rate")
                and errors(facts, p, arch) <= 1 - ANSWERED]
    return max(answered, key=lambda p: facts.connections("concurrency", p, arch), default=None)


def errors(facts, point, arch):
    share = facts.estimate("concurrency", point, arch, "error_share")
    return share.value if share else 0.0


def held_text(facts, point, arch):
    """What `arch` held, at which rate and p99."""
    text = (f"{gt.count(facts.connections('concurrency', point, arch))} at a time, at "
            + gt.told(facts.estimate("concurrency", point, arch, "achieved_rate"), "/s"))
    p99 = facts.estimate("concurrency", point, arch, "response_p99_us", "total")
    return text + (f", p99 {gt.told(p99, say=style.duration)}" if p99 else "")


def b1_held(facts, arch):
    claimed = arch == "event"
    draft = gt.blank("B1", f"{arch} holds {gt.count(guide.LOOP_CONCURRENCY)} I/O operations at "
                     "a time", f"{gt.count(guide.LOOP_CONCURRENCY)} for each event loop, on any "
                     "machine" if claimed else "no number",
                     gt.count(guide.LOOP_CONCURRENCY) if claimed else gt.NOTHING)
    tried = facts.has("concurrency") and facts.fullest("concurrency", arch, "achieved_rate")
    if not tried:
        return gt.unmeasured(draft, facts.why_not("concurrency", None, arch))
    draft = replace(draft, model=facts.capacity_text("concurrency", tried, arch))
    point = held_point(facts, arch)
    if point is None:
        return gt.measured(draft, "none without errors", gt.DISAGREE if claimed else gt.OPEN,
                           f"{arch} left requests without a reply at every number of connections.")
    agreement, verdict = judge_held(facts, arch, point, tried)
    return gt.measured(draft, held_text(facts, point, arch), agreement if claimed else gt.OPEN,
                       verdict)


def judge_held(facts, arch, point, tried):
    held, asked = (facts.connections("concurrency", p, arch) for p in (point, tried))
    if held >= guide.LOOP_CONCURRENCY:
        return gt.AGREE, (f"{arch} held them: {gt.count(held)} clients had a request under way at "
                          f"all times, and at least {100 * ANSWERED:.1f} % were answered.")
    if asked > held:
        return gt.DISAGREE, (f"Of {gt.count(asked)} connections {arch} left "
                             f"{gt.percent(errors(facts, tried, arch))} of the requests without a "
                             f"reply; {gt.count(held)} it held.")
    return gt.OPEN, f"No more than {gt.count(asked)} were asked for, and {arch} held them."


def b1_rate(facts):
    """Little's law: what the concurrency would be as a rate, and how much of it waits."""
    draft = gt.blank("B1", "The 10,000 at a time are the loop's I/O throughput",
                     "10,000, without a time: a concurrency is called a throughput")
    point = facts.has("concurrency") and held_point(facts, "event")
    if not point:
        return gt.unmeasured(draft, facts.why_not("concurrency", None, "event"))
    wait_s = facts.wait_s("concurrency", point)
    held = facts.connections("concurrency", point, "event")
    asked, most = (guide.rate_of_concurrency(n, wait_s) for n in (held, guide.LOOP_CONCURRENCY))
    draft = replace(draft, formula=f"Little: {gt.count(guide.LOOP_CONCURRENCY)} / "
                    f"{gt.seconds(wait_s)} = {gt.rate(most)}",
                    model=facts.capacity_text("concurrency", point, "event"))
    rate = facts.estimate("concurrency", point, "event", "achieved_rate")
    text = f"{gt.told(rate, '/s')} with {gt.count(held)} at a time"
    if gt.near(rate, asked) != gt.DISAGREE:
        return gt.measured(draft, text, gt.OPEN, f"{gt.count(held)} clients cannot ask for more "
                           f"than {gt.rate(asked)}: here the clients are the limit, not the loop, "
                           "and more of them would have shown its rate.")
    waiting = guide.in_flight(rate.value, wait_s)
    return gt.measured(draft, text, gt.DISAGREE, f"A concurrency is no rate: {gt.count(held)} at a "
                       f"time would be {gt.rate(asked)} by Little's law, and were "
                       f"{gt.rate(rate.value)}. Of the {gt.count(held)} only "
                       f"{style.human(waiting)} wait for their I/O at a time "
                       f"({gt.rate(rate.value)} x {gt.seconds(wait_s)}); the others wait for the "
                       "loop.")


def b1_rows(facts):
    for arch in facts.archs("concurrency", always=("event",)):
        yield b1_held(facts, arch)
        if arch == "event":
            yield b1_rate(facts)


def open_connections(facts, workload, point, arch):
    """How many were open when memory was measured, idle ones included."""
    found = facts.run.estimate_of(workload, point, arch,
                                  lambda c: (c.get("memory") or {}).get("connections"))
    return found.value if found else facts.connections(workload, point, arch)


def most_open(facts, arch):
    """The most connections of `arch` that were open while its memory was measured, or None."""
    points = [(w, facts.fullest(w, arch, MEMORY_METRIC))
              for w in filter(facts.has, MEMORY_WORKLOADS)]
    return max((open_connections(facts, w, p, arch) for w, p in points if p), default=None)


def parts_kb(facts, workload, point, arch):
    """{kind: KiB per connection}; less than nothing is noise of an empty kind."""
    found = {kind: facts.estimate(workload, point, arch, f"memory_{kind}_kb_per_connection")
             for kind in KINDS}
    return {kind: max(0.0, e.value) for kind, e in found.items() if e}


def b4(facts, arch):
    draft = gt.blank("B4", f"{arch}: a connection costs 64 KB", "64 KB: 1,000,000 in 64 GB, "
                     "800,000 at 80 %")
    machine = facts.machine(guide.REFERENCE.cores)
    if machine.memory_bytes:
        draft = replace(draft, formula=f"{style.size(machine.memory_bytes)} / 64 KiB = "
                        f"{style.human(guide.connections(machine))}, "
                        f"{style.human(guide.connections(machine, share=0.8))} at 80 %")
    where = facts.memory_point(arch)
    if not where:
        return gt.unmeasured(draft, f"No valid trial tells the memory of a connection of {arch}")
    predicted = facts.prediction(*where, arch).get("memory_kib_per_connection")
    draft = replace(draft, model=f"{style.human(predicted)} KiB" if predicted else gt.NOTHING)
    total = facts.estimate(*where, arch, MEMORY_METRIC)
    parts = parts_kb(facts, *where, arch)
    held = open_connections(facts, *where, arch)
    kinds = ", ".join(f"{KINDS[kind]} {style.human(kb)}" for kind, kb in parts.items())
    text = f"{gt.told(total, ' KiB')} with {gt.count(held)} open" + (f": {kinds}" if kinds else "")
    if machine.memory_bytes and total.value > 0:
        fit = guide.connections(machine, total.value * guide.KIB)
        text += f"; {style.human(fit)} fit into this machine"
    return gt.measured(draft, text, *judge_b4(arch, total, parts))


def judge_b4(arch, total, parts):
    if total.value <= 0:
        return gt.OPEN, "Less than nothing was measured: other programs freed memory meanwhile."
    guide_kb = guide.CONNECTION_BYTES / guide.KIB
    most = max(parts, key=parts.get, default=None)
    largest = f", most of it {KINDS[most]} ({style.human(parts[most])} KiB)" if most else ""
    reference = guide.connections(guide.REFERENCE, total.value * guide.KIB)
    enough = "enough" if reference >= GUIDE_CONNECTIONS else "not the 1,000,000"
    return gt.near(total, guide_kb), (
        f"A connection of {arch} costs {style.human(total.value)} KiB, "
        f"{gt.compared(total.value, guide_kb)} the guide's 64{largest}: 64 GB would hold "
        f"{style.human(reference)}, {enough}.")


def b4_rows(facts):
    for arch in ARCHS:
        yield b4(facts, arch)
