"""The last lines of a run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DataCatalog

from seqtune.datasets.remote_path import AnyPath
from seqtune.run_report import NodeTime, RunFacts, RunRecord, print_summary
from seqtune.run_report.facts import kind_of

CATALOG = {
    "{task}.{name}_figure": "/d/{name}_figure.json",
    "{task}.metrics": "/d/metrics.json",
    "{task}.checkpoint": "/d/checkpoint",
}


class Facts(RunFacts):
    """Every report has the headlines it is given; nothing is read."""

    lines: Sequence[str] = ()

    def headline(self, name: str) -> Sequence[str]:
        return self.lines or [f"{name} went well"] if kind_of(name) == "reports" else ()


class Placed(Facts):
    """All outputs are files of one folder."""

    folder = "/d"

    def saved_places(self) -> dict[str, AnyPath]:
        return {
            name: Path(f"{self.folder}/{name}") for node in self.run.nodes for name in node.outputs
        }


def facts_of(
    nodes: dict[str, list[str]], *, kind: type[Facts] = Facts, env: str | None = None, **more: Any
) -> Facts:
    entry = {"type": "json.JSONDataset", "versioned": True}
    entries = {name: {**entry, "filepath": path} for name, path in CATALOG.items()}
    run = RunRecord(
        version="v1",
        started=datetime(2026, 11, 21, tzinfo=UTC),
        params={"env": env},
        nodes=[NodeTime(node, 0.1, outputs) for node, outputs in nodes.items()],
        **{"seconds": 1.0, **more},
    )
    return kind(DataCatalog.from_config(entries), run)


def say(
    capsys: pytest.CaptureFixture[str],
    nodes: dict[str, list[str]],
    *,
    pages: Sequence[Path] = (),
    **settings: Any,
) -> list[str]:
    """The lines of a summary; every report has the headline `<name> went well`."""
    print_summary(facts_of(nodes, **settings), pages=pages)
    return capsys.readouterr().out.splitlines()


def test_a_run_ends_with_what_was_found_and_made_and_the_next_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nodes = {
        "recommend.resolve_config": ["recommend.resolved_config"],
        "recommend.train": ["recommend.checkpoint"],
        "recommend.evaluate": ["recommend.metrics"],
    }
    lines = say(capsys, nodes, env="sample", seconds=75.2)
    assert "Done in 1 min 15 s." in lines
    assert "evaluate  recommend.metrics went well" in lines
    assert "checkpoint  /d/checkpoint/v1/checkpoint" in lines
    assert not any("resolved_config" in line for line in lines)
    assert "kedro run --env sample --pipelines predict" in lines[-1]


def test_it_opens_with_the_report_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = {"recommend.train": ["recommend.checkpoint"]}
    lines = say(capsys, nodes, pages=[Path("/d/run_report.html")])
    assert lines[1:3] == ["Done in 1 s.", "report  /d/run_report.html (open it in a browser)"]


def test_what_nobody_opens_by_hand_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    figures = ["recommend.quick_history_figure", "recommend.quick_curves_figure"]
    lines = say(capsys, {"recommend.draw_quick": figures, "train": ["recommend.checkpoint"]})
    assert "2 more      reports, tables and figures in /d; `make viz`" in lines
    assert not any("quick_history" in line for line in lines)


def test_a_run_that_made_reports_alone_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    lines = say(capsys, {"recommend.evaluate": ["recommend.metrics"]})
    assert "metrics  /d/metrics.json/v1/metrics.json" in lines


def test_lines_of_one_part_stand_under_its_name_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Facts, "lines", ["quick: 4 complete", "quick: best 0.5"])
    nodes = {"recommend.tune.tune_quick": ["recommend.metrics"]}
    lines = say(capsys, nodes)
    assert "quick  4 complete" in lines
    assert "       best 0.5" in lines


def test_a_run_that_saved_nothing_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert say(capsys, {"recommend.resolve_config": ["recommend.resolved_config"]}) == []


def test_nothing_of_the_users_is_read_as_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Facts, "lines", ["item [bold]Alien[/bold] [/oops]"])
    lines = say(capsys, {"recommend.evaluate": ["recommend.metrics"]})
    assert "evaluate  item [bold]Alien[/bold] [/oops]" in lines


@pytest.mark.parametrize("env", [None, "local"])
def test_the_next_step_names_no_environment_where_none_was_named(
    capsys: pytest.CaptureFixture[str], env: str | None
) -> None:
    lines = say(capsys, {"recommend.train": ["recommend.checkpoint"]}, env=env)
    assert "--env" not in lines[-1]


def step_after(
    capsys: pytest.CaptureFixture[str], *names: str, env: str | None = None, folder: str = "/d"
) -> str:
    """The last line of a run that made these."""
    kind = type("Placed", (Placed,), {"folder": folder})
    print_summary(facts_of({"some.node": list(names)}, kind=kind, env=env))
    return capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("made", "step"),
    [
        ("recommend.ingest_report", "Next: kedro run --pipelines split"),
        ("classify.ingest_report", "Next: kedro run --pipelines classify.split"),
        (
            "summarize.checkpoint",
            "Next: kedro run --pipelines summarize.ensemble, or without one: "
            "kedro run --pipelines summarize.predict",
        ),
        ("classify.dry_run_report", "Next: kedro run --pipelines classify"),
        (
            "classify.predictions",
            "Next: change parameters in conf/local, as conf/README.md says, and run "
            "`kedro run --pipelines classify` again",
        ),
        (
            "recommend.predictions",
            "Next: change parameters in conf/local, as conf/README.md says, and run "
            "`kedro run` again",
        ),
    ],
)
def test_the_next_step_is_one_of_the_same_task(
    capsys: pytest.CaptureFixture[str], made: str, step: str
) -> None:
    assert step_after(capsys, made) == step


def test_the_environment_is_kept_in_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert step_after(capsys, "classify.checkpoint", env="sample") == (
        "Next: kedro run --env sample --pipelines classify.ensemble, or without one: "
        "kedro run --env sample --pipelines classify.predict"
    )


def test_own_data_are_not_put_into_the_environment_of_the_sample(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert step_after(capsys, "classify.predictions", env="sample") == (
        "Next: put your own data in data/01_raw/classify and run `kedro run --pipelines classify`"
    )


@pytest.mark.parametrize(
    ("made", "folder", "step"),
    [
        (
            "sample_interactions",
            "data/sample/01_raw/recommend",
            "kedro run --env sample",
        ),
        (
            "sample_texts",
            "data/sample/01_raw/classify",
            "kedro run --env sample --pipelines classify",
        ),
        ("classify.sample_texts", "/d", "kedro run --env sample --pipelines classify"),
    ],
)
def test_after_a_sample_its_whole_chain_is_next(
    capsys: pytest.CaptureFixture[str], made: str, folder: str, step: str
) -> None:
    assert step_after(capsys, made, env="sample", folder=folder) == f"Next: {step}"
