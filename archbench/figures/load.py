"""How much can each architecture serve, and what happens to latency on the way there?

Above: replies per second against the requests per second that arrive, whether or not the server
keeps up; the dotted line is a server that answers them all. Below: response times, p99 as a full
line and p50 as a dashed one, and the mean, with the curve that the queueing model predicts drawn
thin over it. Thin upright lines stand where the model, from calibration alone, expects the capacity
of those named beside them. Look at where a curve leaves the dotted line: its latency turns upwards
there, the hockey stick; and whether that is where the model said."""
import numpy as np

from archbench.drawing import style, sweep
from archbench.formats.run import NoData
from archbench.stats.estimates import extremes

WORKLOAD = "load"
SAME_LOAD = 0.9  # arrivals are random: two that were offered as much differ by less
ALIKE = 1.01  # capacities within this factor are one line
FULLEST = 0.98  # utilisation up to which a predicted curve is drawn
PREDICTED = {"linestyle": (0, (4, 1.5, 1, 1.5)), "linewidth": 1.5}


def series(run, arch, metric, cls="", factor=1.0):
    """[(offered rate, Estimate)]: x is the measured rate of arrivals, not the point's name."""
    points = []
    for point in run.points(WORKLOAD):
        offered = (run.estimate(WORKLOAD, point, arch, "offered_rate")
                   or run.estimate(WORKLOAD, point, arch, "target_rate"))
        e = run.estimate(WORKLOAD, point, arch, metric, cls)
        if offered and e:
            points.append((offered.value, e.scaled(factor)))
    return sorted(points, key=lambda p: p[0])


def capacities(run):
    """{arch: predicted capacity in requests/s}; the mix is the same at every point, so is this."""
    found = {}
    for arch in run.archs(WORKLOAD):
        said = [run.prediction(WORKLOAD, p, arch).get("capacity") for p in run.points(WORKLOAD)]
        found.update({arch: capacity for capacity in said if capacity})
    return found


def alike(by_arch):
    """[(capacity, its architectures)]: who shares a line."""
    groups = []
    for arch in sorted(style.in_order(by_arch), key=by_arch.get):
        if groups and by_arch[arch] <= ALIKE * groups[-1][0]:
            groups[-1][1].append(arch)
        else:
            groups.append((by_arch[arch], [arch]))
    return groups


def predicted_means(run, arch):
    """[(utilisation, mean response in ms)] at the points where the model has a steady state.
    Classes count as often as their requests came."""
    found = []
    for point in run.points(WORKLOAD):
        said = run.prediction(WORKLOAD, point, arch)
        of = [(run.estimate(WORKLOAD, point, arch, "requests", cls), response["mean_us"])
              for cls, response in said.get("classes", {}).items()]
        known = [(e.value, us) for e, us in of if e and us is not None]
        total = sum(requests for requests, _ in known)
        if total and len(known) == len(of):
            mean_us = sum(requests * us for requests, us in known) / total
            found.append((said["utilisation"], mean_us / 1e3))
    return sorted(found)


def queueing_curve(means, capacity):
    """(offered rates, mean responses in ms) through the predicted points. In between and up to
    FULLEST the mean is linear in u / (1 - u), u the utilisation: that is the formula of Pollaczek
    and Khinchine, and close to those of queues with more servers. None of fewer than two points."""
    if len(means) < 2:
        return None
    u, ms = map(np.array, zip(*means))
    odds = u / (1 - u)
    along = np.linspace(u[0], max(FULLEST, u[-1]), 200)
    at = along / (1 - along)
    slope = (ms[-1] - ms[-2]) / (odds[-1] - odds[-2])
    beyond = ms[-1] + slope * (at - odds[-1])
    return along * capacity, np.where(at <= odds[-1], np.interp(at, odds, ms), beyond)


def peaks_of(throughput):
    """{arch: its largest valid throughput}, of those that were offered as much as anybody: who met a
    light load alone has not shown what it can do."""
    most = max((x for points in throughput.values() for x, e in points if e.valid), default=0)
    return {a: max((e for _, e in points if e.valid), key=lambda e: e.value)
            for a, points in throughput.items()
            if any(e.valid and x >= SAME_LOAD * most for x, e in points)}


