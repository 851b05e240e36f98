"""Batches of texts of like length, and which rows are in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from seqtune.tasks.classify.batches import TextBatch
from seqtune.tasks.classify.datamodule import build_data, training_sample

from .examples import generated, make_model, make_split, tiny_config


def share_of_real(batches: list[TextBatch]) -> float:
    return float(sum(b.real.sum() for b in batches) / sum(b.real.numel() for b in batches))


def test_little_of_a_batch_is_padding(tmp_path: Path) -> None:
    """Most texts are short, as they are in life; all padded to the longest, most is padding."""
    data = make_split(tmp_path / "split", train=generated(1500, longest=60))
    config = tiny_config(make_model(tmp_path / "model"), model={"max_length": 128})
    loaders = build_data(config, data)
    tokens = data.tokens("train", config.model)
    _, real = tokens.padded(np.arange(len(tokens)), pad=0)
    assert real.mean() < 0.5
    assert share_of_real(list(loaders.train_dataloader())) > 0.9


def test_an_epoch_has_every_row_once_and_its_own_labels(tmp_path: Path) -> None:
    data = make_split(tmp_path / "split", augmented=generated(5, seed=4))
    config = tiny_config(make_model(tmp_path / "model"))
    train, (valid, _) = (
        build_data(config, data).train_dataloader(),
        build_data(config, data).val_dataloader(),
    )
    for loader, part in ((train, "train"), (valid, "valid")):
        batches = list(loader)
        rows = torch.cat([batch.rows for batch in batches]).numpy()
        assert sorted(rows) == list(range(data.num_rows(part)))
        targets = torch.cat([batch.targets for batch in batches]).numpy()
        assert np.array_equal(targets, data.targets(part)[rows])
        tokens = data.tokens(part, config.model)
        for batch in batches:
            for row, ids, real in zip(batch.rows, batch.ids, batch.real, strict=True):
                start, end = tokens.offsets[row], tokens.offsets[row + 1]
                assert np.array_equal(ids[real].numpy(), tokens.ids[start:end])


def test_each_epoch_has_an_order_of_its_own_that_the_seed_decides(tmp_path: Path) -> None:
    data = make_split(tmp_path / "split")
    config = tiny_config(make_model(tmp_path / "model"))

    def order(seed: int, epoch: int) -> list[list[int]]:
        loader = build_data(config.model_copy(update={"seed": seed}), data).train_dataloader()
        loader.sampler.set_epoch(epoch)
        return [batch.rows.tolist() for batch in loader]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_the_sample_of_what_was_trained_on_holds_no_made_up_rows(tmp_path: Path) -> None:
    data = make_split(tmp_path / "split", train=generated(10), augmented=generated(30, seed=5))
    assert training_sample(data, num_rows=99, seed=0).tolist() == list(range(10))
    drawn = training_sample(data, num_rows=4, seed=0)
    assert len(drawn) == 4
    assert drawn.max() < 10
    assert drawn.tolist() == training_sample(data, num_rows=4, seed=0).tolist()
    config = tiny_config(make_model(tmp_path / "model"), evaluation={"train_metric_rows": 0})
    assert len(build_data(config, data).val_dataloader()) == 1
