"""What is the same of every opened checkpoint: where and how it computes."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.inference import LoadedCheckpoint, outline, select_device
from seqtune.inference.checkpoint import read_tensor


def test_the_device_that_is_named_comes_first() -> None:
    assert select_device("meta", "cpu").type == "meta"
    assert select_device(None, "cpu").type == "cpu"
    with pytest.raises(ConfigurationError, match="device='nowhere' cannot be used on this machine"):
        select_device("nowhere", "cpu")


def test_what_was_trained_on_another_machine_computes_here(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with caplog.at_level(logging.WARNING):
        assert select_device(None, "auto").type == "cpu"
        assert not caplog.records
        assert select_device(None, "cuda").type == "cpu"
    assert "trained with accelerator=cuda; this machine has none, using cpu" in caplog.text


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("bf16", torch.bfloat16), ("fp32", torch.float32), ("fp16", torch.float32)],
)
def test_it_computes_in_the_precision_of_training(precision: str, dtype: torch.dtype) -> None:
    """No CPU computes in fp16."""
    config: Any = SimpleNamespace(training=SimpleNamespace(precision=precision))
    checkpoint: Any = None
    trained = LoadedCheckpoint(checkpoint, "best", config, torch.device("cpu"))
    with trained.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_an_outline_takes_no_memory_and_ends_where_weights_do() -> None:
    weights = {"0.weight": torch.ones(2, 2), "0.bias": torch.ones(2)}
    layers = outline(lambda: torch.nn.Sequential(torch.nn.Linear(2, 2)), weights)
    assert layers[0].weight.is_meta
    layers.load_state_dict(weights, assign=True)
    endless = (torch.nn.Linear(10**6, 10**6) for _ in itertools.count())
    with pytest.raises(ArtifactError, match=r"many more tensors than the weights \(2\)"):
        outline(lambda: torch.nn.Sequential(*endless), weights)
    assert not torch.nn.Linear(1, 1).weight.is_meta


def test_a_folder_in_the_place_of_weights_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").mkdir()
    manifest = SimpleNamespace(weights=lambda _which: SimpleNamespace(file="best.safetensors"))
    checkpoint: Any = SimpleNamespace(path=tmp_path, manifest=manifest)
    with pytest.raises(ArtifactError, match="cannot be read as weights"):
        read_tensor(checkpoint, "best", "thresholds")
