"""Which model predicts: the checkpoint, or the ensemble; and whether it beats the baselines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seqtune.core.checkpoint import CheckpointManifest, Weights
from seqtune.core.ensemble import EnsembleManifest
from seqtune.core.errors import ConfigurationError
from seqtune.core.reports import Report
from seqtune.pipelines._model_choice import ChosenModel, ModelChoice
from seqtune.tasks.recommend.params import PredictConfig


@dataclass
class Data:
    content_hash: str = "d"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    weights = Weights(file="w", sha256="s", epoch=1, metrics={})
    manifest = CheckpointManifest(
        task="recommend",
        fingerprint="f",
        data_hash="d",
        assets_hash="a",
        config={"training": {"monitor": "val_ndcg@10"}},
        versions={},
        best=weights,
        last=weights,
        epochs_planned=1,
        stopped="finished",
        seconds=1.0,
    )
    (folder / "checkpoint.json").write_text(manifest.model_dump_json())
    return folder


def ensemble(folder: Path, *, reference: str = "f", data_hash: str = "d") -> Path:
    folder.mkdir()
    manifest = EnsembleManifest(
        task="recommend",
        fingerprint="e",
        data_hash=data_hash,
        assets_hash="a",
        reference=reference,
        scale="ranks",
        method="greedy",
        members=(),
        metric="valid ndcg@10",
        findings={},
        versions={},
    )
    (folder / "ensemble.json").write_text(manifest.model_dump_json())
    return folder


def choice(
    checkpoint: Path,
    ensemble: Path | None,
    *,
    metrics: Report | None = None,
    ensemble_metrics: Report | None = None,
    **settings: Any,
) -> ModelChoice:
    config, data = PredictConfig(**settings), Data()
    return ModelChoice(
        "recommend",
        config,
        data,  # type: ignore[arg-type]
        checkpoint,
        ensemble,
        metrics,
        ensemble_metrics,
    )


def choose(checkpoint: Path, ensemble: Path | None, **settings: Any) -> ChosenModel:
    return choice(checkpoint, ensemble, **settings).choose()


def measured(fingerprint: str, ndcg: float, **changes: str) -> Report:
    ndcgs = {"model": ndcg, "popularity": 0.1, "markov": 0.2}
    parts = {"valid": {"full_ranking": {"ndcg@10": ndcgs}}}
    return {"fingerprint": fingerprint, "data_hash": "d", "parts": parts} | changes


def test_auto_takes_the_ensemble_of_this_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    chosen = choose(checkpoint, ensemble(tmp_path / "ensemble"))
    assert (chosen.kind, chosen.path) == ("ensemble", tmp_path / "ensemble")
    assert chosen.why == "recommend.predict.model=auto: it was made beside this checkpoint"


@pytest.mark.parametrize(
    ("made", "settings", "why"),
    [
        (None, {}, "there is no ensemble"),
        ({"reference": "g"}, {}, "made beside another checkpoint"),
        ({"data_hash": "x"}, {}, "made on another split"),
        ({}, {"weights": "last"}, "an ensemble is made of the best"),
    ],
)
def test_auto_takes_the_checkpoint_where_the_ensemble_is_not_of_it(
    checkpoint: Path,
    tmp_path: Path,
    made: dict[str, str] | None,
    settings: dict[str, str],
    why: str,
) -> None:
    folder = None if made is None else ensemble(tmp_path / "ensemble", **made)
    chosen = choose(checkpoint, folder, **settings)
    assert (chosen.kind, chosen.path) == ("checkpoint", checkpoint)
    assert why in chosen.why


def test_what_was_asked_for_is_taken(checkpoint: Path, tmp_path: Path) -> None:
    other = ensemble(tmp_path / "ensemble", reference="g")
    assert choose(checkpoint, other, model="ensemble").path == other
    assert choose(checkpoint, other, model="checkpoint").path == checkpoint


def test_an_ensemble_that_is_not_there_is_an_error_with_the_next_step(checkpoint: Path) -> None:
    with pytest.raises(ConfigurationError, match="kedro run --pipelines ensemble"):
        choose(checkpoint, None, model="ensemble")


def test_auto_takes_the_better_one_on_valid(checkpoint: Path, tmp_path: Path) -> None:
    made = ensemble(tmp_path / "ensemble")
    single = measured("f", 0.31)
    worse = choose(checkpoint, made, metrics=single, ensemble_metrics=measured("e", 0.3))
    assert (worse.kind, worse.why) == (
        "checkpoint",
        "recommend.predict.model=auto: ndcg@10 on valid is 0.3100, and that of the ensemble 0.3000",
    )
    for found in (measured("e", 0.32), measured("other", 0.3), measured("e", 0.3, data_hash="x")):
        assert choose(checkpoint, made, metrics=single, ensemble_metrics=found).kind == "ensemble"


def test_what_does_not_beat_a_baseline_is_said_aloud(checkpoint: Path, tmp_path: Path) -> None:
    made = ensemble(tmp_path / "ensemble")
    below = choice(checkpoint, None, metrics=measured("f", 0.15))
    assert below.floor_warning(below.choose()) == (
        "what predicts is not above every baseline on valid: ndcg@10 of the checkpoint 0.1500, "
        "markov 0.2000; train longer, or tune"
    )
    above = choice(
        checkpoint, made, metrics=measured("f", 0.15), ensemble_metrics=measured("e", 0.21)
    )
    assert above.floor_warning(above.choose()) == ""
    unknown = choice(checkpoint, None, metrics=measured("f", 0.15), weights="last")
    assert unknown.floor_warning(unknown.choose()) == ""
