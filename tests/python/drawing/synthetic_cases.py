"""Synthetic runs of the case studies, whose answers are known: tests/python/drawing/synthetic.py in small."""
import shutil

from archbench.places import REPOSITORY
from synthetic import INF, SyntheticRun, latencies

CASES = REPOSITORY / "workloads" / "cases"
# Of the chat at the guide's load: (messages/s, p50 and p99 of deliveries in us, cores, KiB a connection).
CHAT = {"event": (243, 600, 240_000, 0.99, 9.1), "hybrid": (250, 500, 9_000, 1.08, 9.3),
        "multi_loop": (250, 550, 14_000, 1.07, 9.6), "threads": (249, 700, 12_000, 1.3, 41.0)}
# Of the trades: (p50, p99, p99.9, longest in us), with risk computations beside them.
TRADING = {"event": (90, 1_900, 4_200, 9_000), "hybrid": (60, 310, 800, 1_700),
           "multi_loop": (80, 1_300, 2_600, 6_000), "threads": (110, 900, 5_000, 12_000),
           "threads-lock": (130, 2_400, 9_000, 30_000), "processes": (150, 2_000, 9_500, 22_000)}
MEMORY_KB = {"event": 9_000, "hybrid": 9_900, "multi_loop": 14_000, "threads": 15_000, "threads-lock": 15_000,
             "processes": 90_000}
CPU_US = {"event": 14, "hybrid": 16, "multi_loop": 18, "threads": 24, "threads-lock": 26, "processes": 40}


def components(scale=1.0):
    """As cell.json has them."""
    return [{"name": "redis", "program": "redis-server 7.0.15", "cpu_s": 0.2, "cores_used": 0.05 * scale,
             "memory_peak_kb": 9000},
            {"name": "postgresql", "program": "bundled", "cpu_s": 1.0, "cores_used": 0.15 * scale,
             "memory_peak_kb": 90000}]


def deliveries(p50_us, p99_us, lost=0):
    return {"delivery_p50_us": p50_us, "delivery_p99_us": p99_us, "deliveries_lost": lost,
            "deliveries_doubled": 0}


class CaseRun(SyntheticRun):
    """A run of cases. Their workloads are the real ones, with the files that they name."""

    def __init__(self, folder, *cases, **manifest):
        super().__init__(folder, cases=list(cases), **manifest)
        for path in (self.folder / "workloads").glob("*.ini"):
            path.unlink()
        for name in cases:
            for path in CASES.glob(f"{name}*"):
                shutil.copy(path, self.folder / "workloads")
        self.manifest["servers"] = {
            a: {"name": a, "loc": loc} for a, loc in (("processes", 180), ("threads", 240))}


def window(seconds=4.0, **classes):
    return {"duration_s": seconds, "total": {"requests": 1000, "good": 1000}, "classes": classes}


def add_chat(run, trial, w, in_use=37.0, parts=1.0):
    for arch, (rate, p50, p99, cores, kib) in CHAT.items():
        calls = round(1.5 * rate * 4)
        run.cell("chat", "full", arch, trial, {
            "achieved_rate": rate * w, "offered_rate": 250, "cores_used": cores * w,
            "generator_busy_max": 0.2, "memory_total_kb_per_connection": kib * w,
            "total": latencies(1.2e5, 3e5) | deliveries(p50 * w, p99 * w)},
            load=window(), components=components(parts), counters={
                "database_calls": calls, "database_busy_us": in_use * w * 4e6,
                "database_waits": calls // 20, "database_wait_us": calls * 300})
        run.cell("chat", "quiet", arch, trial, {"write": latencies(104_900 * w, 107_000)},
                 load=window(), components=components())
        for point, late in (("none", 1), ("slow-reader", 40 if arch == "threads" else 1.1)):
            run.cell("chat_slow", point, arch, trial, {
                "total": latencies(300, 900) | deliveries(300, 2_000 * late * w)})
    for arch, rate in (("hybrid", 420), ("hybrid-1", 240)):
        run.cell("chat_scale", "over", arch, trial, {"achieved_rate": rate * w})
    for arch in ("threads", "hybrid"):
        for size in (4, 16, 40, 64):
            rate = min(250, size / 0.15)
            p99 = INF if rate < 250 else 2.6e5
            run.cell("chat_pool", f"pool-{size}", arch, trial,
                     {"achieved_rate": rate * w, "total": latencies(1.5e5, p99)})


def trades(p50, p99, p999, longest, w=1.0):
    return latencies(p50 * w, p99 * w) | {"response_p999_us": p999 * w, "response_max_us": longest * w,
                                          "good_rate": 1000}


def add_trading(run, trial, w, done=500):
    for arch, of in TRADING.items():
        run.cell("trading", "full", arch, trial, {
            "achieved_rate": 51_500, "cores_used": 1.3 * w, "cgroup_memory_peak_kb": MEMORY_KB[arch],
            "cpu_us_per_request": CPU_US[arch] * w,
            "switches_per_request": 0.02 if arch == "event" else 0.7,
            "trade": trades(*of, w), "risk": latencies(2_000, 9_000), "update": {"errors": 0}},
            load=window(2.0, risk={"good": 2 * done, "errors": 1000 - 2 * done, "missed": 1000 - 2 * done,
                                   "failed_attempts": {"status_5xx": 1000 - 2 * done}}),
            counters={"book_updates": 100_000, "book_trades": 2000, "book_age_us": 2000 * 45,
                      "book_old": 20})
        run.cell("trading", "no-risk", arch, trial, {"trade": trades(50, 200, 400, 900, w)})
    for arch in ("event", "hybrid"):
        for point in (25, 50, 100):
            slower = point / 100 * (1 if arch == "hybrid" else 6)
            run.cell("trading_rate", str(point), arch, trial, {
                "trade": trades(60, 310 * slower, 800 * slower, 2000 * slower, w)})
        for point, times in (("steady", 1), ("modulated", 5 if arch == "event" else 1.2)):
            run.cell("trading_burst", point, arch, trial, {"trade": trades(60, 400 * times, 900, 2000, w)})


def build_cases(folder, *cases, trials=3, **manifest):
    """A run of these cases, chat and trading without any."""
    run = CaseRun(folder, *(cases or ("chat", "trading")), **manifest)
    for trial in range(1, trials + 1):
        w = 1 + 0.01 * (trial - 2)
        for name, add in (("chat", add_chat), ("trading", add_trading)):
            if name in run.manifest["cases"]:
                add(run, trial, w)
    return run.write()
