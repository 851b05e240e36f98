"""Which model predicts: the checkpoint, or the ensemble that was made beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seqtune.core.checkpoint import CheckpointManifest, Weights
from seqtune.core.ensemble import EnsembleManifest
from seqtune.core.errors import ConfigurationError
from seqtune.pipelines.predict.model import ChosenModel, choose_model
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
        config={},
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


def choose(checkpoint: Path, ensemble: Path | None, **settings: Any) -> ChosenModel:
    data: Any = Data()
    return choose_model(PredictConfig(**settings), checkpoint, ensemble, data, task="recommend")


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
