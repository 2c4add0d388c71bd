#!/usr/bin/python3
"""Black-box tests of what the load generator writes: help, manual page, summary, JSON, histograms,
time series and the live display.

BUILD names the build folder (default: build).
"""
import csv
import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
import time
import unittest

from generator_case import LOADGEN, OK, ROOT, Case, Server, always, start, wait_for
from test_loadgen_websocket import CHAT
from websocket_hub import Hub

NO = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
MANUAL = os.path.join(ROOT, "man", "loadgen.1")
KEYS = os.path.join(ROOT, "docs", "loadgen-json.md")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def printed(*arguments):
    return subprocess.run([LOADGEN, *arguments], capture_output=True, text=True, check=True,
                          timeout=10).stdout


def options_of_help(text):
    """(letter, name) of every row; the letter is empty where there is none."""
    return {(letter or "", name)
            for letter, name in re.findall(r"^  (?:-(\w), |    )--([\w-]+)", text, re.MULTILINE)}


class Help(unittest.TestCase):
    def test_the_short_help_fits_a_screen(self):
        lines = printed("--help").splitlines()
        self.assertLess(len(lines), 24, "a line is left for the prompt")
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertIn("--help-all", lines[-1])

    def test_help_all_has_more_and_is_as_wide(self):
        short, full = printed("--help"), printed("--help-all")
        self.assertLess(options_of_help(short), options_of_help(full))
        self.assertLessEqual(max(map(len, full.splitlines())), 80)
        self.assertEqual(printed("-h"), short)

    def test_the_manual_has_every_option_and_no_other(self):
        documented = {(letter, name) for letter, name in re.findall(
            r"^\.It (?:Fl (\w) , )?Fl -([\w-]+)", read(MANUAL), re.MULTILINE)}
        self.assertEqual(documented, options_of_help(printed("--help-all")))

    @unittest.skipUnless(shutil.which("groff"), "groff is not installed")
    def test_the_manual_is_well_formed(self):
        run = subprocess.run(["groff", "-mdoc", "-ww", "-Tascii", MANUAL], capture_output=True,
                             text=True, check=True)
        self.assertEqual(run.stderr, "")
        self.assertIn("EXIT STATUS", re.sub(".\b", "", run.stdout))


def key_paths(value, path=""):
    """Every key in a JSON value, as `a.b[].c`."""
    if isinstance(value, list):
        for item in value:
            yield from key_paths(item, path + "[]")
    elif isinstance(value, dict):
        for key, item in value.items():
            name = f"{path}.{key}" if path else key
            yield name
            yield from key_paths(item, name)


# What the document describes once, although it occurs in several places.
SHARED = [
    (r"^classes\.\w+\.", "CLASS."), (r"^total\.", "CLASS."),
    (r"^errors\.", "KIND."), (r"^CLASS\.failed_attempts\.", "KIND."),
    (r"^CLASS\.response\.(taken_out|uncertain)\.", "LATENCY."),
    (r"^CLASS\.(response|service|lag)\.(?!taken_out|uncertain)", "LATENCY."),
    (r"^CLASS\.deliveries\.latency\.", "LATENCY."),
    (r"^connect\.", "LATENCY."), (r"^validity\.refused\..*", "validity.refused"),
    (r"^drift\.(first|second)\.", "HALF."),
]


def documented_name(path):
    for pattern, name in SHARED:
        path = re.sub(pattern, name, path)
    return None if re.fullmatch(r"classes\.\w+", path) else path


