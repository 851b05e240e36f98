"""A picture of curves over doublings, as SVG: both axes are logarithms, so a power is a line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, MARGIN, LEGEND = 300, 230, 42, 16
COLUMNS = 4
COLOURS = ("#1f6fb2", "#d1682a", "#2a9d63", "#8a56b5", "#b03a48", "#6b6f76")
SLOPES = ((1.0, "5 4"), (2.0, "2 3"))
"""Lines to compare with: linear, and square."""


@dataclass(frozen=True)
class Curve:
    name: str
    x: Sequence[float]
    y: Sequence[float]
    """Both as multiples of the first."""


@dataclass(frozen=True)
class Panel:
    title: str
    curves: Sequence[Curve]


def draw(panels: Sequence[Panel], *, columns: int = COLUMNS) -> str:
    """Panels side by side, row by row; broken lines are exponents 1 and 2."""
    most = max((len(panel.curves) for panel in panels), default=0)
    height = HEIGHT + LEGEND * most
    rows = math.ceil(len(panels) / columns)
    size = f"{WIDTH * min(columns, len(panels))} {height * rows}"
    shown = "".join(
        f'<g transform="translate({WIDTH * (number % columns)} {height * (number // columns)})">'
        f"{''.join(_panel(panel))}</g>"
        for number, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" '
        f'font-family="system-ui, sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="#fff"/>{shown}</svg>\n'
    )


def _panel(panel: Panel) -> Iterable[str]:
    points = [point for curve in panel.curves for point in zip(curve.x, curve.y, strict=True)]
    end = max((x for x, _ in points), default=1.0)
    least = min((y for _, y in points), default=1.0)
    top = max(end, *(y for _, y in points)) if points else end
    frame = _Frame(end, min(1.0, least), top)
    yield _text(MARGIN, 20, panel.title, weight="bold")
    yield from frame.axes()
    for power, dashes in SLOPES:
        reach = min(end, top ** (1 / power))
        yield _line(frame.path([1, reach], [1, reach**power]), "#999", dashes=dashes)
    for number, curve in enumerate(panel.curves):
        colour = COLOURS[number % len(COLOURS)]
        yield _line(frame.path(curve.x, curve.y), colour, width=2)
        y = HEIGHT + LEGEND * number
        yield f'<rect x="{MARGIN}" y="{y - 8}" width="10" height="10" fill="{colour}"/>'
        yield _text(MARGIN + 15, y + 1, curve.name)


@dataclass(frozen=True)
class _Frame:
    """From multiples to places on the page."""

    end: float
    bottom: float
    top: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        across, up = math.log2(self.end) or 1.0, math.log2(self.top / self.bottom) or 1.0
        return (
            MARGIN + math.log2(x) / across * (WIDTH - 2 * MARGIN),
            HEIGHT - MARGIN - math.log2(max(y, self.bottom) / self.bottom) / up * (HEIGHT - 80),
        )

    def path(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        places = (self.place(x, y) for x, y in zip(xs, ys, strict=True))
        return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in places)

    def axes(self) -> Iterable[str]:
        for power in range(round(math.log2(self.end)) + 1):
            x, y = self.place(2**power, self.bottom)
            yield _text(x - 6, y + 16, f"x{2**power}")
        for power in range(math.ceil(math.log2(self.bottom)), int(math.log2(self.top)) + 1):
            x, y = self.place(1, 2**power)
            yield _line(f"M{x:.1f} {y:.1f} H{WIDTH - MARGIN}", "#eee")
            yield _text(x - 30, y + 4, f"x{2.0**power:g}")


def _line(path: str, colour: str, *, width: int = 1, dashes: str = "") -> str:
    broken = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{broken}/>'


def _text(x: float, y: float, text: str, *, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}">{escape(text)}</text>'
