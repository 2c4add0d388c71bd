"""The picture of a system: boxes for programs, arrows for what goes between them, with its numbers. Black on
white with pale fills, so that it can be printed, and be inverted for a dark page."""
from dataclasses import dataclass
import textwrap

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from archbench.drawing import style

WIDTH_IN = 12.8
FILLS = {"client": "#eef2f7", "server": "#fdf1dc", "part": "#e2f1ea"}  # by kind of box
DPI = 150
LINE_IN = 0.27


@dataclass(frozen=True)
class Box:
    """A program. Its place and size are in inches, from the lower left corner."""
    name: str
    lines: tuple  # what it does, a line each
    x: float
    y: float
    width: float = 3.0
    height: float = 1.3
    kind: str = "part"

    @property
    def centre(self):
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True)
class Arrow:
    """What goes from one box to another. `begin` and `end` are points on their edges, as shares of the
    width and height of each box; `label` lies at the middle, moved by `move` inches."""
    source: str
    target: str
    label: str
    begin: tuple = (1.0, 0.5)
    end: tuple = (0.0, 0.5)
    move: tuple = (0.0, 0.0)
    both: bool = False  # it has two heads


@dataclass(frozen=True)
class Picture:
    title: str
    boxes: tuple
    arrows: tuple
    height_in: float = 6.0

    def at(self, name, share):
        """A point on the edge of a box."""
        box = next(b for b in self.boxes if b.name == name)
        return box.x + share[0] * box.width, box.y + share[1] * box.height

    def draw(self):
        return Drawn(self)


class Drawn:
    """A Picture as a figure, which is saved as a Chart is."""

    def __init__(self, picture):
        style.apply()
        self.title = picture.title
        self.figure = plt.figure(figsize=(WIDTH_IN, picture.height_in))
        ax = self.figure.add_axes((0, 0, 1, 1))
        ax.set_xlim(0, WIDTH_IN)
        ax.set_ylim(0, picture.height_in)
        ax.axis("off")
        self._title(ax, picture)
        for box in picture.boxes:
            self._box(ax, box)
        for arrow in picture.arrows:
            self._arrow(ax, picture, arrow)

    @staticmethod
    def _title(ax, picture):
        for k, line in enumerate(textwrap.wrap(picture.title, 66)):
            ax.text(0.15, picture.height_in - 0.18 - 0.36 * k, line, va="top", fontsize=22,
                    fontweight="bold", color=style.INK)

    @staticmethod
    def _box(ax, box):
        ax.add_patch(FancyBboxPatch(
            (box.x, box.y), box.width, box.height, boxstyle="round,pad=0,rounding_size=0.12",
            facecolor=FILLS[box.kind], edgecolor=style.INK, linewidth=1.8, zorder=2))
        x, _ = box.centre
        top = box.y + box.height / 2 + LINE_IN * len(box.lines) / 2
        ax.text(x, top, box.name, ha="center", va="center", fontsize=17, fontweight="bold",
                color=style.INK, zorder=3)
        for k, line in enumerate(box.lines, 1):
            ax.text(x, top - 0.02 - LINE_IN * k, line, ha="center", va="center", fontsize=13,
                    color=style.INK, zorder=3)

    @staticmethod
    def _arrow(ax, picture, arrow):
        begin, end = picture.at(arrow.source, arrow.begin), picture.at(arrow.target, arrow.end)
        ax.add_patch(FancyArrowPatch(begin, end, arrowstyle="<|-|>" if arrow.both else "-|>",
                                     mutation_scale=20, linewidth=2, color=style.INK, zorder=1,
                                     shrinkA=2, shrinkB=2))
        x, y = ((a + b) / 2 + m for a, b, m in zip(begin, end, arrow.move))
        ax.text(x, y, arrow.label, ha="center", va="center", fontsize=13, color=style.INK,
                linespacing=1.25, zorder=4,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})

    def save(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Title": self.title}
        if path.suffix == ".svg":
            metadata["Date"] = None
        self.figure.savefig(path, dpi=DPI, metadata=metadata)
