"""The labs of docs/labs/, done as a student does them.

    archbench labs             all of them, one after the other, each as a table
    archbench labs 2 5         some of them
    archbench labs --list      what there is
    archbench labs --dry-run 2 only print the commands
    archbench labs --write     and put the tables into the answer keys, docs/labs/*.answers.md

What runs are the commands that are in the worksheet, under `## Measure`, and the quantities are
the rows of its table under `## Predict`: there is no other list of them. lab_rows.py says, for each
lab, what the models of archbench/model predict for each row and where the number is found in what
the commands have written. A prediction that does not hold is a finding, not an error, so the exit status is 0.
A lab during which the hypervisor took more than 2 % of the machine is done again after a rest."""
import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys

from archbench.arguments import Parser
from archbench.bench.lab_rows import LABS, Results
from archbench.bench.measured import (Stolen, disturbance, machine, quotation, table, undisturbed,
                                      with_block)
from archbench.bench.rig import CORES, unwind_on_sigterm
from archbench.places import REPOSITORY
from archbench.runner import alone

FOLDER = REPOSITORY / "docs" / "labs"
PATIENCE_S = 300  # with the commands of a lab, which take less than two minutes
HEADER = ["", "What", "Predicted", "Measured", "The prediction"]


# ---------------------------------------------------------------- a worksheet


class Worksheet:
    """docs/labs/NAME.md: its title, what is to be predicted, and the commands to type."""

    def __init__(self, name):
        self.name = name
        self.page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
        self.doubts = []  # what of its rows is not sure, after perform()

    @property
    def title(self):
        return re.match(r"# (.*)\n", self.page)[1]

    def section(self, heading):
        found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", self.page, re.DOTALL | re.MULTILINE)
        return found[1] if found else ""

    @property
    def quantities(self):
        """The texts of the numbered rows, in their order."""
        return re.findall(r"^\| \d+ \| (.*?) \|", self.section("Predict"), re.MULTILINE)

    @property
    def script(self):
        return "".join(re.findall(r"^```sh\n(.*?)^```$", self.section("Measure"),
                                  re.DOTALL | re.MULTILINE))

    @property
    def answers(self):
        return FOLDER / f"{self.name}.answers.md"


def find_worksheets(words):
    """Those whose names, or the numbers before them, are among the words; without words all."""
    names = [name for name in LABS if not words or {name, name.split("-")[0]} & set(words)]
    unknown = set(words) - set(names) - {name.split("-")[0] for name in names}
    if unknown:
        sys.exit(f"archbench labs: no lab is called {' or '.join(sorted(unknown))}; see --list")
    return [Worksheet(name) for name in names]


# ---------------------------------------------------------------- doing a lab


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def adapted(script, options):
    """The script as it runs beside whatever else uses the build folder, the results and the port
    that it names; with --seconds, with shorter windows."""
    # The longer ones first: `build/labs` is not to be taken for a file in `build/`.
    build, out = shlex.quote(str(options.build)), shlex.quote(str(options.out))
    places = {"results/latest": f"{out}/results/latest", "build/labs": out,
              "./run_all.sh cells": f"bin/archbench run --with-parent --build {build} "
                                    f"--results {out}/results",
              "build/": f"{build}/", "8080": str(options.port)}
    pattern = "|".join(map(re.escape, places))
    script = re.sub(rf"(?<![\w/.])(?:{pattern})", lambda match: places[match[0]], script)
    if options.seconds:
        script = re.sub(r" -d \d+s", f" -d {options.seconds:g}s", script)
    return script


def run_script(script, log):
    """Type the commands into one shell. Whatever they leave behind is ended."""
    with open(log, "w", encoding="utf-8") as file:
        shell = subprocess.Popen(["bash", "-euo", "pipefail"], cwd=REPOSITORY, text=True, stdout=file,
                                 stdin=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 start_new_session=True)
        try:
            shell.communicate(script, timeout=PATIENCE_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)
                os.killpg(shell.pid, signal.SIGCONT)  # a lab stops a server on purpose
            shell.wait()
    if shell.returncode:
        sys.exit(f"a command of the worksheet failed (exit status {shell.returncode}): see {log}")


def perform(worksheet, options):
    """The rows of a lab, measured now. What an earlier attempt has left is not taken for it."""
    number = worksheet.name.split("-")[0]
    shutil.rmtree(options.out / number, ignore_errors=True)
    options.out.mkdir(parents=True, exist_ok=True)
    run_script(adapted(worksheet.script, options), options.out / f"{worksheet.name}.log")
    results = Results(options.out)
    rows = LABS[worksheet.name](results)
    worksheet.doubts = results.doubts
    if len(rows) != len(worksheet.quantities):
        sys.exit(f"{worksheet.name}: {len(rows)} rows are measured, but the worksheet asks for "
                 f"{len(worksheet.quantities)}")
    return rows


def measure(worksheet, options):
    """(rows, Stolen). To see that all works, a calm machine
    is not waited for."""
    if options.seconds:
        return perform(worksheet, options), Stolen()
    return undisturbed(lambda: perform(worksheet, options), options.build)


def table_of(worksheet, rows):
    return table(HEADER, [[str(number), quantity, *row.texts()] for number, (quantity, row)
                          in enumerate(zip(worksheet.quantities, rows), 1)])


def write(worksheet, rows, stolen):
    page = worksheet.answers.read_text(encoding="utf-8")
    setting = f"{machine()}: the commands of the worksheet, once{disturbance(stolen)}."
    page = with_block(page, "measured: machine", quotation(setting))
    page = with_block(page, "measured: rows", table_of(worksheet, rows))
    worksheet.answers.write_text(page, encoding="utf-8")


# ---------------------------------------------------------------- the command


def parse_arguments(words):
    parser = Parser("labs", __doc__)
    parser.add_argument("labs", nargs="*", metavar="LAB", help="name or number (default: all)")
    parser.add_argument("--list", action="store_true", help="what there is, and stop")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, and stop")
    parser.add_argument("--write", action="store_true", help="put the tables into the answer keys")
    parser.add_argument("--build", type=pathlib.Path, default=REPOSITORY / "build")
    parser.add_argument("--out", type=pathlib.Path, help="for what worksheets put into build/labs")
    parser.add_argument("--port", type=int, help="in place of 8080 (default: a free one)")
    parser.add_argument("--seconds", type=float, help="of each window, to see that all works")
    options = parser.parse_args(words)
    if options.write and options.seconds:
        parser.error("--write with other windows than the worksheet's")
    options.build = options.build.resolve()
    options.out = (options.out or options.build / "labs").resolve()
    options.port = options.port or free_port()
    return options


def main(words):
    options = parse_arguments(words)
    worksheets = find_worksheets(options.labs)
    if not (options.list or options.dry_run) and len(CORES) < 2:
        sys.exit("two cores are needed")
    unwind_on_sigterm()
    for worksheet in worksheets:
        if options.list:
            print(f"{worksheet.name:18} {worksheet.title}")
        elif options.dry_run:
            print(adapted(worksheet.script, options), end="")
        else:
            with alone.measuring():
                rows, stolen = measure(worksheet, options)
            print(f"{worksheet.title}{disturbance(stolen)}\n\n{table_of(worksheet, rows)}",
                  *(f"not sure: {doubt}" for doubt in worksheet.doubts), sep="\n", flush=True)
            if options.write:
                write(worksheet, rows, stolen)
