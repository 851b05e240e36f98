"""Every figure draws a search of every kind, and says so where there is nothing to draw."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from seqtune.core.trials import State, Trial
from seqtune.reporting import figures

KNOWN: dict[str, Any] = {"metric": "val_ndcg@10", "mode": "max"}
GOALS = [("val_ndcg@10", "max"), ("latency_ms", "min")]


def trial(number: int, state: State, score: float | None, **more: Any) -> Trial:
    params = {"lr": 10.0**-number, "width": 64 * number, "norm": number % 2 == 0, "act": "relu"}
    params |= {"gamma": 0.1 * number} if number > 1 else {}
    curve = {} if score is None else {1: score / 2, 2: score}
    times = {"started": f"2026-01-01T00:0{number}:00+00:00", "seconds": 30.0, "worker": "w0"}
    return Trial(number, state, params, score=score, curve=curve, **times, **more)


TRIALS = [
    trial(0, "complete", 0.3, values=(0.3, 5.0)),
    trial(1, "complete", 0.5, values=(0.5, 9.0)),
    trial(2, "complete", 0.4, values=(0.4, 9.0)),
    trial(3, "complete", 0.2, values=(0.2, 4.0)),
    trial(4, "pruned", 0.1, reason="below the median"),
    trial(5, "failed", None, reason="the loss became nan"),
    trial(6, "complete", float("inf")),
]
DECISIONS: list[dict[str, Any]] = [
    {
        "key": "lr",
        "action": "narrow",
        "before": {"low": 1e-4, "high": 1e-1, "log": True},
        "after": {"low": 1e-3, "high": 1e-2, "log": True},
        "top": {"min": 1e-3, "mean": 3e-3, "max": 9e-3, "num": 2, "values": [1e-3, 9e-3]},
    },
    {
        "key": "act",
        "action": "choices",
        "before": {"choices": ["relu", "gelu", None]},
        "after": {"choices": ["relu"]},
        "top": {"choices": ["relu", "gelu", None], "counts": [3, 0, 0]},
    },
    {
        "key": "width",
        "action": "fix",
        "before": {"low": 64, "high": 512, "log": False},
        "after": {"choices": [128]},
        "top": {},
    },
    {
        "key": "new",
        "action": "untouched",
        "before": {},
        "after": {"low": 0, "high": 1, "log": False},
        "top": {},
    },
    {
        "key": "old",
        "action": "drop",
        "before": {"low": 0, "high": 1, "log": False},
        "after": {},
        "top": {},
    },
]
ROWS = [
    {"trial": 1, "single": 0.5, "mean": 0.48, "std": 0.01, "scores": {"7": 0.47, "8": 0.49}},
    {"trial": 0, "single": 0.3, "mean": None, "std": None, "scores": {}},
]
FULL: dict[str, Callable[[], Any]] = {
    "history": lambda: figures.history(TRIALS, **KNOWN),
    "intermediate_values": lambda: figures.intermediate_values(TRIALS, **KNOWN),
    "timeline": lambda: figures.timeline(TRIALS),
    "importances": lambda: figures.importances({"lr": 0.9, "width": 0.1}, note="random trials"),
    "parallel_coordinates": lambda: figures.parallel_coordinates(TRIALS, log=["lr"], **KNOWN),
    "slices": lambda: figures.slices(TRIALS, log=["lr"], **KNOWN),
    "pareto_front": lambda: figures.pareto_front(TRIALS, goals=GOALS, picked=1),
    "narrowing": lambda: figures.narrowing(DECISIONS),
    "rerank": lambda: figures.rerank(ROWS, metric="val_ndcg@10", reason="because " * 30),
    "lengths": lambda: figures.lengths([1, 2, 2, 9]),
    "popularity": lambda: figures.popularity([5, 3, 1]),
    "activity": lambda: figures.activity([0.0, 1.0, 2.0], [4, 2]),
    "nearest": lambda: figures.nearest("a", ["b"], [0.5]),
    "attention": lambda: figures.attention(["a", "b"], [[[0.5, 0.2]]]),
    "effects": lambda: figures.effects(["a"], ["b"], [[0.5]]),
    "agreement": lambda: figures.agreement(["one", "other"], [[1.0, 0.5], [0.5, 1.0]]),
}
EMPTY: dict[str, Callable[[], Any]] = {
    "history": lambda: figures.history([], **KNOWN),
    "intermediate_values": lambda: figures.intermediate_values([], **KNOWN),
    "timeline": lambda: figures.timeline([TRIALS[0].__class__(0, "waiting", {})]),
    "importances": lambda: figures.importances({"lr": 0.0}),
    "parallel_coordinates": lambda: figures.parallel_coordinates(TRIALS[4:], **KNOWN),
    "slices": lambda: figures.slices([], **KNOWN),
    "pareto_front": lambda: figures.pareto_front([], goals=GOALS),
    "narrowing": lambda: figures.narrowing([], refused="refused"),
    "rerank": lambda: figures.rerank(ROWS[1:], metric="val_ndcg@10"),
    "lengths": lambda: figures.lengths([]),
    "popularity": lambda: figures.popularity([0]),
    "activity": lambda: figures.activity([], []),
    "nearest": lambda: figures.nearest("a", [], []),
    "attention": lambda: figures.attention([], []),
    "effects": lambda: figures.effects([], [], []),
    "agreement": lambda: figures.agreement([], []),
}


def names(drawn: Any) -> list[str]:
    return [trace.name for trace in drawn.data]


def test_all_figures_are_covered_here() -> None:
    elsewhere = {"Figure", "draw_exhibit", "exhibit_table"}  # test_exhibit_figures.py
    assert set(FULL) == set(EMPTY) == {*figures.__all__} - elsewhere


@pytest.mark.parametrize("name", FULL)
def test_a_figure_has_a_title_and_data_and_can_be_written(name: str) -> None:
    drawn = FULL[name]()

    assert drawn.data
    assert drawn.layout.title.text
    assert json.loads(drawn.to_json())["data"]
    assert drawn.layout.paper_bgcolor == "rgba(0, 0, 0, 0)"  # light and dark pages


@pytest.mark.parametrize("name", EMPTY)
def test_without_data_a_figure_says_so(name: str) -> None:
    drawn = EMPTY[name]()

    assert not drawn.data
    assert drawn.layout.annotations[0].text
    assert drawn.layout.title.text


def test_history_shows_the_best_so_far_and_what_gave_no_score() -> None:
    drawn = figures.history(TRIALS, **KNOWN)

    assert names(drawn) == ["best so far", "complete", "pruned", "failed"]
    assert list(drawn.data[0].y) == [0.3, 0.5, 0.5, 0.5]
    assert list(figures.history(TRIALS, metric="loss", mode="min").data[0].y) == [
        0.3, 0.3, 0.3, 0.2
    ]  # fmt: skip
    assert "the loss became nan" in drawn.data[3].text[0]


def test_curves_of_one_kind_share_a_trace_with_gaps() -> None:
    drawn = figures.intermediate_values(TRIALS[:5], **KNOWN)

    assert names(drawn) == ["complete", "pruned", "best (trial 1)"]
    assert list(drawn.data[0].x) == [1, 2, None] * 3
    assert drawn.data[1].line.dash == "dash"


def test_parallel_coordinates_place_choices_logs_and_absent_values() -> None:
    drawn = figures.parallel_coordinates(TRIALS[:4], log=["lr"], **KNOWN)
    axes = {axis.label: axis for axis in drawn.data[0].dimensions}

    assert list(axes["lr"].values) == pytest.approx([-3, 0, -2, -1])  # worst first
    assert list(axes["gamma"].ticktext) == ["0.2", "0.3", "none"]
    assert list(axes["act"].ticktext) == ["relu"]
    assert list(axes["val_ndcg@10"].values) == [0.2, 0.3, 0.4, 0.5]


def test_a_trial_without_a_number_lies_under_those_that_have_it() -> None:
    some = [trial(number, "complete", 0.1 * number) for number in range(8)]
    drawn = figures.parallel_coordinates(some, **KNOWN)
    (gamma,) = (axis for axis in drawn.data[0].dimensions if axis.label == "gamma")

    assert gamma.ticktext[0] == "none"
    assert gamma.values[0] == gamma.values[1] == gamma.tickvals[0] < 0.2


def test_noise_is_grey() -> None:
    noisy = figures.importances({"lr": 1.0}, is_noise=True)

    assert noisy.data[0].marker.color != figures.importances({"lr": 1.0}).data[0].marker.color


def test_the_front_holds_what_nothing_dominates() -> None:
    drawn = figures.pareto_front(TRIALS[:4], goals=GOALS, picked=1)

    assert names(drawn) == ["dominated", "on the front", "picked"]
    assert list(drawn.data[0].x) == [0.4]  # slower than none, worse than 0.5
    assert list(drawn.data[1].x) == [0.2, 0.3, 0.5]


def test_three_goals_make_a_space_and_four_say_so() -> None:
    three = [*GOALS, ("size_mib", "min")]
    some = [Trial(i, "complete", {}, values=(0.1 * i, 1.0 * i, 2.0)) for i in range(3)]

    assert figures.pareto_front(some, goals=three).data[0].type == "scatter3d"
    assert not figures.pareto_front(some, goals=[*three, ("x", "min")]).data
    assert "one goal" in figures.pareto_front(some, goals=[]).layout.annotations[0].text


def test_ranges_are_normalised_on_their_own_scale() -> None:
    drawn = figures.narrowing(DECISIONS[:1])

    assert list(drawn.data[1].x) == pytest.approx([1 / 3, 2 / 3])
    assert list(drawn.data[2].x) == pytest.approx([1 / 3, 0.6514], rel=1e-3)


def test_reporting_does_not_import_plotly_by_itself() -> None:
    code = "import sys, seqtune.reporting; assert 'plotly' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_label_at_the_right_fits_into_its_margin() -> None:
    choices = {"choices": ["minimal", "moderate", "thorough"]}
    decision = {"key": "p.noise", "action": "untouched", "before": choices, "after": choices}
    drawn = figures.narrowing([{**decision, "top": {}}])

    (label,) = [one.text for one in drawn.layout.annotations if one.text.startswith("<b>")]
    assert label == "<b>untouched</b>  minimal, moderat…"
