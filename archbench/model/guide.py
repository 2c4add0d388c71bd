"""The guide's own formulas: rows B1 to B13, each as a small function of what the guide states.

Nothing here is measured or fitted. Times are seconds, rates per second, memory bytes, unless a
name says otherwise; the numbers of the guide's reference server are in REFERENCE."""
from dataclasses import dataclass

GIB = 2**30
KIB = 2**10


@dataclass(frozen=True)
class Machine:
    cores: int
    memory_bytes: float


REFERENCE = Machine(cores=16, memory_bytes=64 * GIB)
LOOP_CORES = 1  # B3 keeps one core for the event loop
LOOP_CONCURRENCY = 10_000  # B1
CONNECTION_BYTES = 64 * KIB  # B4
CPU_TASK_S = 0.050  # B2
HEADROOM = 1.2  # B9


def in_flight(rate, latency_s):
    """How many are on their way at a time: L = lambda W (Little 1961)."""
    return rate * latency_s


def rate_of_concurrency(concurrency, latency_s):
    """B1. A number of operations under way is no rate: the same law, the other way round."""
    return concurrency / latency_s


def tasks_per_core(task_s=CPU_TASK_S):
    """B2. What one core does per second."""
    return 1 / task_s


def cpu_tasks(machine=REFERENCE, task_s=CPU_TASK_S):
    """B3. All cores but the loop's. A machine of one core lends it to both."""
    return max(machine.cores - LOOP_CORES, 1) * tasks_per_core(task_s)


def connections(machine=REFERENCE, bytes_each=CONNECTION_BYTES, share=1.0):
    """B4. How many connections fit into a share of the memory."""
    return machine.memory_bytes * share / bytes_each


def capped_by_cpu(cpu_rate, cpu_share):
    """B5. When a share of all requests are CPU tasks, their rate caps that of all."""
    return cpu_rate / cpu_share


def downtime_s(uptime, period_s=365 * 86400):
    """B5. What an uptime of 99.99 % leaves: 53 minutes a year."""
    return (1 - uptime) * period_s


def cores_for(rate, cpu_s):
    """B7, B8, B9, B11. Cores that work of cpu_s each keeps busy."""
    return rate * cpu_s


def servers_for(rate, machine=REFERENCE, task_s=CPU_TASK_S):
    """B8. How many servers of cpu_tasks() each."""
    return rate / cpu_tasks(machine, task_s)


def pool_size(rate, latency_s, headroom=HEADROOM):
    """B9. Connections to a database: those in flight, and some more."""
    return in_flight(rate, latency_s) * headroom


def concurrent_jobs(machine, cores_each, bytes_each):
    """B10. What runs at a time is what the scarcer of cores and memory allows."""
    return min(machine.cores / cores_each, machine.memory_bytes / bytes_each)


def fan_out_latency_s(latencies_s):
    """B11. Calls made at the same time take as long as the slowest."""
    return max(latencies_s)


def instances_for(rate, duration_s, concurrency=1):
    """B13. Function instances that a surge keeps busy."""
    return in_flight(rate, duration_s) / concurrency
