"""Which command is which module. A module's main(words) gets the words behind the command, and
returns the exit status (None: 0)."""
import importlib
import sys

from archbench.arguments import MISUSE

COMMANDS = {
    "run": ("runner.run", "run a plan of cells, or go on with an interrupted run"),
    "component": ("runner.component", "start Redis or PostgreSQL as a part of a case"),
    "predict": ("model.predict", "say what each cell of a run should come to, before the first"),
    "draw": ("report.draw", "draw figures, tables and the report of a run, or some of them"),
    "compare": ("report.compare", "put runs side by side: what differs, and what does not"),
    "pack": ("runner.pack", "make a small copy of a finished run, to be kept"),
    "percentiles": ("drawing.percentiles", "plot the percentiles of one cell"),
    "architectures": ("runner.architectures", "list the servers, as their headers describe them"),
    "bench": ("bench.bench", "paired benchmarks against the tools you know"),
    "soak": ("bench.soak", "a day's requests for each server: what grows?"),
    "labs": ("bench.labs", "do the labs of docs/labs/"),
    "lessons": ("bench.lessons", "measure docs/reading-order.md"),
}


def usage():
    lines = [f"  {name:15}{what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["Usage: archbench COMMAND ...", "", *lines, "",
                      "archbench COMMAND --help tells the rest."])


def main(words):
    name = words[0] if words else ""
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name not in COMMANDS:
        print(f"archbench: {f'no command {name!r}' if name else 'which command?'}; there are: "
              f"{' '.join(COMMANDS)}", file=sys.stderr)
        return MISUSE
    return importlib.import_module(f"archbench.{COMMANDS[name][0]}").main(words[1:])
