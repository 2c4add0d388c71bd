"""Which measure answers the question of which workload, and how its values are written."""
from dataclasses import dataclass, replace
import math

from archbench.drawing import style
from archbench.formats.workload import METRICS, class_measured


@dataclass(frozen=True)
class Measure:
    """A metric of summary.csv by which architectures are ranked."""
    label: str
    metric: str
    ascending: bool = True  # less is better
    of: str = ""  # whose it is: "" the cell's, "total" all requests', "short" the short class', or a class
    unit: str = ""  # behind a number; latencies choose their own

    def cls(self, run, workload):
        """The class in summary.csv."""
        return run.short_class(workload) or "total" if self.of == "short" else self.of

    def name(self, run, workload):
        """The label, with the class that it is about."""
        if self.of not in ("", "total"):
            return f"{self.label} of class {self.cls(run, workload)}"
        return self.label

    def text(self, value):
        """A value for a reader, with its unit."""
        if self.metric.startswith(("response_", "service_", "delivery_")):
            return style.duration(value)
        if self.metric.endswith("_share") and math.isfinite(value):
            return f"{style.human(100 * value)} %"
        return style.human(value) + self.unit

    def with_interval(self, e):
        """'371/s [365/s, 378/s]'; without an interval the value alone."""
        if e.low is None:
            return self.text(e.value)
        return f"{self.text(e.value)} [{self.text(e.low)}, {self.text(e.high)}]"


RATE = Measure("good replies per second", METRICS["throughput"], ascending=False, unit="/s")
TAIL = Measure("99th percentile of the response time", METRICS["p99"], of="total")
SHORT_TAIL = Measure("99th percentile of the response time", METRICS["p99"], of="short")
CPU = Measure("CPU time per request", METRICS["cpu"], unit=" µs")
MEMORY = Measure("memory per connection", METRICS["memory"], unit=" KiB")
DELIVERIES = Measure("99th percentile of the time to delivery", METRICS["p99 of deliveries"], of="total")
ERRORS = Measure("share of requests without a good reply", METRICS["errors"])

BY_NAME = {"throughput": RATE, "p99": TAIL, "p99 of short": SHORT_TAIL, "cpu": CPU,
           "memory": MEMORY, "errors": ERRORS, "p99 of deliveries": DELIVERIES}  # as a workload's [report] names them


def of_workload(run, workload):
    """The measure that ranks this workload's architectures, as its section [report] says. Without a
    word: throughput in a closed loop, else the tail of all requests."""
    named = run.reported(workload).get("measure")
    if named in BY_NAME:
        return BY_NAME[named]
    if class_measured(named):
        return replace(TAIL, of=class_measured(named))
    return RATE if run.arrivals(workload, "") == "closed" else TAIL
