"""The labs of docs/labs/: what was predicted for each row of a worksheet's table, and where its
number is found in what the commands have written."""
import json
import math
import pathlib
import re
import sys
import typing

from archbench.bench.measured import holds
from archbench.formats.counters import counters_of
from archbench.model import guide, queueing


# ---------------------------------------------------------------- predictions


class Prediction(typing.NamedTuple):
    """A number, and the bounds within which it counts as right; None: no bound on that side."""

    value: float
    low: float
    high: float
    words: str  # with places for the number and for the upper bound


def about(value, tolerance):
    return Prediction(value, value * (1 - tolerance), value * (1 + tolerance),
                      f"{{0}}, give or take {100 * tolerance:.0f} %")


def at_most(value):
    return Prediction(value, None, value, "at most {0}")


def at_least(value):
    return Prediction(value, value, None, "at least {0}")


def between(low, high):
    return Prediction(low, low, high, "{0} to {1}")


class Row(typing.NamedTuple):
    """One line of a worksheet's table: what was expected, what came out, and how both are written,
    a format such as `{:.0f} ms`."""

    prediction: Prediction
    measured: float
    form: str

    def written(self, number):
        return "infinite" if math.isinf(number) else self.form.format(number)

    def texts(self):
        value, high = self.prediction.value, self.prediction.high
        expected = self.prediction.words.format(self.written(value),
                                                self.written(value if high is None else high))
        verdict = "holds" if holds(self.prediction, self.measured) else "**does not hold**"
        return [expected, self.written(self.measured), verdict]


# ---------------------------------------------------------------- what the commands have written


