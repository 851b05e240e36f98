"""What the estimate counts, against numbers worked out by hand and a measured peak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqtune.core.format import MIB
from seqtune.tasks.summarize.batches import LOGITS_AT_ONCE
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.memory import (
    FIXED_MIB,
    BatchShape,
    Sizes,
    _logits,
    _training,
    _validation,
    _weights,
)
from seqtune.tasks.summarize.memory import estimate_memory as estimate
from seqtune.tasks.summarize.model import build_model

from .examples import config_of, make_model, rows, write_split

SIZES = Sizes(
    parameters=3_000_000_000,
    linear=2_600_000_000,
    hidden=3072,
    feed_forward=8192,
    encoder_layers=0,
    decoder_layers=28,
    heads=24,
    tokens=128_256,
    drops_attention=False,
    adapters=1_500_000,
)
GIB = 2.0**30


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {n: make_model(folder / n, n, rows(20), hidden=64) for n in ("kobart", "llama")}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SummarizeData:
    return write_split(tmp_path_factory.mktemp("data") / "split", rows(16), rows(4))


def weights_gib(**model: Any) -> float:
    config = config_of(Path("any"), model=model, training={"precision": "bf16"})
    return _weights(config, SIZES) / GIB


def test_weights_of_a_model_of_three_billion() -> None:
    """AdamW on everything: 16 bytes each and 2 for autocast; QLoRA: half a byte and little more."""
    adapters = {"enabled": True, "r": 16}
    assert weights_gib() == pytest.approx(18 * 3e9 / GIB)
    assert weights_gib(lora=adapters) == pytest.approx((2 * 3e9 + 16 * 16 * 1.5e6) / GIB)
    assert 2.0 < weights_gib(lora=adapters, quantisation="4bit") < 2.5
    assert 3.0 < weights_gib(lora=adapters, quantisation="8bit") < 3.7


def test_logits_and_checkpointing_count() -> None:
    batch = BatchShape(8, 1024, 200)

    def step_gib(**model: Any) -> float:
        config = config_of(Path("any"), model=model, training={"precision": "bf16"})
        return _training(config, SIZES, batch, "causal") / GIB

    logits = 14 * 8 * 201 * 128_256 / GIB
    assert step_gib(gradient_checkpointing=True) > logits
    assert step_gib(gradient_checkpointing=True) < step_gib() / 4


def test_the_logits_of_a_validation_count_where_a_step_has_fewer() -> None:
    config = config_of(Path("any"), evaluation={"batch_size": 16})
    batch = BatchShape(1, 16, 200)
    rows_that_fit = LOGITS_AT_ONCE // (200 * 128_256)
    assert _validation(config, SIZES, batch) == 12 * rows_that_fit * 201 * 128_256
    assert _validation(config, SIZES, batch) > _logits(config, SIZES, batch)


@pytest.mark.parametrize("name", ["kobart", "llama"])
def test_parameters_are_those_of_the_model(
    models: dict[str, Path], split: SummarizeData, name: str
) -> None:
    config = config_of(models[name], training={"batch_size": 1, "optimizer": "sgd"})
    more = config_of(models[name], training={"batch_size": 1, "optimizer": "adamw"})
    counted = (estimate(more, split) - estimate(config, split)) * MIB / 4
    built = sum(p.numel() for p in build_model(config, split).parameters())
    # the output of an untied model grows by the added tokens as well
    assert counted == pytest.approx(built, abs=2 * 64 + 2)


def test_more_of_anything_takes_more(models: dict[str, Path], split: SummarizeData) -> None:
    small = estimate(config_of(models["llama"], training={"batch_size": 2}), split)
    large = estimate(config_of(models["llama"], training={"batch_size": 16}), split)
    assert FIXED_MIB < small < large
