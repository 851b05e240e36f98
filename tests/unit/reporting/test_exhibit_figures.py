"""Figures of exhibits: numbers as given, many labels, names that Plotly must not render."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seqtune.core.metrics import (
    BarChart,
    Curve,
    LineChart,
    MatrixChart,
    ReportTable,
    dump_report_items,
)
from seqtune.reporting.figures import Figure, draw_exhibit, exhibit_table
from seqtune.reporting.figures._report_items import MOST_PANELS, MOST_ROWS, OVERLAID, UPRIGHT

EVIL = '<script>alert("1")</script>'
MISSING = "there is <nothing> yet"


def lines(*names: str) -> LineChart:
    curves = tuple(Curve(name=name, x=(0.0, 0.5, 1.0), y=(1.0, 0.8, 0.1)) for name in names)
    marks = tuple(Curve(name=name, x=(0.5,), y=(0.8,)) for name in names)
    return LineChart(title=f"Curves {EVIL}", x="recall", y="precision", lines=curves, marks=marks)


def matrix(*names: str) -> MatrixChart:
    values = tuple(tuple(float(a == b) for b in names) for a in names)
    return MatrixChart(
        title="Who is taken for whom", x="said", y="true", rows=names, columns=names, values=values
    )


def bars(*names: str, bottom: float = 0.0) -> BarChart:
    values = tuple(bottom + place for place in range(len(names)))
    return BarChart(
        title="F1",
        x="label",
        y="F1",
        names=names,
        bars={"model": values, EVIL: (None,) * len(names)},
    )


def names(num: int) -> list[str]:
    return [f"label {place}" for place in range(num)]


def texts(value: Any) -> list[str]:
    """Every text in a figure."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


def drawn(shown: Any) -> Figure:
    """As a report of metrics has it: through JSON."""
    (said,) = json.loads(json.dumps(dump_report_items({"one": shown}))).values()
    return draw_exhibit(said, missing=MISSING)


@pytest.mark.parametrize("shown", [lines(EVIL), lines(EVIL, *names(20)), matrix(EVIL), bars(EVIL)])
def test_names_from_data_are_escaped(shown: Any) -> None:
    figure = drawn(shown)
    said = texts(json.loads(figure.to_json()))

    assert [text for text in said if "&lt;script&gt;" in text]
    assert not [text for text in said if "<script" in text]
    assert {trace.hoverinfo for trace in figure.data} == {"text"}


def test_a_curve_has_its_points_and_its_marks() -> None:
    curve, mark = drawn(lines("one")).data

    assert (tuple(curve.x), tuple(curve.y), curve.mode) == (
        (0.0, 0.5, 1.0),
        (1.0, 0.8, 0.1),
        "lines",
    )
    assert (tuple(mark.x), tuple(mark.y), mark.mode) == ((0.5,), (0.8,), "markers")
    assert curve.hovertext[1] == "one<br>recall 0.5<br>precision 0.8"


