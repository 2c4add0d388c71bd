"""Rows B1 to B7 and B9 of the guide: its numbers, its formulas on this machine, and what was measured.

docs/guide-tables.md says how each number comes about."""
from dataclasses import replace

from archbench.drawing import style
from archbench.stats.estimates import ratio_of_medians
from archbench.tables.parts import guide_chat, guide_table as gt, guide_trading
from archbench.tables.parts.facts import Facts, guide
from archbench.tables.parts.guide_challenge import b5_rows
from archbench.tables.parts.guide_holding import b1_rows, b4_rows

INTRO = ("The guide's server has 16 cores and 64 GB. *Formula* is the guide's own formula with the "
         "numbers of this machine; *model* was predicted from calibration before the run.")


def b2(facts, workload, point):
    """One loop computes on one core, so its rate is that of a core."""
    draft = gt.blank("B2", f"A core does so many CPU tasks per second ({workload}: event, "
                     "which computes on one core)", "20/s (1,000 ms / 50 ms)")
    rate = facts.estimate(workload, point, "event", "achieved_rate")
    if not rate:
        return gt.unmeasured(draft, facts.why_not(workload, point, "event"))
    _, task_s = facts.cpu_of(workload, point)
    expected = guide.tasks_per_core(task_s)
    draft = replace(draft, formula=f"1 / {gt.seconds(task_s)} = {gt.rate(expected)}",
                    model=facts.capacity_text(workload, point, "event"))
    return gt.measured(draft, with_cores(facts, workload, point, "event", rate),
                       gt.near(rate, expected),
                       f"One core did {style.human(rate.value)} tasks of {gt.seconds(task_s)} per "
                       f"second, {gt.compared(rate.value, expected)} the formula.")


def with_cores(facts, workload, point, arch, rate):
    """The rate as text, and the cores that worked for it."""
    used = facts.estimate(workload, point, arch, "cores_used")
    return gt.told(rate, "/s") + (f", {used.value:.2f} cores used" if used else "")


def b3_formula(facts, arch, machine, task_s):
    """(tasks/s, as text): the guide's, or what the design of `arch` makes of it."""
    each = guide.tasks_per_core(task_s)
    if arch == "hybrid":
        per_s = guide.cpu_tasks(machine, task_s)
        workers = max(machine.cores - guide.LOOP_CORES, 1)
        return per_s, f"({machine.cores} cores, {workers} for workers) x {gt.rate(each)}" \
                      f" = {gt.rate(per_s)}"
    cores = 1 if arch == "event" else machine.cores
    return cores * each, f"{cores} x {gt.rate(each)} = {gt.rate(cores * each)}"


B3_CLAIMS = {
    "hybrid": ("300/s (15 cores x 20/s; one core is the loop's)", "a loop and workers do so many "
               "CPU tasks per second"),
    "event": ("no number: a loop is poor at CPU work", "a single loop computes on one core"),
}
B3_OTHERS = ("no number: CPU efficiency excellent", "every core computes")


def b3(facts, arch):
    says, claim = B3_CLAIMS.get(arch, B3_OTHERS)
    draft = gt.blank("B3", f"{arch}: {claim}", says)
    rate = facts.estimate("cpu_time", "alone50", arch, "achieved_rate")
    if not rate:
        return gt.unmeasured(draft, facts.why_not("cpu_time", "alone50", arch))
    _, task_s = facts.cpu_of("cpu_time", "alone50")
    machine = facts.machine(facts.cores("cpu_time"))
    expected, formula = b3_formula(facts, arch, machine, task_s)
    draft = replace(draft, formula=formula,
                    model=facts.capacity_text("cpu_time", "alone50", arch))
    text = with_cores(facts, "cpu_time", "alone50", arch, rate)
    agreement = gt.near(rate, expected)
    verdict = f"{arch} did {gt.compared(rate.value, expected)} the formula."
    all_cores = machine.cores * guide.tasks_per_core(task_s)
    if agreement == gt.DISAGREE and arch == "hybrid" and gt.near(rate, all_cores) == gt.AGREE:
        verdict += (f" The loop needs no core of its own while it only hands out tasks: all "
                    f"{machine.cores} cores x {gt.rate(guide.tasks_per_core(task_s))} = "
                    f"{gt.rate(all_cores)} is what was measured.")
    return gt.measured(draft, text, agreement, verdict)


def times_less(facts, arch, before, after):
    """How many times less than at `before` all replies per second are at `after`: an Estimate."""
    return ratio_of_medians(*(facts.valid_values("cpu_time", point, arch, "achieved_rate")
                              for point in (before, after)))


def b6(facts, arch):
    draft = gt.blank("B6", f"{arch}: CPU tasks of 500 ms instead of 50 ms",
                     "2 per core and second instead of 20: 30/s instead of 300/s")
    ratio = times_less(facts, arch, "alone50", "alone500")
    if not ratio:
        return gt.unmeasured(draft, facts.why_not("cpu_time", "alone500", arch))
    times_s = [facts.cpu_of("cpu_time", p)[1] for p in ("alone50", "alone500")]
    expected = times_s[1] / times_s[0]
    predicted = [facts.prediction("cpu_time", p, arch).get("capacity")
                 for p in ("alone50", "alone500")]
    draft = replace(draft, formula=f"{gt.seconds(times_s[1])} / {gt.seconds(times_s[0])} = "
                    f"{style.human(expected)} times less",
                    model=" instead of ".join(map(gt.rate, predicted[::-1]))
                    if all(predicted) else gt.NOTHING)
    short, long = (facts.estimate("cpu_time", p, arch, "achieved_rate")
                   for p in ("alone50", "alone500"))
    return gt.measured(draft, f"{gt.told(long, '/s')} instead of {gt.told(short, '/s')}: "
                       f"{gt.told(ratio)} times less", gt.near(ratio, expected),
                       f"Tasks {style.human(expected)} times as long left {arch} "
                       f"{style.human(ratio.value)} times fewer of them per second.")


CASES = {  # rows that are case studies: their name, what makes them, and what they are about
    "B7": (guide_trading, "Trading: 50,000 market updates, 1,000 trades and 500 risk computations per second"),
    "B9": (guide_chat, "Chat: 10,000 WebSocket clients, 250 messages and 375 database operations per second"),
}


def of_case(run, row_id):
    """The rows of a case study, from the run that holds it."""
    module, claim = CASES[row_id]
    holder = run.of_case(module.CASE)
    if holder is None:
        yield gt.unmeasured(gt.blank(row_id, claim), f"This run has no case study {module.CASE}")
        return
    for found in module.rows(Facts(holder)):
        yield found.row


def rows(facts):
    yield from b1_rows(facts)
    for where in (("cpu_time", "alone50"), ("cpu", "base")):
        yield b2(facts, *where)
    for arch in facts.archs("cpu_time", always=("event", "hybrid")):
        yield b3(facts, arch)
    yield from b4_rows(facts)
    yield from b5_rows(facts)
    for arch in facts.archs("cpu_time", always=("event", "hybrid")):
        yield b6(facts, arch)
    for row_id in CASES:
        yield from of_case(facts.run, row_id)


def make(run):
    return gt.make("The guide's numbers: B1 to B7, B9", INTRO, rows(Facts(run)))
