"""A checkpoint opens to a model that reads and writes as it did in training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.tasks.summarize import TASK
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.encoding import pairs
from seqtune.tasks.summarize.scorer import load_network
from seqtune.training import fit

from .examples import config_of, make_model, rows, write_split


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SummarizeData:
    return write_split(tmp_path_factory.mktemp("data") / "split", rows(8), rows(4, start=8))


@pytest.fixture(scope="module", params=["kobart", "llama", "llama with adapters"])
def trained(
    request: pytest.FixtureRequest, split: SummarizeData, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("run")
    name, _, adapters = request.param.partition(" ")
    model = make_model(folder / "model", name, rows(8))
    lora = {"enabled": bool(adapters), "r": 4}
    config = config_of(model, model={"lora": lora}, training={"epochs": 2})
    result = fit(TASK, config, split, directory=folder / "run", fingerprint="f", progress=False)
    return result.checkpoint, config


def test_it_reads_new_dialogues_as_training_read_them(
    trained: tuple[Path, Any], split: SummarizeData
) -> None:
    path, config = trained
    summarizer = load_network(path)
    inputs = pairs(config, split, "valid").inputs
    cuts = np.split(np.asarray(inputs.ids), inputs.offsets[1:-1])
    assert summarizer.inputs(split.dialogues("valid")) == [ids.tolist() for ids in cuts]
    assert summarizer.kind == (
        "seq2seq" if "BartForConditionalGeneration" in str(type(summarizer.model)) else "causal"
    )


def test_it_scores_as_validation_did(trained: tuple[Path, Any], split: SummarizeData) -> None:
    """The loss on valid, from the weights of each file."""
    from seqtune.tasks.summarize.module import SummarizeModule

    path, config = trained
    for which in ("best", "last"):
        summarizer = load_network(path, which)  # type: ignore[arg-type]
        assert not summarizer.model.training
        of = SummarizeModule(
            config,
            split,
            model=summarizer.model,
            tokenizer=summarizer.tokenizer,
            kind=summarizer.kind,
        )
        from seqtune.tasks.summarize.batches import TrainBatches

        batches = TrainBatches(
            pairs(config, split, "valid"),
            kind=summarizer.kind,
            pad=summarizer.tokenizer.pad_token_id,
        )
        with torch.no_grad():
            loss = float(of.training_step(batches[np.arange(4)]))
        said = summarizer.manifest.weights(which).metrics["val_loss"]  # type: ignore[arg-type]
        assert loss == pytest.approx(said, rel=1e-5)


def test_opening_draws_no_random_numbers(trained: tuple[Path, Any]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_network(trained[0])
    assert torch.rand(3).equal(expected)


def test_it_says_which_weights_it_is(trained: tuple[Path, Any], split: SummarizeData) -> None:
    summarizer = load_network(trained[0])
    assert summarizer.identity()["fingerprint"] == "f"
    assert summarizer.data_hash == split.content_hash
    json.dumps([summarizer.identity(), summarizer.configuration()])


def test_a_checkpoint_of_another_task_is_refused(trained: tuple[Path, Any], tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(trained[0], tmp_path / "copy")
    manifest = json.loads((copy / "checkpoint.json").read_text())
    (copy / "checkpoint.json").write_text(json.dumps({**manifest, "task": "classify"}))
    with pytest.raises(ArtifactError, match="belongs to the task classify"):
        load_network(copy)


def test_a_base_that_has_changed_is_refused(split: SummarizeData, tmp_path: Path) -> None:
    """Adapters on other weights would write nonsense."""
    model = make_model(tmp_path / "model", "llama", rows(8))
    config = config_of(model, model={"lora": {"enabled": True, "r": 4}})
    result = fit(TASK, config, split, directory=tmp_path / "run", fingerprint="f", progress=False)
    make_model(tmp_path / "model", "llama", rows(8), seed=1)
    with pytest.raises(ConfigurationError, match="changed"):
        load_network(result.checkpoint)


def test_no_such_device_is_said(trained: tuple[Path, Any]) -> None:
    with pytest.raises(ConfigurationError, match="device='tpu9' cannot be used"):
        load_network(trained[0], device="tpu9")
