"""Read workloads/NAME.ini: the question, the points, and what one request asks for."""
from pathlib import Path
import re
import sys

sys.path.append(str(Path(__file__).resolve().parents[2] / "runner"))  # which plans by these files
import workload_file  # noqa: E402  (after the path is set)
from workload_file import seconds  # noqa: E402

UNITS_BYTES = {"": 1, "k": 2 ** 10, "m": 2 ** 20, "g": 2 ** 30}


class Workload:
    """One workload file; an empty one (no path) answers every question with None."""

    def __init__(self, path=None):
        self.ini = workload_file.parser() if path is None else workload_file.read(path)

    def _get(self, section, key):
        return self.ini.get(section, key, fallback=None)

    @property
    def question(self):
        return self._get("workload", "question")

    @property
    def points(self):
        return workload_file.names(self.ini, "point")

    @property
    def classes(self):
        return workload_file.names(self.ini, "class")

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

    def _steps_s(self, cls, step):
        """Seconds of all steps like `cpu=hash:5ms` in a request of class `cls`, or None."""
        request = self._get(f"class {cls}", "request")
        if request is None:
            return None
        return sum(workload_file.steps_s(request, step))

    def cpu_s(self, cls):
        """CPU work that one request of this class asks for, on an idle core."""
        return self._steps_s(cls, r"cpu=\w+")

    def wait_s(self, cls):
        """Time that one request of this class spends waiting by its own wish."""
        return self._steps_s(cls, "io=timer|io=backend")
