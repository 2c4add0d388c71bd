"""Predicted capacity against measured saturation, and what explains a miss.

docs/guide-tables.md says how each number comes about."""
from dataclasses import replace

from archbench.drawing import style
from archbench.stats.slots import excess, shares
from archbench.tables.parts import guide_table as gt
from archbench.tables.parts.facts import Facts, guide

WORKLOADS = {"cpu": "computing", "io": "waiting", "load": "the mix of both"}
BUSY = 0.9  # of the cores that count: they were the limit
CORES_MATTER = 0.5  # a prediction that counts on less is not about cores
UNFAIR = 1.2  # times its fair share that the busiest worker has
LEAST_CHANGE = 0.03  # of the machine's speed that explains anything
CLIENTS = "the clients' own waiting"  # a limit that is none of the server
INTRO = ("The capacity that the model predicted from calibration before the run, against the most "
         "that was measured while more was asked for. A prediction holds within "
         f"{gt.percent(gt.TOLERANCE)}; a miss is held against the generator, the speed of the "
         "machine meanwhile, CPU time per request, cores in use, the shares of the workers and "
         "the response time.")


def guide_rate(facts, workload, point, machine):
    """The guide's own formula for this kind of work: B1, B3 or B5. None where it has none."""
    share, cpu_s = facts.cpu_of(workload, point)
    if cpu_s:
        return guide.capped_by_cpu(guide.cpu_tasks(machine, cpu_s), share)
    wait_s = facts.wait_s(workload, point)
    return guide.rate_of_concurrency(guide.LOOP_CONCURRENCY, wait_s) if wait_s else None


def limit(prediction):
    """(requests/s, what limits them) that was predicted. In a closed loop the clients may be fewer
    than the server could serve."""
    capacity, bottleneck = prediction["capacity"], prediction["bottleneck"]
    bound = prediction.get("achieved_rate", capacity) if "mean_us" in prediction else capacity
    return (bound, CLIENTS) if bound < capacity else (capacity, bottleneck)


def crowding(slots, cores):
    """How many times its fair share the busiest worker has, where an idle worker means an idle
    core; None where there are more workers than cores."""
    found = shares(slots, "requests")
    return excess(slots, "requests") if found and len(found) <= cores else None


class Cell:
    """What explains the saturation of one architecture: measurements of the point where it was."""

    def __init__(self, facts, workload, point, arch):
        self.prediction = facts.prediction(workload, point, arch)
        self.cost_s = facts.cost_s(workload, point, arch)
        self.cores = facts.cores(workload)
        self.used, self.cost_us, self.generator, self.mean_us = (
            facts.estimate(workload, point, arch, metric, cls) for metric, cls in (
                ("cores_used", ""), ("cpu_us_per_request_as_read", ""),
                ("generator_busy_max", ""), ("response_mean_us", "total")))
        self.unfair = facts.run.estimate_of(workload, point, arch,
                                            lambda c: crowding(c.get("slots"), self.cores))
        self.calibrated = facts.run.calibrated_units
        self.units = facts.estimate(workload, point, arch, "hash_units_per_ms")
        self.shared = any((c.get("placement") or {}).get("mode") == "shared"
                          for c in facts.run.cells_at(workload, point, arch))

    @property
    def speed(self):
        """Of the machine just before and after these trials, as a share of the calibrated one."""
        return self.units.value / self.calibrated if self.units and self.calibrated else 1.0

    @property
    def counted_cores(self):
        """The cores that the prediction counts on."""
        return min(self.prediction["capacity"] * self.cost_s, self.cores)

    @property
    def free_cores(self):
        """Those, less what a generator that shares them all took."""
        if self.shared and self.generator and self.counted_cores > BUSY * self.cores:
            return self.counted_cores - self.generator.value
        return self.counted_cores


def by_cost(cell):
    """The cores were busy: a request costs what calibration does not know."""
    if not (cell.used and cell.cost_us) or cell.counted_cores < CORES_MATTER:
        return None
    if cell.used.value < BUSY * cell.free_cores:
        return None
    per_s = 1e6 * cell.used.value / cell.cost_us.value
    taken = cell.counted_cores - cell.free_cores
    besides = f", and the generator took {taken:.2f} of the same" if taken >= 0.05 else ""
    if cell.used.value > (1 + gt.TOLERANCE) * cell.counted_cores:
        return (f"{cell.used.value:.2f} cores worked where the model counts on "
                f"{cell.counted_cores:.2f}: {gt.rate(per_s)} at {style.human(cell.cost_us.value)} "
                "µs each")
    return (f"the cores were busy ({cell.used.value:.2f} of {cell.counted_cores:.2f} that the "
            f"model counts on{besides}), and a request cost {style.human(cell.cost_us.value)} µs "
            f"of CPU time instead of {style.human(1e6 * cell.cost_s)}: by that cost the capacity "
            f"is {gt.rate(per_s)}")


