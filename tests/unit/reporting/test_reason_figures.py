"""Figures of data and of reasons: numbers as given, and names that Plotly must not render."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seqtune.reporting import figures

EVIL = '<script>alert("1")</script>'
LINK = '<a href="x">R&B</a>'
NAMES = [EVIL, LINK, "%{x} plain"]
DRAWN: dict[str, Any] = {
    "nearest": lambda: figures.nearest(EVIL, NAMES, [0.9, 0.5, -0.1]),
    "attention": lambda: figures.attention(NAMES, [[[0.1, 0.2, 0.3]]]),
    "effects": lambda: figures.effects(NAMES, NAMES[:1], [[0.5, -1.0, 0.0]]),
    "agreement": lambda: figures.agreement(NAMES[:2], [[1.0, 0.5], [0.5, 1.0]]),
}


@pytest.mark.parametrize("name", DRAWN)
def test_names_from_data_are_escaped(name: str) -> None:
    said = json.loads(DRAWN[name]().to_json())
    texts = list(strings(said))

    assert "&lt;script&gt;alert(" in " ".join(texts)
    assert not [text for text in texts if "<script" in text or "<a " in text]


def strings(value: Any) -> list[str]:
    """Every text in a figure."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in strings(part)]
    return [value] if isinstance(value, str) else []


def test_no_name_goes_through_a_template() -> None:
    for draw in DRAWN.values():
        (trace,) = draw().data
        assert "%{x}" not in str(trace.hovertemplate)
        assert trace.hoverinfo in ("text", "skip")


def test_a_long_name_is_cut_before_it_is_escaped() -> None:
    (tick, *_) = figures.nearest("x", ["&" * 40], [0.5]).layout.yaxis.ticktext
    assert tick == "&amp;" * 35 + "…"


def test_a_long_history_shows_its_end() -> None:
    names = [f"item {number}" for number in range(40)]
    drawn = figures.attention(names, [[[0.01] * 39 + [0.5], [0.02] * 40]])

    assert list(drawn.layout.xaxis.ticktext) == names[15:]
    assert [list(row)[-1] for row in drawn.data[0].z] == [0.5, 0.02]
    assert list(drawn.layout.yaxis.ticktext) == ["layer 1, head 1", "layer 1, head 2"]
    assert "last 25 of 40" in drawn.layout.title.subtitle.text


def test_for_and_against_have_the_same_scale() -> None:
    heat = figures.effects(["a", "b"], ["x"], [[0.5, -2.0]]).data[0]
    assert (heat.zmin, heat.zmax) == (-2.0, 2.0)
    assert heat.colorscale[1][0] == 0.5


def test_every_user_is_in_one_bar() -> None:
    drawn = figures.lengths([1, 1, 2, 3] * 50 + [5000])
    bars = drawn.data[0]

    assert sum(bars.y) == 201
    assert list(bars.y[:3]) == [100, 50, 51]  # the longest stands in the last
    assert "the longest has 5,000" in drawn.layout.title.subtitle.text.replace("<br>", " ")


def test_the_curve_of_popularity_is_the_share_of_the_head() -> None:
    drawn = figures.popularity([1, 0, 6, 3])

    assert list(drawn.data[1].x) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert list(drawn.data[1].y) == pytest.approx([0.0, 0.6, 0.9, 1.0, 1.0])
    assert "1 of 4 items make up 60% of 10" in drawn.layout.title.subtitle.text
    assert len(figures.popularity(range(100_000)).data[1].x) < 300


def test_dates_and_numbers_get_their_axis() -> None:
    assert figures.activity(["2001-01-01", "2001-01-02"], [3]).layout.xaxis.type == "date"
    assert figures.activity([0.0, 5.0], [3]).layout.xaxis.type == "linear"
