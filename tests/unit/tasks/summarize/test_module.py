"""One step, a task learned by heart, exact validation, and going on in the middle of an epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch.nn import functional

from seqtune.core.errors import ArtifactError
from seqtune.tasks.summarize import TASK
from seqtune.tasks.summarize.batches import IGNORED
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.datamodule import build_data
from seqtune.tasks.summarize.decoder import greedy, write
from seqtune.tasks.summarize.module import SummarizeModule, build_module
from seqtune.tasks.summarize.params import SummarizeConfig
from seqtune.training import fit

from .examples import config_of, make_model, rows, write_split


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: make_model(folder / name, name, rows(20)) for name in ("kobart", "llama")}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SummarizeData:
    return write_split(tmp_path_factory.mktemp("data") / "split", rows(10), rows(6, start=10))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Lightning warns of what these trainers mean to leave out."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="lightning")
        warnings.filterwarnings("ignore", message=".*treespec.*")
        yield


def trainer(**options: Any) -> Trainer:
    return Trainer(
        **{
            "max_epochs": 1,
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            **options,
        }
    )


def logged(config: SummarizeConfig, split: SummarizeData, of: SummarizeModule) -> dict[str, float]:
    loop = trainer()
    loop.validate(of, datamodule=build_data(config, split), verbose=False)
    return {name: float(value) for name, value in loop.callback_metrics.items()}


@pytest.mark.parametrize("name", ["kobart", "llama"])
def test_dropout_is_on_in_training(
    models: dict[str, Path], split: SummarizeData, name: str, tmp_path: Path
) -> None:
    """`from_pretrained` hands out models in eval mode, and Lightning leaves them so."""
    seen = []

    class Look(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *rest: Any) -> None:
            seen.append([m.training for m in pl_module.modules()])

        def on_validation_batch_start(self, trainer: Trainer, pl_module: Any, *rest: Any) -> None:
            assert not any(m.training for m in pl_module.modules())

    def built(config: Any, data: Any) -> SummarizeModule:
        of = build_module(config, data)
        assert not of.model.training  # the trap
        of.configure_callbacks = lambda: [Look()]  # type: ignore[method-assign]
        return of

    from dataclasses import replace

    spec = replace(TASK, build_module=built)
    config = config_of(models[name], training={"epochs": 2})
    fit(spec, config, split, directory=tmp_path, fingerprint="x", progress=False)
    assert len(seen) == 6
    assert all(map(all, seen))


def test_the_loss_is_the_mean_over_target_tokens(
    models: dict[str, Path], split: SummarizeData
) -> None:
    config = config_of(models["kobart"], model={"label_smoothing": 0.2})
    of = build_module(config, split).eval()
    batch = next(iter(build_data(config, split).train_dataloader()))
    start = torch.full((len(batch.labels), 1), of.model.config.decoder_start_token_id)
    inputs = torch.cat([start, batch.labels[:, :-1].clamp(min=0)], dim=1)
    with torch.no_grad():
        found = of.training_step(batch)
        logits = of.model(batch.ids, batch.mask.long(), decoder_input_ids=inputs).logits
        steps = functional.log_softmax(logits, dim=-1)
    real = batch.labels != IGNORED
    target = steps.gather(2, batch.labels.clamp(min=0)[..., None])[..., 0][real]
    by_hand = -(0.8 * target + 0.2 * steps.mean(-1)[real]).mean()
    torch.testing.assert_close(found, by_hand)


def test_the_loss_of_a_causal_model_is_taken_of_its_answers(
    models: dict[str, Path], split: SummarizeData
) -> None:
    """Not of the prompt, and of logits of the last places alone."""
    config = config_of(models["llama"])
    of = build_module(config, split).eval()
    batch = next(iter(build_data(config, split).train_dataloader()))
    with torch.no_grad():
        found = of.training_step(batch)
        logits = of.model(batch.ids, batch.mask.long()).logits[:, :-1]
    labels = batch.labels[:, 1:]
    by_hand = functional.cross_entropy(logits[labels != IGNORED], labels[labels != IGNORED])
    torch.testing.assert_close(found, by_hand)


@pytest.mark.parametrize("name", ["kobart", "llama"])
def test_validation_is_exact_over_tokens_and_rows(
    models: dict[str, Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Summaries of different lengths: a mean over batches would be another one."""
    valid = [(dialogue, [text * (n + 1)]) for n, (dialogue, (text,)) in enumerate(rows(6))]
    split = write_split(tmp_path / "split", rows(10), valid)

    def scores(written: Any, references: Any, **settings: Any) -> Any:
        assert settings == {"tokenizer": "words", "combine": "max"}
        numbers = [int(split_refs.index(list(wanted))) for wanted in references]
        return np.array([[number, 0.25, 0.5] for number in numbers], np.float64)

    split_refs = split.references("valid")
    monkeypatch.setattr("seqtune.tasks.summarize.module.rouge", scores)
    long = {"max_target_length": 100}
    config = config_of(models[name], evaluation={"max_rows": 6, "batch_size": 4}, preprocess=long)
    of = build_module(config, split)
    metrics = logged(config, split, of)
    assert metrics["val_rouge1"] == pytest.approx(np.mean(range(6)))
    assert metrics["val_rouge_sum"] == pytest.approx(np.mean(range(6)) + 0.75)
    one = config_of(models[name], evaluation={"max_rows": 1, "batch_size": 1}, preprocess=long)
    assert logged(one, split, of)["val_loss"] == pytest.approx(metrics["val_loss"], rel=1e-6)


