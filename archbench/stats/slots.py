"""What each worker of a server counted: the slots of a cell (docs/formats.md)."""

PARENTS_SLOT = 1  # the first slot of counters is the parent's, who serves nobody


def shares(slots, kind):
    """The share in percent of each worker in one cell; None when there is nothing to share."""
    counts = [slot[kind] for slot in (slots or [])[PARENTS_SLOT:]]
    total = sum(counts)
    return [100 * n / total for n in counts] if total else None


def excess(slots, kind):
    """How many times its fair share the busiest worker has; 1 is even. None when unknown."""
    found = shares(slots, kind)
    return max(found) * len(found) / 100 if found else None
