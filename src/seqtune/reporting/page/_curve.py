"""Small SVG plots of a training, drawn without a library in the colours of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._numbers import is_number

WIDTH, HEIGHT = 340, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 30
NUM_TICKS = 4
MAX_POINTS = 400


@dataclass(frozen=True)
class PlotLine:
    name: str
    points: str
    """Of an SVG polyline."""


@dataclass(frozen=True)
class CurvePlot:
    """One pair of axes with its lines."""

    metric: str
    lines: tuple[PlotLine, ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_ticks: tuple[tuple[float, str], ...]
    mark: tuple[float, float] | None
    """The best epoch."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def curves(history: Any, *, monitor: str, best_epoch: Any) -> list[CurvePlot]:
    """Plot the loss and the monitored metric, each on the training part and on valid."""
    rows = [row for row in history or () if isinstance(row, Mapping)]
    rows = [row for row in rows if is_number(row.get("epoch"))]
    train = f"train_{monitor.removeprefix('val_')}"
    wanted = [("loss", ["train_loss", "val_loss"])]
    if monitor and not monitor.endswith("loss"):
        wanted.append((monitor.removeprefix("val_"), [monitor, train]))
    drawn = [_curve(rows, metric, names, monitor, best_epoch) for metric, names in wanted]
    return [curve for curve in drawn if curve is not None]


def _curve(
    rows: Sequence[Mapping[str, Any]], metric: str, names: Sequence[str], monitor: str, best: Any
) -> CurvePlot | None:
    series = {
        name: [(row["epoch"], row[name]) for row in rows if is_number(row.get(name))]
        for name in names
    }
    series = {name: _thinned(points) for name, points in series.items() if len(points) > 1}
    if not series:
        return None
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    low, high, step = _ticks(min(ys), max(ys))
    first, last = min(xs), max(xs)

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - first) / (last - first) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - BOTTOM - TOP)
        return round(across, 1), round(down, 1)

    lines = tuple(
        PlotLine(name, " ".join("{},{}".format(*at(*point)) for point in points))
        for name, points in series.items()
    )
    marked = dict(series.get(monitor, ())).get(best)
    num = round((high - low) / step)
    y_ticks = tuple(
        (at(first, y)[1], _label(y, step)) for i in range(num + 1) for y in [low + i * step]
    )
    return CurvePlot(
        metric=metric,
        lines=lines,
        y_ticks=y_ticks,
        x_ticks=tuple((at(x, low)[0], str(x)) for x in _epochs(first, last)),
        mark=None if marked is None else at(best, marked),
    )


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Keep no more points than a line of this width can show, and the last one."""
    every = -(-len(points) // MAX_POINTS)
    return [*points[:-1:every], points[-1]]


def _ticks(low: float, high: float) -> tuple[float, float, float]:
    """Return round bounds around the values, and the step between ticks."""
    rough = (high - low or abs(high) or 1.0) / NUM_TICKS
    power = 10.0 ** _floor_log10(rough)
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    start = step * (low // step)
    end = step * -(-high // step)
    return start, end if end > start else start + step, step


def _floor_log10(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])


def _label(value: float, step: float) -> str:
    return f"{value:.{max(0, -_floor_log10(step))}f}"


def _epochs(first: int, last: int) -> list[int]:
    """Return a few whole epochs, including the first and the last."""
    rough = max(1, (last - first) / 4)
    power = 10 ** _floor_log10(rough)
    step = int(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough))
    between = [x for x in range(0, last, step) if first + step / 2 < x < last - step / 2]
    return [first, *between, last]