class Json(Case):
    PHASES = ("[workload]\narrivals = constant\nrate = 200\n[class a]\nrequest = /\n"
              "[phase rise]\nduration = 100ms\nload = 0.5..1\n[phase top]\nduration = 100ms\n")
    FEED = ("[workload]\narrivals = poisson\nrate = 200\n[class a]\nrequest = /\nprotocol = websocket\n"
            "one_way = yes\nburst_load = 2\nburst_length = 10ms\nburst_share = 10%\n")

    def test_every_key_is_documented_and_occurs(self):
        chat = self.path("chat.ini", CHAT.format(connections=4, rooms=2, rate=50))
        with Server(always(OK)) as server, Server(Hub()) as hub:
            runs = [self.load(server.url()), self.load(server.url(), "-r", 100, "--retries", 1),
                    self.load(hub.url(), "--workload", chat),
                    self.load(hub.url(), "--workload", self.path("feed.ini", self.FEED)),
                    self.load(server.url(), "--workload", self.path("phases.ini", self.PHASES)),
                    self.load(server.url(), "--find-rate", "errors<1%", "-d", "10ms", "-r",
                              "100000")]
        found = {documented_name(path) for run in runs for path in key_paths(run)} - {None}
        document = read(KEYS).split("## `--timeseries")[0]
        cells = re.findall(r"^\| (`.*?`) \|", document, re.MULTILINE)
        documented = {key for cell in cells for key in re.findall(r"`([^`]+)`", cell)}
        self.assertEqual(found - documented, set(), "not documented")
        self.assertEqual(documented - found, set(), "documented and never written")

    def test_percentiles_lie_in_their_intervals(self):
        with Server(always(OK)) as server:
            response = self.load(server.url(), "-c", 4, "-d", "500ms")["total"]["response"]
        for name in "p50", "p75", "p90", "p99":
            low, high = response["intervals"][name]
            self.assertLessEqual(low, response[f"{name}_us"])
            self.assertGreaterEqual(high, response[f"{name}_us"])
            self.assertLess(low, high)
        self.assertLessEqual(response["p999_us"], response["p9999_us"])
        self.assertLessEqual(response["p9999_us"], response["max_us"])

    def test_few_requests_have_no_intervals_in_the_tail(self):
        with Server(always(OK)) as server:
            result = self.load(server.url(), "-r", 300, "--arrivals", "constant")
        intervals = result["total"]["response"]["intervals"]
        self.assertEqual(result["requests"], 90)
        self.assertIsNotNone(intervals["p50"])
        for name in "p99", "p999", "p9999":
            self.assertIsNone(intervals[name])
        self.assertTrue(any("p99 of 'all'" in note for note in result["notes"]), result["notes"])

    def test_several_urls(self):
        with Server(always(OK)) as one, Server(always(OK)) as other:
            result = self.load(other.url("/y"), one.url("/x"))  # which puts its first one last
        self.assertEqual(result["urls"], [one.url("/x"), other.url("/y")])
        self.assertEqual(result["url"], result["urls"][0])

    def test_settings_come_back(self):
        with Server(always(OK)) as server:
            result = self.load(server.url(), "-r", 100, "--retries", 2, "--retry-base", "30ms",
                               "--retry-budget", 50, "--churn", 7, "--ramp", 500)
            closed = self.load(server.url(), "--think", "fixed 20ms")
        self.assertEqual(result["retries"], {"limit": 2, "base_s": 0.03, "budget": 0.5})
        self.assertEqual((result["churn"], result["ramp"]), (7, 500))
        self.assertEqual((result["think"], result["think_s"]), (None, None))
        self.assertEqual((closed["think"], closed["think_s"]), ("fixed", 0.02))
        self.assertEqual((closed["retries"], closed["churn"]), (None, None))

    def test_the_halves_of_a_run_that_grows_slower(self):
        begun = []

        def script(peer):
            for _ in peer.requests():
                begun.append(time.monotonic())
                time.sleep(0.002 if begun[-1] - begun[0] < 0.5 else 0.008)
                peer.send(OK)
        with Server(script) as server:
            result = self.load(server.url(), "-c", 2, "-d", "1s")
        first, second = result["drift"]["first"], result["drift"]["second"]
        self.assertAlmostEqual(first["duration_s"], 0.5, delta=0.01)
        self.assertAlmostEqual(first["duration_s"] + second["duration_s"], result["duration_s"])
        self.assertAlmostEqual(first["good"] + second["good"],
                               result["achieved_rate"] * result["duration_s"], delta=3)
        self.assertLess(first["p50_us"], 5000)
        self.assertGreater(second["p50_us"], 7000)
        change = result["drift"]["p50_change"]
        self.assertAlmostEqual(change, second["p50_us"] / first["p50_us"] - 1, places=6)
        self.assertLess(result["drift"]["rate_change"], -0.5)
        self.assertEqual(sum("no steady state" in note for note in result["notes"]), 2)

    def test_a_steady_run_has_no_drift(self):
        def script(peer):
            for _ in peer.requests():
                time.sleep(0.02)
                peer.send(OK)
        with Server(script) as server:
            result = self.load(server.url(), "-c", 6, "-r", 100, "--arrivals", "constant", "-d",
                               "1s")
        self.assertFalse([note for note in result["notes"] if "steady" in note])


