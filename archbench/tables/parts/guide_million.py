"""D2 of the guide, what must change for a million connections: from the workload scale."""
from archbench.drawing import style
from archbench.tables.parts import guide_table as gt
from archbench.tables.parts.facts import MEMORY_METRIC, guide

SCALE = "scale"
PORTS = 28_232  # of one pair of addresses: Linux's default range, 32768 to 60999
INTRO = ("D2: what must change so that a server holds more than a million connections? One thing "
         "at a time is in the way; each row names it, the sum, what was done, and what came of it.")


def cell_at(facts, point, arch):
    return next(iter(facts.run.cells_at(SCALE, point, arch)), {})


def option(cell, program, name):
    """The value of an option of a cell's server or generator, as text; None without it."""
    words = (cell.get("command") or {}).get(program) or []
    for word, following in zip(words, [*words[1:], ""]):
        if word == name:
            return following
        if word.startswith(name + "="):
            return word.partition("=")[2]
    return None


def use(cell):
    """What became of the connections, as the generator counted it."""
    return (cell.get("load") or {}).get("connection_use") or {}


def held_text(cell, point, arch):
    used = gt.count(use(cell).get("used", 0))
    return f"{arch}: {used} of {gt.count(int(point))} connections used"


def way(draft, text, cell, point, most, change):
    """The row of what lets one process or address have `most` connections: in the way when more were
    asked for, and out of it when all of them carried a reply once `change` was done."""
    if most is None or int(point) <= most:
        return gt.measured(draft, text, gt.OPEN, "One has enough of them here.")
    lost = int(point) - use(cell).get("used", 0)
    if lost > 0:
        return gt.measured(draft, text, gt.OPEN, f"{change} {gt.count(lost)} connections carried no "
                           "reply all the same; what was in their way, this row does not tell.")
    return gt.measured(draft, text, gt.AGREE, f"{change} Every connection carried a reply then.")


def descriptors(facts, point, arch):
    limit = (facts.run.manifest.get("environment", {}).get("limits", {}).get("open_files")
             or [None, None])[1]
    cell = cell_at(facts, point, arch)
    copies, workers = option(cell, "server", "--processes"), option(cell, "loadgen", "-w")
    says = gt.count(limit) if limit else "no limit of"
    draft = gt.blank("D2", "Descriptors of a process are in the way", "asked",
                     f"{gt.count(int(point))} connections; {says} descriptors for each process")
    text = (f"{held_text(cell, point, arch)}, by {copies or 1} server and {workers or 1} generator "
            "processes")
    return way(draft, text, cell, point, limit,
               f"{copies or 1} copies of the server behind one port (SO_REUSEPORT): it is one "
               "program, and no copy knows of the others.")


def ports(facts, point, arch):
    cell = cell_at(facts, point, arch)
    draft = gt.blank("D2", "Ports of a pair of addresses are in the way", "asked",
                     f"{gt.count(int(point))} / {gt.count(PORTS)} = "
                     f"{-(-int(point) // PORTS)} source addresses at least")
    connect = (cell.get("load") or {}).get("connect") or {}
    sources = use(cell).get("sources")
    text = held_text(cell, point, arch)
    if sources:
        text += f", from {sources} source addresses"
    if connect.get("p99_us"):
        text += f", connected in {style.duration(connect['p99_us'])} (p99)"
    return way(draft, text, cell, point, PORTS,
               "The generator takes more addresses than it must: where a pair uses a quarter of its "
               "ports, the kernel soon finds a free one. Clients of a real service bring addresses "
               "of their own.")


def memory(facts, point, arch):
    each = facts.estimate(SCALE, point, arch, MEMORY_METRIC)
    draft = gt.blank("D2", f"{arch}: memory of connections is in the way", "64 KB each: 64 GB",
                     f"{gt.count(int(point))} x 64 KiB = "
                     f"{style.size(int(point) * guide.CONNECTION_BYTES)}")
    if not each:
        return gt.unmeasured(draft, facts.why_not(SCALE, point, arch))
    own = facts.estimate(SCALE, point, arch, "memory_user_kb_per_connection")
    total = each.value * guide.KIB * int(point)
    text = f"{gt.told(each, ' KiB')} each, {style.size(total)} in all"
    verdict = (f"Of that, {style.human(own.value) if own else '?'} KiB are the server's own; the "
               "rest is the kernel's: sockets, both ends of them here, and stacks.")
    return gt.measured(draft, text, gt.near(each, guide.CONNECTION_BYTES / guide.KIB), verdict)


def cpu(facts, points, arch):
    """What a request costs more, when there are so many connections."""
    costs = [facts.estimate(SCALE, p, arch, "cpu_us_per_request") for p in points]
    draft = gt.blank("D2", f"{arch}: a request costs more CPU time among so many connections",
                     "asked")
    if not all(costs):
        return gt.unmeasured(draft, f"{arch} was not measured at both ends of workload {SCALE}")
    text = "; ".join(f"{gt.told(cost, ' µs')} at {gt.count(int(p))}"
                     for p, cost in zip(points, costs))
    processes = [option(cell_at(facts, p, arch), "server", "--processes") or 1 for p in points]
    return gt.measured(draft, text, gt.OPEN, "The same request costs "
                       f"{style.times(costs[1].value / costs[0].value)} as much. What for, these "
                       "numbers do not tell apart: fewer of the connections are in the caches, and "
                       f"{processes[1]} processes in place of {processes[0]} take turns.")


def threads(facts, point):
    """Where an architecture with a task for each connection stops."""
    draft = gt.blank("D2", "threads: a thread for each connection is in the way", "asked",
                     f"{gt.count(int(point))} threads")
    why = facts.run.why_absent(SCALE, point, "threads")
    if why is None:
        cell = cell_at(facts, point, "threads")
        room = use(cell).get("used", 0) >= int(point)
        return gt.measured(draft, held_text(cell, point, "threads"),
                           gt.DISAGREE if room else gt.OPEN, "The system had room for as many."
                           if room else "Planned, but not every connection carried a reply.")
    most = [p for p in facts.run.points(SCALE) if not facts.run.why_absent(SCALE, p, "threads")]
    text = held_text(cell_at(facts, most[-1], "threads"), most[-1], "threads") if most else "none"
    return gt.measured(draft, text, gt.AGREE, f"Not planned beyond: {why}. kernel.pid_max, "
                       "kernel.threads-max and vm.max_map_count can be raised; the stacks remain.")


def d2_rows(facts):
    if not facts.has(SCALE):
        return
    points = facts.run.points(SCALE)
    most = points[-1]
    archs = [a for a in style.in_order(facts.run.archs(SCALE))
             if a != "threads" and use(cell_at(facts, most, a)).get("used")]
    if archs:
        first = "event" if "event" in archs else archs[0]
        yield descriptors(facts, most, first)
        yield ports(facts, most, first)
        for arch in archs:
            yield memory(facts, most, arch)
        for arch in archs:
            yield cpu(facts, (points[0], most), arch)
    if len(points) > 1:
        yield threads(facts, points[1])
