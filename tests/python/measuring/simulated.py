"""Queues, simulated: what formulas are held against."""
import heapq
import math

import numpy as np


def simulate(rate, services_s, servers, rng):
    """Waits in a FCFS queue of c servers: the definition, event by event."""
    free = [0.0] * servers
    now, waits = 0.0, np.empty(len(services_s))
    for i, (gap, service) in enumerate(zip(rng.exponential(1 / rate, len(services_s)), services_s)):
        now += gap
        begin = max(now, heapq.heappop(free))
        heapq.heappush(free, begin + service)
        waits[i] = begin - now
    return waits[len(waits) // 10:]


def simulate_ps(rate, services_s, servers, rng):
    """Responses where all share c servers equally, none with more than one to itself."""
    arrivals = np.cumsum(rng.exponential(1 / rate, len(services_s)))
    done, now, i = np.empty(len(services_s)), 0.0, 0
    heap, each = [], 0.0  # each: what a request that was there from the beginning would have had
    while i < len(services_s) or heap:
        speed = min(1.0, servers / len(heap)) if heap else 0.0
        ends = now + (heap[0][0] - each) / speed if heap else math.inf
        if i < len(services_s) and arrivals[i] <= ends:
            each += (arrivals[i] - now) * speed
            now = arrivals[i]
            heapq.heappush(heap, (each + services_s[i], i))
            i += 1
        else:
            each, now = heap[0][0], ends
            job = heapq.heappop(heap)[1]
            done[job] = now - arrivals[job]
    return done[len(done) // 10:]
