"""The account of the chat's messages: each line of its verdict holds for a run that is well, and fails for one that
is not."""
import contextlib
import copy
import io
import re
import unittest

from archbench.bench import accounts, endurance, stand_in

UNTIMED = True

KINDS = ("connect", "timeout", "reset", "closed", "cut", "malformed", "digest", "status_4xx",
         "status_5xx", "unsent", "unanswered")
FLAT = [(50_000, 90_000)] * len(accounts.MOMENTS)
MEMBERS = 20


def deliveries(published, **more):
    found = {"published": published, "delivered": MEMBERS * published, "lost": 0, "away": 0,
             "doubled": 0, "disordered": 0}
    return {"deliveries": {**found, **more}}


def undisturbed():
    """A cell in which 100 messages of two classes went well."""
    return {"server": "hybrid", "kill": None,
            "validity": {"verdict": "VALID", "reasons": []}, "host": {"others": 0.01},
            "counters": {"shed": 0, "feed_connects": 0, "upstream_failed": 0, "upstream_late": 0,
                         "database_failed": 0, "database_late": 0},
            "components": [
                {"name": "redis", "program": "Redis 7", "final": {"kills": 0, "down_s": []}},
                {"name": "postgresql", "program": "PostgreSQL 15",
                 "final": {"kills": 0, "down_s": [], "rows": {"message": 100, "message_doubled": 0}}}],
            "load": {"requests": 100, "good": 100, "errors": dict.fromkeys(KINDS, 0),
                     "classes": {"write": deliveries(60), "write_read": deliveries(40)}}}


def disturbed():
    """PostgreSQL was killed: 5 messages refused, 3 of them stored; 2 unanswered; all told to somebody, but one
    delivery was lost, and four were missed."""
    cell = undisturbed()
    cell["kill"] = {"count": 10}
    cell["components"][1]["final"].update(kills=10, down_s=[0.5] * 9 + [2.0])
    cell["components"][1]["final"]["rows"]["message"] = 97
    cell["load"].update(good=93)
    cell["load"]["errors"].update(status_5xx=5, timeout=2)
    cell["load"]["classes"]["write"] = deliveries(53, delivered=MEMBERS * 60 - 5, lost=1, away=4)
    return cell


def account(cell, name="undisturbed", samples=FLAT, kills=0):
    return accounts.Account(name, cell, MEMBERS, samples, kills)


