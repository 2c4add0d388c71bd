"""What the guide's tables share: the row, numbers as text, and the rules by which a measurement
agrees with a claim. docs/guide-tables.md explains the rows themselves."""
from dataclasses import astuple, dataclass, fields, replace
import math

from archbench.drawing import style
from archbench.formats.run import NoData
from archbench.tables.parts import table

AGREE, DISAGREE, OPEN = "agree", "disagree", "open"
NOT_MEASURED = "not measured"
NOTHING = "–"  # the guide, the formula or the model has nothing to say
TOLERANCE = 0.10  # a value this near to what was expected agrees with it
ENOUGH_TRIALS = 3


@dataclass(frozen=True)
class Row:
    """One claim, put beside what there is to say about it. All fields are texts for a reader."""
    id: str
    claim: str
    guide: str  # its value, for its server of 16 cores
    formula: str  # the same for the machine of the run
    model: str  # predicted from calibration, before the run
    measured: str
    agreement: str  # of the measurement with the claim: AGREE, DISAGREE or OPEN
    verdict: str


HEADER = [field.name for field in fields(Row)]


def unmeasured(row, reason):
    """The row of something that this run cannot tell."""
    return replace(row, measured=NOT_MEASURED, agreement=OPEN, verdict=f"{reason}.")


def blank(row_id, claim, says=NOTHING, formula=NOTHING, model=NOTHING):
    """A row that still lacks its measurement."""
    return Row(row_id, claim, says, formula, model, NOT_MEASURED, OPEN, "")


def measured(row, text, agreement, verdict):
    return replace(row, measured=text, agreement=agreement, verdict=verdict)


def make(title, intro, rows):
    """(header, rows, Markdown text), as lib.table.main() wants them."""
    rows = list(rows)
    if all(row.measured == NOT_MEASURED for row in rows):
        raise NoData("this run measured nothing that the table is about")
    readable = [[r.id, r.claim, r.guide, r.formula, r.model, r.measured,
                 f"**{r.agreement}**: {r.verdict}"] for r in rows]
    text = "\n".join([f"# {title}", "", intro, "",
                      table.markdown([*HEADER[:-2], "verdict"], readable)])
    return HEADER, [list(astuple(row)) for row in rows], text


# Numbers as text.

def told(e, unit="", say=style.human):
    """'193/s [192, 194]': an Estimate with its interval, and with its trials when they are few."""
    text = f"{say(e.value)}{unit}"
    if e.low is not None:
        text += f" [{say(e.low)}, {say(e.high)}]"
    if e.trials < ENOUGH_TRIALS:
        text += f" ({e.trials} trial{'s' if e.trials > 1 else ''})"
    return text


def rate(per_s):
    return f"{style.human(per_s)}/s"


def count(number):
    return f"{number:,.0f}"


def seconds(value):
    """Seconds in the unit a reader would choose."""
    if 120 <= value < math.inf:
        return f"{style.human(value / 60)} min"
    return style.duration(1e6 * value) if value else "0 s"


def percent(share):
    return f"{100 * share:.{0 if share >= 0.1 or share == 0 else 1}f} %"


def compared(value, expected):
    """How `value` stands to `expected`: 'equal to', '12 % above', '3.1 times', '0.31 times'."""
    if math.isinf(value) or not expected:
        return "infinitely far above"
    ratio = value / expected
    if 0.5 < ratio < 2:
        share = round(100 * abs(ratio - 1))
        return f"{share} % {'above' if ratio > 1 else 'below'}" if share else "equal to"
    return style.times(ratio) if ratio > 1 else f"{style.human(ratio)} times"


# Rules.

def near(e, expected):
    """Does an Estimate agree with a number? Open when the trials scatter across the tolerance."""
    if not e.finite or not expected:
        return DISAGREE
    if abs(e.value / expected - 1) <= TOLERANCE:
        return AGREE
    low, high = (e.value, e.value) if e.low is None else (e.low, e.high)
    reaches = low <= (1 + TOLERANCE) * expected and high >= (1 - TOLERANCE) * expected
    return OPEN if reaches else DISAGREE


def below(e, limit):
    """Is an Estimate below a limit? Open when its interval holds the limit."""
    low, high = (e.value, e.value) if e.low is None else (e.low, e.high)
    if high < limit:
        return AGREE
    return DISAGREE if low >= limit else OPEN
