"""Read workloads/NAME.ini: the question, the points, and what one request asks for."""
import configparser
import re

UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
UNITS_BYTES = {"": 1, "k": 2 ** 10, "m": 2 ** 20, "g": 2 ** 30}
DURATION = r"[\d.]+(?:us|ms|s|m)?"


def seconds(text):
    """'10ms' -> 0.01. A bare number is in seconds."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)?", text.strip()).groups()
    return float(number) * UNITS_S[unit or "s"]


class Workload:
    """One workload file; an empty one (no path) answers every question with None."""

    def __init__(self, path=None):
        self.ini = configparser.ConfigParser(
            interpolation=None, inline_comment_prefixes=(";",), comment_prefixes=(";", "#"))
        if path is not None:
            self.ini.read(path, encoding="utf-8")

    def _get(self, section, key):
        return self.ini.get(section, key, fallback=None)

    @property
    def question(self):
        return self._get("workload", "question")

    @property
    def points(self):
        return [s.split(None, 1)[1] for s in self.ini.sections() if s.startswith("point ")]

    @property
    def classes(self):
        return [s.split(None, 1)[1] for s in self.ini.sections() if s.startswith("class ")]

    def setting(self, point, key, default=None):
        """A key of [workload] as this point has it, or `default`."""
        stated = self._get(f"point {point}", key)
        return stated if stated is not None else self._get("workload", key) or default

    @property
    def phases(self):
        """[(name, begin, end)] in seconds after the opening of the window."""
        found, at_s = [], 0.0
        for section in self.ini.sections():
            if section.startswith("phase "):
                end_s = at_s + seconds(self._get(section, "duration"))
                found.append((section.split(None, 1)[1], at_s, end_s))
                at_s = end_s
        return found

    def load_in(self, phase):
        """The largest load of any class in this phase; of a ramp its larger end."""
        loads = [value for key, value in self.ini.items(f"phase {phase}")
                 if key == "load" or key.endswith(".load")]
        return max((float(x) for value in loads for x in value.split("..")), default=1.0)

    def disk_bytes(self, point, cls):
        """What one request of this class reads from disk at this point."""
        request = (self._get(f"point {point}", f"{cls}.request")
                   or self._get(f"class {cls}", "request") or "")
        return sum(int(n) * UNITS_BYTES[unit]
                   for n, unit in re.findall(r"[?&]io=disk:(\d+)([kmg]?)", request))

    def _steps_s(self, cls, step, kind):
        """Seconds of all steps like `cpu=hash:5ms` in a request of class `cls`, or None."""
        request = self._get(f"class {cls}", "request")
        if request is None:
            return None
        found = re.findall(rf"[?&]{step}={kind}:({DURATION})", request)
        return sum(seconds(t) for t in found)

    def cpu_s(self, cls):
        """CPU work that one request of this class asks for, on an idle core."""
        return self._steps_s(cls, "cpu", r"\w+")

    def wait_s(self, cls):
        """Time that one request of this class spends waiting by its own wish."""
        return self._steps_s(cls, "io", "(?:timer|backend)")
