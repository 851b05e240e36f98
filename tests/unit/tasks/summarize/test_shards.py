"""`training.strategy=fsdp`: two processes hold a model between them and come to what one does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from seqtune.core.errors import ConfigurationError
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.module import build_module
from seqtune.tasks.summarize.params import SummarizeConfig
from seqtune.training.fsdp import prepare_shards

from .examples import config_of, make_model, rows, write_split

sys.path.insert(0, str(Path(__file__).parent))  # processes import it by its name

from sharded_training import train, train_together

LORA = {"enabled": True, "r": 4, "alpha": 16, "dropout": 0.0}
TIGHT = 1e-4
"""Relative: sums in another order."""


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "split"
    write_split(folder, rows(14), rows(7, start=14))
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Llama has an output of its own, Qwen3 one that is tied to its embeddings."""
    folder = tmp_path_factory.mktemp("models")
    return {
        name: make_model(folder / name, name, rows(10)) for name in ("llama", "qwen3", "kobart")
    }


def configuration(model: Path, *, saves_memory: bool = False, **options: Any) -> SummarizeConfig:
    """Of 4 rows that are summarised in validation, a rank gets all: the other has none."""
    training = {"strategy": "fsdp", "epochs": 3, "lr": 5e-3, **options}
    return config_of(
        model, model={"lora": LORA, "gradient_checkpointing": saves_memory}, training=training
    )


@pytest.mark.parametrize(("name", "saves_memory"), [("llama", False), ("qwen3", True)])
def test_two_that_hold_half_each_come_to_what_one_comes_to(
    name: str, saves_memory: bool, models: dict[str, Path], split: Path, tmp_path: Path
) -> None:
    config = configuration(models[name], saves_memory=saves_memory)
    alone = train(config, split, tmp_path / "alone")
    ranks = train_together(config, split, tmp_path / "two")
    assert [rank["history"] for rank in ranks[1:]] == [ranks[0]["history"]]
    for row, wanted in zip(ranks[0]["history"], alone["history"], strict=True):
        assert row == pytest.approx(wanted, rel=TIGHT)
    assert max(rank["held"] for rank in ranks) < 0.6 * alone["held"]
    weights = [load_file(tmp_path / at / "checkpoint/best.safetensors") for at in ("alone", "two")]
    assert weights[0].keys() == weights[1].keys()
    assert all(weights[0][key].allclose(weights[1][key], atol=1e-4) for key in weights[0])


@pytest.mark.slow
def test_processes_that_this_one_starts_may_do_the_same(
    models: dict[str, Path], split: Path, tmp_path: Path
) -> None:
    alone = train(configuration(models["llama"]), split, tmp_path / "alone")
    two = train(configuration(models["llama"], devices=2), split, tmp_path / "two")
    for row, wanted in zip(two["history"], alone["history"], strict=True):
        assert row == pytest.approx(wanted, rel=TIGHT)


def test_one_goes_on_where_two_were_stopped(
    models: dict[str, Path], split: Path, tmp_path: Path
) -> None:
    config = configuration(models["llama"])
    expected = train(config, split, tmp_path / "whole")
    assert train_together(config, split, tmp_path / "run", stop_after=1) == [{"stopped": True}] * 2
    found = train(config, split, tmp_path / "run")
    assert found["resumed"]
    for row, wanted in zip(found["history"], expected["history"], strict=True):
        assert row == pytest.approx(wanted, rel=TIGHT)


@pytest.mark.parametrize(
    ("name", "changed", "reason"),
    [
        ("llama", {"lora": {"enabled": False}}, "model.lora.enabled=false trains every weight"),
        ("llama", {"lora": LORA, "quantisation": "4bit"}, "quantisation=4bit packs weights"),
        ("kobart", {"lora": LORA}, "the encoder of an encoder-decoder"),
    ],
)
def test_what_cannot_be_cut_is_refused(
    name: str, changed: dict[str, Any], reason: str, models: dict[str, Path], split: Path
) -> None:
    config = config_of(models[name], model=changed, training={"strategy": "fsdp"})
    module = build_module(config, SummarizeData.open(split))
    with pytest.raises(ConfigurationError, match=reason):
        prepare_shards(module, config.training)
