"""What is measured for a page of docs/: when the machine was calm, held against the bounds of a
prediction, and put into the page below a mark, a comment `<!-- NAME -->` on a line of its own.

What stands below a mark is a block: lines that begin with `>` (a quotation) or `|` (a table)."""

import platform
import re
import sys
import textwrap
import time

import usage
from rig import CORES

WIDTH = 100  # columns of a page
STEAL_LIMIT = 0.02  # of the machine, during a measurement: as for a cell
ATTEMPTS = 3
REST_S = 20


def holds(bounds, value):
    """Whether the value keeps them: bounds has a `low` and a `high`, and None is no bound."""
    return ((bounds.low is None or value >= bounds.low) and
            (bounds.high is None or value <= bounds.high))


def undisturbed(measure):
    """(what measure() returned, share of the machine that was stolen meanwhile): the calmest of a
    few attempts, of which the first calm one is the last."""
    attempts = []
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(REST_S)  # what disturbs a machine lasts for seconds
        begin_s, stolen_s = time.monotonic(), usage.stolen_s()
        found = measure()
        share = (usage.stolen_s() - stolen_s) / (time.monotonic() - begin_s) / len(CORES)
        attempts.append((share, found))
        if share <= STEAL_LIMIT:
            break
    share, found = min(attempts, key=lambda each: each[0])
    return found, share


def disturbance(share):
    """What a reader must know of the share that was stolen; nothing when the machine was calm."""
    if share <= STEAL_LIMIT:
        return ""
    return f", but the hypervisor took {100 * share:.0f} % of the machine meanwhile"


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