class Verdict(unittest.TestCase):
    def assert_missed(self, found, *sentences):
        """Just these lines fail; each by a word of it."""
        missed = [each.sentence for each in found.lines() if not each.holds]
        self.assertEqual(len(missed), len(sentences), missed)
        for sentence, word in zip(missed, sentences):
            self.assertIn(word, sentence)

    def broken(self, where, changes, make=undisturbed):
        """The cell with something else in the dictionary that where(cell) finds."""
        cell = make()
        where(cell).update(changes)
        return cell

    def test_all_well(self):
        self.assert_missed(account(undisturbed()))
        found = account(disturbed(), "postgresql", kills=10)
        self.assert_missed(found)
        self.assertEqual((found.due, found.unacknowledged, found.killed), (1860, 140, 10))

    def test_a_message_of_which_nothing_is_known(self):
        cell = self.broken(lambda cell: cell["load"], {"requests": 101})
        self.assert_missed(account(cell), "sent 101 =")
        cell = self.broken(lambda cell: cell["load"]["errors"], {"digest": 1})
        cell["load"]["requests"] += 1
        self.assert_missed(account(cell), "sent 101 =")

    def test_what_was_not_sent_is_no_message(self):
        cell = self.broken(lambda cell: cell["load"]["errors"], {"unsent": 3}, disturbed)
        cell["load"]["requests"] += 3
        self.assert_missed(account(cell, "postgresql", kills=10))

    def test_rows(self):
        for rows in ({"message": 99}, {"message": 101}, {"message_doubled": 1}):
            cell = self.broken(lambda cell: cell["components"][1]["final"]["rows"], rows)
            self.assert_missed(account(cell), "stored")
        cell = undisturbed()
        del cell["components"][1]["final"]["rows"]
        self.assert_missed(account(cell), "did not say")

    def test_rows_of_what_was_refused(self):
        for rows, holds in ((92, False), (93, True), (100, True), (101, False)):
            cell = self.broken(lambda cell: cell["components"][1]["final"]["rows"],
                               {"message": rows}, disturbed)
            found = account(cell, "postgresql", kills=10)
            self.assert_missed(found, *([] if holds else ["stored"]))

    def test_the_stand_in_keeps_no_rows(self):
        cell = undisturbed()
        for component in cell["components"]:
            component.update(program="bundled", final={"calls": 1})
        self.assert_missed(account(cell))
        self.assertEqual(len(account(cell).lines()), len(account(undisturbed()).lines()) - 1)

    def test_deliveries(self):
        """One less than is due, without a word; and one more than was sent."""
        for delivered in (MEMBERS * 60 - 1, MEMBERS * 60 + 1):
            cell = self.broken(lambda cell: cell["load"]["classes"]["write"]["deliveries"],
                               {"delivered": delivered})
            self.assert_missed(account(cell), "due 2,000 =")
        cell = self.broken(lambda cell: cell["load"]["classes"]["write"]["deliveries"],
                           {"published": 59})
        self.assert_missed(account(cell), "due 2,000 =")

    def test_deliveries_of_what_was_refused(self):
        """None of it, all of it, and more than that."""
        for delivered, holds in ((MEMBERS * 53 - 6, False), (MEMBERS * 53 - 5, True),
                                 (MEMBERS * 60 - 5, True), (MEMBERS * 60 - 4, False)):
            cell = self.broken(lambda cell: cell["load"]["classes"]["write"]["deliveries"],
                               {"delivered": delivered}, disturbed)
            found = account(cell, "postgresql", kills=10)
            self.assert_missed(found, *([] if holds else ["due 1,860 ="]))

    def test_order(self):
        for key in ("doubled", "disordered"):
            cell = self.broken(lambda cell: cell["load"]["classes"]["write"]["deliveries"],
                               {key: 1, "delivered": MEMBERS * 60 + (key == "doubled")})
            self.assert_missed(account(cell), "doubled")

    def test_undisturbed_nothing_may_be_lost(self):
        for key in ("lost", "away"):
            cell = self.broken(lambda cell: cell["load"]["classes"]["write"]["deliveries"],
                               {key: 1, "delivered": MEMBERS * 60 - 1})
            self.assert_missed(account(cell), "lost")
        for kind in ("status_5xx", "timeout", "connect"):
            cell = self.broken(lambda cell: cell["load"]["errors"], {kind: 1})
            cell["load"]["requests"] += 1
            self.assert_missed(account(cell), "lost")

    def test_what_was_to_be_killed(self):
        for kills in 9, 11:
            cell = self.broken(lambda cell: cell["components"][1]["final"], {"kills": kills},
                               disturbed)
            self.assert_missed(account(cell, "postgresql", kills=10), "killed")
        cell = self.broken(lambda cell: cell["kill"], {"count": 9}, disturbed)
        self.assert_missed(account(cell, "worker", kills=10), "killed")
        self.assert_missed(account(undisturbed(), "worker", kills=10), "killed 0 of 10")

    def test_memory(self):
        def samples(last, which):
            last = (last, 90_000) if which == "PSS" else (50_000, last)
            return [*FLAT[:-1], last]
        for which, bound in (("PSS", 50_000 + 2048), ("cgroup", 90_000 + 16 * 1024)):
            self.assert_missed(account(undisturbed(), samples=samples(bound, which)))
            self.assert_missed(account(undisturbed(), samples=samples(bound + 1, which)),
                               f"memory ({which})")

    def test_memory_of_a_large_server_may_grow_by_a_share(self):
        large = [(1_000_000, 2_000_000)] * len(accounts.MOMENTS)
        for grown, holds in ((1_020_000, True), (1_020_001, False)):
            found = account(undisturbed(), samples=[*large[:-1], (grown, 2_000_000)])
            self.assert_missed(found, *([] if holds else ["memory (PSS)"]))

    def test_it_may_still_grow_before_it_is_warm(self):
        self.assert_missed(account(undisturbed(), samples=[(10_000, 20_000), *FLAT[1:]]))

    def test_memory_that_nobody_saw(self):
        self.assert_missed(account(undisturbed(), samples=FLAT[:-1]), "not seen")
        self.assert_missed(account(undisturbed(), samples=[(pss, None) for pss, _ in FLAT]))

    def test_nothing_measured(self):
        cell = {**undisturbed(), "load": None}
        with self.assertRaises(ValueError):
            account(cell)


