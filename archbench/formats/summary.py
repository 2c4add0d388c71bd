"""A run as one tidy table: a row per cell, class and metric (docs/formats.md, "Run")."""
import csv
from fnmatch import fnmatchcase as fnmatch
import os

COLUMNS = ["workload", "point", "arch", "trial", "verdict", "class", "metric", "value"]
PERCENTILES = ["p50_us", "p90_us", "p99_us", "p999_us", "max_us", "mean_us"]
DELIVERIES = ["published", "delivered", "lost", "doubled", "disordered"]
MEMORY = ["user_kb", "page_tables_kb", "kernel_stacks_kb", "sockets_kb", "total_kb"]


def latencies(data):
    """Latency metrics of a class that was asked for at all. Null means infinite there."""
    if not data.get("requests"):
        return
    for kind, names in ("response", PERCENTILES), ("service", PERCENTILES), ("lag", ["p99_us"]):
        for name in names:
            if name in data.get(kind) or {}:
                value = data[kind][name]
                yield f"{kind}_{name}", float("inf") if value is None else value


def deliveries(data):
    """What subscribers got, of a class that publishes; nothing of another."""
    found = data.get("deliveries") or {}
    for name in PERCENTILES if found else ():
        yield f"delivery_{name}", found["latency"].get(name)
    for name in DELIVERIES if found else ():
        yield f"deliveries_{name}", found[name]


def class_metrics(data, duration_s):
    for name in ("requests", "good", "errors"):
        yield name, data.get(name)
    if data.get("good") is not None and duration_s:
        yield "good_rate", data["good"] / duration_s
    yield "confirmed", (data.get("one_way") or {}).get("confirmed")
    yield from latencies(data)
    yield from deliveries(data)


def load_metrics(load):
    for name in ("offered_rate", "achieved_rate", "target_rate", "connections"):
        yield name, load.get(name)
    total = load.get("total", {})
    if total.get("requests"):
        yield "error_share", total["errors"] / total["requests"]
    yield "generator_busy_max", load.get("generator", {}).get("busy_max")


def cell_metrics(cell):
    """Metrics that hold for the cell as a whole. `attempt` is there even when nothing was measured,
    so that no cell is missing from the table."""
    yield "attempt", cell["attempt"]
    yield from load_metrics(cell["load"] or {})
    cost = cell["cost"] or {}
    for name in ("cpu_us_per_request", "cores_used", "switches_per_request", "tasks"):
        yield name, cost.get(name)
    for name in ("cpu_us_per_request", "memory_peak_kb"):
        yield f"cgroup_{name}", (cost.get("cgroup") or {}).get(name)
    yield "hash_units_per_ms", (cell.get("host") or {}).get("hash_units_per_ms")
    per_connection = (cell["memory"] or {}).get("per_connection", {})
    for name in MEMORY:
        yield f"memory_{name}_per_connection", per_connection.get(name)


def metrics(cell):
    """(class, metric, value) of one cell; what is unknown is left out."""
    load = cell["load"] or {}
    classes = dict(load.get("classes", {}))
    if "total" in load:
        classes["total"] = load["total"]
    found = [("", *metric) for metric in cell_metrics(cell)]
    for name, data in classes.items():
        found += [(name, *metric) for metric in class_metrics(data, load.get("duration_s"))]
    return [row for row in found if row[2] is not None]


def verdict(cell, cls, metric):
    """Of one number of a cell: INVALID when nothing in the cell is sure, or this number is not."""
    validity = cell["validity"]
    name = f"{cls}.{metric}" if cls else metric
    refused = any(fnmatch(name, pattern) for pattern in validity.get("refused", ()))
    return "INVALID" if refused else validity["verdict"]


def write(cells, path):
    """The table of all cells (parsed cell.json) into `path`, whole or not at all. Returns how many
    numbers it has, and how many of them are not sure."""
    temporary, total, refused = f"{path}.tmp", 0, 0
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for cell in cells:
            where = [cell[key] for key in ("workload", "point", "server", "trial")]
            rows = [[*where, verdict(cell, *row[:2]), *row] for row in metrics(cell)]
            writer.writerows(rows)
            total += len(rows)
            refused += sum(row[len(where)] != "VALID" for row in rows)
    os.replace(temporary, path)
    return total, refused
