"""The table of capacities, over runs whose answers are known."""
from synthetic import latencies
from table_case import Tables

UNTIMED = True  # it starts no server and measures no time


class Capacity(Tables):
    """cpu: 5 ms on 2 cores; a request of calibration costs 20 µs more."""
    def closed(self, arch, rate, predicted, used, cost_us, busy=0.0, units_per_ms=1000, slots=None,
               **said):
        self.synthetic.manifest["calibration"]["units_per_ms"] = {"hash": 1000}
        self.cells("cpu", "base", arch, {
            "achieved_rate": rate, "cores_used": used, "cpu_us_per_request": cost_us,
            "generator_busy_max": busy, "hash_units_per_ms": units_per_ms,
            "total": latencies(8e4, 9e4)}, slots=slots)
        self.predict("cpu", "base", arch, **{"capacity": predicted, "bottleneck": "cores",
                                             "achieved_rate": predicted, "mean_us": 5e4, **said})

    def verdict(self):
        row = self.row("capacity", "event, computing")
        return row["agreement"], row["verdict"]

    def test_a_prediction_that_holds(self):
        self.closed("event", 380, 398.4, 1.95, 5100)
        row = self.row("capacity", "event, computing")
        self.assertEqual((row["guide"], row["formula"], row["model"], row["agreement"]),
                         ("3,000/s", "200/s", "398/s (cores)", "agree"))
        self.assertEqual(row["measured"], "380/s [380, 380], 0.954 of the prediction")
        self.assertEqual(row["verdict"],
                         "5 % below the prediction: limited by cores, as predicted.")

    def test_a_miss_by_the_cost_of_a_request(self):
        self.closed("event", 300, 398.4, 1.95, 6500)
        agreement, verdict = self.verdict()
        self.assertEqual(agreement, "disagree")
        self.assertIn("25 % below the prediction: the cores were busy (1.95 of 2.00", verdict)
        self.assertIn("6,500 µs of CPU time instead of 5,020: by that cost the capacity is 300/s",
                      verdict)

    def test_a_miss_by_the_speed_of_the_machine(self):
        """Calibrated at 1,000 units per ms; 0.78 of them make 311 of the 398 per second."""
        self.closed("event", 300, 398.4, 1.95, 6500, units_per_ms=780)
        agreement, verdict = self.verdict()
        self.assertEqual(agreement, "disagree")
        self.assertIn("the machine did 780 units of hash per ms of CPU time just before and after, "
                      "and 1,000 when it was calibrated: at this speed the prediction is 311/s, "
                      "and the measured rate is 3 % below it.", verdict)

    def test_a_speed_that_explains_nothing(self):
        for units in 980, 600, 1300:
            with self.subTest(units=units):
                self.setUp()
                self.closed("event", 300, 398.4, 1.95, 6500, units_per_ms=units)
                self.assertIn("a request cost 6,500 µs", self.verdict()[1])

    def test_a_generator_on_the_same_cores_takes_its_share(self):
        self.closed("event", 300, 398.4, 1.7, 5600, busy=0.25)
        self.assertIn("and the generator took 0.25 of the same", self.verdict()[1])

    def test_a_miss_by_the_generator(self):
        self.closed("event", 300, 398.4, 1.0, 5000, busy=0.95)
        self.assertIn("the generator's core was 95 % busy", self.verdict()[1])

    def test_more_cores_than_the_model_counts_on(self):
        self.closed("event", 380, 199.2, 1.9, 5000)
        self.assertIn("1.90 cores worked where the model counts on 1.00", self.verdict()[1])

    def test_a_miss_by_workers_that_do_not_share(self):
        """32 connections, 31 of them with the second loop; the first slot is the parent's."""
        for used, cost_us, why in (
                (1.0, 5000, "answered 1.94 times its fair share, and only 1.00 of 2 cores"),
                (1.95, 9300, "a request cost 9,300 µs")):
            with self.subTest(why):
                self.setUp()
                self.closed("event", 210, 398.4, used, cost_us,
                            slots=[{"requests": n} for n in (0, 10, 310)])
                self.assertIn(why, self.verdict()[1])

    def test_of_more_workers_than_cores_one_may_idle(self):
        self.closed("event", 210, 398.4, 1.0, 5000,
                    slots=[{"requests": n} for n in (0, 10, 300, 10)])
        self.assertIn("the clients wait", self.verdict()[1])

    def test_a_miss_by_waiting(self):
        self.closed("event", 300, 398.4, 1.0, 5000)
        self.assertIn("a request took 88.0 ms on average instead of 50.0 ms", self.verdict()[1])

    def test_a_miss_that_nothing_explains(self):
        self.rate("load", "110", "event", 600, offered_rate=1400, cores_used=0.5,
                  cpu_us_per_request=1520)
        self.predict("load", "110", "event", capacity=1300, bottleneck="cores")
        row = self.row("capacity", "event, the mix")
        self.assertEqual(row["agreement"], "disagree")
        self.assertIn("not explained by this run: 0.50 of 1.98 cores were busy", row["verdict"])

    def test_clients_may_be_too_few(self):
        self.closed("event", 101, 398.4, 0.5, 5000, achieved_rate=100)
        row = self.row("capacity", "event, computing")
        self.assertEqual((row["model"], row["agreement"]),
                         ("100/s (the clients' own waiting)", "agree"))

    def test_at_least(self):
        for rate, agreement in ((1390, "agree"), (1600, "disagree")):
            with self.subTest(rate=rate):
                self.setUp()
                self.rate("load", "110", "event", rate, offered_rate=rate)
                self.predict("load", "110", "event", capacity=1320, bottleneck="cores")
                row = self.row("capacity", "event, the mix")
                self.assertEqual(row["agreement"], agreement)
                self.assertIn("At least", row["verdict"])
                self.assertIn("at least", row["measured"])

    def test_without_a_prediction(self):
        self.rate("io", "base", "event", 500)
        row = self.row("capacity", "event, waiting")
        self.assertEqual((row["agreement"], row["guide"], row["verdict"]),
                         ("open", "1,000,000/s", "Nothing was predicted for this run."))

    def test_the_guides_formula_of_the_mix(self):
        self.rate("load", "110", "event", 600, offered_rate=1400)
        row = self.row("capacity", "event, the mix")
        self.assertEqual((row["guide"], row["formula"]), ("10,000/s", "667/s"))
