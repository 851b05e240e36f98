"""The train-side metric: exact, a fixed sample, and without effect on anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from seqtune.contracts.reads import watched
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.batches import EvalBatch, training_sample
from seqtune.tasks.recommend.data import ITEMS_TABLE, SplitData
from seqtune.tasks.recommend.datamodule import RecommendData
from seqtune.tasks.recommend.metrics import ranking_metrics, target_ranks
from seqtune.tasks.recommend.module import build_module
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.training import FitResult, fit, rehearse


def changed(config: RecommendConfig, **leaves: Any) -> RecommendConfig:
    for key, value in leaves.items():
        section, name = key.split("__")
        part = getattr(config, section).model_copy(update={name: value})
        config = config.model_copy(update={section: part})
    return config


@pytest.fixture
def small(tiny_config: RecommendConfig) -> RecommendConfig:
    return changed(
        tiny_config,
        training__monitor="val_ndcg@5",
        training__num_threads=1,
        model__dropout_rate=0.2,
    )


def train(config: RecommendConfig, split: SplitData, directory: Path) -> FitResult:
    (split.path / ITEMS_TABLE).touch()  # goes into the checkpoint; nobody reads it here
    return fit(TASK, config, split, directory=directory, fingerprint="f" * 16, progress=False)


def sample(config: RecommendConfig, split: SplitData) -> list[EvalBatch]:
    loaders = RecommendData(config, split).val_dataloader()
    assert len(loaders) == 2
    return list(loaders[1])


def test_the_last_training_item_is_asked_for_given_those_before(
    tiny_config: RecommendConfig, tiny_split: SplitData
) -> None:
    asked = {}
    for batch in sample(tiny_config, tiny_split):
        for row, user in enumerate(batch.users.tolist()):
            seen = batch.seen_items[batch.seen_rows == row].tolist()
            inputs = [item for item in batch.inputs[row].tolist() if item]
            asked[user] = (seen, inputs[:-1], int(batch.targets[row]))
    # users 2 has one training item only; the history of user 3 is longer than max_len
    assert asked == {
        0: ([1, 2, 3, 4], [1, 2, 3, 4], 5),
        1: ([2], [2], 3),
        3: ([3, 4, 5, 6, 7, 1, 2, 3], [4, 5, 6, 7, 1, 2, 3], 4),
        4: ([8, 1], [8, 1], 2),
        5: ([5, 6, 7], [5, 6, 7], 8),
    }


def test_the_sample_follows_from_the_seed(
    tiny_config: RecommendConfig, make_split: Callable[..., SplitData]
) -> None:
    split = make_split([(1, 2, 3, 4, 5)] * 200)

    def users(seed: int) -> list[int]:
        config = changed(tiny_config, evaluation__train_metric_users=20)
        config = config.model_copy(update={"seed": seed})
        return sorted(u for batch in sample(config, split) for u in batch.users.tolist())

    assert users(1) == users(1)
    assert len(set(users(1))) == 20
    assert users(1) != users(2)


def test_it_is_the_mean_over_the_sample(
    small: RecommendConfig, tiny_split: SplitData, tmp_path: Path
) -> None:
    result = train(small, tiny_split, tmp_path)
    module = build_module(small, tiny_split)
    module.load_state_dict(load_file(result.checkpoint / "last.safetensors"))
    module.eval()
    ranks = [
        target_ranks(
            module.model.next_item_scores(batch.inputs),
            batch.targets,
            seen_rows=batch.seen_rows,
            seen_items=batch.seen_items,
        )
        for batch in sample(small, tiny_split)
    ]
    sums = ranking_metrics(torch.cat(ranks), small.evaluation.ks)
    row = result.history[-1]
    assert {n: v for n, v in row.items() if n.startswith("train_") and n != "train_loss"} == {
        f"train_{name}": pytest.approx(float(value) / 5) for name, value in sums.items()
    }


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_changes_neither_weights_nor_validation(
    small: RecommendConfig, tiny_split: SplitData, tmp_path: Path, precision: str
) -> None:
    results = []
    for users in (0, 3):
        config = changed(small, evaluation__train_metric_users=users, training__precision=precision)
        results.append(train(config, tiny_split, tmp_path / str(users)))
    off, on = results
    weights = [load_file(r.checkpoint / "last.safetensors") for r in results]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert "train_ndcg@5" not in off.history[0]
    for plain, more in zip(off.history, on.history, strict=True):
        shared = plain.keys() - {"seconds"}
        assert {name: more[name] for name in shared} == {name: plain[name] for name in shared}
        assert "train_ndcg@5" in more


def test_where_nobody_has_two_training_items_there_is_none(
    small: RecommendConfig, make_split: Callable[..., SplitData], tmp_path: Path
) -> None:
    result = train(small, make_split([(1, 2, 3), (3, 2, 1)]), tmp_path)
    assert "val_ndcg@5" in result.history[0]
    assert "train_ndcg@5" not in result.history[0]


@pytest.mark.slow
def test_sums_over_several_devices_are_those_of_one(
    small: RecommendConfig, tiny_split: SplitData, tmp_path: Path
) -> None:
    """Rate almost 0: both train the same model, whatever their batches."""
    rows = []
    for devices in (1, 2):
        config = changed(small, training__devices=devices, training__lr=1e-12)
        rows.append(train(config, tiny_split, tmp_path / str(devices)).history[0])
    names = [n for n in rows[0] if "@" in n]
    assert len(names) == 12
    assert [rows[1][n] for n in names] == pytest.approx([rows[0][n] for n in names])


def test_the_sample_is_drawn_from_all_users(make_split: Callable[..., SplitData]) -> None:
    split = make_split([(1, 2, 3, 4, 5)] * 50)
    some = training_sample(split, num_users=500, max_len=4, generator=np.random.default_rng(1))
    assert len(some.histories) == 50


# what a training reads of its configuration (contracts.reads), here where a real task is


def reads_of(config: RecommendConfig, split: SplitData, directory: Path) -> set[str]:
    copy, reads = watched(config)
    rehearse(TASK, copy, split, directory=directory)
    return reads


def test_a_rehearsal_reads_what_has_an_effect(
    small: RecommendConfig, tiny_split: SplitData, tmp_path: Path
) -> None:
    reads = reads_of(small, tiny_split, tmp_path)
    assert {
        "seed",
        "model.dropout_rate",
        "model.last_item_mask_ratio",
        "training.lr",
        "training.batch_size",
        "training.epochs",
        "training.monitor",
        "training.early_stopping.patience",
        "evaluation.ks",
    } <= reads
    assert reads.isdisjoint(
        {
            "training.step_gamma",
            "training.step_size_epochs",
            "training.resume",
            "evaluation.num_sampled_negatives",
            "split.test_items",
            "ingest.min_interactions",
        }
    )


@pytest.mark.parametrize("warmup", [0.0, 0.5])
def test_step_gamma_is_read_where_the_scheduler_steps(
    small: RecommendConfig, tiny_split: SplitData, tmp_path: Path, warmup: float
) -> None:
    config = changed(small, training__scheduler="step", training__warmup_ratio=warmup)
    assert "training.step_gamma" in reads_of(config, tiny_split, tmp_path)


def test_a_watched_rehearsal_gives_the_same_losses(
    small: RecommendConfig, tiny_split: SplitData, tmp_path: Path
) -> None:
    plain = rehearse(TASK, small, tiny_split, directory=tmp_path)
    assert rehearse(TASK, watched(small)[0], tiny_split, directory=tmp_path).losses == plain.losses
