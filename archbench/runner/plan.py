"""Which cells a run consists of, and in which order.

A cell is one architecture on one point of one workload, once. Cells come in blocks: a block holds
every combination once, so that whatever drifts while a run goes on (temperature, neighbours) meets
all architectures alike and shows as a difference between blocks. Within a block come first the
workloads that open a chapter of the report, so that a run that is stopped early has the most
instructive ones; those of one place are in random order.
"""
import configparser
import dataclasses
import pathlib
import random
import re
import zlib

from archbench.formats import abouts, names, workload as workloads
from archbench.runner import limits

PROFILES = {  # what a workload does not say itself
    "smoke": {"trials": 1, "warmup": "50ms", "duration": "200ms", "twin": ""},
    "quick": {"trials": 2, "warmup": "300ms", "duration": "1s", "twin": ""},
    "full": {"trials": 5, "warmup": "300ms", "duration": "1500ms", "twin": "event"},
}
EVERY_SERVER = "all"  # the word for them in `servers`
MOST_WORKERS = 512  # that a server is given so that it can serve as many connections at a time
LAST_PLACE = 99  # of a workload that does not say which it has in the report
CASES = "workloads/cases"  # where those of case studies are
OVERHEAD_S = 0.15  # of a cell beside warm-up and window: start, connect, collect, stop


class PlanError(Exception):
    """A sentence for the user."""


@dataclasses.dataclass(frozen=True)
class Entrant:
    """An architecture that takes part: a server as it is, or a variant with options of its own."""
    name: str
    program: str
    options: tuple = ()


@dataclasses.dataclass(frozen=True)
class Cell:
    """One measurement to take."""
    arch: str  # what results call it: the name of the server or of a variant
    workload: str
    file: str  # of the workload, relative to the current folder
    point: str
    trial: int
    warmup: str
    duration: str
    connections: int  # 0: as the workload says
    seed: int  # of the arrivals: the same for all architectures, so that they meet the same load
    program: str  # the server
    options: tuple  # its command line, beside what every server gets
    components: bool = False  # real ones, as far as they are installed: Redis, PostgreSQL

    @property
    def name(self):
        return f"{self.workload}/{self.point} {self.arch}.{self.trial}"

    @property
    def folder(self):
        return pathlib.Path(self.workload, self.point, f"{self.arch}.{self.trial}")

    @property
    def expected_s(self):
        return seconds(self.warmup) + seconds(self.duration) + OVERHEAD_S


def seconds(text):
    """'250ms' as 0.25."""
    try:
        return workloads.seconds(text)
    except ValueError as error:
        raise PlanError(str(error)) from error


def whole(text):
    """'64' as 64."""
    if not re.fullmatch(r"\d+", str(text)):
        raise PlanError(f"'{text}' is not a whole number from 0")
    return int(text)


def entrant(word):
    """What a word of `servers` or --only stands for: `event`, or the variant that
    `event:--multiplexer=poll` describes, which is called event-poll."""
    program, *options = word.split(":")
    for option in options:
        if not re.fullmatch(r"--[a-z][a-z-]*(=[\w.-]+)?", option):
            raise PlanError(f"'{word}' is neither a server nor SERVER:--option=value")
    values = [option.lstrip("-").rpartition("=")[2] for option in options]
    return Entrant("-".join([program, *values]), program, tuple(options))


def read_workload(path):
    """The Workload of a file. Its keys are checked by the programs that use them."""
    try:
        return workloads.Workload(path)
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise PlanError(f"workload {path}: {error}") from error


def files_of(path):
    """The workload file and the files that it names: a trace that it replays, statements and a schema
    of a database."""
    workload = read_workload(path)
    trace = [pathlib.Path(path).parent / workload.trace] if workload.trace else []
    named = map(workload.beside, workload.files_named())
    return [path, *trace, *filter(None, named)]


def connections_at(workload, point, override, defaults):
    """How many connections of this point are open at a time: those that all classes share (or what
    the profile says in their place, `override`), those of single classes, and idle ones.
    `defaults`: keys that a workload need not state."""
    keys = defaults | workload.at(point)
    found = whole(override) or whole(keys["connections"])
    found += sum(whole(keys.get(f"{name}.connections", 0)) for name in workload.classes)
    return found + whole(keys.get("idle", 0))


