"""Trials and the final run come to their configurations by one way."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.core.parameters import TaskParameters
from seqtune.core.resolve import Layer
from seqtune.pipelines._best_config import (
    BestConfig,
    changes_since,
    read_best_config,
    require_agreement,
)
from seqtune.pipelines._resolution import (
    resolve_run,
    resolve_trial,
    trial_values,
    warn_of_other_data,
)
from seqtune.tasks.recommend import TASK

PARAMS = {"model.hidden_units": 16, "training.lr": 0.004}
DATA: Any = SimpleNamespace(
    num_users=10,
    num_items=20,
    train_end=np.full(10, 5),
    content_hash="abc",
    has_validation=True,
    made_with={"split": {}},
)
AUTO = [
    {"because": "it is the default", "model": {"num_heads": 2, "num_layers": 1}},
    {"because": "few", "when": {"users": {"below": 100}}, "model": {"num_layers": 2}},
    {"because": "many", "when": {"users": {"at_least": 100}}, "model": {"num_layers": 4}},
]


def parameters(runtime: dict[str, Any] | None = None, **files: Any) -> TaskParameters:
    training = {"accelerator": "cpu", **files.pop("training", {})}
    values = {"preset": "auto", "auto": AUTO, **files}
    merged = {**values, "training": {**training, **(runtime or {}).get("training", {})}}
    return TASK.parse_parameters(values=merged, runtime=runtime or {}, origins={})


def trial(typed: TaskParameters) -> Any:
    return resolve_trial(TASK, typed, DATA, params=PARAMS, epochs=7, origin="trial 3")


def best_of(typed: TaskParameters) -> BestConfig:
    resolved = trial(typed)
    return BestConfig(
        task="recommend",
        values=trial_values(resolved, PARAMS),
        metric="val_ndcg@10",
        score=0.5,
        metrics={},
        best_epoch=3,
        study="recommend-medium-0",
        stage="medium",
        trial=3,
        chosen="it is the best",
        searched=sorted(PARAMS),
        environment=resolved.table(),
        data_hash="abc",
        versions={},
        fingerprint="f",
    )


def test_a_trial_puts_its_values_and_its_budget_over_the_files() -> None:
    table = trial(parameters(model={"hidden_units": 64}, training={"epochs": 99})).table()
    assert table["model.hidden_units"] == {"value": 16, "origin": "trial 3"}
    assert table["training.epochs"] == {"value": 7, "origin": "trial 3"}
    assert table["model.num_heads"] == {
        "value": 2,
        "origin": "preset auto, because it is the default",
    }
    assert table["model.num_layers"] == {"value": 2, "origin": "preset auto, because few"}


@pytest.mark.parametrize(("typed", "threads"), [("auto", 1), (None, 1), (3, 3)])
def test_one_thread_for_each_worker_unless_somebody_set_another(typed: Any, threads: int) -> None:
    resolved = trial(parameters(training={"num_threads": typed}))
    assert resolved.config.training.num_threads == threads


def test_training_the_best_is_the_trial_to_the_last_value() -> None:
    typed = parameters()
    resolved = resolve_run(TASK, typed, DATA, layer=best_of(typed).layer)
    assert resolved.config == trial(typed).config


def test_a_change_since_is_named_with_both_values_and_places(monkeypatch: Any) -> None:
    monkeypatch.setattr("seqtune.pipelines._best_config.library_versions", lambda _: {})
    best = best_of(parameters())
    changed = parameters(runtime={"training": {"early_stopping": {"patience": 3}}})
    now = resolve_run(TASK, changed, DATA, layer=best.layer)
    (change,) = changes_since(best, now, DATA)
    for part in ("recommend.training.early_stopping.patience", "10 (default)", "3 (--params)"):
        assert part in change
    with pytest.raises(ConfigurationError, match="would not reproduce trial 3"):
        require_agreement(best, now, DATA, on_mismatch="stop")
    require_agreement(best, now, DATA, on_mismatch="warn")


def test_other_data_and_other_versions_are_changes(monkeypatch: Any) -> None:
    typed = parameters()
    best = best_of(typed)
    now = resolve_run(TASK, typed, DATA, layer=best.layer)
    monkeypatch.setattr("seqtune.pipelines._best_config.library_versions", lambda _: {"torch": "9"})
    other: Any = SimpleNamespace(**{**vars(DATA), "content_hash": "def"})
    data, versions = changes_since(best, now, other)
    assert "abc" in data
    assert "def" in data
    assert "torch absent -> 9" in versions


def test_training_on_everything_may_differ_in_what_that_means(monkeypatch: Any) -> None:
    monkeypatch.setattr("seqtune.pipelines._best_config.library_versions", lambda _: {})
    typed = parameters()
    best = best_of(typed)
    full = parameters(split={"use_full_data": True})
    data: Any = SimpleNamespace(**{**vars(DATA), "content_hash": "def", "has_validation": False})
    now = resolve_run(TASK, full, data, layer=best.layer)
    assert changes_since(best, now.replace("training.epochs", 2, origin="best epoch"), data) == []


def test_a_damaged_best_config_is_told_with_a_way_out() -> None:
    assert read_best_config(None, task="recommend") is None
    values = best_of(parameters()).model_dump()
    with pytest.raises(ArtifactError, match=r"best_config is damaged: score.*--load-versions"):
        read_best_config({**values, "score": "high"}, task="recommend")
    with pytest.raises(ArtifactError, match="format 99"):
        read_best_config({**values, "format_version": 99}, task="recommend")


def test_the_layer_says_where_the_values_come_from() -> None:
    layer = best_of(parameters()).layer
    assert isinstance(layer, Layer)
    assert layer.name == "best config (trial 3 of recommend-medium-0)"


def test_a_task_settles_what_it_leaves_open_before_anything_is_compared() -> None:
    seen: list[Any] = []

    def resolve_auto(resolved: Any, data: Any) -> Any:
        seen.append((resolved.config.training.precision, data))
        return resolved.replace("model.num_layers", 4, origin="what was there")

    task = replace(TASK, resolve_auto=resolve_auto)
    resolved = resolve_run(task, parameters(), DATA)
    assert resolved.table()["model.num_layers"] == {"value": 4, "origin": "what was there"}
    assert seen == [(resolved.config.training.precision, DATA)]
    assert seen[0][0] != "auto"


def test_the_seed_of_a_trial_that_is_there_for_it_wins_over_the_command_line() -> None:
    """Fresh seeds would all be the same one otherwise."""
    typed = parameters({"seed": 7, "training": {"lr": 0.1}})
    assert trial(typed).config.seed == 7
    again = resolve_trial(TASK, typed, DATA, params={**PARAMS, "seed": 8}, epochs=7)
    assert again.config.seed == 8
    assert again.config.training.lr == 0.1


@pytest.mark.parametrize(("verified", "warned"), [("abc", False), ("older", True)])
def test_a_verification_of_other_data_is_said(
    verified: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_other_data({"data_hash": verified}, DATA, task="recommend")

    assert ("--pipelines recommend.verify_env" in caplog.text) is warned
