"""What is measured for a page of docs/: when the machine was calm, held against the bounds of a
prediction, and put into the page below a mark, a comment `<!-- NAME -->` on a line of its own.

What is below a mark is a block: lines that begin with `>` (a quotation) or `|` (a table)."""

import platform
import re
import sys
import textwrap
import time
import typing

from archbench.bench import usage
from archbench.bench.rig import CORES
from archbench.formats import abouts

WIDTH = 100  # columns of a page
ATTEMPTS = 3
REST_S = 20


def holds(bounds, value):
    """Whether the value keeps them: bounds has a `low` and a `high`, and None is no bound."""
    return ((bounds.low is None or value >= bounds.low) and
            (bounds.high is None or value <= bounds.high))


class Stolen(typing.NamedTuple):
    """How much of the machine the hypervisor took during a measurement."""

    share: float = 0.0
    limit: float = 0.0  # as for a cell: abouts.decided()

    @property
    def disturbs(self):
        return self.share > self.limit


def undisturbed(measure, build):
    """(what measure() returned, Stolen): the calmest of a few attempts, of which the first calm one
    is the last. `build`: where the programs are."""
    limit = abouts.decided(build)["steal_limit"]
    attempts = []
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(REST_S)  # what disturbs a machine lasts for seconds
        begin_s, stolen_s = time.monotonic(), usage.stolen_s()
        found = measure()
        share = (usage.stolen_s() - stolen_s) / (time.monotonic() - begin_s) / len(CORES)
        attempts.append((Stolen(share, limit), found))
        if share <= limit:
            break
    stolen, found = min(attempts, key=lambda each: each[0].share)
    return found, stolen


def disturbance(stolen):
    """What a reader must know of what was stolen; nothing when the machine was calm."""
    if not stolen.disturbs:
        return ""
    return f", but the hypervisor took {100 * stolen.share:.0f} % of the machine meanwhile"


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = re.findall(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    model = models[0] if models else platform.machine()
    return f"Measured on {len(CORES)} cores ({model}), Linux {platform.release()}"


# ---------------------------------------------------------------- the page


def quotation(text):
    return textwrap.fill(text, WIDTH, initial_indent="> ", subsequent_indent="> ",
                         break_long_words=False, break_on_hyphens=False) + "\n"


def table(header, rows):
    """Of Markdown; each row a list of texts."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def block(page, name):
    """The block below a mark, a regular expression's match with it as group 1. Without one the
    program ends."""
    found = re.search(rf"^<!-- {re.escape(name)} -->\n((?:[>|].*\n)+)", page, re.MULTILINE)
    if not found:
        sys.exit(f"the page has no quotation or table below <!-- {name} -->")
    return found


def with_block(page, name, text):
    """The page with another block below the mark."""
    begin, end = block(page, name).span(1)
    return page[:begin] + text + page[end:]