def settings(workload, profile):
    """What this profile runs of a Workload: points, servers, trials, warmup, duration,
    connections."""
    known = workload.points or ["base"]
    chosen = dict(PROFILES[profile], connections=0, points=" ".join(known), servers=EVERY_SERVER)
    chosen.update(workload.section(profile))
    for several in "points", "servers":
        chosen[several] = chosen[several].split()
    unknown = set(chosen["points"]) - set(known)
    if unknown:
        raise PlanError(f"[{profile}] names points that are not there: "
                        + " ".join(sorted(unknown)))
    return chosen


def find_workloads(wanted, folder):
    """Files of workloads, by name (in `folder`) or by path; all of the folder without `wanted`."""
    if not wanted:
        return sorted(pathlib.Path(folder).glob("*.ini"))
    files = [pathlib.Path(name if name.endswith(".ini") else f"{folder}/{name}.ini")
             for name in wanted]
    for file in files:
        if not file.is_file():
            raise PlanError(f"no workload {file}")
    return files


def cases(folder=CASES):
    """{case: its workload files}, of the case studies that there are, each in its order."""
    found = {}
    for file in sorted(pathlib.Path(folder).glob("*.ini")):
        stated = read_workload(file).case
        if "name" not in stated:
            raise PlanError(f"workload {file} does not say in [case] to which case it belongs")
        found.setdefault(stated["name"], []).append((whole(stated.get("order", LAST_PLACE)), file))
    return {name: [file for _, file in sorted(placed)] for name, placed in found.items()}


def find_cases(wanted, workloads, folder=CASES):
    """The workload files of these cases; of these `workloads` (names, or paths that end in .ini) only,
    if any are named."""
    there = cases(folder)
    for name in wanted:
        if name not in there:
            raise PlanError(f"no case {name}; there is: {' '.join(there) or 'none'}")
    files = [file for name in wanted for file in there[name]]
    for word in workloads:
        if not any(word in (file.stem, str(file)) for file in files):
            raise PlanError(f"no workload {word} in {' and '.join(wanted)}; there is: "
                            + " ".join(file.stem for file in files))
    return [file for file in files if not workloads or {file.stem, str(file)} & set(workloads)]


def architectures(build, wanted=()):
    """What `--about` says of every server that is built, by name. `wanted`: words as in --only."""
    found = abouts.servers(build)
    programs = {entrant(word).program for word in wanted if word != EVERY_SERVER}
    missing = programs - set(found)
    if missing or not found:
        raise PlanError(f"not in {build}/servers: {' '.join(sorted(missing)) or 'any server'}; "
                        f"there is: {' '.join(found) or 'nothing, try make'}")
    everything = not wanted or EVERY_SERVER in wanted
    return {name: about for name, about in found.items() if everything or name in programs}


def planned_cell(entry):
    """The Cell that an entry of manifest.json describes."""
    try:
        return Cell(**entry)
    except TypeError as error:
        raise PlanError("the plan of this run was made by another archbench, and cannot be gone "
                        f"on with: {error}") from error


def arrival_seed(seed, workload, point, trial):
    return zlib.crc32(f"{seed}/{workload}/{point}/{trial}".encode()) % (2**31 - 1) + 1


def line_up(words, servers, left_out):
    """The entrants that `words` name. Those that are not built are left out with a word."""
    named = [one for word in words for one in (servers if word == EVERY_SERVER else [word])]
    entrants = {one.name: one for one in map(entrant, named)}.values()  # each once
    missing = sorted({one.program for one in entrants} - set(servers))
    present = [one for one in entrants if one.program in servers]
    if not present:
        raise PlanError(f"none of its servers is built: {' '.join(words)}")
    left_out += [f"{name}, which is not built" for name in missing]
    return present


def can_serve(about, connections, own, machine):
    """(options with which a server takes so many connections at a time, None), or (None, why it
    does not). `own`: the entrant's options, of which one may say how many processes there are."""
    peers = about.get("peers")
    if isinstance(peers, str):  # the option that says how many
        if connections <= MOST_WORKERS:
            return (f"{peers.partition('=')[0]}={connections}",), None
        return None, f"{connections:,} at a time"
    if peers is not None and connections > peers:
        return None, f"{connections:,} at a time"
    short = limits.shortage(about, connections, machine)
    if short:
        return None, short
    copies = limits.copies(connections, machine)
    said = any(option.startswith(("--processes=", "--workers=")) for option in own)
    return (() if copies == 1 or said else (f"--processes={copies}",)), None