def by_speed(cell, rate):
    """The machine was slower or faster than when it was calibrated, and that is all."""
    predicted, what = limit(cell.prediction)
    at_speed = predicted * cell.speed
    if what == CLIENTS or abs(1 - cell.speed) < LEAST_CHANGE:
        return None
    if abs(rate / at_speed - 1) > gt.TOLERANCE:
        return None
    return (f"the machine did {style.human(cell.units.value)} units of hash per ms of CPU time just "
            f"before and after, and {style.human(cell.calibrated)} when it was calibrated: at this "
            f"speed the prediction is {gt.rate(at_speed)}, and the measured rate is "
            f"{gt.compared(rate, at_speed)} it")


def by_generator(cell):
    if cell.generator and cell.generator.value >= BUSY:
        return f"the generator's core was {gt.percent(cell.generator.value)} busy: it is the limit"
    return None


def by_balance(cell):
    """Cores idle because one worker has what others could do."""
    if not (cell.used and cell.unfair and cell.unfair.valid and cell.unfair.value >= UNFAIR):
        return None
    if cell.used.value >= BUSY * cell.free_cores:
        return None
    return (f"the workers do not share evenly: the busiest answered {cell.unfair.value:.2f} times "
            f"its fair share, and only {cell.used.value:.2f} of {cell.cores} cores were busy")


def by_latency(cell):
    """A closed loop whose cores idle is limited by how long each request takes."""
    predicted = cell.prediction.get("mean_us")
    if not (predicted and cell.mean_us and cell.used):
        return None
    return (f"the clients wait: a request took {style.duration(cell.mean_us.value)} on average "
            f"instead of {style.duration(predicted)}, each client has one under way, and only "
            f"{cell.used.value:.2f} of {cell.cores} cores were busy")


def explanation(cell, rate):
    """Why the measured saturation is not the predicted one; None when nothing measured tells."""
    return (by_generator(cell) or by_speed(cell, rate) or by_cost(cell) or by_balance(cell)
            or by_latency(cell))


def unexplained(cell):
    used = f"{cell.used.value:.2f}" if cell.used else "an unknown number"
    return f"not explained by this run: {used} of {cell.counted_cores:.2f} cores were busy"


def judge(saturation, cell):
    """(agreement, verdict)"""
    predicted, what = limit(cell.prediction)
    ratio = saturation.rate.value / predicted
    agreement = gt.near(saturation.rate, predicted)
    stands = f"{gt.compared(saturation.rate.value, predicted)} the prediction"
    if saturation.at_least:
        stands = f"At least {stands}: all that was asked for was answered"
        return (gt.AGREE if ratio <= 1 + gt.TOLERANCE else gt.DISAGREE), stands + "."
    stands = stands[:1].upper() + stands[1:]
    if agreement == gt.AGREE:
        return agreement, f"{stands}: limited by {what}, as predicted."
    return agreement, f"{stands}: {explanation(cell, saturation.rate.value) or unexplained(cell)}."


def row(facts, workload, kind, arch):
    points = facts.run.points(workload)
    found = facts.saturation(workload, arch)
    point = found.point if found else points[-1]
    machine = facts.machine(facts.cores(workload))
    rates = [guide_rate(facts, workload, point, m) for m in (guide.REFERENCE, machine)]
    says, formula = (gt.rate(r) if r else gt.NOTHING for r in rates)
    prediction = facts.prediction(workload, point, arch)
    draft = gt.blank(f"capacity {workload}", f"{arch}, {kind}: the most requests/s it can serve",
                     says, formula)
    if not found:
        return gt.unmeasured(draft, facts.why_unsaturated(workload, arch))
    text = f"{'at least ' if found.at_least else ''}{gt.told(found.rate, '/s')}"
    if "capacity" not in prediction:
        return gt.measured(draft, text, gt.OPEN, "Nothing was predicted for this run.")
    predicted, what = limit(prediction)
    cell = Cell(facts, workload, point, arch)
    model = f"{gt.rate(predicted)} ({what})"
    text += f", {style.human(found.rate.value / predicted)} of the prediction"
    return gt.measured(replace(draft, model=model), text, *judge(found, cell))


def rows(facts):
    for workload, kind in WORKLOADS.items():
        if not facts.has(workload):
            yield gt.unmeasured(gt.blank(f"capacity {workload}", f"The capacity when {kind}"),
                                facts.why_not(workload, "", ""))
            continue
        for arch in style.in_order(facts.run.archs(workload)):
            yield row(facts, workload, kind, arch)


def make(run):
    return gt.make("Capacity: predicted and measured", INTRO, rows(Facts(run)))
