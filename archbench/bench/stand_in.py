"""`archbench bench components`: how near is the bundled upstream to the Redis and PostgreSQL that it stands in for?

The chat, and the commands of Redis alone, run with the real programs and with the upstream in turns. With --write
the table goes into docs/cases/README.md."""
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import typing

from archbench.bench.measured import machine, quotation, table, with_block
from archbench.bench.rig import in_turns, line
from archbench.places import REPOSITORY

CASES = REPOSITORY / "workloads" / "cases"
PAGE = REPOSITORY / "docs" / "cases" / "README.md"
MARKS = ("components", "components: machine")
# Small requests, so that the component is what they wait for.
COMMANDS = """
[workload]
question       = How near is the bundled upstream to a Redis?
arrivals       = closed
connections    = 64
components     = redis
server_options = --feed --upstream-pool=64
""" + "".join(f"""
[class {verb}]
weight   = 25
protocol = websocket
rooms    = 8
request  = /work?io=redis:{verb}:{key}&class={verb}
body     = 100
""" for verb, key in (("get", "value"), ("set", "value"), ("incr", "number"),
                      ("publish", "room{room}")))


class Numbers(typing.NamedTuple):
    """Of one run; CPU time in us for each good request."""

    rate: float
    p50_us: float
    p99_us: float
    server_us: float
    component_us: float


NAMES = {"rate": "requests/s", "p50_us": "p50, ms", "p99_us": "p99, ms",
         "server_us": "CPU of the server, us per request",
         "component_us": "CPU of the components, us per request"}


def component_s(cell):
    """CPU time of all that stood behind the server."""
    real = sum(each["cpu_s"] for each in cell["components"] if each["program"] != "bundled")
    return real + (cell["upstream"]["cpu_s"] if cell["upstream"] else 0)


def numbers(cell):
    load = cell["load"]
    return Numbers(load["achieved_rate"], load["total"]["response"]["p50_us"],
                   load["total"]["response"]["p99_us"], cell["cost"]["cpu_s"] / load["good"] * 1e6,
                   component_s(cell) / load["good"] * 1e6)


def prepare(folder):
    """{title: (workload, its point)}."""
    for file in ("chat.sql", "chat.schema.sql", "chat_pool.ini"):
        shutil.copy(CASES / file, folder)
    commands = pathlib.Path(folder, "commands.ini")
    commands.write_text(COMMANDS, encoding="utf-8")
    return {"the chat, pool of 50": (pathlib.Path(folder, "chat_pool.ini"), "pool-50"),
            "GET, SET, INCR, PUBLISH": (commands, "base")}


def cell(options, folder, which, real):
    """One run."""
    workload, point = which
    command = [f"{options.build}/cell", "--server", options.server, "--workload", workload,
               "--out", folder, "--duration", f"{options.seconds}s", "--build", options.build,
               *(["--point", point] if point != "base" else []), *(["--components"] if real else [])]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    path = pathlib.Path(folder, workload.stem, point, f"{options.server}.1", "cell.json")
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"load": None}
    if not found["load"] or not found["load"]["good"]:
        sys.exit(f"components: nothing was measured of {workload.stem}: "
                 f"{found.get('validity', {}).get('reasons')}")
    bundled = [each["program"] == "bundled" for each in found["components"]]
    if real and any(bundled):
        sys.exit("components: Redis and PostgreSQL are not installed: ./deps.sh cases")
    return numbers(found)


def shown(name, value):
    """A number of the table."""
    if name in ("p50_us", "p99_us"):
        return f"{value / 1e3:.2f}"
    return f"{value:,.0f}"


def rows(title, pairs):
    """Medians of the stand-in and of the real ones, and the median of the ratios, pair by pair."""
    found = []
    for name, words in NAMES.items():
        real = [getattr(pair[0], name) for pair in pairs]
        stand_in = [getattr(pair[1], name) for pair in pairs]
        ratios = [a / b for a, b in zip(stand_in, real)]
        found.append([title, words, shown(name, statistics.median(stand_in)),
                      shown(name, statistics.median(real)),
                      f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"])
    return found


def bench(options):
    """A table and no bound: how much the two differ is the result."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for title, which in prepare(folder).items():
            print(f"components: {title}: {options.server}", flush=True)
            pairs = in_turns(lambda which=which: cell(options, folder, which, True),
                             lambda which=which: cell(options, folder, which, False),
                             options.rounds)
            found += rows(title, pairs)
            for _, name, stand_in, real, ratio in found[-len(NAMES):]:
                line(ratio.split()[0], f"{name}: stand-in {stand_in}, components {real}")
    if options.write:
        write(found, options)
    return True


def write(found, options):
    header = ["requests", "", "stand-in", "components", "ratio (range)"]
    page = with_block(PAGE.read_text(encoding="utf-8"), MARKS[0], table(header, found))
    setting = (f"{machine()}; `{options.server}`, medians of {options.rounds} pairs of "
               f"{options.seconds:g} s.")
    PAGE.write_text(with_block(page, MARKS[1], quotation(setting)), encoding="utf-8")
