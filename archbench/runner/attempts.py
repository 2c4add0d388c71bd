"""Which cells of a run are still to be run, and in which order."""
from fnmatch import fnmatchcase
import itertools
import json

from archbench.formats import schema

ATTEMPTS = 3  # an invalid cell is run again up to twice: see turns()


def load_cell(path):
    """A finished cell, or None: a file that is missing or torn does not count. Raises
    schema.Refused for one of another version, since a new attempt would replace it."""
    file = path / "cell.json"
    try:
        cell = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return schema.check(file, cell, schema.CELL)


def is_valid(cell, metric=""):
    """Is the number sure that its workload is about? `metric`: its name, whatever the class; ""
    where the workload is about none, so that the cell's own verdict decides."""
    refused = (name.rpartition(".")[2] for name in cell["validity"].get("refused", ()))
    return (cell["validity"]["verdict"] == "VALID"
            and not any(fnmatchcase(metric, name) for name in refused))


def attempts_left(cell, metric=""):
    """How often a cell may still be run; `cell`: what load_cell() returned; `metric`: see
    is_valid()."""
    if cell is None:
        return ATTEMPTS
    return 0 if is_valid(cell, metric) else max(0, ATTEMPTS - cell["attempt"])


def turns(planned, left):
    """The cells in the order to run them. `left`: the attempts left of each, by name, which the
    caller keeps up to date from one cell to the next.

    Invalid ones are not repeated at once: what disturbs a machine lasts for seconds, and would
    disturb the next attempt as well. They wait for the end of their block, and those that are
    invalid again for the end of the run."""
    for _, block in itertools.groupby(planned, key=lambda cell: cell.trial):
        block = list(block)
        yield from (cell for cell in block if left[cell.name] == ATTEMPTS)
        yield from (cell for cell in block if left[cell.name] == ATTEMPTS - 1)
    yield from (cell for cell in planned if left[cell.name])
