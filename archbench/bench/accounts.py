"""What became of every message of one part of `archbench bench endurance`: read from its cell.json, and
held against what must be true of it. docs/cases/chat.md tells why it is counted like this."""
import statistics
import typing

from archbench.bench.rig import line

MOMENTS = (0, 0.1, 0.4, 0.7, 0.99)  # shares of the window at which the memory is looked at
WARM = 1  # the moment from which on it may not grow ...
PSS_SHARE, PSS_KB = 0.02, 2048  # ... by more than this: the server's pages
CGROUP_SHARE, CGROUP_KB = 0.10, 16 * 1024  # with the kernel's, where sockets' buffers come and go
OTHERS_LIMIT = 0.05  # share of all cores beyond which other programs are worth a word
UNANSWERED = ("timeout", "reset", "closed", "cut", "malformed", "unanswered")
NOT_SENT = ("connect", "unsent")
REFUSED = ("status_4xx", "status_5xx")


class Line(typing.NamedTuple):
    """One line of the verdict: a sentence with its numbers."""

    holds: bool
    sentence: str


def is_flat(samples, share, least_kb):
    """Whether no later one is more than the warm one, by as much as it may be. None: nobody could look."""
    if len(samples) < len(MOMENTS) or None in samples:
        return None
    bound_kb = samples[WARM] + max(least_kb, share * samples[WARM])
    return max(samples[WARM + 1:]) <= bound_kb


class Account:
    """Of one part: `members` of each room; `samples` (PSS, cgroup's memory), in KiB, at MOMENTS; `kills`
    that were to be."""

    def __init__(self, name, cell, members, samples, kills):
        self.name, self.cell, self.members, self.kills = name, cell, members, kills
        self.pss, self.cgroup = [list(values) for values in zip(*samples)] or ([], [])
        self.load = cell.get("load")
        if self.load is None:
            raise ValueError(f"{name}: nothing was measured: {cell['validity']['reasons']}")
        errors = self.load["errors"]
        self.sent = self.load["requests"] - sum(errors[kind] for kind in NOT_SENT)
        self.unsent = sum(errors[kind] for kind in NOT_SENT)
        self.acknowledged = self.load["good"]
        self.refused = sum(errors[kind] for kind in REFUSED)
        self.unanswered = sum(errors[kind] for kind in UNANSWERED)
        for key in ("published", "delivered", "lost", "away", "doubled", "disordered"):
            setattr(self, key, sum(each["deliveries"][key] for each in self.load["classes"].values()))
        rows = (self.final("postgresql") or {}).get("rows") or {}
        self.rows, self.rows_doubled = rows.get("message"), rows.get("message_doubled")

    def component(self, name):
        return next((each for each in self.cell["components"] if each["name"] == name), None)

    def final(self, name):
        """A real component's last line; None where the upstream played it."""
        found = self.component(name)
        return found["final"] if found and found["program"] != "bundled" else None

    @property
    def due(self):
        """Deliveries of what was acknowledged."""
        return self.acknowledged * self.members

    @property
    def accounted(self):
        """Deliveries of which it is known what became of them."""
        return self.delivered - self.doubled + self.lost + self.away

    @property
    def unacknowledged(self):
        """Deliveries of messages that were refused, or whose answer never came: published, and then something failed."""
        return self.accounted - self.due

    @property
    def killed(self):
        """How often something was killed, as far as is known by whoever started it again."""
        kill = self.cell["kill"]
        final = self.final(self.name) if kill else None
        return final["kills"] if final else kill["count"] if kill else 0

    @property
    def down_s(self):
        final = self.final(self.name)
        return final["down_s"] if final else []

    # ---------------------------------------------------------------- verdict

    def lines(self):
        return [each for each in (self.of_messages(), self.of_rows(), self.of_deliveries(),
                                  self.of_order(), self.of_kills(), self.of_memory("PSS"),
                                  self.of_memory("cgroup")) if each]

    def of_messages(self):
        told = self.acknowledged + self.refused + self.unanswered
        return Line(self.sent == told,
                    f"sent {self.sent:,} = acknowledged {self.acknowledged:,} + refused "
                    f"{self.refused:,} + unanswered {self.unanswered:,}")

    def of_rows(self):
        if self.component("postgresql") is None or not self.final("postgresql"):
            return None  # the upstream played it, and keeps no rows
        if self.rows is None:
            return Line(False, "PostgreSQL did not say how many rows it has")
        return Line(self.acknowledged <= self.rows <= self.sent and self.rows_doubled == 0,
                    f"acknowledged {self.acknowledged:,} <= stored {self.rows:,} <= sent "
                    f"{self.sent:,}, {self.rows_doubled} stored more than once")

    def of_deliveries(self):
        unsure = (self.refused + self.unanswered) * self.members
        return Line(self.published == self.acknowledged and 0 <= self.unacknowledged <= unsure,
                    f"due {self.due:,} = delivered {self.delivered - self.doubled:,} + lost "
                    f"{self.lost:,} + missed while away {self.away:,} - unacknowledged "
                    f"{self.unacknowledged:,} (0 to {unsure:,})")

    def of_order(self):
        return Line(self.doubled == self.disordered == 0,
                    f"doubled {self.doubled:,} = out of order {self.disordered:,} = 0")

    def of_kills(self):
        """What was not disturbed has no excuse; what was to be disturbed must have been."""
        if self.kills:
            return Line(self.killed == self.kills, f"killed {self.killed} of {self.kills} times")
        held = not (self.lost or self.away or self.refused or self.unanswered or self.unsent)
        return Line(held, f"lost {self.lost:,} = missed while away {self.away:,} = refused "
                          f"{self.refused:,} = unanswered {self.unanswered:,} = not sent "
                          f"{self.unsent:,} = 0")

    def of_memory(self, kind):
        """The cgroup is not everywhere to be had; the PSS is."""
        pss = kind == "PSS"
        samples = self.pss if pss else self.cgroup
        share, least_kb = (PSS_SHARE, PSS_KB) if pss else (CGROUP_SHARE, CGROUP_KB)
        flat = is_flat(samples, share, least_kb)
        if flat is None:
            return Line(False, "the server's memory was not seen at all moments") if pss else None
        return Line(flat, f"memory ({kind}) at most {max(samples[WARM + 1:]) / 1024:.1f} MiB after "
                          f"{samples[WARM] / 1024:.1f} at a tenth, bound {100 * share:g} % or "
                          f"{least_kb / 1024:g} MiB more")


