"""The runner's plan: which cells, with which options, in which order; and the list of architectures."""
import dataclasses
import itertools
import json
import os
import re
import unittest

from archbench.formats import headers
from archbench.runner import limits, plan
from runner_case import BUILD, ROOT, RUN, TINY, RunnerTest


class PlanTest(RunnerTest):
    def plan(self, *options):
        status, out, err = self.do(*self.runner("--dry-run", "--workloads", self.tiny, *options))
        self.assertEqual(status, 0, err)
        return [" ".join(line.split()[:2]) for line in out.splitlines()]  # without options

    def expected(self, points, trials):
        paths = [path for path in (BUILD / "servers").iterdir()
                 if not path.suffix and os.access(path, os.X_OK)]
        abouts = [json.loads(self.do(path, "--about")[1]) for path in paths]
        servers = [about["name"] for about in abouts if about.get("peers") != 1]
        return sorted(f"tiny/{point} {server}.{trial}" for server, point, trial
                      in itertools.product(servers, points, range(1, trials + 1)))

    def test_every_cell_once(self):
        self.assertEqual(sorted(self.plan("--smoke", "--trials", "3")), self.expected("ab", 3))

    def test_a_profile_chooses_points_and_trials(self):
        twins = [f"tiny/a event-twin.{trial}" for trial in (1, 2)]
        self.assertEqual(sorted(self.plan("--full")), sorted(self.expected("a", 2) + twins))

    def test_a_workload_may_take_no_part_in_a_profile(self):
        absent = self.workload("absent", TINY + "    [quick]\n    points =\n")
        status, out, err = self.do(*self.runner("--dry-run", "--workloads",
                                                f"{self.tiny},{absent}", "--only", "threads"))
        self.assertEqual(status, 0, err)
        self.assertEqual({line.partition("/")[0] for line in out.splitlines()}, {"tiny"})
        self.assertRegex(err, r"workload \S+absent\.ini takes no part in profile quick\n")
        status, _, err = self.do(*self.runner("--dry-run", "--workloads", absent))
        self.assertEqual(status, 2)
        self.assertIn("nothing is left to run: ", err)
        self.assertIn("takes no part in profile quick", err.splitlines()[-1])
        self.assertIn("VALID absent/a", self.do(*self.cell("threads", absent, "--point", "a",
                                                           "--duration", "100ms"))[1])

    def planned_s(self, *options):
        """The expected duration that the plan of the matrix says."""
        minutes, seconds = re.search(r"cells, about (\d+):(\d+), until",
                                     self.do(*self.runner("--dry-run", *options))[2]).groups()
        return 60 * int(minutes) + int(seconds)

    def test_the_matrix_keeps_to_its_time(self):
        """Without what is built and drawn around it, and without repetitions."""
        self.assertLessEqual(self.planned_s("--smoke"), 36)
        self.assertLessEqual(self.planned_s("--quick"), 250)

    def test_the_full_matrix_has_five_trials_of_everything(self):
        out = self.do(*self.runner("--dry-run", "--full"))[1]
        trials = {}
        for line in out.splitlines():
            name, _, trial = " ".join(line.split()[:2]).rpartition(".")
            trials.setdefault(name, []).append(int(trial))
        self.assertEqual([n for n, seen in trials.items() if seen != [1, 2, 3, 4, 5]
                          and n.partition("/")[0] not in ("scale", "challenge")], [])

    def test_only_these_servers(self):
        self.assertEqual(sorted(self.plan("--smoke", "--only", "threads")),
                         ["tiny/a threads.1", "tiny/b threads.1"])

    def test_the_seed_is_the_order(self):
        options = ["--smoke", "--trials", "4", "--seed"]
        first = self.plan(*options, "1")
        self.assertEqual(first, self.plan(*options, "1"))
        self.assertNotEqual(first, self.plan(*options, "2"))

    def test_what_opens_a_chapter_comes_first(self):
        """By place in the report, those without one last; within a place in random order."""
        files = [self.workload(name, f"[workload]\n[class a]\nrequest = /\n[report]\n" + f"place = {place}\n" * (place < 9))
                 for name, place in (("second", 2), ("none", 9), ("first", 1), ("other", 1))]
        out = self.do(*self.runner("--dry-run", "--trials", "2", "--only", "event,threads",
                                   "--workloads", ",".join(map(str, files))))[1]
        of = [line.partition("/")[0] for line in out.splitlines()]
        for block in of[:8], of[8:]:
            self.assertEqual((set(block[:4]), set(block[4:6]), set(block[6:])),
                             ({"first", "other"}, {"second"}, {"none"}))

    def test_blocks_are_in_the_order_of_trials(self):
        trials = [int(name.rpartition(".")[2]) for name in self.plan("--smoke", "--trials", "3")]
        self.assertEqual(trials, sorted(trials))

    def test_blocks_are_not_in_the_order_of_names(self):
        names = self.plan("--smoke", "--trials", "3", "--seed", "1")
        self.assertNotEqual(names, sorted(names, key=lambda name: (name[-1], name)))

    def test_the_workloads_that_are_there(self):
        for profile in "--smoke", "--quick", "--full":
            status, out, err = self.do(*self.runner("--dry-run", profile))
            self.assertEqual(status, 0, err)
            names = {name.partition("/")[0] for name in out.split()}
            absent = {"--smoke": {"scale", "challenge"}, "--full": set(),
                      "--quick": {"scale", "challenge", "mix_map", "rooms"}}[profile]
            self.assertEqual({path.stem for path in (ROOT / "workloads").glob("*.ini")} - names,
                             absent)

    def test_who_cannot_push_is_left_out_by_name(self):
        chat = self.workload("chat", "[workload]\nconnections = 2\n[class a]\nrequest = /\n"
                                     "protocol = websocket\nrooms = 1\n")
        runner = self.runner("--dry-run", "--workloads", chat)
        status, out, err = self.do(*runner)
        self.assertEqual(status, 0, err)
        planned = {line.split()[1].partition(".")[0] for line in out.splitlines()}
        self.assertIn("event", planned)
        self.assertFalse({"thread_pool", "prefork"} & planned)
        self.assertIn("thread_pool, which cannot push to its connections", err)
        status, _, err = self.do(*runner, "--only", "thread_pool")
        self.assertEqual(status, 2)
        self.assertIn("none of its servers can push", err)

    def test_workloads_that_are_not_of_the_matrix(self):
        examples = sorted((ROOT / "loadgen" / "examples").glob("*.ini"))
        self.assertTrue(examples)
        for path in examples:
            names = self.plan("--smoke", "--workloads", path)
            self.assertEqual({name.partition("/")[0] for name in names}, {path.stem})

    def test_what_cannot_be_planned_is_said(self):
        odd = self.workload("odd", TINY + "[quick]\npoints = a c\n")
        for options, word in ((["--only", "nobody"], "nobody"), (["--workloads", odd], "c"),
                              (["--workloads", "nothing"], "nothing")):
            status, _, err = self.do(*self.runner("--dry-run", *options))
            self.assertEqual(status, 2)
            self.assertRegex(err, rf"^archbench run: .*\b{word}\b")


