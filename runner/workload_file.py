"""A workload file as Python reads it (docs/formats.md, "Workload"), for whoever plans, predicts or
draws. loadgen and cell read the same files with libinih, and check every key."""
import configparser
import re

UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def parser():
    """An empty file."""
    made = configparser.ConfigParser(interpolation=None, delimiters=("=",),
                                     comment_prefixes=(";",), inline_comment_prefixes=(";",))
    made.optionxform = str  # keys such as CLASS.KEY keep their case
    return made


def read(path):
    """Its sections. Raises OSError, configparser.Error or UnicodeDecodeError."""
    found = parser()
    with open(path, encoding="utf-8") as file:
        found.read_file(file)
    return found


def names(sections, kind):
    """NAME of each section [KIND NAME], in their order."""
    return [section.split(None, 1)[1] for section in sections.sections()
            if section.startswith(kind + " ")]


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