class Table(unittest.TestCase):
    def test_a_column_for_each_part(self):
        both = [account(undisturbed()), account(disturbed(), "postgresql", kills=10)]
        header, rows = accounts.table_of(both)
        self.assertEqual(header, ["", "undisturbed", "postgresql"])
        found = {name: values for name, *values in rows}
        self.assertEqual(found["rows in the database"], ["100", "97"])
        self.assertEqual(found["refused: 4xx / 5xx"], ["0 / 0", "0 / 5"])
        self.assertEqual(found["down, s: median (longest)"], ["-", "0.50 (2.00)"])
        self.assertEqual(found["verdict"], ["holds", "holds"])
        self.assertEqual(len({len(row) for row in accounts.text(both).splitlines()}), 1)


class Shown(unittest.TestCase):
    def shown(self, cell):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            well = accounts.show_verdict(account(cell))
        return well, out.getvalue()

    def test_holds(self):
        well, text = self.shown(undisturbed())
        self.assertTrue(well)
        self.assertNotIn("MISSED", text)
        self.assertNotIn("note", text)

    def test_missed_and_why_perhaps(self):
        cell = undisturbed()
        cell["load"]["requests"] += 1
        cell["host"]["others"] = 0.6
        cell["validity"] = {"verdict": "INVALID", "reasons": ["too late"]}
        well, text = self.shown(cell)
        self.assertFalse(well)
        self.assertEqual(text.count("MISSED"), 1)
        self.assertIn("60 % of the machine", text)
        self.assertIn("not sure: too late", text)


class Scaled(unittest.TestCase):
    """The workload for fewer clients and less time."""

    def test_as_written_it_is_the_whole(self):
        text = (endurance.CASES / "chat_endurance.ini").read_text()

        def values(found):
            return [line.replace(" ", "") for line in found.splitlines() if line[:1] not in ";"]
        whole = endurance.scaled(text, 10_000, 600)
        self.assertEqual([line.replace("30000ms", "30s").replace("60000ms", "60s")
                          for line in values(whole)], values(text))

    def test_each_has_its_share(self):
        text = endurance.scaled((endurance.CASES / "chat_endurance.ini").read_text(), 1000, 12)
        for line in ("connections = 1000", "rate = 25", "rooms = 50", "kill = 600ms",
                     "kill_period = 1200ms"):
            found = [each for each in text.splitlines()
                     if " ".join(each.split()) == line]
            self.assertTrue(found, line)

    def test_all_kills_are_within_the_window(self):
        text = (endurance.CASES / "chat_endurance.ini").read_text()
        for seconds in 6, 12, 600:
            scaled = endurance.scaled(text, 1000, seconds)
            first, period = (float(re.search(rf"^{key} *= ([\d.]+)ms$", scaled, re.M)[1])
                             for key in ("kill", "kill_period"))
            last = first + (endurance.KILLS - 1) * period
            self.assertLess(last, 1000 * seconds)
            self.assertGreaterEqual(last + period, 1000 * seconds)


class StandIn(unittest.TestCase):
    """The comparison with the program that stands in for the components."""

    def test_cpu_of_whoever_is_behind_the_server(self):
        cell = {"components": [{"program": "Redis 7", "cpu_s": 1.0},
                               {"program": "PostgreSQL 15", "cpu_s": 2.0}], "upstream": None}
        self.assertEqual(stand_in.component_s(cell), 3.0)
        played = copy.deepcopy(cell)
        played["upstream"] = {"cpu_s": 0.5}
        for component in played["components"]:
            component.update(program="bundled", cpu_s=0.5)
        self.assertEqual(stand_in.component_s(played), 0.5)

    def test_medians_and_ratios(self):
        def numbers(rate):
            return stand_in.Numbers(rate, 1500.0, 2500.0, 40.0, 10.0)
        pairs = [(numbers(100), numbers(200)), (numbers(300), numbers(300)),
                 (numbers(200), numbers(300))]
        rate, median, *_ = stand_in.rows("x", pairs)
        self.assertEqual(rate, ["x", "requests/s", "300", "200", "1.50 (1.00 to 2.00)"])
        self.assertEqual(median, ["x", "p50, ms", "1.50", "1.50", "1.00 (1.00 to 1.00)"])
