"""How long does a short request wait among requests of every kind?

Response times of the short requests only, on a logarithmic scale: from p50 (small) to p99 (large);
the others call an upstream, read the disk or compute. Look at who crosses the dashed line, the CPU
time of one computation: they wait for others' work."""
from archbench.drawing import beside


def draw(run):
    return beside.draw(run, "mixed_io", "calls, reads and computations")