def show_verdict(account):
    """Print each line. Whether all hold."""
    for each in account.lines():
        line("holds" if each.holds else "MISSED", each.sentence)
    others = account.cell["host"]["others"]
    if others > OTHERS_LIMIT:
        line("note", f"other programs took {100 * others:.0f} % of the machine meanwhile: a server that is "
                     "short of CPU sheds messages, and says so")
    if account.cell["validity"]["verdict"] != "VALID":
        line("note", "times of this part are not sure: "
                     + "; ".join(account.cell["validity"]["reasons"]))
    return all(each.holds for each in account.lines())


# ---------------------------------------------------------------- the table


def mib(samples):
    return " ".join("?" if kb is None else f"{kb / 1024:.1f}" for kb in samples) or "?"


def count(number):
    return "-" if number is None else f"{number:,}"


def down(account):
    if not account.down_s:
        return "-"
    return f"{statistics.median(account.down_s):.2f} ({max(account.down_s):.2f})"


def counter(account, name):
    return count((account.cell["counters"] or {}).get(name))


def late_and_failed(account, pool):
    return f"{counter(account, f'{pool}_failed')} / {counter(account, f'{pool}_late')}"


def programs(account):
    return ", ".join(each["program"] for each in account.cell["components"])


ROWS = {
    "server": lambda a: a.cell["server"],
    "components": programs,
    "messages sent": lambda a: count(a.sent),
    "acknowledged (200)": lambda a: count(a.acknowledged),
    "refused: 4xx / 5xx": lambda a: " / ".join(count(a.load["errors"][kind]) for kind in REFUSED),
    "of these shed by the server": lambda a: counter(a, "shed"),
    "calls of Redis failed / late": lambda a: late_and_failed(a, "upstream"),
    "statements failed / late": lambda a: late_and_failed(a, "database"),
    "unanswered": lambda a: count(a.unanswered),
    "not sent": lambda a: count(a.unsent),
    "rows in the database": lambda a: count(a.rows),
    "deliveries due": lambda a: count(a.due),
    "delivered": lambda a: count(a.delivered),
    "lost": lambda a: count(a.lost),
    "missed while away": lambda a: count(a.away),
    "of unacknowledged messages": lambda a: count(a.unacknowledged),
    "doubled": lambda a: count(a.doubled),
    "out of order": lambda a: count(a.disordered),
    "kills": lambda a: count(a.killed),
    "down, s: median (longest)": down,
    "connections for the feed": lambda a: counter(a, "feed_connects"),
    "PSS, MiB": lambda a: mib(a.pss),
    "memory of the cgroup, MiB": lambda a: mib(a.cgroup),
    "verdict": lambda a: "holds" if all(each.holds for each in a.lines()) else "MISSED",
}


def table_of(accounts):
    """(header, rows), texts: a column for each part."""
    return (["", *(account.name for account in accounts)],
            [[name, *(of(account) for account in accounts)] for name, of in ROWS.items()])


def text(accounts):
    header, rows = table_of(accounts)
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join("  ".join([row[0].ljust(widths[0]),
                                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
                     for row in [header, *rows])