def finding(throughput, predicted):
    """The architectures that serve most and least, each beside what was predicted of it."""
    peaks = peaks_of(throughput)
    ends = extremes(peaks)
    if ends is None:
        return "Throughput and latency against offered load"
    low, high, clear = ends
    if not clear:
        return (f"No clear difference: all saturate near {style.human(peaks[high].value)} "
                "requests/s")
    def told(arch, name):
        return f" ({name}{style.human(predicted[arch])})" if arch in predicted else ""
    return (f"{high} serves up to {style.human(peaks[high].value)} requests/s"
            f"{told(high, 'predicted: ')}, {low} up to {style.human(peaks[low].value)}"
            f"{told(low, '')}")


def mark_capacities(predicted, named):
    """For sweep.Measure.behind: an upright line for each predicted capacity; `named`: with the
    number, and whose it is where not all in the panel share it."""
    def put(ax, family):
        shown = {a: x for a, x in predicted.items() if family is None or a in family}
        for row, (capacity, archs) in enumerate(alike(shown)):
            colour = style.look(archs[0])[0] if len(archs) == 1 else style.INK
            ax.axvline(capacity, color=colour, zorder=1, **PREDICTED)
            if named and family:
                name_line(ax, capacity, row, [style.human(capacity)], colour)
                mark_line(ax, capacity, archs if len(archs) < len(family) else [])
            elif named:
                name_line(ax, capacity, 0, [*archs, style.human(capacity)], colour)
    return put


def name_line(ax, x, row, words, colour):
    """Words at the foot of an upright line, on the side that has room; `row`: so many lines of text
    are below them."""
    right = x < 0.7 * ax.get_xlim()[1]
    ax.annotate("\n".join(words), (x, 0.04), xycoords=ax.get_xaxis_transform(), va="bottom",
                ha="left" if right else "right", xytext=(4 if right else -4, 13 * row),
                textcoords="offset points", fontsize=11, color=colour, linespacing=1.1,
                bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0}
                ).set_in_layout(False)


def mark_line(ax, x, archs):
    """The marks of architectures up an upright line, in a panel too narrow for names."""
    for k, arch in enumerate(archs):
        colour, marker = style.look(arch)
        ax.plot(x, 0.06 + 0.08 * k, marker=marker, color=colour, linestyle="", zorder=3,
                markersize=style.marker_size(marker, 6), transform=ax.get_xaxis_transform())


def draw_curves(curves):
    """For sweep.Measure.behind: the predicted responses."""
    def put(ax, family):
        for arch, curve in curves.items():
            if curve is not None and (family is None or arch in family):
                ax.plot(*curve, color=style.look(arch)[0], zorder=1, **PREDICTED)
    return put


def measures(run, archs, throughput):
    """The rows of panels: sweep.Measure of throughput, of percentiles, and where there are
    predictions of the mean."""
    p99, p50, mean = ({a: series(run, a, f"response_{p}_us", "total", 1e-3) for a in archs}
                      for p in ("p99", "p50", "mean"))
    most = max(x for points in throughput.values() for x, _ in points)
    predicted = capacities(run)
    curves = {a: queueing_curve(predicted_means(run, a), capacity)
              for a, capacity in predicted.items()}

    def all_answered(ax, _):
        ax.plot([0, most], [0, most], color=style.GREY, linestyle=":", linewidth=2)

    named, unnamed = mark_capacities(predicted, True), mark_capacities(predicted, False)
    yield sweep.Measure("good replies/s", (throughput,), log=False, behind=[all_answered, named])
    yield sweep.Measure("response (ms)", (p99, p50), behind=[unnamed])
    if predicted:
        yield sweep.Measure("mean (ms)", (mean,), behind=[unnamed, draw_curves(curves)])


def draw(run):
    run.need(WORKLOAD)
    archs = run.archs(WORKLOAD)
    throughput = {a: series(run, a, "achieved_rate") for a in archs}
    if not any(throughput.values()):
        raise NoData(f"no rates were measured in workload {WORKLOAD}")
    predicted = capacities(run)
    c = sweep.draw(run, archs, list(measures(run, archs, throughput)),
                   sweep.Axis("offered load (requests/s)",
                              [*sweep.points_in(throughput), *predicted.values()], from_zero=True),
                   stacked=True)
    c.key("p99", color=style.GREY, linestyle="-")
    c.key("p50", color=style.GREY, linestyle="--", linewidth=2)
    c.key("every request answered", color=style.GREY, linestyle=":", linewidth=2)
    if predicted:
        c.key("predicted: capacity, mean response", color=style.INK, **PREDICTED)
    return c.finish(finding(throughput, predicted))