class LimitsTest(unittest.TestCase):
    """What a machine has too little of for very many connections."""
    HERE = limits.Limits(descriptors=20_000, tasks=32_768, maps=65_530, available_kib=24 * 2**20)

    def test_copies_for_the_descriptors(self):
        for connections, copies in (10, 1), (18_000, 1), (18_001, 2), (100_000, 6), (10**6, 56):
            self.assertEqual(limits.copies(connections, self.HERE), copies)

    def test_a_loop_needs_memory_alone(self):
        self.assertIsNone(limits.shortage({"tasks": "0"}, 10**6, self.HERE))
        self.assertEqual(limits.shortage({"tasks": "0"}, 10**7, self.HERE),
                         "10,000,000 connections x 11 KiB = 104.9 GiB, where 24.0 GiB are available")

    def test_a_task_for_each_needs_room_for_tasks(self):
        self.assertIsNone(limits.shortage({"tasks": "1 thread"}, 10_000, self.HERE))
        self.assertEqual(limits.shortage({"tasks": "1 thread"}, 100_000, self.HERE),
                         "100,000 threads, where the system has room for 32,768 tasks")
        self.assertIn("processes", limits.shortage({"tasks": "1 process"}, 100_000, self.HERE))

    def test_a_stack_takes_two_memory_areas(self):
        roomy = dataclasses.replace(self.HERE, tasks=10**6, descriptors=10**6)
        self.assertEqual(limits.shortage({"tasks": "1 thread"}, 50_000, roomy),
                         "100,000 memory areas in one process (two for each stack), where "
                         "vm.max_map_count is 65,530")

    def test_a_server_gets_copies_unless_it_says_how_many(self):
        about = {"tasks": "0"}
        for own, options in ((), ("--processes=6",)), (("--workers=6",), ()):
            self.assertEqual(plan.can_serve(about, 100_000, own, self.HERE), (options, None))
        self.assertEqual(plan.can_serve({"peers": 1}, 2, (), self.HERE), (None, "2 at a time"))

    def test_this_machine_has_some_of_everything(self):
        here = limits.of_this_machine()
        self.assertGreater(min(dataclasses.astuple(here)), 100)