def test_the_gap_to_what_was_trained_on_can_be_seen(
    models: dict[str, Path], split: SummarizeData
) -> None:
    config = config_of(models["kobart"], evaluation={"train_metric_rows": 3})
    metrics = logged(config, split, build_module(config, split))
    names = {"rouge1", "rouge2", "rougeL", "rouge_sum"}
    assert {f"{part}_{name}" for part in ("val", "train") for name in names} < metrics.keys()


def test_validation_gives_the_mode_back(models: dict[str, Path], split: SummarizeData) -> None:
    config = config_of(models["kobart"])
    of = build_module(config, split).train()
    logged(config, split, of)
    assert of.model.training


@pytest.mark.parametrize("name", ["kobart", "llama"])
def test_it_learns_one_batch_by_heart(models: dict[str, Path], tmp_path: Path, name: str) -> None:
    """And then writes it: summaries, and their end."""
    data = write_split(tmp_path / "split", rows(4), rows(2))
    config = config_of(models[name])
    torch.manual_seed(0)
    of = build_module(config, data).train()
    for part in of.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    of.model.config.dropout = 0.0
    for layer in of.model.modules():
        if hasattr(layer, "dropout") and isinstance(layer.dropout, float):
            layer.dropout = 0.0
    optimizer = torch.optim.AdamW(of.parameters(), lr=0.01)
    batch = next(iter(build_data(config, data).train_dataloader()))
    for _ in range(80):
        optimizer.zero_grad()
        loss = of.training_step(batch)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.05
    of.eval()
    written = next(iter(build_data(config, data).val_dataloader()[0]))
    texts = write(of.model, of.tokenizer, written.ids, written.mask, greedy(40), kind=of.kind)
    assert texts == [data.references("valid")[row][0] for row in written.rows.tolist()]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("kobart", {}),
        ("llama", {"lora": {"enabled": True, "r": 4}}),
        ("llama", {"lora": {"enabled": True, "r": 4}, "quantisation": "4bit"}),
    ],
)
def test_stopped_in_an_epoch_it_goes_on_bit_for_bit(
    models: dict[str, Path],
    split: SummarizeData,
    tmp_path: Path,
    name: str,
    model: dict[str, Any],
) -> None:
    """Dropout and the order of rows included; the state holds only what is trained."""
    config = config_of(models[name], model=model, training={"epochs": 2})

    class Leave(Exception):
        pass

    def left(config: Any, data: Any) -> SummarizeModule:
        of = build_module(config, data)
        step = of.training_step

        def training_step(batch: Any, batch_idx: int = 0) -> Any:
            if of.current_epoch == 1 and batch_idx == 2:
                raise Leave
            return step(batch, batch_idx)

        of.training_step = training_step  # type: ignore[method-assign]
        return of

    from dataclasses import replace

    often = config.training.model_copy(update={"save_state_every_minutes": 1e-9})
    config = config.model_copy(update={"training": often})
    whole = fit(TASK, config, split, directory=tmp_path / "whole", fingerprint="x", progress=False)
    part = {"directory": tmp_path / "part", "fingerprint": "x", "progress": False}
    with pytest.raises(Leave):
        fit(replace(TASK, build_module=left), config, split, **part)
    states = sorted((tmp_path / "part").glob("state-*.ckpt"))
    assert states
    resumed = fit(TASK, config, split, **part)
    assert resumed.resumed_from == "epoch 2, batch 3"
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {
            k: v for k, v in other.items() if k != "seconds"
        }
    hashes = [
        json.loads((r.checkpoint / "checkpoint.json").read_text())["last"]["sha256"]
        for r in (whole, resumed)
    ]
    assert hashes[0] == hashes[1]
    assert math.isfinite(whole.history[-1]["val_loss"])


def test_a_state_with_missing_adapters_is_an_error(
    models: dict[str, Path], split: SummarizeData
) -> None:
    """Although loading is not strict."""
    config = config_of(models["llama"], model={"lora": {"enabled": True, "r": 4}})
    of = build_module(config, split)
    state = of.state_dict()
    assert of.strict_loading is False
    with pytest.raises(ArtifactError, match="1 missing"):
        of.load_state_dict(dict(list(state.items())[1:]))


def test_gradient_checkpointing_changes_no_gradient(
    models: dict[str, Path], split: SummarizeData
) -> None:
    norms = []
    for on in (False, True):
        config = config_of(models["kobart"], model={"gradient_checkpointing": on})
        of = build_module(config, split).train()
        batch = next(iter(build_data(config, split).train_dataloader()))
        torch.manual_seed(3)
        of.training_step(batch).backward()
        assert of.model.model.encoder.gradient_checkpointing is on
        norms.append([float(p.grad.norm()) for p in of.parameters()])
    assert norms[0] == pytest.approx(norms[1])
