"""Row B7 of the guide: the trading platform. The workloads are in workloads/cases/."""
from dataclasses import replace

from archbench.drawing import style
from archbench.tables.parts import guide_table as gt
from archbench.tables.parts.case_rows import (Place, held_back, model_cores, model_mean, model_rate,
                                              of_cells, per_second, quotient, told, why_missing,
                                              window_s)
from archbench.tables.parts.guide_lists import list_rows

CASE = "trading"
WORKLOAD, FULL = "trading", "full"
UPDATES, TRADES, RISKS = 50_000, 1_000, 500  # per second
TRADE_US = 1_000
RISK_S = 0.001  # of a risk computation: the guide does not say, the workload does
RANKS = {"p50": "median response to a trade", "p99": "p99 of the response to a trade",
         "p999": "p99.9 of the response to a trade", "max": "longest response to a trade"}
ARCHS = ("event", "hybrid", "multi_loop", "threads", "processes")
# Counters of a server that has order books: updates applied, trades matched, how old the book's last update
# was at each trade, in sum, and at how many it was older than a millisecond.
APPLIED, MATCHED, AGE_US, OLD = "book_updates", "book_trades", "book_age_us", "book_old"


def at_full(arch):
    return Place(WORKLOAD, FULL, arch)


def updates(facts, arch):
    place = at_full(arch)
    row = gt.blank("B7", f"{arch}: market updates applied per second", f"{gt.count(UPDATES)}/s",
                   f"the loop: {gt.count(UPDATES)}/s", model_rate(facts, place))
    rate = per_second(facts, place, APPLIED)
    if not rate:
        return told(facts, place, gt.unmeasured(row, why_missing(facts, place, APPLIED)))
    lost = facts.estimate(*place, "errors", "update")
    missing = f"; {gt.count(lost.value)} updates were lost" if lost and lost.value else ""
    return held_back(facts, place, gt.measured(
        row, gt.told(rate, "/s"), gt.near(rate, UPDATES),
        f"The rate of {arch} is {gt.compared(rate.value, UPDATES)} what the market sends{missing}."))


def trades(facts, arch):
    place = at_full(arch)
    row = gt.blank("B7", f"{arch}: trades per second", f"{gt.count(TRADES)}/s",
                   f"the loop: {gt.count(TRADES)}/s")
    rate = facts.estimate(*place, "good_rate", "trade")
    if not rate:
        return told(facts, place, gt.unmeasured(row, why_missing(facts, place, "trade.good_rate")))
    return held_back(facts, place, gt.measured(
        row, gt.told(rate, "/s"), gt.near(rate, TRADES),
        f"The rate of {arch} is {gt.compared(rate.value, TRADES)} what is ordered."))


def latency(facts, arch, rank):
    place, metric = at_full(arch), f"response_{rank}_us"
    row = gt.blank("B7", f"{arch}: {RANKS[rank]}", "< 1 ms",
                   "workers take the risk computations, so that no trade waits for one",
                   model_mean(facts, place, "trade"))
    found = facts.estimate(*place, metric, "trade")
    if not found:
        return told(facts, place, gt.unmeasured(row, why_missing(facts, place, f"trade.{metric}")))
    agreement = gt.below(found, TRADE_US)
    side = {gt.AGREE: "below", gt.DISAGREE: "not below"}.get(agreement, "on both sides of")
    return held_back(facts, place, gt.measured(row, gt.told(found, say=style.duration), agreement,
                                               f"The {RANKS[rank]} is {side} 1 ms in {arch}."))


def risk_counts(cell):
    """(done in time, late, shed, failed otherwise) per second; None where it is not known."""
    load, seconds = (cell.get("load") or {}).get("classes", {}).get("risk"), window_s(cell)
    if not load or not seconds:
        return None
    good, errors = load.get("good") or 0, load.get("errors") or 0
    late = max(0, (load.get("missed") or 0) - errors)
    shed = (load.get("failed_attempts") or {}).get("status_5xx", 0)
    return tuple(x / seconds for x in (good - late, late, shed, max(0, errors - shed)))


def risk(facts, arch):
    place = at_full(arch)
    row = gt.blank("B7", f"{arch}: risk computations per second", f"{RISKS}/s",
                   f"the workers: {RISKS}/s x {gt.seconds(RISK_S)} = {style.human(RISKS * RISK_S)} cores",
                   model_mean(facts, place, "risk"))
    parts = [of_cells(facts, place, lambda cell, k=k: (risk_counts(cell) or [None] * 4)[k])
             for k in range(4)]
    if not all(parts):
        return told(facts, place, gt.unmeasured(row, why_missing(facts, place, "risk.good_rate")))
    done, late, shed, failed = parts
    text = (f"{gt.told(done, '/s')} in time, {style.human(late.value)} late, "
            f"{style.human(shed.value)} shed")
    if failed.value:
        text += f", {style.human(failed.value)} without a reply"
    return held_back(facts, place, gt.measured(
        row, text, gt.near(done, RISKS),
        f"What {arch} did in time is {gt.compared(done.value, RISKS)} what was asked for."))


def age(facts, arch):
    place = at_full(arch)
    row = gt.blank("B7", f"{arch}: age of the market data that a trade meets", "no number")
    mean_us, old = quotient(facts, place, AGE_US, MATCHED), quotient(facts, place, OLD, MATCHED)
    if not mean_us:
        return told(facts, place, gt.unmeasured(row, why_missing(facts, place, AGE_US)))
    share = f"; {gt.percent(old.value)} of the trades met data older than a millisecond" if old else ""
    return held_back(facts, place, gt.measured(
        row, f"{gt.told(mean_us, say=style.duration)} in the mean{share}", gt.OPEN,
        "A fast trade on an old price is no success: the guide sets no limit."))


def cores(facts, arch):
    place = at_full(arch)
    row = gt.blank("B7", f"{arch}: CPU cores", "no number",
                   f"risk alone: {style.human(RISKS * RISK_S)}", model_cores(facts, place))
    used = facts.estimate(*place, "cores_used")
    if not used:
        return told(facts, place, gt.unmeasured(row, why_missing(facts, place, "cores_used")))
    beside = used.value - RISKS * RISK_S
    each_us = 1e6 * beside / (UPDATES + TRADES)
    verdict = f"Beside the risk computations {arch} used {style.human(max(0, beside))} cores"
    if each_us > 0:
        verdict += f", {style.human(each_us)} us for each update and trade"
    return told(facts, place, gt.measured(row, gt.told(used), gt.OPEN, verdict + "."))


def rows(facts, archs=ARCHS):
    """CaseRows: the guide's numbers by architecture, then its lists of ticks and crosses."""
    there = [a for a in archs if a in facts.run.archs(WORKLOAD)] or list(archs[:1])
    for line in (updates, trades):
        yield from (line(facts, arch) for arch in there)
    for rank in RANKS:
        yield from (latency(facts, arch, rank) for arch in there)
    for line in (risk, age, cores):
        yield from (line(facts, arch) for arch in there)
    yield from list_rows(facts, at_full)
