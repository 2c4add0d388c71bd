"""A workload file (docs/formats.md, "Workload"), for whatever plans, predicts or draws: the only
reader in Python. loadgen and cell read the same files with libinih, and check every key."""
import configparser
from pathlib import Path
import re

from archbench.formats import former
from archbench.places import REPOSITORY

UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
# What a workload's [report] may name as its measure, as summary.csv calls it.
METRICS = {"throughput": "achieved_rate", "p99": "response_p99_us",
           "p99 of short": "response_p99_us", "cpu": "cpu_us_per_request",
           "memory": "memory_total_kb_per_connection", "errors": "error_share",
           "p99 of deliveries": "delivery_p99_us"}
UNITS_BYTES = {"": 1, "k": 2 ** 10, "m": 2 ** 20, "g": 2 ** 30}
WAITS = "io=timer|io=upstream"  # steps that wait for as long as they say


def class_measured(measure):
    """The class in 'p99 of CLASS', which a workload's [report] may name as its measure; None of others."""
    found = re.fullmatch(r"p99 of ([\w-]+)", measure or "")
    return found and found[1] if measure not in METRICS else None


def seconds(text):
    """'250ms' as 0.25. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s|m)", text.strip())
    if not match:
        raise ValueError(f"'{text}' is not a duration such as 500ms or 2s")
    return float(match[1]) * UNITS_S[match[2]]


def steps_s(request, step):
    """The durations of all steps like `step`, a regular expression such as cpu=\\w+, of
    '/work?io=timer:10ms&cpu=hash:5ms'."""
    return [seconds(text) for text in re.findall(rf"[?&](?:{step}):([\d.]+[a-z]+)", request)]


def computing_s(request):
    return steps_s(request, r"cpu=\w+")


def waiting_s(request):
    """Of timers and upstream calls."""
    return steps_s(request, WAITS)


def parse(text):
    """The sections of a workload file's text. Raises configparser.Error."""
    made = configparser.ConfigParser(interpolation=None, delimiters=("=",),
                                     comment_prefixes=(";",), inline_comment_prefixes=(";",))
    made.optionxform = str  # keys such as CLASS.KEY keep their case
    made.read_string(former.workload_text(text))
    return made


def option(text, name):
    """The value of the last --name=value or --name value in a line of options; None without one."""
    found = re.findall(rf"(?:^|\s){re.escape(name)}[= ](\S+)", text or "")
    return found[-1] if found else None


def statement_waits(text):
    """{statement: seconds}: how long each statement of a file of SQL takes by its own wish, as its
    comment `stand-in: 100ms` says. One without the comment takes no time."""
    found, name = {}, None
    for line in text.splitlines():
        named = re.match(r"--\s*name:\s*([\w-]+)", line)
        name = named[1] if named else name
        if named:
            found.setdefault(name, 0.0)
        stated = re.match(r"--.*\bstand-in:?\s*(\d[\d.]*[a-z]+)", line)
        if stated and name:
            found[name] = seconds(stated[1])
    return found


