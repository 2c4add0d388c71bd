"""Colours, markers and numbers for readers."""
import os
import unittest

from archbench.drawing import chart, style
from archbench.places import REPOSITORY
from synthetic import INF, run_program

UNTIMED = True  # it starts no server and measures no time


class Style(unittest.TestCase):
    def test_known_architectures_all_look_different(self):
        looks = [style.look(a) for a in style.ARCHITECTURES]
        self.assertEqual(len(set(looks)), len(looks))
        core = [style.look(a) for a in ("processes", "threads", "event", "hybrid")]
        self.assertEqual(len({c for c, _ in core}), 4)
        self.assertEqual(len({m for _, m in core}), 4)

    def test_every_server_of_the_suite_has_its_own_colour_and_its_own_marker(self):
        """References such as nginx are compared with some of them only, and may share."""
        looks = [style.look(a) for a in style.ARCHITECTURES if a not in style.REFERENCES]
        self.assertEqual(len(looks), 15)
        self.assertEqual(len({colour for colour, _ in looks}), len(looks))
        self.assertEqual(len({marker for _, marker in looks}), len(looks))

    def test_a_server_without_a_look_of_its_own_gets_one_from_its_name(self):
        self.assertIsNone(style._look_of({"Family": "threads"}))
        self.assertEqual(style._look_of({"Look": "#E69F00 ^"}), ("#E69F00", "^"))
        self.assertNotIn("newcomer", style.ARCHITECTURES)
        self.assertIn(style.look("newcomer")[0], style.SPARE_COLOURS)

    def test_a_variant_shows_whose_it_is(self):
        event, _ = style.look("event")
        looks = [style.look(a) for a in ("event", "event-select", "event-poll")]
        self.assertEqual({colour for colour, _ in looks}, {event})
        self.assertEqual(len(set(looks)), 3)
        self.assertEqual(style.in_order(["other", "event-poll", "hybrid", "event", "threads"]),
                         ["threads", "event", "event-poll", "hybrid", "other"])

    def test_variants_that_workloads_name_are_unlike_each_other_and_their_server(self):
        for server, variants in (("event", ("select", "poll", "64")),
                                 ("thread_pool", ("2", "8", "16", "32", "64", "sjf")),
                                 ("multi_loop", ("shared-4", "reuseport-4")),
                                 ("threads", ("tss", "mutex", "atomic"))):
            looks = [style.look(server), *(style.look(f"{server}-{v}") for v in variants)]
            self.assertEqual(len(set(looks)), len(looks), server)

    def test_families_keep_together(self):
        found = style.families(["nobody", "multi_loop", "threads", "event-poll", "event"])
        self.assertEqual(found, {"threads": ["threads"], "others": ["nobody"],
                                 "event loops": ["event", "event-poll", "multi_loop"]})

    def test_unknown_architecture_looks_the_same_in_every_process(self):
        code = "import sys; sys.path.insert(0, sys.argv[1]); from archbench.drawing import style; " \
               "print(style.look('future_server'))"
        seen = {run_program("/usr/bin/python3", "-c", code, REPOSITORY,
                            env={**os.environ, "PYTHONHASHSEED": seed}).stdout
                for seed in ("1", "2")}
        self.assertEqual(seen, {f"{style.look('future_server')}\n"})

    def test_titles_keep_within_the_figure(self):
        text = " ".join(["ab"] * 41)  # 122 characters: not far from two full lines
        self.assertEqual(list(map(len, chart.balanced(text, 64))), [62, 59])
        self.assertEqual(chart.balanced("word " * 13 + "orphan", 64),
                         [" ".join(["word"] * 8), "word word word word word orphan"])

    def test_numbers_for_people(self):
        for value, text in ((0.01234, "0.0123"), (4.561, "4.56"), (78.91, "78.9"),
                            (1234.5, "1,230"), (0, "0"), (INF, "∞"), (None, "–"),
                            (-3.14159, "-3.14"), (99.96, "100"), (9.996, "10.0"), (0.00001, "0")):
            self.assertEqual(style.human(value), text)
        for value, text in ((0, "0"), (0.25, "0.25"), (300, "300"), (1200, "1,200"), (1000, "1k"),
                            (40000, "40k"), (2e6, "2M")):
            self.assertEqual(style.short(value), text)
        for count, text in ((0, "0"), (2 ** 18, "256 KiB"), (1.5 * 2 ** 20, "1.5 MiB")):
            self.assertEqual(style.size(count), text)
        for us, text in ((850, "850 µs"), (1200, "1.20 ms"), (2.5e6, "2.50 s"), (INF, "infinite"),
                         (999.4, "999 µs"), (999.6, "1.00 ms"), (0.00001, "0 µs")):
            self.assertEqual(style.duration(us), text)
