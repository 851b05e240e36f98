"""Training as `fit` does it: learns, drops out, goes on where it stopped, comes back from disk."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from seqtune.core.errors import TrainingError
from seqtune.core.task import TaskSpec
from seqtune.tasks.classify import TASK
from seqtune.tasks.classify.batches import TextBatch
from seqtune.tasks.classify.data import ClassifyData
from seqtune.tasks.classify.loading import load_classifier
from seqtune.tasks.classify.metrics import validation_metrics
from seqtune.tasks.classify.module import ClassifyModule, build_module, pos_weights
from seqtune.tasks.classify.params import ClassifyConfig
from seqtune.tasks.classify.score_normalization import probabilities_of
from seqtune.tasks.classify.thresholds import best_thresholds
from seqtune.training import FitResult, fit, profile_steps
from seqtune.training.optimizers import build_optimizer

from .examples import generated, make_model, make_split, tiny_config

EVERY_STEP = 1e-9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "electra")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ClassifyData:
    copies = [(f"! {text}", labels) for text, labels in generated(8)]
    return make_split(tmp_path_factory.mktemp("splits") / "split", augmented=copies)


def train(
    config: ClassifyConfig, data: ClassifyData, directory: Path, spec: TaskSpec = TASK
) -> FitResult:
    return fit(spec, config, data, directory=directory, fingerprint="f" * 16, progress=False)


def weights(result: FitResult, which: str = "last") -> dict[str, torch.Tensor]:
    return load_file(result.checkpoint / f"{which}.safetensors")


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", ["electra", "bert", "roberta"])
def test_it_learns_which_words_mean_which_label(tmp_path: Path, kind: str) -> None:
    data = make_split(tmp_path / "split", train=generated(160))
    sections = {"training": {"epochs": 8, "lr": 5e-3}, "evaluation": {"train_metric_rows": 64}}
    config = tiny_config(make_model(tmp_path / kind, kind), **sections)
    result = train(config, data, tmp_path / "run")
    first, last = result.history[0], result.history[-1]
    everything = np.ones((24, 3))
    floor = validation_metrics(everything, data.targets("valid"))["macro_f1"]
    assert last["train_loss"] < 0.7 * first["train_loss"]
    assert last["val_loss"] < first["val_loss"]
    assert result.best_metrics["val_macro_f1"] > floor + 0.2
    assert result.best_metrics["train_macro_f1"] > floor + 0.2


class Watched(ClassifyModule):
    """Notes what it trains with."""

    seen: list[bool]

    def training_step(self, batch: TextBatch, batch_idx: int) -> torch.Tensor:
        with torch.random.fork_rng(devices=[]):
            passes = [self.model.encoder(batch.ids).last_hidden_state for _ in range(2)]
        self.seen += [part.training for part in self.modules()]
        self.seen.append(not torch.equal(*passes))
        return super().training_step(batch, batch_idx)


def test_pretrained_layers_do_drop_out_while_they_train(
    tmp_path: Path, folder: Path, data: ClassifyData
) -> None:
    """`from_pretrained` gives a model in eval mode, and Lightning leaves it there; and validation
    between two epochs must give training mode back."""
    seen: list[bool] = []

    def build(config: ClassifyConfig, data: ClassifyData) -> ClassifyModule:
        made = build_module(config, data)
        watched = Watched(made.model, made.pos_weight)
        watched.seen = seen
        return watched

    train(tiny_config(folder), data, tmp_path / "run", replace(TASK, build_module=build))
    assert len(seen) > 2 * 7 * 20
    assert all(seen)


class Poisoned(ClassifyModule):
    """Its loss is no number at one step."""

    at: tuple[int, int]

    def training_step(self, batch: TextBatch, batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        return loss * float("nan") if (self.current_epoch, batch_idx) == self.at else loss


def poisoned(at: tuple[int, int]) -> TaskSpec:
    def build(config: ClassifyConfig, data: ClassifyData) -> ClassifyModule:
        made = build_module(config, data)
        module = Poisoned(made.model, made.pos_weight)
        module.at = at
        return module

    return replace(TASK, build_module=build)


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2, "precision": "bf16"}])
def test_broken_off_within_an_epoch_it_ends_as_if_nothing_had_happened(
    tmp_path: Path, folder: Path, data: ClassifyData, options: dict[str, Any]
) -> None:
    training = {"save_state_every_minutes": EVERY_STEP, "warmup_steps": 3, **options}
    config = tiny_config(folder, training=training, model={"gradient_checkpointing": True})
    whole = train(config, data, tmp_path / "whole")
    for at in ((0, 3), (1, 4)):
        directory = tmp_path / str(at[0])
        with pytest.raises(TrainingError, match="the loss became nan"):
            train(config, data, directory, poisoned(at))
        again = train(config, data, directory)
        assert again.resumed_from == f"epoch {at[0] + 1}, batch {at[1] // 2 * 2 + 1}" or not options
        assert equal(weights(again), weights(whole))
        assert equal(weights(again, "best"), weights(whole, "best"))
        rows = [[{**row, "seconds": 0} for row in run.history] for run in (again, whole)]
        assert rows[0] == rows[1]


def test_the_seed_decides_everything(tmp_path: Path, folder: Path, data: ClassifyData) -> None:
    config = tiny_config(folder)
    first, again = (train(config, data, tmp_path / name) for name in "ab")
    other = train(config.model_copy(update={"seed": 7}), data, tmp_path / "c")
    assert equal(weights(first), weights(again))
    assert not equal(weights(first), weights(other))


def test_a_checkpoint_gives_its_logits_where_its_model_is_gone(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", "roberta")
    split = make_split(tmp_path / "split")
    config = tiny_config(folder)
    result = train(config, split, tmp_path / "run")
    texts = split.texts("valid")
    kept = load_classifier(result.checkpoint)
    module = build_module(config, split)
    module.load_state_dict(weights(result, "best"))
    tokens, real = split.tokens("valid", config.model).padded(np.arange(1), pad=1)
    with torch.no_grad():
        direct = module.eval().model(torch.from_numpy(tokens), torch.from_numpy(real)).numpy()
    before = kept.logits(texts, batch_size=8)
    shutil.rmtree(folder)
    shutil.rmtree(split.path / "made")
    moved = result.checkpoint.rename(tmp_path / "elsewhere")
    classifier = load_classifier(moved)
    assert np.array_equal(classifier.logits(texts, batch_size=8), before)
    assert np.array_equal(classifier.logits_of(split, "valid"), before)
    assert np.array_equal(classifier.logits(texts[:1], batch_size=1), direct.astype(np.float64))


def test_what_validation_logged_is_what_the_checkpoint_scores(
    tmp_path: Path, folder: Path, data: ClassifyData
) -> None:
    result = train(tiny_config(folder), data, tmp_path / "run")
    logits = load_classifier(result.checkpoint).logits_of(data, "valid")
    expected = validation_metrics(logits, data.targets("valid"))
    logged = {name: result.best_metrics[f"val_{name}"] for name in expected}
    assert logged == pytest.approx(expected, abs=1e-6)


def test_a_frozen_encoder_stays_as_it_was_to_the_last_bit(
    tmp_path: Path, folder: Path, data: ClassifyData
) -> None:
    result = train(tiny_config(folder, model={"freeze_encoder": True}), data, tmp_path / "run")
    stored, after = load_file(folder / "model.safetensors"), weights(result)
    encoder = {n.removeprefix("model.encoder."): t for n, t in after.items() if ".encoder." in n}
    assert equal(encoder, {name: stored[name] for name in encoder})
    assert result.history[-1]["train_loss"] != result.history[0]["train_loss"]


def test_the_vectors_of_a_frozen_encoder_are_made_once(
    tmp_path: Path, folder: Path, data: ClassifyData
) -> None:
    config = tiny_config(
        folder, model={"freeze_encoder": True, "pooling": "mean", "head_units": 16}
    )
    result = train(config, data, tmp_path / "run")
    made = sorted((data.path / "made").glob("vectors-*"))
    train(config, data, tmp_path / "again")
    assert sorted((data.path / "made").glob("vectors-*")) == made
    logits = load_classifier(result.checkpoint).logits(data.texts("valid"), batch_size=8)
    expected = validation_metrics(logits, data.targets("valid"))
    logged = {name: result.best_metrics[f"val_{name}"] for name in expected}
    assert logged == pytest.approx(expected, abs=1e-6)


def test_a_checkpoint_carries_the_best_thresholds_of_its_epoch(
    tmp_path: Path, folder: Path, data: ClassifyData
) -> None:
    result = train(tiny_config(folder), data, tmp_path / "run")
    for which in ("best", "last"):
        classifier = load_classifier(result.checkpoint, which)
        probabilities = probabilities_of(classifier.logits_of(data, "valid"))
        found = best_thresholds(probabilities, data.targets("valid")).thresholds
        assert classifier.thresholds == pytest.approx(found, abs=1e-6)
    everything = make_split(tmp_path / "everything", valid=[])
    assert (
        load_classifier(
            train(tiny_config(folder), everything, tmp_path / "all").checkpoint
        ).thresholds
        is None
    )


def test_a_frozen_table_stays_and_layers_below_the_head_learn_more_slowly(
    tmp_path: Path, folder: Path, data: ClassifyData
) -> None:
    sections = {"model": {"freeze_embeddings": True}, "training": {"layer_lr_decay": 0.5}}
    config = tiny_config(folder, **sections)
    after = weights(train(config, data, tmp_path / "run"))
    table = "embeddings.word_embeddings.weight"
    assert torch.equal(
        after[f"model.encoder.{table}"], load_file(folder / "model.safetensors")[table]
    )
    module = build_module(config, data)
    groups = build_optimizer(module, config.training).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    found = {name: rates.get(id(p)) for name, p in module.named_parameters()}
    assert found["model.head.weight"] == 1e-3
    assert found["model.encoder.encoder.layer.1.output.dense.weight"] == 0.5e-3
    assert found["model.encoder.encoder.layer.0.output.dense.bias"] == 0.25e-3
    assert found["model.encoder.embeddings.position_embeddings.weight"] == 0.125e-3
    assert found[f"model.encoder.{table}"] is None


def test_gradient_checkpointing_takes_the_very_same_steps(
    tmp_path: Path, folder: Path, data: ClassifyData
) -> None:
    losses = [
        profile_steps(
            TASK,
            tiny_config(folder, model={"gradient_checkpointing": again}),
            data,
            num_steps=4,
            directory=tmp_path,
        ).losses
        for again in (False, True)
    ]
    assert losses[0] == losses[1]


def test_without_a_valid_part_it_trains_on_all(tmp_path: Path, folder: Path) -> None:
    data = make_split(tmp_path / "split", valid=[])
    result = train(tiny_config(folder, training={"epochs": 1}), data, tmp_path / "run")
    assert set(result.history[0]) == {"epoch", "train_loss", "seconds"}


def test_positives_weigh_as_much_as_their_label_is_rare() -> None:
    found = pos_weights(np.array([50, 20, 5, 0, 80, 100]), num_rows=100, maximum=10.0)
    assert found.tolist() == [1.0, 4.0, 10.0, 10.0, 0.25, 0.1]
    assert pos_weights(np.array([20, 90]), num_rows=100, maximum=1.0).tolist() == [1.0, 1.0]


def test_weights_of_positives_do_not_know_of_made_up_rows(tmp_path: Path, folder: Path) -> None:
    rows = [("bread", [1, 0, 0]), ("ball", [0, 1, 0]), ("day", [0, 0, 0]), ("말", [1, 0, 1])]
    data = make_split(tmp_path / "split", train=rows, augmented=[("! 말", [1, 0, 1])] * 6)
    assert len(data.targets("train")) == 10
    assert build_module(tiny_config(folder), data).pos_weight.tolist() == [1.0, 3.0, 3.0]


def test_the_loss_is_that_of_the_weights(folder: Path, data: ClassifyData) -> None:
    module = build_module(tiny_config(folder), data)
    module.pos_weight = torch.tensor([1.0, 2.0, 4.0])
    logits, targets = torch.zeros(1, 3), torch.tensor([[0.0, 1.0, 1.0]])
    expected = (1 + 2 + 4) * np.log(2) / 3
    assert float(module.loss(logits, targets)) == pytest.approx(expected)
    assert "pos_weight" not in module.state_dict()
