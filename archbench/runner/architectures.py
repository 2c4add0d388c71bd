"""A table of the servers that are built, as the header of each tells (--about)."""
import shutil
import sys
import textwrap

from archbench.arguments import Parser
from archbench.formats import headers
from archbench.runner import plan

HEADING = ("name", "ids", "family", "blocks", "tasks", "computes", "peers", "lines")
WAITS = ["compute", "timer", "upstream", "disk"]  # all that can block
INDENT = 4 * " "


def row(about):
    blocks = "all" if about["blocks"] == WAITS else " ".join(about["blocks"]) or "nothing"
    return (about["name"], " ".join(about["ids"]), about["family"], blocks,
            about["tasks"], str(about["computes"]), str(about.get("peers", "any")),
            str(about["loc"]))


def guide_order(about):
    return headers.guide_order(" ".join(about["ids"])), about["name"]


def table(abouts, width):
    """Lines: aligned columns, and below each row its summary."""
    rows = [HEADING, *map(row, abouts)]
    widths = [max(len(cells[k]) for cells in rows) for k in range(len(HEADING))]
    summaries = ["", *(about["summary"] for about in abouts)]
    for cells, summary in zip(rows, summaries):
        *words, lines = [cell.ljust(size) for cell, size in zip(cells, widths)]
        yield "  ".join([*words, lines.strip().rjust(widths[-1])])
        yield from textwrap.wrap(summary, width, initial_indent=INDENT, subsequent_indent=INDENT)


def main(words):
    parser = Parser("architectures", __doc__, epilog=(
        "blocks: waits that hold up the thread that serves; tasks: threads and processes for each "
        "connection; computes: requests that compute at a time, peers: connections served at a "
        "time, or the options that say how many; lines: of code, without blank ones"))
    parser.add_argument("--build", default="build", metavar="DIR", help="where the programs are")
    try:
        abouts = plan.architectures(parser.parse_args(words).build)
    except plan.PlanError as error:
        print(f"archbench architectures: {error}", file=sys.stderr)
        return 2
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    print("\n".join(table(sorted(abouts.values(), key=guide_order), width)))
    return 0
