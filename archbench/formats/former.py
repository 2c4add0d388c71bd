"""Names and facts of runs that an earlier archbench has written, as today's would say them: every
file of a run passes through here when it is loaded, and nothing else knows of former names.

What was called a backend is an upstream; event's --backend is --multiplexer; a server that an
upstream call blocks said "fd"; a server's family had a finer name; and what C decides was known to
Python by heart."""
import re

WORKLOADS = {"backend": "upstream"}
BLOCKS = {"fd": "upstream"}
FAMILIES = {
    "iterative": "processes", "multi-process": "processes", "multi-threaded": "threads",
    "event-driven": "event loops", "completion-driven": "asynchronous", "async": "asynchronous",
    "hybrid": "loop and workers", "actor": "messages", "staged": "messages",
    "serverless": "messages",
}
OPTIONS = (  # of servers
    (re.compile(r"--backend-(address|pool|timeout)\b"), r"--upstream-\1"),
    (re.compile(r"--backend(?==|$)"), "--multiplexer"),
)


def workload(name):
    return WORKLOADS.get(name, name)


def file_names(name):
    """The names that the file of a workload may have in a run."""
    return [name, *(old for old, new in WORKLOADS.items() if new == name)]


def metric(name):
    return re.sub(r"^backend_", "upstream_", name)


def option(word):
    for pattern, now in OPTIONS:
        word = pattern.sub(now, word)
    return word


def workload_text(text):
    """The text of a workload file."""
    text = re.sub(r"([?&]io=)backend:", r"\1upstream:", text)
    text = re.sub(r"^(\s*)backend(\s*=)", r"\1upstream\2", text, flags=re.MULTILINE)
    text = re.sub(r"--backend-(address|pool|timeout)\b", r"--upstream-\1", text)
    return re.sub(r"--backend=", "--multiplexer=", text)


def counters(data):
    """Parsed JSON with today's names of counters, however deep."""
    if isinstance(data, dict):
        return {metric(key): counters(value) for key, value in data.items()}
    if isinstance(data, list):
        return [counters(value) for value in data]
    return data


def member(data):
    """An object whose member `backend` is `upstream`."""
    return {"upstream" if key == "backend" else key: value for key, value in data.items()}


def server(about):
    """What a server says of itself (--about)."""
    now = dict(about)
    if "blocks" in about:
        now["blocks"] = [BLOCKS.get(word, word) for word in about["blocks"]]
    if "family" in about:
        now["family"] = FAMILIES.get(about["family"], about["family"])
    return now


def planned(cell):
    """A cell of the plan in manifest.json."""
    now = dict(cell, workload=workload(cell["workload"]))
    if "options" in cell:
        now["options"] = [option(word) for word in cell["options"]]
    if "file" in cell:
        now["file"] = re.sub(r"^workloads/(\w+)\.ini$",
                             lambda found: f"workloads/{workload(found[1])}.ini", cell["file"])
    return now


def manifest(data):
    now = dict(data)
    if "servers" in data:
        now["servers"] = {name: server(about) for name, about in data["servers"].items()}
    if "cells" in data:
        now["cells"] = [planned(cell) for cell in data["cells"]]
    return now


def predictions(cells):
    """The cells of predictions.json."""
    return [dict(said, workload=workload(said["workload"])) for said in cells]


def cell(data):
    """cell.json."""
    now = member(data)
    for counting in "counters", "exit", "slots":
        if counting in now:
            now[counting] = counters(now[counting])
    if "workload" in now:
        now["workload"] = workload(now["workload"])
    if now.get("command"):
        command = member(now["command"])
        words = command.get("server") or []
        now["command"] = dict(command, server=[option(word) for word in words])
    return now


# What cell --about says today, for runs whose manifest does not hold it.

STEAL_LIMIT = 0.02
KERNEL_STACK_KIB = 16
DEFAULTS = {"arrivals": "closed", "connections": 10, "placement": "shared"}


def server_cores(usable):
    """{placement: how many of the cores were the server's}: from 4 on the generator had a quarter of
    them to itself; with fewer it had one, which the server used too where the two shared."""
    split = usable if usable == 1 else usable - (usable // 4 if usable >= 4 else 1)
    return {"shared": split if usable >= 4 else usable, "split": split}


def decided(usable):
    """As cell --about, on a machine with so many usable cores."""
    return {"steal_limit": STEAL_LIMIT, "kernel_stack_kib": KERNEL_STACK_KIB,
            "server_cores": server_cores(usable), "defaults": DEFAULTS}
