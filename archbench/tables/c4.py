"""Table C4 of the guide sums up its three companies. Here is company A, the chat, on the architecture that the guide
proposes; docs/cases/chat.md checks the arithmetic."""
from dataclasses import replace

from archbench.formats.run import NoData
from archbench.tables.parts import guide_chat, guide_table as gt
from archbench.tables.parts.facts import Facts

PROPOSED = ("hybrid",)  # a loop for what waits, workers for what computes
INTRO = ("Company A of the guide is a chat with 10,000 clients. *Formula* is the guide's own; *model* was "
         "predicted before the run. Companies B and C are not measured yet.")


def make(run):
    holder = run.of_case(guide_chat.CASE)
    if holder is None:
        raise NoData(f"this run has no case study {guide_chat.CASE}")
    rows = (replace(found.row, id="C4") for found in guide_chat.rows(Facts(holder), PROPOSED))
    return gt.make("Company A in summary", INTRO, rows)