class Results:
    """The folder that a worksheet calls build/labs."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.doubts = []  # sentences: what of the numbers that were read is not sure, and why

    def doubt(self, name, validity):
        """Take note of what a generator or cell says of its own numbers."""
        said = [*validity.get("reasons", ()), *(f"{number}: {reason}" for number, reason
                                                in validity.get("refused", {}).items())]
        self.doubts += [f"{name}: {reason}" for reason in said
                        if f"{name}: {reason}" not in self.doubts]

    def load(self, name):
        """What a loadgen wrote with --json build/labs/NAME.json."""
        result = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        self.doubt(name, result.get("validity", {}))
        return result

    def percentile_ms(self, name, percentile, cls="total"):
        """Of the response; infinite where so many requests had no good reply."""
        result = self.load(name)
        found = result if cls == "total" else result["classes"]
        return milliseconds(found[cls]["response"][f"{percentile}_us"])

    def share_above(self, name, cls, limit_ms):
        """The share of requests whose response took longer, from --hgrm build/labs/NAME: between
        two percentiles that the file has, the middle."""
        text = (self.folder / f"{name}.{cls}.hgrm").read_text(encoding="utf-8")
        rows = [list(map(float, line.split()[:2])) for line in text.splitlines()
                if re.match(r"\s*\d", line)]
        within = max((share for value_ms, share in rows if value_ms <= limit_ms), default=0)
        beyond = min((share for value_ms, share in rows if value_ms > limit_ms), default=1)
        return 1 - (within + beyond) / 2

    def metrics(self, name):
        """What build/labs/NAME.txt holds of /metrics: numbers by name, without prefix and suffix."""
        text = (self.folder / f"{name}.txt").read_text(encoding="utf-8")
        return counters_of(text)

    def cell_folder(self, workload, point, server):
        return self.folder / "results" / "latest" / "cells" / workload / point / f"{server}.1"

    def cell(self, workload, point, server):
        path = self.cell_folder(workload, point, server) / "cell.json"
        cell = json.loads(path.read_text(encoding="utf-8"))
        if cell["load"] is None:
            sys.exit(f"{server} was not measured: {'; '.join(cell['validity']['reasons'])}")
        self.doubt(f"{workload}/{point} {server}", cell["validity"])
        return cell

    def quarters(self, workload, point, server):
        """The rows of the time series, one for each quarter of a second."""
        path = self.cell_folder(workload, point, server) / "timeseries.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def milliseconds(value_us):
    return math.inf if value_us is None else value_us / 1e3


# ---------------------------------------------------------------- the labs


def event_loop(results):
    short, slow, slow_s, request_s = 200, 20, 0.020, 20e-6
    mixture = queueing.Mixture([short, slow], [request_s, slow_s])
    rate = short + slow
    busy = queueing.load(rate, mixture.mean_s)
    p99_ms = queueing.mg1_wait_quantile_s(rate, mixture, 0.99) * 1e3

    def short_p99_ms(name):
        return results.percentile_ms(f"1/{name}", "p99", "short")

    return [
        Row(about(100 * busy, 0.25), 100 * results.share_above("1/event-compute", "short", 1),
            "{:.0f} %"),
        Row(about(p99_ms, 0.4), short_p99_ms("event-compute"), "{:.1f} ms"),
        Row(at_most(1), short_p99_ms("event-wait"), "{:.2f} ms"),
        Row(at_most(slow_s * 1e3 / 2), short_p99_ms("threads-compute"), "{:.2f} ms"),
        Row(at_most(1), short_p99_ms("hybrid-compute"), "{:.2f} ms"),
    ]


def pool_size(results):
    rate, service_s = 400, 0.020

    def predicted_ms(workers):
        return queueing.mgc_wait_s(rate, service_s, 0, workers) * 1e3

    def measured_ms(workers):
        counted = results.metrics(f"2/wait-{workers}")
        return counted["queue_wait_us"] / counted["dequeued"] / 1e3

    def computed(workers):
        return results.load(f"2/compute-{workers}")["achieved_rate"]

    answered = results.load("2/wait-6")["achieved_rate"]
    return [
        Row(about(guide.rate_of_concurrency(6, service_s), 0.05), answered, "{:.0f}/s"),
        Row(about(predicted_ms(9), 0.5), measured_ms(9), "{:.2f} ms"),
        Row(about(predicted_ms(10), 0.5), measured_ms(10), "{:.2f} ms"),
        Row(at_most(0.5), measured_ms(16), "{:.2f} ms"),
        Row(about(1, 0.1), computed("many") / computed("cores"), "{:.2f}"),
    ]


def open_loop(results):
    workers, service_s = 4, 0.020
    capacity = guide.rate_of_concurrency(workers, service_s)
    wait_ms = queueing.mgc_wait_s(160, service_s, 0, workers) * 1e3
    offered, warmup_s, window_s = 250, 1, 6
    median_ms = ((offered / capacity - 1) * (warmup_s + window_s / 2) + service_s) * 1e3
    stall_s, stalled_window_s = 1, 10
    stall_p99_ms = (stall_s - 0.01 * stalled_window_s) * 1e3

    def closed(clients):
        return queueing.closed_bounds(clients, service_s, service_s / workers)

    mean_ms = results.load("3/open-160")["total"]["response"]["mean_us"] / 1e3
    return [
        Row(about(closed(8)[0], 0.05), results.load("3/closed-8")["achieved_rate"], "{:.0f}/s"),
        Row(about(closed(40)[1] * 1e3, 0.1), results.percentile_ms("3/closed-40", "p50"),
            "{:.0f} ms"),
        Row(about(service_s * 1e3 + wait_ms, 0.25), mean_ms, "{:.1f} ms"),
        Row(about(median_ms, 0.25), results.percentile_ms("3/open-250", "p50"), "{:.0f} ms"),
        Row(at_most(20), results.percentile_ms("3/stall-closed", "p99"), "{:.1f} ms"),
        Row(about(stall_p99_ms, 0.1), results.percentile_ms("3/stall-open", "p99"), "{:.0f} ms"),
    ]


def memory(results):
    page_kib, stack_kib, exchange_kib = 4, 16, 7

    def per_connection(server, part="total"):
        return results.cell("connections", "1000", server)["memory"]["per_connection"][f"{part}_kb"]

    def room(server):
        """Connections in the memory of the guide's server, in millions."""
        return guide.connections(bytes_each=per_connection(server) * guide.KIB) / 1e6

    event, threads = per_connection("event"), per_connection("threads")
    least_process_kib = stack_kib + 4 * page_kib + exchange_kib
    return [
        Row(at_most(1), per_connection("event", "user"), "{:.2f} KiB"),
        Row(between(0.9 * page_kib, 2.1 * page_kib), per_connection("coroutines", "user"),
            "{:.1f} KiB"),
        Row(at_least(stack_kib + page_kib), threads - event, "{:.1f} KiB"),
        Row(at_least(least_process_kib), per_connection("processes"), "{:.0f} KiB"),
        Row(at_least(guide.connections() / 1e6), room("event"), "{:.2f} million"),
        Row(at_least(guide.connections() / 1e6), room("processes"), "{:.2f} million"),
    ]


