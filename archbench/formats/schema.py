"""The versions of the files in results/ that this tree writes and reads: docs/formats.md,
"Versions"."""

import json

RUN = "archbench-run/1"
CELL = "archbench-cell/1"  # written by cell/cell.c
PREDICTIONS = "archbench-predictions/1"
PACKED = "archbench-packed-cell/1"  # a line of a packed run


class Refused(Exception):
    """A file of another version, or of none: a sentence for the user."""


class Damaged(Refused):
    """A file that is not what its name says: cut, or of another kind."""


def read_json(path):
    """Raises Damaged, or OSError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are
        raise Damaged(f"{path} is damaged: {' '.join(str(error).split())}") from error


def check(path, data, understood):
    """Return `data`, as it was parsed from `path`, if it says that it is of the version
    `understood`; raise Refused otherwise."""
    found = data.get("schema") if isinstance(data, dict) else None
    if found != understood:
        raise Refused(f"{path} is {found or 'of no stated version'}, and what is read here is "
                      f"{understood}: use the archbench that wrote it (environment.commit in its "
                      "manifest.json), or measure anew")
    return data
