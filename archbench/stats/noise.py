"""How much differs where nothing does: the noise floor, from twins.

One architecture takes part twice under two names (plan.with_twin). Both are the same program with
the same options under the same load, so what lies between them is chance, and no difference below
that may be called one."""
import functools
import math

from archbench.stats import estimates


def factor_between(one, other):
    """How many times the larger of two lists of positive, finite values is, of geometric means;
    None where a list is empty or has another value."""
    if not one or not other or not all(0 < v < math.inf for v in one + other):
        return None
    means = [sum(map(math.log, values)) / len(values) for values in (one, other)]
    return math.exp(abs(means[0] - means[1]))


def here(run, workload, point, metric, cls=""):
    """(architecture, factor) of the twins at this point; None where there are none with valid
    trials."""
    for pair in (names for w, p, *names in run.twins() if (w, p) == (workload, point)):
        factor = factor_between(*(run.values(workload, point, name, metric, cls)[0]
                                  for name in pair))
        if factor:
            return pair[0], factor
    return None


@functools.lru_cache(maxsize=None)
def all_factors(run, metric):
    """Those of all twins of a run, over the classes that have this metric."""
    found = [here(run, workload, point, metric, cls) for workload, point, *_ in run.twins()
             for cls in ["", *run.classes(workload)]]
    return sorted(factor for _, factor in filter(None, found))


def usual(run, metric):
    """The median factor between the twins of a run; 1 without any."""
    factors = all_factors(run, metric)
    return estimates.median(factors) if factors else 1.0


def floor(run, workload, point, metric, cls=""):
    """(factor below which nothing is called a difference, what it rests on in a few words). 1 and
    "" in a run without twins. One pair is a draw of chance, and may come out equal: so the floor is
    never below what is usual between twins."""
    found, common = here(run, workload, point, metric, cls), usual(run, metric)
    if found:
        arch, factor = found
        return max(factor, common), f"{arch} and its twin differ by a factor of {factor:.3g}"
    if all_factors(run, metric):
        return common, f"twins differ by a factor of {common:.3g} elsewhere in this run"
    return 1.0, ""
