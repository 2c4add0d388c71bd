"""Queues with Poisson arrivals: how long a request takes, from its arrival to its end.

Notation: `rate` arrivals per second, `service_s` the mean time of service, c servers in parallel,
`scv` the squared coefficient of variation of the service time (0: always the same, 1: exponential).
An overloaded queue has no steady state: its times are infinite."""
import math

import numpy as np
from scipy import optimize, special


def load(rate, service_s, servers=1):
    """The share of its time that each server is busy; 1 and more: overloaded."""
    return rate * service_s / servers


def erlang_b(offered, servers):
    """The probability that all servers are busy when nobody may wait (Erlang 1917). `offered` in
    erlangs. Computed by the recursion, which does not overflow."""
    inverse = 1.0
    for k in range(1, servers + 1):
        inverse = 1 + k / offered * inverse if offered else math.inf
    return 1 / inverse


def erlang_c(offered, servers):
    """The probability that an arrival of M/M/c must wait (Erlang 1917; Kleinrock 1975, 3.5)."""
    if offered >= servers:
        return 1.0
    blocked = erlang_b(offered, servers)
    rho = offered / servers
    return blocked / (1 - rho + rho * blocked)


def mmc_wait_s(rate, service_s, servers=1):
    """Mean wait before service in M/M/c."""
    if load(rate, service_s, servers) >= 1:
        return math.inf
    offered = rate * service_s
    return erlang_c(offered, servers) * service_s / (servers - offered)


def mmc_wait_quantile_s(rate, service_s, servers, q):
    """Quantile of that wait: it is 0 for some and exponential for the others."""
    if load(rate, service_s, servers) >= 1:
        return math.inf
    offered = rate * service_s
    waits = erlang_c(offered, servers)
    return max(0.0, math.log(waits / (1 - q)) * service_s / (servers - offered)) if waits else 0.0


def mmc_response_quantile_s(rate, service_s, servers, q):
    """Quantile of wait + service in M/M/c, FCFS (Gross and Harris 1998, 2.3): the tail is a sum of
    two exponentials, solved for q by bisection."""
    if load(rate, service_s, servers) >= 1:
        return math.inf
    mu, nu = 1 / service_s, servers / service_s - rate
    waits = erlang_c(rate * service_s, servers)

    def tail(t):
        if math.isclose(mu, nu, rel_tol=1e-9):
            return math.exp(-mu * t) * (1 + waits * mu * t)
        return math.exp(-mu * t) + waits * mu * (math.exp(-nu * t) - math.exp(-mu * t)) / (mu - nu)
    high = service_s
    while tail(high) > 1 - q:
        high *= 2
    return optimize.brentq(lambda t: tail(t) - (1 - q), 0, high)


def mg1_wait_s(rate, service_s, scv):
    """Mean wait of M/G/1, FCFS (Pollaczek 1930, Khinchine 1932)."""
    rho = load(rate, service_s)
    return math.inf if rho >= 1 else rho / (1 - rho) * service_s * (1 + scv) / 2


def mgc_wait_s(rate, service_s, scv, servers):
    """Mean wait of M/G/c, FCFS: M/M/c scaled for the variation (Lee and Longton 1959). Exact for
    one server and for exponential service, an approximation for others."""
    return mmc_wait_s(rate, service_s, servers) * (1 + scv) / 2


def mg1_ps_response_s(rate, service_s, own_s):
    """Mean response of a request of length own_s where all share the server equally: it depends on
    the mean of the others alone (Kleinrock 1976, 4.4)."""
    rho = load(rate, service_s)
    return math.inf if rho >= 1 else own_s / (1 - rho)


def mgc_ps_response_s(rate, service_s, own_s, servers):
    """The same with c servers, none of which works on more than one request: as long as there are
    no more requests than servers, nobody shares. Exact for exponential service, and insensitive to
    the distribution as PS is (Cohen 1979)."""
    if load(rate, service_s, servers) >= 1:
        return math.inf
    return own_s * (1 + mmc_wait_s(rate, service_s, servers) / service_s)