def context_switch(results):
    pool, turns = "thread_pool-4", "leader_followers-4"  # as the runner calls those with 4 workers

    def cost(server, point="calm"):
        return results.cell("5-context-switch", point, server)["cost"]

    def switches(server, point="calm"):
        return cost(server, point)["switches_per_request"]

    def cpu_us(server):
        return cost(server)["cpu_us_per_request"]

    # A line through two servers: what one more switch costs, and what is left without any.
    price_us = (cpu_us(pool) - cpu_us("event")) / (switches(pool) - switches("event"))
    without_us = cpu_us("event") - price_us * switches("event")
    expected_us = without_us + price_us * switches(turns)
    return [
        Row(about(1, 0.15), switches("event"), "{:.2f}"),
        Row(about(3, 1 / 3), switches(pool), "{:.2f}"),
        Row(about(2, 1 / 3), switches(turns), "{:.2f}"),
        Row(between(1, 10), price_us, "{:.1f} us"),
        Row(about(expected_us, 0.25), cpu_us(turns), "{:.0f} us"),
        Row(at_most(0.8), switches("event", "busy"), "{:.2f}"),
    ]


def surge(results):
    calm, factor, work_s, surge_s, surge_end_s = 80, 10, 0.002, 1.5, 2.0
    backlog_s = (calm * factor * work_s - 1) * surge_s  # of work, for one core
    drained_s = backlog_s / (1 - calm * work_s)
    cold_rate, cold_start_s, timer_s = 200, 0.200, 0.020

    def short_ms(server, percentile):
        load = results.cell("6-surge", "base", server)["load"]
        return milliseconds(load["classes"]["short"]["response"][f"{percentile}_us"])

    def calm_again_s():
        """From the end of the surge to the end of the last quarter with a slow short request."""
        late = [row["time_s"] for row in results.quarters("6-surge", "base", "event")
                if milliseconds(row["classes"]["short"]["p50_us"]) > 50]
        return max(late, default=surge_end_s) - surge_end_s

    instances = results.metrics("6/serverless")
    return [
        Row(about(backlog_s * 1e3, 0.4), short_ms("event", "p99"), "{:.0f} ms"),
        Row(about(drained_s, 0.5), calm_again_s(), "{:.2f} s"),
        Row(at_most(1), short_ms("hybrid", "p99"), "{:.2f} ms"),
        Row(about(cold_rate * cold_start_s, 0.4), instances["spawned"], "{:.0f}"),
        Row(between(guide.instances_for(cold_rate, timer_s), 16), instances["workers"], "{:.0f}"),
    ]