class Summary(Case):
    def test_it_is_short_and_fits_a_terminal(self):
        with Server(always(OK)) as server:
            result = self.load(server.url(), "-c", 4, "-d", "500ms")
        lines = self.stdout.splitlines()
        self.assertLessEqual(len([line for line in lines if not line.startswith("  - ")]), 12)
        table = [line for line in lines if re.match("  (response of|all) ", line)]
        self.assertEqual([len(line) for line in table], [80, 80])
        self.assertIn(result["validity"]["verdict"], self.stdout)

    def test_the_interval_of_the_p99(self):
        with Server(always(OK)) as server:
            result = self.load(server.url(), "-c", 4, "-d", "500ms")
        found = re.search(r"p99 (\S+) \((\S+) to (\S+) with 95 % confidence\)", self.stdout)
        response = result["total"]["response"]
        for text, us in zip(found.groups(),
                            [response["p99_us"], *response["intervals"]["p99"]]):
            number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
            shown = float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]
            self.assertAlmostEqual(shown / us, 1, delta=0.006)

    def row(self):
        return re.search(r"^  all .*$", self.stdout, re.MULTILINE)[0].split()

    def test_percentiles_of_too_few_requests_are_marked(self):
        with Server(always(OK)) as server:
            self.load(server.url(), "-r", 300, "--arrivals", "constant")
        p50, p90, p99, p999, longest = self.row()[4:]
        for unmarked in p50, p90, longest:
            self.assertNotIn("~", unmarked)
        for marked in p99, p999:
            self.assertRegex(marked, r"^~[\d.]+[um]s$")
        self.assertNotIn("confidence", self.stdout)
        self.assertIn("(~)", self.stdout)

    def test_failures_are_infinite_and_named(self):
        def script(peer):
            for i, _ in enumerate(peer.requests()):
                peer.send(OK if i % 4 else NO)
        with Server(script) as server:
            result = self.load(server.url(), "-c", 1)
        row = self.row()
        self.assertEqual(row[3], str(result["errors"]["status_5xx"]))
        self.assertEqual([cell.lstrip("~") for cell in row[5:]], ["inf"] * 4)
        self.assertIn(f"errors: status_5xx {row[3]}\n", self.stdout)

    def test_what_was_not_asked_for_is_not_mentioned(self):
        with Server(always(OK)) as server:
            self.load(server.url())
        for word in "retries", "deadline", "connections:", "errors:", "spinning", "think":
            self.assertNotIn(word, self.stdout)


