"""What the tests of docs/labs/ share: their commands, how long those take, and made-up results."""
import pathlib
import re
import shlex
import subprocess
from unittest import mock

import harness
from archbench.bench import labs
from test_reading_order import commands


ROOT = pathlib.Path(__file__).resolve().parents[3]
FOLDER = ROOT / "docs" / "labs"
PARTS = ["What you need to know", "Predict", "Measure", "Explain", "Going further"]
BLANK = "______"
LIMIT_S = 120  # for all commands of a worksheet
WARMUP_S = 1  # of loadgen, unless it is told otherwise
NOT_PROGRAMS = {"for", "do", "done", "wait", "kill"}
# Keys that lead to a number, in what loadgen, cell and a server write.
NUMBERS = (r"_(us|kb|rate|request|s|calls|waits|trades)$|"
           r"^(spawned|workers|dequeued|missed|requests)$")


def all_worksheets():
    return [labs.Worksheet(name) for name in labs.LABS]


def lines_of(script):
    """The script with each command on one line."""
    return re.sub(r"(?:\\|(?<=\|))\n\s*", " ", script)


def calls(script):
    """Its commands that call a program, without what sets a variable."""
    for command in commands(lines_of(script)):
        if command and command[0] not in NOT_PROGRAMS and not re.match(r"\w+=", command[0]):
            yield command


def all_calls():
    return [command for worksheet in all_worksheets() for command in calls(worksheet.script)]


def value_of(command, option, default=None):
    return command[command.index(option) + 1] if option in command else default


def seconds(text):
    return float(re.fullmatch(r"([\d.]+)s", text)[1])


def dry_run(command):
    """What the runner plans for a ./run_all.sh command, and how long that takes in seconds."""
    done = subprocess.run(["bin/archbench", "run", "--build", harness.BUILD, "--dry-run", *command[2:]],
                          cwd=ROOT, capture_output=True, text=True, check=True)
    minutes, over_s = re.search(r"about (\d+):(\d\d),", done.stderr).groups()
    return done.stdout, 60 * int(minutes) + int(over_s)


def loadgen_s(words):
    warmup_s = seconds(value_of(words, "--warmup", f"{WARMUP_S}s"))
    return seconds(value_of(words, "-d")) + warmup_s


def duration_s(script):
    """How long the commands take, from what they are told: a line as often as its loop turns, a
    generator in the background until it is waited for."""
    total_s, turns, background_s = 0.0, 1, 0.0
    for line in lines_of(script).splitlines():
        words = shlex.split(line)
        if words[:1] == ["for"]:
            turns = len(words[3:-1])  # for NAME in WORD... do
        elif words == ["done"]:
            turns = 1
        elif words[:1] == ["sleep"]:
            total_s += turns * float(words[1])
            background_s = max(0.0, background_s - float(words[1]))
        elif words[:1] == ["build/loadgen"] and words[-1] == "&":
            background_s = loadgen_s(words)
        elif words[:1] == ["build/loadgen"]:
            total_s += turns * loadgen_s(words)
        elif words == ["wait", "$client"]:
            total_s += background_s
        elif words[:1] == ["./run_all.sh"]:
            total_s += dry_run(words)[1]
    return total_s


class Canned(labs.Results):
    """Results that are all the same number. `read` are the files that they would come from."""
    def __init__(self, number):
        super().__init__("nowhere")
        self.number, self.read = number, set()

    def anything(self):
        """An object in which each key leads to the number."""
        found = mock.MagicMock()
        found.__getitem__.side_effect = lambda key: (
            self.number if re.search(NUMBERS, key) else found)
        return found

    def load(self, name):
        self.read.add(f"build/labs/{name}.json")
        return self.anything()

    def share_above(self, name, cls, limit_ms):
        self.read.add(f"--hgrm build/labs/{name}")
        return self.number

    def metrics(self, name):
        self.read.add(f"build/labs/{name}.txt")
        return self.anything()

    def cell(self, workload, point, server):
        self.read.add((workload, point, server))
        # Another number for each server, or the line through two of them would have no slope.
        return Canned(self.number * len(server)).anything()

    def quarters(self, workload, point, server):
        self.read.add((workload, point, server))
        return []