def chat(results):
    rate, statements, database_s, compute_ms = 250, 1.5, 0.100, 4
    in_flight = guide.in_flight(rate * statements, database_s)
    clients, think_s, small = 48, 0.040, 8
    capacity = guide.rate_of_concurrency(small, statements * database_s)
    waiting = queueing.erlang_c(in_flight, 50)
    websocket_kib, limit_ms, people = 6.2, 50, 10_000  # the first as in lab 4, of both ends

    def cell(point, server="hybrid"):
        return results.cell("7-chat", point, server)

    def delivery_ms(point, server, percentile):
        latency = cell(point, server)["load"]["total"]["deliveries"]["latency"]
        return milliseconds(latency[f"{percentile}_us"])

    def in_use(found):
        return found["counters"]["database_busy_us"] / 1e6 / found["load"]["duration_s"]

    def waiting_percent(point):
        counted = cell(point)["counters"]
        return 100 * counted["database_waits"] / counted["database_calls"]

    few = cell("pool-8")["load"]
    memory_mib = cell("half", "event")["memory"]["per_connection"]["total_kb"] * people / 1024
    return [
        Row(about(capacity, 0.1), few["achieved_rate"], "{:.0f}/s"),
        Row(about((clients / capacity - think_s) * 1e3, 0.15),
            few["total"]["response"]["mean_us"] / 1e3, "{:.0f} ms"),
        Row(about(in_flight, 0.15), in_use(cell("full")), "{:.1f}"),
        Row(at_most(100 * 3 * waiting), waiting_percent("full"), "{:.0f} %"),
        Row(at_least(40), waiting_percent("pool-38"), "{:.0f} %"),
        Row(at_most(limit_ms), delivery_ms("half", "event", "p99"), "{:.0f} ms"),
        Row(at_least(limit_ms), delivery_ms("full", "event", "p99"), "{:.0f} ms"),
        Row(at_most(limit_ms), delivery_ms("full", "hybrid", "p99"), "{:.0f} ms"),
        Row(about(compute_ms + database_s * 1e3, 0.1),
            delivery_ms("stored-first", "hybrid", "p50"), "{:.0f} ms"),
        Row(about(websocket_kib * people / 1024, 0.5), memory_mib, "{:.0f} MiB"),
    ]


def trading(results):
    updates, risks, risk_s, limit_ms = 50_000, 500, 0.001, 1
    symbols, feeds, gather_s = 16, 4, 200e-6
    computation = queueing.Mixture([1], [risk_s])
    p99_ms = queueing.mg1_wait_quantile_s(risks, computation, 0.99) * 1e3

    def cell(server, point="full"):
        return results.cell("8-trading", point, server)

    def trade_ms(server, percentile):
        response = cell(server)["load"]["classes"]["trade"]["response"]
        return milliseconds(response[f"{percentile}_us"])

    def late_percent(point):
        trade = cell("event", point)["load"]["classes"]["trade"]
        return 100 * trade["missed"] / trade["requests"]

    def expected_late_percent(share):
        """Of trades that wait for longer than a computation takes: M/D/1 (Erlang 1909)."""
        busy = queueing.load(share * risks, risk_s)
        return 100 * (1 - (1 - busy) * math.exp(busy))

    def with_updates(least):
        """The formulas know of the computations only; what else the loop does can only add to it."""
        return between(0.8 * least, 2.5 * least)

    def age_ms(point):
        counted = cell("hybrid", point)["counters"]
        return counted["book_age_us"] / counted["book_trades"] / 1e3

    def expected_age_ms(share):
        """From one update of a symbol to the next, and the mean time that an update is held back: the
        first by all of it, and those that come meanwhile by half."""
        meanwhile = share * updates / feeds * gather_s
        held_s = gather_s * (1 + meanwhile / 2) / (1 + meanwhile)
        return (symbols / (share * updates) + held_s) * 1e3

    return [
        Row(with_updates(expected_late_percent(0.5)), late_percent("half"), "{:.1f} %"),
        Row(with_updates(expected_late_percent(1)), late_percent("full"), "{:.0f} %"),
        Row(with_updates(p99_ms), trade_ms("event", "p99"), "{:.1f} ms"),
        Row(at_most(limit_ms), trade_ms("hybrid", "p99"), "{:.2f} ms"),
        Row(at_most(2 * limit_ms), trade_ms("hybrid", "p999"), "{:.2f} ms"),
        Row(about(1, 0.5), trade_ms("threads-lock", "p99") / trade_ms("threads", "p99"), "{:.2f}"),
        Row(between(1, 2.2), cell("threads-owner")["cost"]["switches_per_request"], "{:.1f}"),
        Row(about(expected_age_ms(1), 0.25), age_ms("full"), "{:.2f} ms"),
        Row(about(expected_age_ms(0.5), 0.25), age_ms("half"), "{:.2f} ms"),
    ]


LABS = {"1-event-loop": event_loop, "2-pool-size": pool_size, "3-open-loop": open_loop,
        "4-memory": memory, "5-context-switch": context_switch, "6-surge": surge,
        "7-chat": chat, "8-trading": trading}
