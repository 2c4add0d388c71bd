"""What the rows of the guide's tables ask of a run: estimates of its valid trials, its predictions,
what a request of a workload asks for, and where an architecture is saturated."""
from dataclasses import dataclass
import math

from archbench.formats.names import server_of
from archbench.formats.run import number_in
from archbench.model import architecture, demand, guide
from archbench.stats.estimates import Estimate
from archbench.tables.parts import guide_table


ARCHS = ("processes", "threads", "event", "hybrid")  # the guide's paradigms
MEMORY_WORKLOADS = ("connections", "idle", "concurrency")  # the first that was measured counts
MEMORY_METRIC = "memory_total_kb_per_connection"
SATURATED = 0.95  # an open loop that is answered to a lesser share asks for more than there is


@dataclass(frozen=True)
class Saturation:
    """The most that an architecture gave while more was asked for."""
    point: str
    rate: Estimate  # good replies/s
    at_least: bool = False  # all that was asked for was answered, though it was above the capacity


class Facts:
    """What rows ask of a run. Estimates are of valid trials: without one there is None."""

    def __init__(self, run):
        self.run = run

    def has(self, workload):
        return workload in self.run.workloads()

    def archs(self, workload, always=()):
        """The guide's architectures that were measured there, and those of `always`."""
        there = set(self.run.archs(workload)) | set(always)
        return [arch for arch in ARCHS if arch in there]

    def estimate(self, workload, point, arch, metric, cls=""):
        found = self.run.estimate(workload, point, arch, metric, cls)
        return found if found and found.valid else None

    def estimates(self, workload, point, archs, metric, cls=""):
        """{arch: Estimate} of those that have one."""
        found = {a: self.estimate(workload, point, a, metric, cls) for a in archs}
        return {a: e for a, e in found.items() if e}

    def valid_values(self, workload, point, arch, metric, cls=""):
        """A number for each valid trial."""
        return self.run.values(workload, point, arch, metric, cls)[0]

    def why_not(self, workload, point, arch):
        """Why there is no estimate, as the start of a sentence. `point` None: at no point."""
        if not self.has(workload):
            return f"This run has no workload {workload}"
        points = self.run.points(workload) if point is None else [point]
        where = workload if point in (None, "base") else f"{workload} at {point}"
        if not any(self.run.trials(workload, p, arch) for p in points):
            return f"{arch} was not measured in {where}"
        return f"No valid trial of {arch} in {where} has this number"

    def prediction(self, workload, point, arch):
        return self.run.prediction(workload, point, arch)

    def capacity_text(self, workload, point, arch):
        """The predicted capacity and what sets it."""
        found = self.prediction(workload, point, arch)
        if "capacity" not in found:
            return guide_table.NOTHING
        return f"at most {guide_table.rate(found['capacity'])} ({found['bottleneck']})"

    def cores(self, workload):
        """As Run.server_cores(), 1 when unknown."""
        return self.run.server_cores(workload) or 1

    def machine(self, cores):
        """As guide.Machine; memory_bytes is None where the manifest does not say."""
        memory_kb = self.run.manifest.get("environment", {}).get("memory_kb")
        return guide.Machine(cores, memory_kb and memory_kb * guide.KIB)

    @property
    def request_s(self):
        """Calibrated CPU time of a trivial request."""
        return 1e-6 * self.run.manifest.get("calibration", {}).get("request_us", 0)

    def load(self, workload, point):
        """What a point asks for, as demand.Load. Its rates are proportions: those that the file
        gives in % are of one core."""
        return demand.load(self.run.workload(workload), point, 1, self.request_s,
                           self.run.defaults)

    def demands(self, workload, point):
        """Its classes, those that have no requests there left out."""
        return [d for d in self.load(workload, point).demands if d.rate]

    def cpu_of(self, workload, point):
        """(share of the requests that compute, CPU seconds that such a one asks for)."""
        demands = self.demands(workload, point)
        computing = [d for d in demands if d.cpu_s]
        share = sum(d.rate for d in computing) / sum(d.rate for d in demands)
        return share, architecture.mean(computing, lambda d: d.cpu_s) if computing else 0.0

    def cost_s(self, workload, point, arch=""):
        """CPU time of a request as the model counts it: its work, the calibrated cost of a request,
        and, of an architecture whose header says who waits, that of waiting."""
        about = self.run.manifest.get("servers", {}).get(server_of(arch), {})
        demands = self.demands(workload, point)
        if "tasks" not in about:
            return architecture.mean(demands, lambda d: d.cpu_s) + self.request_s
        costs = architecture.costs_of(self.run.manifest["calibration"])
        server = architecture.server_of(about, (), self.cores(workload), costs)
        return architecture.mean(demands, server.cpu_s)

    def wait_s(self, workload, point):
        """The mean wait that a request asks for."""
        return architecture.mean(self.demands(workload, point), lambda d: d.wait_s)

    def connections(self, workload, point, arch):
        """How many carried requests."""
        found = self.estimate(workload, point, arch, "connections")
        return found.value if found else number_in(point) or 0

    def fullest(self, workload, arch, metric):
        """The point with most connections that has a valid estimate of `metric`; None without."""
        having = [p for p in self.run.points(workload) if self.estimate(workload, p, arch, metric)]
        return max(having, key=lambda p: self.connections(workload, p, arch), default=None)

    def memory_point(self, arch):
        """(workload, point) that tells best what a connection of `arch` costs; None without any."""
        for workload in filter(self.has, MEMORY_WORKLOADS):
            point = self.fullest(workload, arch, MEMORY_METRIC)
            if point:
                return workload, point
        return None

    def memory_kb(self, archs):
        """{arch: Estimate of KiB per connection}, all at the same point: where most have one."""
        found = [self.estimates(w, p, archs, MEMORY_METRIC)
                 for w in filter(self.has, MEMORY_WORKLOADS) for p in self.run.points(w)[::-1]]
        return max(found, key=len, default={})

    def saturation(self, workload, arch):
        """A Saturation, or None when no valid trial was asked for more than it gave. A closed loop
        asks for more at any time."""
        found = [s for p in self.run.points(workload) for s in [self._saturated(workload, p, arch)]
                 if s]
        return max(found, key=lambda s: s.rate.value, default=None)

    def why_unsaturated(self, workload, arch):
        """Why there is no saturation(), as the start of a sentence."""
        if not any(self.estimate(workload, p, arch, "achieved_rate")
                   for p in self.run.points(workload)):
            return self.why_not(workload, None, arch)
        return f"No valid trial of {arch} in {workload} was asked for more than it gave"

    def _saturated(self, workload, point, arch):
        achieved = self.estimate(workload, point, arch, "achieved_rate")
        if not achieved:
            return None
        if self.run.arrivals(workload, point) == "closed":
            return Saturation(point, achieved)
        offered = self.estimate(workload, point, arch, "offered_rate")
        if not offered:
            return None
        if achieved.value < SATURATED * offered.value:
            return Saturation(point, achieved)
        capacity = self.prediction(workload, point, arch).get("capacity", math.inf)
        return Saturation(point, achieved, True) if offered.value > capacity else None
