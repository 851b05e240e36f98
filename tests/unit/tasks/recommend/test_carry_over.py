"""A model taken to data with other items: known ones stay, new ones start as the rare ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtune.core.checkpoint import open_checkpoint
from seqtune.tasks.recommend.carry_over import MatchedItems, carry_over
from seqtune.tasks.recommend.changes import describe_changes
from seqtune.tasks.recommend.data import Side, SplitData
from seqtune.tasks.recommend.module import build_module

from .split_folders import random_model, tiny_config, write_checkpoint, write_split

BEFORE = {"item_ids": ["a", "b", "c", "d"], "sequences": [(1, 2, 1, 1, 3, 4), (1, 2, 3, 1, 4, 2)]}
"""Trained on: a five times, b twice, c once, d never."""
NOW = {"item_ids": ["new", "c", "a", "b"], "sequences": [(3, 4, 3, 3, 2, 1), (3, 1, 2, 3, 1, 4)]}


def split(path: Path, *, genres: Any = None, **given: Any) -> SplitData:
    data = write_split(path, given["sequences"], item_ids=given["item_ids"])
    if genres is None:
        return data
    side = Side(np.array(genres, np.int32), np.arange(-1, 5).clip(0).astype(np.int64), 3)
    return replace(data, sides={"genre": side})


@pytest.mark.parametrize(
    "model", [{}, {"share_embeddings": False}, {"side_embeddings": ["genre"]}], ids=str
)
def test_known_items_are_scored_as_before(tmp_path: Path, model: dict[str, Any]) -> None:
    with_side = "side_embeddings" in model
    before = split(tmp_path / "s1", **BEFORE, genres=[1, 2, 1, 3] if with_side else None)
    now = split(tmp_path / "s2", **NOW, genres=[2, 3, 3, 1] if with_side else None)
    config = tiny_config(**model)
    old = random_model(config, before)
    path = write_checkpoint(tmp_path / "c", old, config, before)
    module = build_module(config, now)

    module.load_state_dict(carry_over(open_checkpoint(path), module, now))

    # c a b [MASK] in the numbers of each
    known, [first, second] = [1, 2, 3], [torch.tensor([[3, 1, 2, 5]]), torch.tensor([[2, 3, 4, 5]])]
    with torch.no_grad():
        expected = old.next_item_scores(first)[0, [2, 0, 1]]
        torch.testing.assert_close(module.model.eval().next_item_scores(second)[0, known], expected)


def test_a_new_item_starts_as_the_mean_of_the_rarer_half(tmp_path: Path) -> None:
    before, now = split(tmp_path / "s1", **BEFORE), split(tmp_path / "s2", **NOW)
    config = tiny_config()
    path = write_checkpoint(tmp_path / "c", random_model(config, before), config, before)

    items = MatchedItems.of(open_checkpoint(path).assets, now)

    assert items.rows.tolist() == [-1, 2, 0, 1]
    assert items.rare.tolist() == [False, False, True, True]
    values = torch.tensor([[8.0], [1.0], [2.0], [6.0]])
    assert items.take(values).flatten().tolist() == [4.0, 2.0, 8.0, 1.0]


def test_what_changed_in_the_data_is_counted(tmp_path: Path) -> None:
    before, now = split(tmp_path / "s1", **BEFORE), split(tmp_path / "s2", **NOW)
    config = tiny_config()
    path = write_checkpoint(tmp_path / "c", random_model(config, before), config, before)

    report = describe_changes(path, now)

    assert (report["new_items"], report["gone_items"]) == (1, 1)
    assert report["gone"] == {"d": 0}
    assert report["risers"][0] == {"item": "new", "before": 0.0, "now": 1 / 8}
    assert report["fallers"] == [{"item": "b", "before": 2 / 8, "now": 1 / 8}]
    assert 0 < report["drift"] < 1
    assert report["headline"] == [
        "users 2 -> 2, items 4 -> 4, interactions 8 -> 8",
        "1 new items; 1 are gone, with 0.0% of the interactions before",
    ]
