"""What does each architecture add to the simplest server there is?

Left: CPU time of a trivial request over one connection, as a multiple of that of iterative, which
serves one connection at a time, and in µs. Right: memory per connection, where a thousand are
open. Some are near 1 on the left and pay on the right, or the reverse. Architectures
that share a letter do not differ by more than chance."""
from archbench.drawing import chart, dots, style
from archbench.formats.run import NoData
from archbench.stats import groups
from archbench.stats.estimates import ranked, ratio_of_medians

WORKLOAD = "baseline"
CPU = "cpu_us_per_request"
BASE = "iterative"
MEMORY_WORKLOAD = "connections"
MEMORY = "memory_total_kb_per_connection"


def ratios(run, metric=CPU):
    """{arch: Estimate of the multiple of BASE}; None for one without a valid trial, all None when
    BASE has none."""
    (point, *_) = run.points(WORKLOAD)
    base, _ = run.values(WORKLOAD, point, BASE, metric)
    found = {}
    for arch in style.in_order(run.archs(WORKLOAD)):
        valid, invalid = run.values(WORKLOAD, point, arch, metric)
        found[arch] = ratio_of_medians(valid, base)
        if found[arch] is None and invalid:
            found[arch] = without_trial(ratio_of_medians(invalid, base))
    return found


def without_trial(e):
    """What only invalid trials say: shown as that."""
    if e is not None:
        e.invalid, e.trials, e.low, e.high = [e.value], 0, None, None
    return e


def memory(run, archs):
    """{arch: KiB per connection} at the point with most connections that this run has."""
    points = run.points(MEMORY_WORKLOAD) or [None]
    return {a: next((e for e in (run.estimate(MEMORY_WORKLOAD, p, a, MEMORY)
                                 for p in reversed(points)) if e), None) for a in archs}


def finding(ranking, multiples):
    """`ranking`: by CPU time."""
    ends = ranking.ends(leaving_out=(BASE,))
    if ends is None:
        return f"CPU time of a trivial request, as a multiple of {BASE}"
    best, worst, differ = ends
    if not differ:
        return "No clear difference in the CPU time of a trivial request over one connection"
    low, high = (style.times(multiples[e.name].value) for e in (best, worst))
    return (f"A trivial request costs {low} the CPU time of {BASE} in {best.name}, {high} in "
            f"{worst.name}")


def draw(run):
    run.need(WORKLOAD)
    multiples = ratios(run)
    if not any(multiples.values()):
        raise NoData(f"workload {WORKLOAD} has no valid trial of {BASE}")
    multiples = {a: multiples[a] for a in ranked(multiples)}
    (point, *_) = run.points(WORKLOAD)
    rankings = {CPU: groups.rank(run, WORKLOAD, point, CPU)}
    def in_words(arch, e):
        us = run.estimate(WORKLOAD, point, arch, CPU)
        return rankings[CPU].label(arch, f"{style.human(e.value)} ({style.duration(us.value)})")
    has_memory = MEMORY_WORKLOAD in run.workloads()
    c = chart.rows_chart(run, multiples, 0.5, cols=2 if has_memory else 1)
    left = c.axes[0]
    dots.draw(c, left, multiples, in_words, lambda _: "not measured")
    left.axvline(1, color=style.INK, linestyle="--", linewidth=2, zorder=0)
    left.set_xlabel(f"CPU time per trivial request, {BASE} = 1")
    if has_memory:
        fullest = run.points(MEMORY_WORKLOAD)[-1]
        rankings[MEMORY] = groups.rank(run, MEMORY_WORKLOAD, fullest, MEMORY)
        dots.draw(c, c.axes[1], memory(run, multiples),
                  lambda arch, e: rankings[MEMORY].label(arch, style.human(e.value)),
                  lambda arch: run.why_absent(MEMORY_WORKLOAD, fullest, arch) or "not measured")
        c.axes[1].set_xlabel("memory per connection (KiB)")
    groups.explain(c, {"CPU time" if what == CPU else "memory": r for what, r in rankings.items()})
    return c.finish(finding(rankings[CPU], multiples))