class LineUpTest(RunnerTest):
    """Who takes part."""

    def setUp(self):
        super().setUp()
        self.build = self.fake_servers(event={}, threads={}, one=dict(peers=1),
                                       few=dict(peers="--workers"))

    def plan(self, text, *options):
        """(status, lines of the plan, stderr) of a workload with this text, once."""
        status, out, err = self.do(*RUN, "--build", self.build, "--dry-run", "--workloads",
                                   self.workload("some", text), "--trials", "1", *options)
        return status, sorted(out.split("\n")[:-1]), err

    def names(self, text, *options):
        status, lines, err = self.plan(text, *options)
        self.assertEqual(status, 0, err)
        return [line.split()[1].removesuffix(".1") for line in lines]

    def base(self, **keys):
        """A workload with one point; keys of [workload]."""
        stated = "\n".join(f"{key} = {value}" for key, value in keys.items())
        return f"[workload]\n{stated}\n[class a]\nrequest = /\n"

    def test_a_profile_names_its_servers(self):
        text = self.base() + "[quick]\nservers = threads event\n"
        self.assertEqual(self.names(text), ["event", "threads"])
        self.assertEqual(self.names(text, "--full", "--only", "event,threads,one"),
                         ["event-twin", "event", "threads"])  # `one` cannot serve ten connections

    def test_who_takes_part_twice(self):
        """The same program with the same options; nobody where he is not among those who serve."""
        text = self.base() + "[quick]\nservers = threads event:--multiplexer=poll\n"
        self.assertEqual(self.names(text + "twin = threads\n"),
                         ["event-poll", "threads-twin", "threads"])
        self.assertEqual(self.names(text + "twin = event:--multiplexer=poll\n"),
                         ["event-poll-twin", "event-poll", "threads"])
        self.assertEqual(self.names(text + "twin = event\n"), ["event-poll", "threads"])
        self.assertEqual(self.names(self.base() + "[full]\ntwin =\n", "--full", "--only", "event"),
                         ["event"])

    def test_the_command_line_overrides_it(self):
        text = self.base(connections=1) + "[quick]\nservers = threads\n"
        self.assertEqual(self.names(text, "--only", "event"), ["event"])
        self.assertEqual(self.names(text, "--only", "event:--multiplexer=poll"), ["event-poll"])
        self.assertEqual(self.names(text, "--only", "all"), ["event", "few", "one", "threads"])

    def test_a_variant_has_options_and_a_name(self):
        text = (self.base(connections=1) + "[quick]\n"
                "servers = event event:--multiplexer=poll:--stack=64k:--loud event:--loud event\n")
        self.assertEqual(self.plan(text)[1],
                         ["some/base event-loud.1 --loud",
                          "some/base event-poll-64k-loud.1 --multiplexer=poll --stack=64k --loud",
                          "some/base event.1"])

    def test_all_stands_for_every_server(self):
        text = self.base(connections=1) + "[quick]\nservers = all event:--multiplexer=poll\n"
        self.assertEqual(self.names(text), ["event-poll", "event", "few", "one", "threads"])

    def test_what_is_not_built_is_left_out_with_a_word(self):
        text = self.base() + "[quick]\nservers = io_uring event coroutines:--x=1\n"
        status, lines, err = self.plan(text)
        self.assertEqual((status, lines), (0, ["some/base event.1"]))
        for name in "io_uring", "coroutines":
            self.assertRegex(err, rf"some\.ini without {name}, which is not built\n")

    def test_a_workload_without_any_server_is_an_error(self):
        for word, said in (("io_uring", "none of its servers is built: io_uring"),
                           ("event:backend", "'event:backend' is neither"),
                           ("event:--../x", "is neither"), ("event:--x=../y", "is neither")):
            status, lines, err = self.plan(self.base() + f"[quick]\nservers = {word}\n")
            self.assertEqual((status, lines), (2, []))
            self.assertRegex(err, rf"^archbench run: workload \S+some\.ini: .*{re.escape(said)}")

    def test_one_connection_at_a_time(self):
        sweep = self.base() + "[point 1]\nconnections = 1\n[point 2]\nconnections = 2\n"
        status, lines, err = self.plan(sweep, "--only", "one,event")
        self.assertEqual((status, lines), (0, ["some/1 event.1", "some/1 one.1", "some/2 event.1"]))
        self.assertIn("without one, which cannot serve so many connections: "
                      "2 at a time, at point 2\n", err)

    def test_as_many_workers_as_connections_up_to_a_limit(self):
        sweep = self.base(connections=512) + "[point a]\n[point b]\nconnections = 513\n"
        status, lines, err = self.plan(sweep, "--only", "few")
        self.assertEqual((status, lines), (0, ["some/a few.1 --workers=512"]))
        self.assertIn("513 at a time, at point b", err)

    def test_a_stated_option_comes_after_the_computed_one(self):
        self.assertEqual(self.plan(self.base(), "--only", "few:--workers=3")[1],
                         ["some/base few-3.1 --workers=10 --workers=3"])

    def test_every_kind_of_connection_counts(self):
        one = self.base(connections=1)
        self.assertEqual(self.names(one, "--only", "one"), ["one"])
        for text in (self.base(connections=1, idle=1),
                     one + "connections = 1\n",
                     one + "[point p]\na.connections = 1\n",
                     one + "[point p]\nidle = 1\n",
                     one + "[quick]\nconnections = 2\n"):
            self.assertEqual(self.names(text, "--only", "one,event"), ["event"], text)
        text = self.base(connections=9) + "[quick]\nconnections = 1\n"
        self.assertEqual(self.names(text, "--only", "one"), ["one"])

    def test_nothing_left_to_run_is_an_error(self):
        status, _, err = self.plan(self.base(), "--only", "one")
        self.assertEqual(status, 2)
        self.assertRegex(err, "^archbench run: nothing is left to run: .* without one, which cannot")

    def test_a_number_that_is_none_is_said(self):
        for text in (self.base(connections="few"), self.base() + "[quick]\nconnections = x\n"):
            status, _, err = self.plan(text)
            self.assertEqual(status, 2)
            self.assertRegex(err, r"^archbench run: .*some\.ini: '\w+' is not a whole number")