class Histograms(Case):
    def test_a_plotter_can_read_them(self):
        """Blank lines, the heading and comments are skipped, the rest are columns of numbers."""
        prefix = self.path("h")
        with Server(always(OK)) as server:
            result = self.load(server.url(), "-c", 4, "--hgrm", prefix)
        lines = [line.split() for line in read(prefix + ".all.hgrm").splitlines() if line.strip()]
        self.assertEqual(lines[0], ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"])
        rows = [list(map(float, line)) for line in lines[1:] if not line[0].startswith("#")]
        for column in range(3):
            values = [row[column] for row in rows]
            self.assertEqual(values, sorted(values))
        for row in rows[:-1]:
            self.assertAlmostEqual(row[3], 1 / (1 - row[1]), delta=0.006 + row[3] * 1e-3)
        response = result["total"]["response"]
        self.assertEqual(rows[-1], [rows[-1][0], 1, result["requests"]])
        self.assertAlmostEqual(rows[-1][0], response["max_us"] / 1e3, places=5)
        p99 = next(value for value, level, *_ in rows if level >= 0.99)
        self.assertGreaterEqual(p99 * 1e3 + 1e-3, response["p99_us"])
        comments = [" ".join(line) for line in lines if line[0].startswith("#")]
        self.assertRegex(comments[0], r"^#\[Mean = [\d.]+, StdDeviation = [\d.]+\]$")
        self.assertRegex(comments[1], rf"^#\[Max = [\d.]+, Total count = {result['requests']}\]$")
        self.assertRegex(comments[2], r"^#\[Buckets = \d+, SubBuckets = \d+\]$")


class TimeSeries(Case):
    COLUMNS = "time_s offered achieved errors p50_us p99_us retries missed p99_known".split()

    def series(self, name, script, *arguments):
        path = self.path(name)
        with Server(script) as server:
            result = self.load(server.url(), "-c", 4, "-r", 200, "--arrivals", "constant", "-d",
                               "500ms", "--interval", "100ms", "--timeseries", path, *arguments)
        return result, read(path)

    def test_csv(self):
        result, text = self.series("series.csv", always(OK))
        rows = list(csv.DictReader(text.splitlines()))
        self.assertEqual(list(rows[0]), self.COLUMNS)
        self.assertEqual([row["time_s"] for row in rows],
                         ["0.100", "0.200", "0.300", "0.400", "0.500"])
        self.assertAlmostEqual(sum(float(row["offered"]) * 0.1 for row in rows),
                               result["requests"], delta=2)

    def test_json_lines(self):
        result, text = self.series("series.jsonl", always(OK))
        rows = [json.loads(line) for line in text.splitlines()]
        self.assertEqual([row["time_s"] for row in rows], [0.1, 0.2, 0.3, 0.4, 0.5])
        for row in rows:
            self.assertEqual(list(row), self.COLUMNS + ["histogram", "classes"])
            self.assertEqual(list(row["classes"]["all"]), self.COLUMNS[1:] + ["histogram"])
            # The worker goes on counting while its counts are read: a request or two, each 10/s.
            self.assertAlmostEqual(row["classes"]["all"]["offered"], row["offered"], delta=20)
        # Replies that come after the window are good ones of the window, but of no interval.
        in_window = sum(row["achieved"] * 0.1 for row in rows)
        self.assertLessEqual(in_window, result["good"] + 1)
        self.assertGreater(in_window, result["good"] * 0.8)

    def test_histograms_hold_what_ended(self):
        """Each reply in the interval in which it came, and each p50 in a bin that is listed."""
        result, text = self.series("bins.jsonl", always(OK))
        rows = [json.loads(line)["classes"]["all"] for line in text.splitlines()]
        for row in rows:
            edges = [upper for upper, _ in row["histogram"]]
            self.assertEqual(edges, sorted(edges))
            self.assertAlmostEqual(sum(count for _, count in row["histogram"]),
                                   row["achieved"] * 0.1, delta=2)
            self.assertTrue(any(upper * 8 / 9 <= row["p50_us"] <= upper for upper in edges), row)
        self.assertLessEqual(sum(count for row in rows for _, count in row["histogram"]),
                             result["good"])

    def test_failures(self):
        result, text = self.series("bad.jsonl", always(NO))
        rows = [json.loads(line) for line in text.splitlines()]
        self.assertAlmostEqual(sum(row["errors"] for row in rows),
                               result["errors"]["status_5xx"], delta=2)
        self.assertEqual({row["p50_us"] for row in rows}, {None})
        for row in rows:
            self.assertEqual([upper for upper, _ in row["histogram"]], [None])
        self.assertAlmostEqual(sum(row["histogram"][0][1] for row in rows),
                               sum(row["errors"] for row in rows), delta=2)
        _, text = self.series("bad.csv", always(NO))
        self.assertEqual({row["p50_us"] for row in csv.DictReader(text.splitlines())}, {"inf"})

    def test_lines_can_be_followed(self):
        for name in "live.csv", "live.jsonl":
            path = self.path(name, "")
            with Server(always(OK)) as server:
                process = start("--warmup", "0", "-d", "30s", "-r", 100, "--interval", "50ms",
                                "--timeseries", path, server.url())
                self.addCleanup(process.kill)
                wait_for(lambda path=path: read(path).count("\n") >= 4)
                self.assertIsNone(process.poll())
                self.assertTrue(read(path).endswith("\n"), "whole lines only")
                process.terminate()
                process.communicate(timeout=5)


class Screen:
    """The little of a terminal that the display needs. `seen` has the rows after each write."""

    def __init__(self, columns):
        self.columns, self.rows, self.row, self.column = columns, [""], 0, 0
        self.seen = []

    def write(self, text):
        for control, letters in re.findall(r"(\x1b\[[AKJ]|[\r\n])|([^\x1b\r\n]+)", text):
            if control == "\r":
                self.column = 0
            elif control == "\n":
                self.row += 1
                self.rows += [""] * (self.row + 1 - len(self.rows))
            elif control == "\x1b[A":
                self.row -= 1
            elif control:
                self.rows[self.row] = self.rows[self.row][:self.column]
                if control == "\x1b[J":
                    del self.rows[self.row + 1:]
            else:
                self.put(letters)
        self.seen.append(list(self.rows))

    def put(self, letters):
        line = self.rows[self.row].ljust(self.column)
        end = self.column + len(letters)
        self.rows[self.row] = line[:self.column] + letters + line[end:]
        self.column = end
        if end >= self.columns:
            raise AssertionError(f"'{letters}' would wrap")


class Display(Case):
    def watch(self, *arguments, columns=80, locale="C.UTF-8", script=always(OK)):
        """Run on a terminal and return what it showed, write by write."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        screen = Screen(columns)
        with Server(script) as server:
            process = subprocess.Popen(
                [LOADGEN, "--warmup", "0", "-d", "1s", "-r", "200", "--interval", "150ms",
                 *arguments, server.url()], stdout=subprocess.DEVNULL, stderr=theirs,
                env={**os.environ, "LC_ALL": locale})
            os.close(theirs)
            while data := self.receive(ours):
                screen.write(data.decode())
            self.assertEqual(process.wait(timeout=5), 0)
        os.close(ours)
        return screen

    @staticmethod
    def receive(terminal):
        try:
            return os.read(terminal, 65536)
        except OSError:  # nobody has the other end any more
            return b""

    def drawn(self, screen):
        """The frames, without the blank screen at the end."""
        frames = [rows for rows in screen.seen if any(rows)]
        self.assertGreaterEqual(len(frames), 4)
        return frames

    def test_two_lines_drawn_over_again(self):
        screen = self.watch()
        frames = self.drawn(screen)
        lengths = []
        for first, second, *rest in frames:
            self.assertRegex(first, r"^ +\d\.\d of 1\.0 s +\d+/s offered +\d+/s good +0 errors"
                                    r" +p50 [\d.]+[um]s +p99 ~[\d.]+[um]s$")
            self.assertFalse(any(rest))
            self.assertRegex(second, r"^  p99 up to [\d.]+[um]s [▁▂▃▄▅▆▇█]+$")
            lengths.append(len(second.split()[-1]))
            self.assertIn("█", second)
        self.assertEqual(lengths, sorted(set(lengths)), "one more each time")
        self.assertEqual(screen.rows, [""], "erased at the end")

    def test_ascii_where_the_locale_is(self):
        for rows in self.drawn(self.watch(locale="C")):
            self.assertRegex(rows[1], r"^  p99 up to \S+ [.:=+*%#-]+$")

    def test_a_narrow_terminal(self):
        frames = self.drawn(self.watch("--interval", "100ms", columns=24))
        self.assertEqual(len(frames[-1][0]), 23)
        self.assertLessEqual(len(frames[-1][1]), 23)
        self.assertRegex(frames[-1][1], "[▁▂▃▄▅▆▇█]$")

    def test_failures_stand_out(self):
        rows = self.drawn(self.watch(script=always(NO)))[-1]
        self.assertRegex(rows[0], r" [1-9]\d* errors  p50 inf  p99 ~?inf$")
        self.assertRegex(rows[1], "!$")

    def test_quiet_shows_nothing(self):
        self.assertEqual(self.watch("-q").seen, [])