class Mixture:
    """A service time that takes one of a few values: what a mix of classes asks for."""

    def __init__(self, weights, times_s):
        self.weights = np.asarray(weights, float) / np.sum(weights)
        self.times_s = np.asarray(times_s, float)

    @property
    def mean_s(self):
        return float(self.weights @ self.times_s)

    @property
    def scv(self):
        second = float(self.weights @ self.times_s**2)
        return second / self.mean_s**2 - 1 if self.mean_s else 0.0


def mg1_wait_cdf(rate, mixture, at_s):
    """P(wait <= t) in M/G/1, FCFS, for a mixture of constants: the transform of Pollaczek and
    Khinchine, inverted numerically (Abate and Whitt 1995: Euler summation)."""
    rho = load(rate, mixture.mean_s)
    if rho >= 1:
        return 0.0
    if at_s < 0:
        return 0.0

    def transform(s):  # of the distribution function, so divided by s
        service = (mixture.weights * np.exp(-np.multiply.outer(s, mixture.times_s))).sum(axis=-1)
        return (1 - rho) / (s - rate + rate * service)
    return invert(transform, at_s) if at_s > 0 else 1 - rho


EULER_TERMS, EULER_AVERAGE, EULER_ACCURACY = 38, 24, 18.4


def invert(transform, t):
    """f(t) from its Laplace transform, by the Euler algorithm: the Bromwich integral as a Fourier
    series, its alternating tail averaged with binomial weights."""
    count = EULER_TERMS + EULER_AVERAGE
    k = np.arange(count + 1)
    s = (EULER_ACCURACY + 2j * math.pi * k) / (2 * t)
    terms = np.real(transform(s)) * np.where(k == 0, 0.5, (-1.0) ** k)
    sums = np.cumsum(terms)[EULER_TERMS:]
    weights = special.binom(EULER_AVERAGE, np.arange(EULER_AVERAGE + 1)) / 2.0**EULER_AVERAGE
    return float(math.exp(EULER_ACCURACY / 2) / t * (weights @ sums))


def mg1_wait_quantile_s(rate, mixture, q):
    """Quantile of the wait in M/G/1, FCFS, of a mixture of constants."""
    if load(rate, mixture.mean_s) >= 1:
        return math.inf
    if q <= 1 - load(rate, mixture.mean_s):
        return 0.0
    high = max(mixture.times_s)
    while mg1_wait_cdf(rate, mixture, high) < q:
        high *= 2
    return optimize.brentq(lambda t: mg1_wait_cdf(rate, mixture, t) - q, 0, high,
                           xtol=1e-7 * high)


def closed_bounds(users, demand_s, bottleneck_s, think_s=0.0):
    """(throughput, response) that a closed loop cannot exceed and cannot undercut: the asymptotic
    bounds (Denning and Buzen 1978). `demand_s`: the whole response of a lone user,
    `bottleneck_s`: the part of it that only one at a time can have."""
    throughput = min(1 / bottleneck_s if bottleneck_s else math.inf, users / (demand_s + think_s))
    return throughput, max(demand_s, users * bottleneck_s - think_s)


def usl(n, single, contention, coherence):
    """Throughput at n users or workers by the universal scalability law (Gunther 1993)."""
    n = np.asarray(n, float)
    return single * n / (1 + contention * (n - 1) + coherence * n * (n - 1))


def fit_usl(n, throughput):
    """(single, contention, coherence) that fit best, none of them negative."""
    n, throughput = np.asarray(n, float), np.asarray(throughput, float)
    start = (throughput[0] / n[0], 0.05, 0.001)
    found, _ = optimize.curve_fit(usl, n, throughput, p0=start, bounds=(0, np.inf), maxfev=20000,
                                  x_scale=np.maximum(start, 1e-6))
    return tuple(float(x) for x in found)


def usl_peak(contention, coherence):
    """The n beyond which throughput falls; infinite without coherence costs."""
    return math.sqrt((1 - contention) / coherence) if coherence > 0 else math.inf
