"""What a run says while it goes on, and how long the rest will take."""
import datetime
import sys

from archbench.runner.attempts import ATTEMPTS


def as_clock(duration_s):
    """'4:10', '3:25:00'."""
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def time_of_day(duration_s):
    """The local time in so many seconds, with its date when that is not today."""
    now = datetime.datetime.now()
    then = now + datetime.timedelta(seconds=duration_s)
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"


class Progress:
    """One line: rewritten on a terminal, one per attempt elsewhere."""

    def __init__(self, planned, left):
        """`left` as in turns()."""
        self.tty = sys.stdout.isatty()
        self.planned, self.left = planned, left
        self.attempts = self.invalid = 0
        self.spent_s = self.planned_s = 0.0
        self.waits = False

    def left_s(self):
        """Expected, at the pace of the attempts so far, and with as many invalid ones among them:
        a share of p makes 1 + p + p^2 attempts of a cell that may have three."""
        pace = self.spent_s / self.planned_s if self.planned_s else 1.0
        share = self.invalid / self.attempts if self.attempts else 0.0
        return pace * sum(cell.expected_s * sum(share**k for k in range(self.left[cell.name]))
                          for cell in self.planned)

    def announce(self, folder):
        cells = sum(bool(left) for left in self.left.values())
        left_s = self.left_s()
        print(f"{cells} cells to run, about {as_clock(left_s)}, until {time_of_day(left_s)}; "
              f"results in {folder}", flush=True)

    def count(self, cell):
        """Which one of how many this is, and which attempt at it."""
        attempt = ATTEMPTS - self.left[cell.name] + 1
        tried = sum(left < ATTEMPTS for left in self.left.values()) + (attempt == 1)
        again = f", attempt {attempt}" if attempt > 1 else ""
        return f"[{tried}/{len(self.planned)}{again}]"

    def begin(self, cell):
        self.waits = False
        if self.tty:
            print(f"\r\x1b[K{self.count(cell)} {as_clock(self.left_s())} left: {cell.name}",
                  end="", flush=True)

    def end(self, cell, left, said, spent_s):
        """`left`: the attempts that this one has left of the cell."""
        count = self.count(cell)
        self.left[cell.name] = left
        self.attempts += 1
        self.invalid += said.startswith("INVALID")
        self.planned_s += cell.expected_s
        self.spent_s += spent_s
        if self.tty and said.startswith("INVALID"):
            print(f"\r\x1b[K{said}", flush=True)
        if not self.tty:
            print(f"{count} {said} ({as_clock(self.left_s())} left)", flush=True)

    def waiting(self, share):
        """Others have so large a share of a core: we wait. Said once for each wait, or kept up to
        date on a terminal."""
        if self.tty or not self.waits:
            print("\r\x1b[K" * self.tty + f"waiting: others have {100 * share:.0f} % of a core"
                  f" ({as_clock(self.left_s())} left)", end="" if self.tty else "\n", flush=True)
        self.waits = True

    def finish(self):
        if self.tty:
            print("\r\x1b[K", end="", flush=True)
