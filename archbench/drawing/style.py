"""How things look. One colour and one marker per architecture, in every figure of every run."""
import math
import zlib

import matplotlib

from archbench.formats import headers
from archbench.formats.names import server_of

matplotlib.use("Agg")

INK, GREY, FAINT = "#1a1a1a", "#595959", "#d9d9d9"

STAR_OF_FOUR = (4, 1, 0)
THIN_MARKERS = ("*", STAR_OF_FOUR)  # they cover little of the square that others fill
# Servers of others, which have no header of ours to say how they look.
REFERENCES = {"nginx": ("#444444", "H"), "apache": ("#777777", "8")}


def _look_of(header):
    """(colour, marker) of a header's line `Look:`; None without one."""
    words = header.get("Look", "").split()
    if len(words) != 2:
        return None
    colour, marker = words
    return colour, STAR_OF_FOUR if marker == "star4" else marker


# {architecture: (colour, marker)}, in the order of their families. A family is a hue, of those that
# colour-blind readers tell apart (Okabe and Ito; Paul Tol), and its members are light and dark; the
# markers tell all of them apart in print.
ARCHITECTURES = {name: _look_of(header) for name, header in headers.servers().items()
                 if _look_of(header)} | REFERENCES
# For others: neither the colours nor the markers of the four that every run has.
SPARE_COLOURS = ("#CC6677", "#882E72", "#7A6A00", "#5D3A9B", "#994F00", "#4B4B4B", "#AA3377")
SPARE_MARKERS = ("v", "P", "X", "p", "h", "<", ">", "d", "*")


# Variants that the workloads name, by what is behind the server's name: unlike each other, and
# unlike their servers.
VARIANT_MARKERS = {
    "select": "d", "poll": "p", "2": "^", "8": "8", "16": "<", "32": "h", "64": ">", "sjf": "D",
    "shared": "<", "shared-4": "<", "reuseport-4": ">", "tss": "s", "mutex": "X", "atomic": "P",
}


def families(archs):
    """{family: its architectures among `archs`}, both in order; those of no family are others."""
    found = {}
    for arch in in_order(archs):
        found.setdefault(_family(server_of(arch)), []).append(arch)
    return found


def _family(server):
    if server in REFERENCES:
        return "references"
    return headers.servers().get(server, {}).get("Family", "others")


def look(arch):
    """(colour, marker). A name that is not in the list gets a pair from the name alone, never
    from its place in the run: it looks the same whatever it is compared with. A variant has the
    colour of its server."""
    if arch in ARCHITECTURES:
        return ARCHITECTURES[arch]
    digest = zlib.crc32(arch.encode())
    colour = SPARE_COLOURS[digest % len(SPARE_COLOURS)]
    marker = SPARE_MARKERS[digest // len(SPARE_COLOURS) % len(SPARE_MARKERS)]
    server, _, variant = arch.partition("-")
    if server in ARCHITECTURES:
        colour, own = ARCHITECTURES[server]
        marker = VARIANT_MARKERS.get(variant, marker if marker != own else "s")
    return colour, marker


def marker_size(marker, size):
    """What to ask matplotlib for so that the marker looks as large as others of this size."""
    return size * (1.5 if marker in THIN_MARKERS else 1)


def in_order(archs):
    """Architectures in the order of the families above, variants behind their server; then others
    by name."""
    known = {arch: place for place, arch in enumerate([*headers.servers(), *REFERENCES])}
    return sorted(archs, key=lambda a: (known.get(server_of(a), len(known)), a))


def human(value):
    """Three digits that count: 0.0123, 4.56, 78.9, 1,230. Infinite: the sign for it."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞"
    for _ in range(2):  # what is rounded up may have one digit more in front: 99.96
        if round(value, 4) == 0:
            return "0"
        digits = 2 - math.floor(math.log10(abs(value)))
        value = round(value, digits)
    return f"{value:,.{max(0, min(digits, 4))}f}"


def short(value):
    """A number for an axis: 0, 0.2, 300, 1,200, 1k, 40k, 2M."""
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if value and value % factor == 0:
            return f"{value / factor:,.0f}{unit}"
    return f"{value:,.10g}"


def duration(us):
    """Microseconds in the unit a reader would choose: '850 us', '1.20 ms', '2.50 s'."""
    if us is None or math.isinf(us):
        return "–" if us is None else "infinite"
    for unit, factor in (("s", 1e6), ("ms", 1e3)):
        if us >= 0.9995 * factor:  # 999.6 µs would be rounded up to 1,000
            return f"{human(us / factor)} {unit}"
    return f"{human(us)} µs"


def size(count):
    """Bytes in the unit a reader would choose: '0', '256 KiB', '1.5 MiB'."""
    for unit, factor in (("GiB", 2 ** 30), ("MiB", 2 ** 20), ("KiB", 2 ** 10)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f}"


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
