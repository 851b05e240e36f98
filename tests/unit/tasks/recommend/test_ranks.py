"""Two processes that share a training come to what one comes to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # processes import it by its name

from shared_training import LOOSE, TIGHT, Rows, round_trips, train, train_as_two

from seqtune.tasks.recommend.data import SplitData


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return round_trips(tmp_path_factory.mktemp("shared") / "split")


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory: pytest.TempPathFactory, split: Path) -> dict[str, Rows]:
    return train_as_two(tmp_path_factory.mktemp("two"), split)


@pytest.mark.parametrize("case", ["causal", "negatives"])
def test_without_chance_in_the_model_the_history_is_the_same(
    case: str, of_ranks: dict[str, Rows], split: Path, tmp_path: Path
) -> None:
    expected = train(case, SplitData.open(split), tmp_path)
    for row, wanted in zip(of_ranks[case], expected, strict=True):
        assert row == pytest.approx(wanted, rel=TIGHT)


def test_with_masks_and_dropout_of_its_own_each_rank_learns_as_much(
    of_ranks: dict[str, Rows], split: Path, tmp_path: Path
) -> None:
    expected = train("cloze", SplitData.open(split), tmp_path)
    for row, wanted in zip(of_ranks["cloze"], expected, strict=True):
        assert row["train_loss"] == pytest.approx(wanted["train_loss"], rel=LOOSE)
    assert of_ranks["cloze"] != expected
