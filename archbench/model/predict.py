"""Write results/RUN/predictions.json: what each cell of the plan should come to, from calibration and
headers alone. The runner calls it before the first cell; it refuses when one has been measured."""
import json
import math
import pathlib
import sys

from archbench.arguments import Parser
from archbench.formats import abouts, former, schema
from archbench.formats.workload import Workload
from archbench.model import architecture, demand, guide

STEADY = ("closed", "poisson")  # arrivals for which the formulas hold


def finite(value):
    return value if value is not None and math.isfinite(value) else None


def microseconds(value):
    return None if finite(value) is None else value * 1e6


def of_database(server, demands):
    """The key `database` of a prediction; nothing where no statement is asked for."""
    pool = architecture.database(server, demands)
    return {"database": {
        "in_flight": pool.in_flight, "pool": finite(server.pool * server.pools),
        "waiting": pool.waiting, "wait_us": microseconds(pool.wait_s)}} if pool else {}


def predict(about, options, load, cores, costs):
    """The prediction of one cell. An infinite time, as null, stands for overload."""
    server = architecture.server_of(about, options, cores, costs)
    capacity = architecture.capacity(server, load.demands)
    said = {"capacity": capacity, "bottleneck": architecture.bottleneck(server, load.demands),
            "memory_kib_per_connection": server.connection_kib or None}
    if load.phased or load.arrivals not in STEADY:
        return said
    if load.arrivals == "closed":
        rate, response_s = architecture.closed(server, load.demands, load.connections,
                                               load.think_s)
        return said | {"achieved_rate": rate, "mean_us": microseconds(response_s)}
    offered = sum(d.rate for d in load.demands)
    found = architecture.open_loop(server, load.demands)
    return said | of_database(server, load.demands) | {
        "offered_rate": offered, "achieved_rate": min(offered, capacity),
        "utilisation": offered / capacity,
        "in_flight": finite(sum(guide.in_flight(d.rate, found[d.name].mean_s)
                                for d in load.demands if d.rate)),
        "classes": {name: {"mean_us": microseconds(r.mean_s), "p99_us": microseconds(r.p99_s),
                           "model": r.model} for name, r in found.items()}}


def predict_run(folder, manifest):
    calibration = manifest["calibration"]
    usable = len(manifest["environment"]["cores"]["usable"])
    decided = abouts.decided_in(manifest)
    costs = architecture.costs_of(calibration)
    workloads, cells = {}, {}
    for cell in manifest["cells"]:
        where = (cell["workload"], cell["point"], cell["arch"])
        if where in cells:
            continue  # another trial of it
        file = folder / "workloads" / pathlib.Path(cell["file"]).name
        workload = workloads.setdefault(file, Workload(file))
        placement = workload.setting(cell["point"], "placement", decided["defaults"]["placement"])
        cores = decided["server_cores"][placement]
        load = demand.load(workload, cell["point"], cores, costs.request_s, decided["defaults"],
                           cell["connections"])
        about = manifest["servers"][cell["program"]]
        options = workload.setting(cell["point"], "server_options", "").split()
        cells[where] = dict(zip(("workload", "point", "arch"), where)) | predict(
            about, [*options, *cell["options"]], load, cores, costs)
    return {"schema": schema.PREDICTIONS, "request_us": calibration["request_us"], "cores": usable,
            "cells": list(cells.values())}


def main(words):
    parser = Parser("predict", __doc__)
    parser.add_argument("run", type=pathlib.Path, metavar="RUN", help="its folder")
    folder = parser.parse_args(words).run
    path = folder / "manifest.json"
    try:
        manifest = former.manifest(
            schema.check(path, json.loads(path.read_text(encoding="utf-8")), schema.RUN))
        if any(folder.glob("cells/*/*/*/cell.json")):
            sys.exit(f"archbench predict: {folder} has measurements: too late to predict them")
        text = json.dumps(predict_run(folder, manifest), indent=1) + "\n"
    except schema.Refused as refusal:
        sys.exit(f"archbench predict: {refusal}")
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"archbench predict: {folder}: {error!r}")
    (folder / "predictions.json").write_text(text, encoding="utf-8")