def with_twin(entrants, word):
    """The entrants, and once more, under another name, the one that `word` names, if it takes part:
    whatever differs between the two is chance."""
    return entrants + [dataclasses.replace(one, name=one.name + names.TWIN) for one in entrants
                       if word and one == entrant(word)]


def that_can_push(workload, entrants, servers, left_out):
    """Where connections subscribe, an architecture that has no way to push has no part."""
    if not workload.subscribes:
        return entrants
    able = [one for one in entrants if servers[one.program].get("push")]
    left_out += [f"{one.name}, which cannot push to its connections" for one in entrants
                 if one not in able]
    if not able:
        raise PlanError("none of its servers can push")
    return able


def pair(chosen, connections, entrants, servers, left_out):
    """[(point, entrant, options)]: who runs where, and with which options. `connections`: how many
    by point."""
    paired, refused, machine = [], {}, limits.of_this_machine()
    for point in chosen["points"]:
        for one in entrants:
            options, why = can_serve(servers[one.program], connections[point], one.options, machine)
            if why:
                refused.setdefault(one.name, []).append(f"{why}, at point {point}")
            else:
                paired.append((point, one, options + one.options))  # the later option holds
    left_out += [f"{name}, which cannot serve so many connections: {'; '.join(where)}"
                 for name, where in refused.items()]
    return paired


@dataclasses.dataclass(frozen=True)
class Share:
    """A workload's part of a run."""
    file: pathlib.Path
    trials: int
    chosen: dict  # see settings()
    paired: list  # see pair()
    place: int = LAST_PLACE  # in its chapter of the report
    components: bool = False  # it asks for some, and the real ones are wanted

    def block(self, trial, seed):
        """All cells of one repetition."""
        chosen, workload = self.chosen, self.file.stem
        return [Cell(one.name, workload, str(self.file), point, trial, chosen["warmup"],
                     chosen["duration"], whole(chosen["connections"]),
                     arrival_seed(seed, workload, point, trial), one.program, options,
                     self.components)
                for point, one, options in self.paired if trial <= self.trials]


def asks_for_components(workload):
    """Does any of its points run with Redis or PostgreSQL?"""
    return any(workload.setting(point, "components") for point in workload.points or ["base"])


def share_of(file, programs, only, profile, trials, left_out):
    """What make_plan() says, of one workload."""
    workload, absent = read_workload(file), []
    servers = programs.servers
    try:
        chosen = settings(workload, profile)
        if not chosen["points"]:
            left_out.append(f"workload {file} takes no part in profile {profile}")
            return Share(file, 0, chosen, [])
        entrants = with_twin(line_up(only or chosen["servers"], servers, absent), chosen["twin"])
        entrants = that_can_push(workload, entrants, servers, absent)
        connections = {point: connections_at(workload, point, chosen["connections"],
                                             programs.decided["defaults"])
                       for point in chosen["points"]}
        paired = pair(chosen, connections, entrants, servers, absent)
        place = whole(workload.section("report").get("place", LAST_PLACE))
        share = Share(file, trials or whole(chosen["trials"]), chosen, paired, place,
                      programs.components and asks_for_components(workload))
    except PlanError as error:
        raise PlanError(f"workload {file}: {error}") from error
    left_out += [f"workload {file} without {sentence}" for sentence in absent]
    return share


@dataclasses.dataclass(frozen=True)
class Programs:
    """What the programs of a build say of themselves."""
    servers: dict  # what architectures() found
    decided: dict  # what abouts.decided() found
    components: bool = False  # real ones where a workload asks for them, else the bundled upstream


def make_plan(programs, only, files, profile, trials, seed):
    """(all cells in the order to run them, sentences on those that were left out). `only` (words)
    and `trials` override the workloads, unless they are empty or None."""
    left_out = []
    shares = [share_of(file, programs, only, profile, trials, left_out) for file in files]
    shuffler = random.Random(seed)
    cells = []
    for trial in range(1, max(share.trials for share in shares) + 1):
        block = [(share.place, cell) for share in shares for cell in share.block(trial, seed)]
        shuffler.shuffle(block)
        cells += [cell for _, cell in sorted(block, key=lambda placed: placed[0])]
    if not cells:
        raise PlanError("nothing is left to run: " + "; ".join(left_out))
    return cells, left_out
