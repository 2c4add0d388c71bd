"""What a point of a workload asks for, from its file and the calibration: see docs/formats.md."""
import configparser
from dataclasses import dataclass
import re

from architecture import Demand

UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
DEFAULT_CONNECTIONS = 10


@dataclass(frozen=True)
class Load:
    """One point. In a closed loop the rates of `demands` are weights."""
    arrivals: str
    demands: tuple
    connections: int
    think_s: float
    phased: bool  # the load changes during the window: no steady state to predict


def seconds(text):
    """'10ms' as 0.01."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text.strip()).groups()
    return float(number) * UNITS_S[unit]


def steps(request):
    """(CPU seconds, seconds of timers and calls, how many of these) of
    '/work?io=timer:10ms&cpu=hash:5ms'."""
    cpu_s = sum(map(seconds, re.findall(r"[?&]cpu=\w+:([\d.]+\w+)", request)))
    waits_s = list(map(seconds, re.findall(r"[?&]io=(?:timer|backend):([\d.]+\w+)", request)))
    return cpu_s, sum(waits_s), len(waits_s)


def requests_per_s(text, cores, cpu_s):
    """'500', or '70%' of what the cores can do at so much CPU time per request."""
    if text.endswith("%"):
        return float(text[:-1]) / 100 * cores / cpu_s
    return float(text)


class Workload:
    """A workload file, as configparser reads it. Its keys are checked by those who run it."""

    def __init__(self, path):
        self.ini = configparser.ConfigParser(interpolation=None, delimiters=("=",),
                                             comment_prefixes=(";",),
                                             inline_comment_prefixes=(";",))
        self.ini.optionxform = str
        with open(path, encoding="utf-8") as file:
            self.ini.read_file(file)

    def sections(self, kind):
        return [name.split(None, 1)[1] for name in self.ini.sections()
                if name.startswith(kind + " ")]

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
