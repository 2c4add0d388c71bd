"""What the header comment of a server's source says of it, line by line: `Key: value`. The build
reads the same lines (servers/about.awk) and checks those that --about tells; here are the others:

  Family: one of FAMILIES
  Look:   #0072B2 o                    its colour and its marker (of matplotlib; star4 beside) in
                                       every figure; a server without has one made from its name
  Read:   drive, connections=welcome   the function that shows what it does with a request; after a
                                       kind of load (LOADS), the one that shows it for that kind"""
from functools import lru_cache
from pathlib import Path
import re

from archbench.places import REPOSITORY

SERVERS = REPOSITORY / "servers"
# What a server mostly schedules. A family shares a hue, and panels in the figures of many servers.
FAMILIES = ("processes", "threads", "event loops", "asynchronous", "loop and workers", "messages")
# What one request asks for; how a connection comes in, and which thread or loop gets it; which of
# them is told that a request is there; how the server grows; what notices that a part has died.
LOADS = ("waiting", "computing", "disk", "connections", "requests", "surge", "failure")


def files_of(server):
    """Its source: servers/NAME.c, or those of the folder servers/NAME/, the one with main first."""
    alone, folder = SERVERS / f"{server}.c", SERVERS / server
    found = [alone] if alone.is_file() else sorted(folder.glob("*.[ch]"))
    return sorted(found, key=lambda path: path.name != f"{server}.c")


def parse(text):
    """{key: value} of the header comment at the top of a C source."""
    comment = text.partition("*/")[0]
    return dict(re.findall(r"^ \* ([A-Z][a-z]+): +(.*\S)", comment, re.MULTILINE))


def guide_order(identifiers):
    """A key for sorting: A2 before A10, by the first of 'A5 A5s'."""
    return [int(number) for number in re.findall(r"\d+", identifiers.partition(" ")[0])]


@lru_cache
def servers():
    """{name: {key: value}} of every server of the suite, family by family, in the guide's order."""
    names = {path.stem for path in Path(SERVERS).glob("*.c")}
    names |= {path.parent.name for path in SERVERS.glob("*/*.c") if path.stem == path.parent.name}
    found = {name: parse(files_of(name)[0].read_text(encoding="utf-8")) for name in names}

    def place(name):
        family = found[name].get("Family")
        known = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)
        return known, guide_order(found[name].get("Ids", "A999")), name
    return {name: found[name] for name in sorted(found, key=place)}


def to_read(server, load):
    """The function that shows what this server does with that kind of load; None where its header
    names none."""
    words = servers().get(server, {}).get("Read")
    if words is None:
        return None
    named = {}
    for word in re.split(r",\s*", words):
        kind, _, function = word.rpartition("=")
        named[kind] = function
    return named.get(load, named.get(""))