class ArchitecturesTest(RunnerTest):
    def table(self, build):
        """[(row, first line of the summary below it)], without the heading."""
        status, out, err = self.do(ROOT / "bin" / "archbench", "architectures", "--build", build)
        self.assertEqual(status, 0, err)
        lines = out.splitlines()
        return [(row, below.strip()) for row, below in itertools.pairwise(lines)
                if not row.startswith(" ") and below.startswith(" ")]

    def test_it_says_what_the_headers_say(self):
        found = {row.split()[0]: (row, summary) for row, summary in self.table(BUILD)}
        for name, (row, summary) in found.items():
            header = headers.files_of(name)[0].read_text(encoding="utf-8")
            ids, family = (re.search(rf"^ \* {key}: +(.*)$", header, re.M)[1]
                           for key in ("Ids", "Family"))
            self.assertRegex(row, rf"^{name} +{ids} +{family} .* +\d+$")
            self.assertTrue(summary.startswith(re.match(r"/\* \w+: (.{20})", header)[1]), summary)
        for name, columns in (("threads", "all +1 thread +any +any"),
                              ("event", "compute disk +0 +1 +any"),
                              ("hybrid", "nothing +0 +--max-workers +any")):
            self.assertRegex(found[name][0], rf" {columns} +\d+$")

    def test_the_guides_order_and_aligned_columns(self):
        build = self.fake_servers(a=dict(ids=["A10"], loc=1000), d=dict(ids=["A2", "A9"], loc=7),
                                  c=dict(ids=["A10"], peers=1), b=dict(ids=[], peers="--workers"))
        rows = [row for row, _ in self.table(build)]
        self.assertEqual([row.split()[0] for row in rows], list("bdac"))
        self.assertEqual(len({len(row) for row in rows}), 1)
        for row, end in zip(rows, ("--workers +60", "any +7", "any +1000", "1 +60")):
            self.assertRegex(row, f" {end}$")

    def test_nothing_built_is_said(self):
        status, _, err = self.do(ROOT / "bin" / "archbench", "architectures", "--build", self.folder)
        self.assertEqual(status, 2)
        self.assertRegex(err, "^archbench architectures: .*try make\n$")
