"""Differences of two configurations: none escapes, and each says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from seqtune.core.config import RunConfig
from seqtune.core.differences import ABSENT, Difference, differences, explain
from seqtune.core.resolve import Layer, resolve


def table(**entries: tuple[Any, str]) -> dict[str, dict[str, Any]]:
    return {key: {"value": value, "origin": origin} for key, (value, origin) in entries.items()}


def test_equal_tables_have_none_wherever_the_values_come_from() -> None:
    assert differences(table(a=(1, "default")), table(a=(1, "--params"))) == []


def test_a_difference_carries_both_values_and_both_origins() -> None:
    left, right = table(a=(5, "conf/base"), b=(1, "x")), table(a=(10, "--params"), b=(1, "y"))
    assert differences(left, right) == [Difference("a", 5, 10, "conf/base", "--params")]


def test_keys_of_one_side_only_are_differences() -> None:
    found = differences(table(new=(None, "default")), table(old=(1, "default")))
    assert [(d.key, d.left, d.right) for d in found] == [("new", None, ABSENT), ("old", ABSENT, 1)]


@pytest.mark.parametrize(("left", "right"), [(1, True), (0, False), (1, 1.0), ("1", 1), ([1], 1)])
def test_values_that_python_calls_equal_are_told_apart(left: Any, right: Any) -> None:
    assert differences(table(a=(left, "")), table(a=(right, "")))


def test_ignored_keys_are_left_out() -> None:
    assert differences(table(a=(1, "")), table(a=(2, "")), ignore={"a"}) == []


def test_tables_of_resolved_configurations_fit() -> None:
    def resolved(**training: Any) -> dict[str, dict[str, Any]]:
        layer = Layer("here", {"task": "toy", "training": training})
        return resolve(RunConfig, layer, root="toy").table()

    (found,) = differences(resolved(lr=0.01), resolved())
    assert found == Difference("training.lr", 0.01, 0.001, "here", "default")


def test_explained_it_names_key_values_origins_and_the_next_step() -> None:
    patience = "training.early_stopping.patience"
    text = explain(Difference(patience, 5, 10, "conf/base/p.yml", "--params"), "recommend")
    assert text == (
        "recommend.training.early_stopping.patience: tuning has 5 (conf/base/p.yml), training has "
        "10 (--params); change it to 10 for tuning (conf/base/p.yml) or leave "
        "recommend.training.early_stopping.patience out of --params (or give 5 there) for training"
    )


def test_a_default_that_nobody_set_is_set_in_a_file_of_ones_own() -> None:
    text = explain(Difference("model.use_genre_emb", False, True, "default", "conf"), "recommend")
    assert "tuning has false (default)" in text
    assert "set recommend.model.use_genre_emb: true in conf/local for tuning" in text


def test_a_key_of_one_side_only_is_explained_as_such() -> None:
    text = explain(Difference("new", 1, ABSENT, "default", ABSENT), "toy", names=("a", "b"))
    assert text.startswith("toy.new: a has 1 (default), b has no such key; the two come")
