"""Lists of an exported model, against scores worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtune.tasks.recommend.score_normalization import SCALES, add_on_scale, settle_ties
from seqtune_serve import open_model, read_export
from seqtune_serve.recommend import ListRequest, RecommendModel, best
from seqtune_serve.scales import on_scale, settled

from .toy_exports import TABLE, finish, write_export


def opened(path: Path) -> RecommendModel:
    model = open_model(read_export(path))
    assert isinstance(model, RecommendModel)
    return model


@pytest.fixture
def model(tmp_path: Path) -> RecommendModel:
    return opened(write_export(tmp_path))


def listed(model: RecommendModel, *history: Any, **request: Any) -> list[Any]:
    (answer,) = model.answer([ListRequest(history, **request)])
    return [line["item"] for line in answer["items"]]


def test_the_best_come_first_without_what_was_seen(model: RecommendModel) -> None:
    (answer,) = model.answer([ListRequest(["c", "a"])])
    assert answer["items"] == [{"item": "d", "score": 3.0}, {"item": "b", "score": 1.0}]
    assert answer["source"] == "model"
    assert listed(model, "c", "a", k=1) == ["d"]
    assert listed(model, "c", "a", exclude_seen=False) == ["d", "c", "b"]


def test_old_items_are_seen_too(model: RecommendModel) -> None:
    assert listed(model, "d", "b", "b", "b", "b", "a", k=4) == ["c"]


def test_excluded_items_and_those_not_included_never_come(model: RecommendModel) -> None:
    assert listed(model, "a", exclude=["d"]) == ["c", "b"]
    assert listed(model, "a", include_only=["b", "d"]) == ["d", "b"]
    assert listed(model, "a", include_only=["b", "d"], exclude=["d"]) == ["b"]
    assert listed(model, "a", include_only=[]) == []


def test_no_known_item_gets_popular_items_and_unknown_ids_are_told(model: RecommendModel) -> None:
    (cold, odd) = model.answer([ListRequest([], k=2), ListRequest(["x", 1, "x"], 1, ["y", "b"])])
    assert cold["source"] == odd["source"] == "popular"
    assert cold["items"] == [{"item": "b", "score": 3.0}, {"item": "c", "score": 2.0}]
    assert [line["item"] for line in odd["items"]] == ["c"]
    assert odd["unknown"] == ["x", 1, "y"]


def test_requests_do_not_change_one_another(model: RecommendModel) -> None:
    requests = [ListRequest(["a"]), ListRequest(["b", "c", "a"]), ListRequest([]), ListRequest("b")]
    together = model.answer(requests)
    assert together == [model.answer([request])[0] for request in requests]


def test_counts_are_mixed_into_the_probabilities(tmp_path: Path) -> None:
    share = 0.4
    path = write_export(tmp_path, counts={"share": share, "decay": [1.0, 0.5]})
    folder = path / "members" / "model"
    np.save(folder / "starts.npy", np.array([0, 0, 2, 3, 3, 3]))  # "a" has two, "b" one
    np.save(folder / "neighbours.npy", np.array([2, 3, 4], np.int32))
    np.save(folder / "weights.npy", np.array([1.0, 3.0, 2.0], np.float32))
    manifest = dict(read_export(path).manifest)
    finish(path, {name: value for name, value in manifest.items() if name != "files"})

    (scores,) = opened(path).scores([[2, 1]])  # "b", then "a"

    network = np.exp(TABLE[0]) / np.exp(TABLE[0]).sum()
    counted = np.array([0.0, 1.0, 3.0, 0.5 * 2.0]) / 5.0
    assert np.exp(scores) == pytest.approx((1 - share) * network + share * counted, rel=1e-5)


def test_members_are_added_as_log_probabilities(tmp_path: Path) -> None:
    other = [[5.0, 0.0, 0.0, 0.0]] * 4
    (scores,) = opened(write_export(tmp_path, tables={"m1": TABLE, "m2": other})).scores([[1]])

    def log_softmax(row: Any) -> Any:
        return np.array(row) - np.log(np.exp(row).sum())

    expected = (log_softmax(TABLE[0]) + log_softmax(other[0])) / 2
    assert scores == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_scales_are_those_of_ensembles(scale: str) -> None:
    random = np.random.default_rng(0)
    first, second = random.integers(0, 30, (2, 100)).astype(np.float32)  # with ties
    total = torch.zeros(1, 100, dtype=torch.float64)
    for share, scores in ((0.3, first), (0.7, second)):
        add_on_scale(total, torch.from_numpy(scores[None]), scale, share=share)
    served = settled(
        0.3 * on_scale(first.astype(float), scale) + 0.7 * on_scale(second.astype(float), scale),
        scale,
    )
    assert served == pytest.approx(settle_ties(total, scale)[0].numpy(), abs=1e-12)


def test_the_best_of_many_are_those_of_a_sort() -> None:
    scores = np.random.default_rng(0).integers(0, 50, 1000).astype(np.float32)  # with ties
    items, values = best(scores, 20)
    order = np.argsort(-scores, kind="stable")
    assert values.tolist() == scores[order[:20]].tolist()
    assert (scores[items - 1] == values).all()


def test_scores_that_are_no_numbers_are_never_ranked() -> None:
    with pytest.raises(ValueError, match="not a number"):
        best(np.array([1.0, np.nan, 2.0]), 2)