@pytest.mark.parametrize("num", [OVERLAID + 1, 11, 50])
def test_many_curves_get_a_panel_each(num: int) -> None:
    figure = drawn(lines(*names(num)))

    axes = {trace.xaxis for trace in figure.data}
    assert len(axes) == num
    assert [one.text for one in figure.layout.annotations] == names(num)
    assert figure.layout.height / -(-num // 4) > 120


def test_few_curves_share_a_pair_of_axes_and_differ_in_colour() -> None:
    figure = drawn(lines(*names(OVERLAID)))

    curves = [trace for trace in figure.data if trace.mode == "lines"]
    assert len({trace.line.color for trace in curves}) == OVERLAID
    assert {trace.xaxis for trace in figure.data} <= {None, "x"}


def test_what_is_left_out_is_said() -> None:
    panels = drawn(lines(*names(MOST_PANELS + 7)))
    rows = drawn(matrix(*names(MOST_ROWS + 7)))

    assert "7 more are left out" in panels.layout.title.subtitle.text
    assert f"{MOST_ROWS} of {MOST_ROWS + 7}" in rows.layout.title.subtitle.text
    assert len(rows.data[0].z) == MOST_ROWS


@pytest.mark.parametrize("num", [2, 11, 50])
def test_every_row_and_column_of_a_matrix_is_named(num: int) -> None:
    figure = drawn(matrix(*names(num)))
    (trace,) = figure.data

    assert list(figure.layout.xaxis.ticktext) == list(figure.layout.yaxis.ticktext) == names(num)
    assert trace.z[1][1] == 1.0
    assert trace.hovertext[1][0] == "label 1<br>label 0: 0.00"
    assert figure.layout.height >= 260 + 15 * num


def test_an_empty_cell_stays_empty() -> None:
    shown = MatrixChart(
        title="t", x="x", y="y", rows=("a",), columns=("b", "c"), values=((None, 1200.0),)
    )
    (trace,) = drawn(shown).data

    assert trace.z[0][0] is None
    assert list(trace.text[0]) == ["", "1,200"]


def test_what_can_be_negative_is_shaded_from_the_middle() -> None:
    shown = MatrixChart(
        title="t", x="x", y="y", rows=("a",), columns=("b", "c"), values=((-0.5, 0.25),)
    )
    (trace,) = drawn(shown).data

    assert (trace.zmin, trace.zmax) == (-0.5, 0.5)


def test_bars_stand_in_groups() -> None:
    model, floor = drawn(bars("rouge1", "rouge2")).data

    assert (model.orientation, list(model.y)) == ("v", [0.0, 1.0])
    assert list(floor.y) == [None, None]
    assert floor.hovertext[0].endswith("not there")


@pytest.mark.parametrize(("num", "axis"), [(2, "error_y"), (20, "error_x")])
def test_bars_have_their_intervals(num: int, axis: str) -> None:
    ends = ((-0.5, 0.25), (None, None), *[(0.0, 40.0)] * (num - 2))
    model, floor = drawn(bars(*names(num)).model_copy(update={"intervals": {"model": ends}})).data

    whiskers = getattr(model, axis)
    assert (whiskers.symmetric, whiskers.arrayminus[:2], whiskers.array[:2]) == (
        False,
        (0.5, 0.0),
        (0.25, 0.0),
    )
    assert getattr(floor, axis).array is None


def test_many_names_lie_so_that_each_is_read() -> None:
    figure = drawn(bars(*names(50)))

    assert {trace.orientation for trace in figure.data} == {"h"}
    assert list(figure.layout.yaxis.ticktext) == names(50)
    assert figure.layout.height > 50 * 20


def test_a_histogram_stands_however_many_bars_it_has() -> None:
    bins = [f"{start}-{start + 4}" for start in range(0, 5 * 3 * UPRIGHT, 5)]
    figure = drawn(bars(*bins))

    assert {trace.orientation for trace in figure.data} == {"v"}
    assert len(figure.layout.xaxis.ticktext) <= 2 * UPRIGHT


@pytest.mark.parametrize(
    "shown",
    [
        None,
        LineChart(title="t", x="x", y="y", lines=()),
        MatrixChart(title="t", x="x", y="y", rows=(), columns=(), values=()),
        BarChart(title="t", x="x", y="y", names=(), bars={}),
    ],
)
def test_an_empty_exhibit_says_what_is_missing(shown: Any) -> None:
    figure = draw_exhibit(shown, missing=MISSING)

    assert [one.text for one in figure.layout.annotations] == ["there is &lt;nothing&gt; yet"]
    assert not figure.data


def test_a_table_keeps_its_columns_rows_and_texts() -> None:
    shown = ReportTable(
        title="Classes", columns=("label", "F1"), rows=(("<b>", 0.5), ("other", None))
    )
    (said,) = dump_report_items({"one": shown}).values()

    table = exhibit_table(said)

    assert list(table.columns) == ["label", "F1"]
    assert table["label"].tolist() == ["<b>", "other"]
    assert table["F1"].tolist()[0] == 0.5
    assert exhibit_table(None).empty
