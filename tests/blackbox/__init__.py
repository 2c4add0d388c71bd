"""The contract of the servers, seen from outside: one module for each topic. All are run unchanged
over every server in BUILD/servers; a new server and a new module are found without an edit here."""

import importlib
import pkgutil

import harness


def cases():
    """Every theme of every module of this folder, in the order of their names."""
    found = []
    for module in sorted(each.name for each in pkgutil.iter_modules(__path__)):
        inside = vars(importlib.import_module(f"{__name__}.{module}")).values()
        found += [case for case in inside if harness.is_theme(case) and case not in found]
    return found


def variants(target):
    """The server as it is, and once more for each other multiplexer or way of listening it has."""
    yield target
    if target.has("--multiplexer"):
        for multiplexer in ("select", "poll"):
            yield harness.Target(target.path, ("--multiplexer", multiplexer))
    if target.has("--listen"):
        yield harness.Target(target.path, ("--listen", "shared"))
