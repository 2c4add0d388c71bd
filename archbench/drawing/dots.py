"""One mark for each architecture, a row each, on a logarithmic axis."""
from archbench.drawing import chart, style


def draw(c, ax, estimates, text, missing):
    """Into the panel `ax` of the Chart `c`. `estimates`: {architecture: Estimate or None}; `text`
    and `missing` name a row's number, and why there is none."""
    known = [v for e in estimates.values() if e for v in (e.value, e.low, e.high) if v and v > 0
             and chart.math.isfinite(v)]
    if known:
        chart.log_x(ax, min(known) / 1.5, max(known) * (max(known) / min(known)) ** 0.3 * 2.2)
    for row, (arch, e) in enumerate(estimates.items()):
        if e is None or e.value <= 0 or not e.finite:
            words = missing(arch) if e is None else text(arch, e)
            ax.text(0.02, row, words, color=style.GREY, va="center", fontsize=13,
                    transform=ax.get_yaxis_transform())
            continue
        colour, marker = style.look(arch)
        c.point(ax, e.value, row, c.saw(e), colour, marker, size=13, vertical=False)
        c.words(ax, max(e.value, e.high or 0), row, text(arch, e))
    c.name_rows(ax, list(estimates))
