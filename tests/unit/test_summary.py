"""The last lines of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtune.summary import print_summary, saved_place

CATALOG = {
    "recommend.metrics": {
        "type": "json.JSONDataset",
        "filepath": "/d/metrics.json",
        "versioned": True,
    },
    "recommend.checkpoint": {"type": "x", "filepath": "/d/checkpoint", "versioned": True},
    "scratch": {"type": "x", "filepath": "/d/scratch"},
    "recommend.quick_history_figure": {
        "type": "x",
        "filepath": "/d/quick_history_figure.json",
        "versioned": True,
    },
    "recommend.quick_curves_figure": {
        "type": "x",
        "filepath": "/d/quick_curves_figure.json",
        "versioned": True,
    },
    "recommend.resolved_config": {"type": "MemoryDataset"},
}


def saved_places(version: str) -> dict[str, Path]:
    places = {name: saved_place(entry, version) for name, entry in CATALOG.items()}
    return {name: place for name, place in places.items() if place}


def test_places_follow_kedros_versions() -> None:
    places = saved_places("2026-11-21")
    assert places["recommend.metrics"] == Path("/d/metrics.json/2026-11-21/metrics.json")
    assert places["scratch"] == Path("/d/scratch")


def test_a_run_ends_with_what_was_made_and_the_next_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_summary(
        ["recommend.resolved_config", "recommend.checkpoint", "recommend.metrics"],
        saved_places("v1"),
        load=lambda name: {"headline": [f"test NDCG@10 0.31 of {name}"]},
        env="sample",
    )
    output = capsys.readouterr().out
    assert "/d/checkpoint/v1/checkpoint" in output
    assert "resolved_config" not in output
    assert "test NDCG@10 0.31 of recommend.metrics" in output
    assert "Next: kedro run --pipeline predict --env sample" in output


def test_figures_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    figures = ["recommend.quick_history_figure", "recommend.quick_curves_figure"]
    print_summary(figures, saved_places("v1"), load=dict.get)
    output = capsys.readouterr().out
    assert "2 figures, shown by `make viz`: /d" in output
    assert "quick_history" not in output


def test_a_run_that_saved_nothing_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(["recommend.resolved_config"], {}, load=dict.get)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("env", [None, "local"])
def test_the_next_step_names_no_environment_where_none_was_named(
    capsys: pytest.CaptureFixture[str], env: str | None
) -> None:
    outputs = ["recommend.checkpoint"]
    print_summary(outputs, saved_places("v1"), load=dict.get, env=env)
    assert capsys.readouterr().out.endswith("kedro run --pipeline predict\n")
