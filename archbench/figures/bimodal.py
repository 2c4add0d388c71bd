"""How long does a short request wait when others are slow?

Response times of the short requests only, on a logarithmic scale: from p50 (small) to p99 (large).
The pale pair above a strong one, where measured, are the same short requests without slow
ones. Look at who crosses the dashed line, the CPU time of one slow request: they have waited for a
whole one."""
from archbench.drawing import beside


def draw(run):
    return beside.draw(run, "bimodal")
