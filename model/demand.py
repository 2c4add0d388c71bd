"""What a point of a workload asks for, from its file and the calibration: see docs/formats.md."""
from dataclasses import dataclass
import pathlib
import re
import sys

from architecture import Demand

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "runner"))
import workload_file  # noqa: E402  (after the path is set)
from workload_file import seconds  # noqa: E402

DEFAULT_CONNECTIONS = 10


@dataclass(frozen=True)
class Load:
    """One point. In a closed loop the rates of `demands` are weights."""
    arrivals: str
    demands: tuple
    connections: int
    think_s: float
    phased: bool  # the load changes during the window: no steady state to predict


def steps(request):
    """(CPU seconds, seconds of timers and calls, how many of these) of
    '/work?io=timer:10ms&cpu=hash:5ms'."""
    waits_s = workload_file.steps_s(request, "io=timer|io=backend")
    return sum(workload_file.steps_s(request, r"cpu=\w+")), sum(waits_s), len(waits_s)


def requests_per_s(text, cores, cpu_s):
    """'500', or '70%' of what the cores can do at so much CPU time per request."""
    if text.endswith("%"):
        return float(text[:-1]) / 100 * cores / cpu_s
    return float(text)


class Workload:
    """A workload file, as configparser reads it. Its keys are checked by those who run it."""

    def __init__(self, path):
        self.ini = workload_file.read(path)

    def sections(self, kind):
        return workload_file.names(self.ini, kind)

    def at(self, point):
        """The keys of [workload] as the point has them; those of a class as CLASS.KEY."""
        keys = {f"{name}.{key}": value for name in self.sections("class")
                for key, value in self.ini[f"class {name}"].items()}
        for section in "workload", f"point {point}":
            if self.ini.has_section(section):
                keys.update(self.ini[section])
        return keys

    def load(self, point, cores, request_s, connections=0):
        """`request_s`: calibrated CPU time of a trivial request; `connections`: instead of the
        file's, when not 0."""
        keys = self.at(point)
        classes = self.sections("class")
        asked = {name: steps(keys[f"{name}.request"]) for name in classes}
        cost_s = {name: asked[name][0] + request_s for name in classes}
        weights = {name: float(keys.get(f"{name}.weight", 1)) for name in classes}
        total = sum(weights.values())
        mean_s = sum(weights[name] * cost_s[name] for name in classes) / total
        if any(f"{name}.rate" in keys for name in classes):
            rates = {name: requests_per_s(keys[f"{name}.rate"], cores, cost_s[name])
                     for name in classes}
        elif keys.get("arrivals", "closed") == "closed":
            rates = weights
        else:
            rate = requests_per_s(keys["rate"], cores, mean_s)
            rates = {name: rate * weights[name] / total for name in classes}
        own = sum(int(keys.get(f"{name}.connections", 0)) for name in classes)
        think = re.search(r"[\d.]+(?:us|ms|s|m)$", keys.get("think", "").strip())
        return Load(
            arrivals=keys.get("arrivals", "closed"),
            demands=tuple(Demand(name, rates[name], *asked[name]) for name in classes),
            connections=(connections or int(keys.get("connections", DEFAULT_CONNECTIONS))) + own,
            think_s=seconds(think[0]) if think else 0.0,
            phased=bool(self.sections("phase")))
