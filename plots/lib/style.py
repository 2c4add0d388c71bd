"""How things look. One colour and one marker per architecture, in every figure of every run."""
import math
import zlib

import matplotlib

matplotlib.use("Agg")

INK, GREY, FAINT = "#1a1a1a", "#595959", "#d9d9d9"

STAR_OF_FOUR = (4, 1, 0)
THIN_MARKERS = ("*", STAR_OF_FOUR)  # they cover little of the square that others fill
# Colours of Okabe and Ito, then of Paul Tol: told apart by colour-blind readers, and the markers
# tell them apart in print. An architecture keeps its pair for ever; do not reorder.
ARCHITECTURES = {
    "iterative": ("#C2A878", STAR_OF_FOUR),
    "processes": ("#CC79A7", "s"),
    "threads": ("#E69F00", "^"),
    "event": ("#0072B2", "o"),
    "hybrid": ("#009E73", "D"),
    "prefork": ("#882255", "p"),
    "thread_pool": ("#D55E00", "v"),
    "multi_loop": ("#56B4E9", "h"),
    "io_uring": ("#332288", "P"),
    "leader_followers": ("#999933", "<"),
    "active_object": ("#AA4499", ">"),
    "actors": ("#117733", "X"),
    "staged": ("#661100", "d"),
    "coroutines": ("#44AA99", "*"),
    "serverless": ("#6699CC", "8"),
    "nginx": ("#000000", "H"),
    "apache": ("#777777", "8"),
}
# For others: neither the colours nor the markers of the four that every run has.
SPARE_COLOURS = ("#CC6677", "#882E72", "#7A6A00", "#5D3A9B", "#994F00", "#4B4B4B", "#AA3377")
SPARE_MARKERS = ("v", "P", "X", "p", "h", "<", ">", "d", "*")


def server_of(arch):
    """The server of a variant: event-poll is `event` with an option."""
    return arch.partition("-")[0]


def look(arch):
    """(colour, marker). A name that is not in the list gets a pair from the name alone, never
    from its place in the run: it looks the same whatever it is compared with. A variant has the
    colour of its server."""
    if arch in ARCHITECTURES:
        return ARCHITECTURES[arch]
    digest = zlib.crc32(arch.encode())
    colour = SPARE_COLOURS[digest % len(SPARE_COLOURS)]
    if server_of(arch) in ARCHITECTURES:
        colour, _ = ARCHITECTURES[server_of(arch)]
    return colour, SPARE_MARKERS[digest // len(SPARE_COLOURS) % len(SPARE_MARKERS)]


def marker_size(marker, size):
    """What to ask matplotlib for so that the marker looks as large as others of this size."""
    return size * (1.5 if marker in THIN_MARKERS else 1)


def in_order(archs):
    """Architectures in the order of the list above, variants behind their server; then others by
    name."""
    known = {arch: place for place, arch in enumerate(ARCHITECTURES)}
    return sorted(archs, key=lambda a: (known.get(server_of(a), len(known)), a))


def human(value):
    """Three digits that count: 0.0123, 4.56, 78.9, 1,230. Infinite: the sign for it."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞"
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):,.{max(0, min(digits, 4))}f}"


def duration(us):
    """Microseconds in the unit a reader would choose: '850 us', '1.20 ms', '2.50 s'."""
    if us is None or math.isinf(us):
        return "–" if us is None else "infinite"
    for unit, factor in (("s", 1e6), ("ms", 1e3)):
        if us >= factor:
            return f"{human(us / factor)} {unit}"
    return f"{human(us)} µs"


def times(ratio):
    """A ratio in words: 2.13 -> '2.1 times', 37.2 -> '37 times'."""
    return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def apply():
    """Text for the back of a room on a light background."""
    matplotlib.rcParams.update({
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 16,
        "axes.labelsize": 17,
        "axes.titlesize": 18,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": FAINT,
        "grid.linewidth": 0.8,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": 15,
        "ytick.labelsize": 15,
        "legend.frameon": False,
        "legend.fontsize": 16,
        "lines.linewidth": 3,
        "lines.markersize": 10,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "svg.fonttype": "path",
        "svg.hashsalt": "archbench",
    })
