"""What a point of a workload asks for, from its file and the calibration: see docs/formats.md."""
from dataclasses import dataclass
import re

from archbench.formats.workload import computing_s, option, seconds, waiting_s
from archbench.model.architecture import Demand


@dataclass(frozen=True)
class Load:
    """One point. In a closed loop the rates of `demands` are weights."""
    arrivals: str
    demands: tuple
    connections: int
    think_s: float
    phased: bool  # the load changes during the window: no steady state to predict


REDIS = re.compile(r"[?&]io=redis:")
UPSTREAM = re.compile(r"[?&]io=upstream:")
SQL = re.compile(r"[?&]io=sql:([\w-]+)")


def steps(request, statements=None, delay_s=0.0):
    """What '/work?io=timer:10ms&cpu=hash:5ms' asks for, as the fields of a Demand behind its rate.
    `statements`: seconds that each statement of a database takes, by name; `delay_s`: what the upstream
    adds to every call."""
    asked_s = [(statements or {}).get(name, 0.0) for name in SQL.findall(request)]
    calls = len(REDIS.findall(request))
    waits_s = waiting_s(request) + asked_s + [0.0] * calls
    delayed_s = delay_s * (calls + len(UPSTREAM.findall(request)))
    return (sum(computing_s(request)), sum(waits_s) + delayed_s, len(waits_s), sum(asked_s),
            len(asked_s))


def requests_per_s(text, cores, cpu_s):
    """'500', or '70%' of what the cores can do at so much CPU time per request."""
    if text.endswith("%"):
        return float(text[:-1]) / 100 * cores / cpu_s
    return float(text)


def rates_of(keys, classes, cost_s, cores):
    """{class: requests/s}, or {class: weight} in a closed loop. `cost_s`: CPU time by class."""
    if any(f"{name}.rate" in keys for name in classes):
        return {name: requests_per_s(keys[f"{name}.rate"], cores, cost_s[name])
                for name in classes}
    weights = {name: float(keys.get(f"{name}.weight", 1)) for name in classes}
    if keys["arrivals"] == "closed":
        return weights
    total = sum(weights.values())
    mean_s = sum(weights[name] * cost_s[name] for name in classes) / total
    rate = requests_per_s(keys["rate"], cores, mean_s)
    return {name: rate * weights[name] / total for name in classes}


def load(workload, point, cores, request_s, defaults, connections=0):
    """The Load of a point of a Workload. `request_s`: calibrated CPU time of a trivial request;
    `defaults`: keys that the file need not state; `connections`: instead of the file's, when not
    0."""
    keys = defaults | workload.at(point)
    classes = workload.classes
    statements = workload.statements(point)
    delay_s = seconds(option(keys.get("upstream"), "--delay") or "0s")
    asked = {name: steps(keys[f"{name}.request"], statements, delay_s) for name in classes}
    rates = rates_of(keys, classes, {name: asked[name][0] + request_s for name in classes}, cores)
    own = sum(int(keys.get(f"{name}.connections", 0)) for name in classes)
    think = re.search(r"[\d.]+(?:us|ms|s|m)$", keys.get("think", "").strip())
    return Load(
        arrivals=keys["arrivals"],
        demands=tuple(Demand(name, rates[name], *asked[name],
                             one_way=keys.get(f"{name}.one_way") == "yes") for name in classes),
        connections=(connections or int(keys["connections"])) + own,
        think_s=seconds(think[0]) if think else 0.0,
        phased=bool(workload.phases) or any(key.endswith(".burst_load") for key in keys))
