"""An export that differs from the trained model is refused with both numbers."""

from __future__ import annotations

import numpy as np
import pytest

from seqtune.core.config import ExportConfig
from seqtune.core.errors import ArtifactError
from seqtune.inference.export_check import Agreement


def agreement(*, difference: float, equal: list[float]) -> Agreement:
    found = Agreement("top_10_items", "ndcg@10", equal=equal)
    found.compare(np.array([[0.5, -20.0]]), np.array([[0.5, 20.0 * difference - 20.0]]))
    return found


def test_differences_are_relative_beyond_one() -> None:
    found = agreement(difference=0.25, equal=[1.0])
    assert found.difference == 0.25
    found.compare(np.array([0.1]), np.array([0.6]))
    assert found.difference == 0.5


@pytest.mark.parametrize(
    ("difference", "equal"), [(0.1, [1.0]), (0.0001, [1.0, 0.9]), (float("nan"), [1.0])]
)
def test_too_large_differences_are_refused(difference: float, equal: list[float]) -> None:
    with pytest.raises(ArtifactError, match=r"the exported model is not the trained one: a score"):
        agreement(difference=difference, equal=equal).require(ExportConfig())


def test_small_differences_are_accepted_and_reported() -> None:
    found = agreement(difference=0.0001, equal=[1.0, 0.99])
    found.require(ExportConfig())
    found.values = {"trained": 0.5, "exported": 0.25}
    assert found.report() == {
        "largest_difference": pytest.approx(0.0001),
        "equal_top_10_items": 0.995,
        "ndcg@10_trained": 0.5,
        "ndcg@10_exported": 0.25,
        "ndcg@10_lost": 0.25,
    }
    assert found.describe("int8") == (
        "int8: 99.50% of top 10 items equal, ndcg@10 0.2500 instead of 0.5000"
    )