class Workload:
    """One workload file; an empty one (no path) answers every question with None."""

    def __init__(self, path=None):
        """Raises OSError, configparser.Error or UnicodeDecodeError."""
        self.text, self.path = "", path and Path(path)
        if path is not None:
            with open(path, encoding="utf-8") as file:
                self.text = file.read()
        self.ini = parse(self.text)

    def metric(self):
        """The metric that it is about; without a word of its own, throughput in a closed loop, else
        the tail."""
        measure = self.section("report").get("measure")
        stated = METRICS.get(measure) or (class_measured(measure) and METRICS["p99"])
        closed = (self._get("workload", "arrivals") or "closed") == "closed"
        return stated or METRICS["throughput" if closed else "p99"]

    def _get(self, section, key):
        return self.ini.get(section, key, fallback=None)

    def _names(self, kind):
        """NAME of each section [KIND NAME], in their order."""
        return [section.split(None, 1)[1] for section in self.ini.sections()
                if section.startswith(kind + " ")]

    def section(self, name):
        """Its keys; {} where there is none."""
        return dict(self.ini[name]) if self.ini.has_section(name) else {}

    @property
    def question(self):
        return self._get("workload", "question")

    @property
    def case(self):
        """The keys of [case]: which case study it belongs to; {} of a workload that belongs to none."""
        return self.section("case")

    def beside(self, named):
        """A file that the workload names: as seen from the project's folder, or else the copy beside the
        workload, which a run keeps. None where there is neither."""
        copy = self.path and self.path.parent / Path(named).name
        return next((path for path in (copy, REPOSITORY / named) if path and path.is_file()), None)

    def files_named(self):
        """Files beside the trace that it names: of statements and of a schema."""
        options = [self.setting(point, "server_options") for point in self.points or ["base"]]
        named = [option(text, "--sql") for text in options] + [self._get("workload", "schema")]
        return list(dict.fromkeys(name for name in named if name))

    def statements(self, point):
        """statement_waits() of the file that the server gets with --sql; {} without one."""
        named = option(self.setting(point, "server_options"), "--sql")
        path = named and self.beside(named)
        return statement_waits(path.read_text(encoding="utf-8")) if path else {}

    @property
    def trace(self):
        """The file that it replays, if it replays one."""
        return self._get("workload", "trace")

    @property
    def points(self):
        return self._names("point")

    @property
    def classes(self):
        return self._names("class")

    def at(self, point):
        """The keys of [workload] as the point has them; those of a class as CLASS.KEY."""
        keys = {f"{name}.{key}": value for name in self.classes
                for key, value in self.section(f"class {name}").items()}
        return keys | self.section("workload") | self.section(f"point {point}")

    def setting(self, point, key, default=None):
        """A key of [workload] as this point has it, or `default`."""
        stated = self._get(f"point {point}", key)
        return stated if stated is not None else self._get("workload", key) or default

    def asked(self, leaving_out):
        """{section: its keys}: what it asks of servers, without what explains it (question, comments,
        [report], [case]) and without some sections."""
        return {name: {key: value for key, value in self.section(name).items()
                       if key != "question"}
                for name in self.ini.sections() if name not in ("report", "case", *leaving_out)}

    @property
    def subscribes(self):
        """Connections of some class subscribe to rooms: its server has to be able to push."""
        return any(self.section(f"class {name}").get("rooms", "0") != "0" for name in self.classes)

    @property
    def phases(self):
        """[(name, begin, end)] in seconds after the opening of the window."""
        found, at_s = [], 0.0
        for name in self._names("phase"):
            end_s = at_s + seconds(self._get(f"phase {name}", "duration"))
            found.append((name, at_s, end_s))
            at_s = end_s
        return found

    @property
    def surges(self):
        """[(begin, end)] in s, of the phases with more than the usual load of any class."""
        return [(begin, end) for name, begin, end in self.phases if self.load_in(name) > 1]

    def load_in(self, phase):
        """The largest load of any class in this phase; of a ramp its larger end."""
        loads = [value for key, value in self.section(f"phase {phase}").items()
                 if key == "load" or key.endswith(".load")]
        return max((float(x) for value in loads for x in value.split("..")), default=1.0)

    def disk_bytes(self, point, cls):
        """What one request of this class reads from disk at this point."""
        request = (self._get(f"point {point}", f"{cls}.request")
                   or self._get(f"class {cls}", "request") or "")
        return sum(int(n) * UNITS_BYTES[unit]
                   for n, unit in re.findall(r"[?&]io=disk:(\d+)([kmg]?)", request))

    def cpu_s(self, cls):
        """CPU work that one request of this class asks for, on an idle core; None without one."""
        request = self._get(f"class {cls}", "request")
        return None if request is None else sum(computing_s(request))

    def wait_s(self, cls):
        """Time that one request of this class spends waiting by its own wish."""
        request = self._get(f"class {cls}", "request")
        return None if request is None else sum(waiting_s(request))

    @property
    def mechanism(self):
        """The paragraphs of the comment at its head, without the first, which is the question that
        the file states again as its key."""
        found = [[]]
        for line in self.text.splitlines():
            if not line.startswith(";"):
                break
            words = line[1:].strip()
            if words:
                found[-1].append(words)
            elif found[-1]:
                found.append([])
        return [" ".join(lines) for lines in found if lines][1:]
