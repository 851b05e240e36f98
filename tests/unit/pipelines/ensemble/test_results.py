"""Test is opened once for an ensemble, whoever asks again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seqtune.contracts.errors import ArtifactError
from seqtune.contracts.task import Report
from seqtune.pipelines.ensemble import results
from seqtune.pipelines.ensemble.results import Scored, score_once


class Evaluate:
    """Counts how often test was opened."""

    def __init__(self, *parts: str) -> None:
        self.calls = 0
        self.parts = parts or ("valid", "test")

    def __call__(self) -> Report:
        self.calls += 1
        return {"parts": {part: {"number": self.calls} for part in self.parts}}


def score(store: Path, evaluate: Any, *, ensemble: str = "e1", data: str = "d1") -> Scored:
    return score_once(store, ensemble=ensemble, data=data, evaluate=evaluate)


def test_a_second_time_the_stored_result_is_read(tmp_path: Path) -> None:
    evaluate = Evaluate()
    first, second = score(tmp_path, evaluate), score(tmp_path, evaluate)
    assert evaluate.calls == 1
    assert (first.from_store, second.from_store) == (False, True)
    assert first.report == second.report
    assert first.when == second.when != ""
    (file,) = tmp_path.iterdir()
    assert file.suffix == ".json"


def test_different_ensembles_of_the_same_data_are_counted(tmp_path: Path) -> None:
    found = [
        score(tmp_path, Evaluate(), ensemble=ensemble, data=data).openings
        for ensemble, data in [("a", "d1"), ("b", "d1"), ("a", "d1"), ("a", "d2"), ("c", "d1")]
    ]
    assert found == [1, 2, 2, 1, 3]


def test_another_version_of_seqtune_scores_anew_but_is_no_other_ensemble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(tmp_path, Evaluate())
    monkeypatch.setattr(results, "__version__", "99")
    again = score(tmp_path, Evaluate())
    assert (again.from_store, again.openings) == (False, 1)
    assert len(list(tmp_path.iterdir())) == 2


def test_without_a_test_part_there_is_nothing_to_keep(tmp_path: Path) -> None:
    evaluate = Evaluate("valid")
    for _ in range(2):
        scored = score(tmp_path, evaluate)
        assert (scored.from_store, scored.openings) == (False, 0)
    assert evaluate.calls == 2
    assert list(tmp_path.iterdir()) == []


def test_whoever_writes_first_is_right(tmp_path: Path) -> None:
    def overtaken() -> Report:
        score(tmp_path, Evaluate())
        return {"parts": {"test": {"number": 99}}}

    scored = score(tmp_path, overtaken)
    assert scored.from_store
    assert scored.report["parts"]["test"] == {"number": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failed_evaluation_keeps_nothing(tmp_path: Path) -> None:
    def fails() -> Report:
        raise ArtifactError("broken")

    with pytest.raises(ArtifactError, match="broken"):
        score(tmp_path, fails)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["{", json.dumps({"ensemble": "e1"}), "[]"])
def test_a_damaged_result_is_not_made_anew_in_silence(tmp_path: Path, content: str) -> None:
    score(tmp_path, Evaluate())
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    with pytest.raises(ArtifactError, match=r"is damaged .*Restore it"):
        score(tmp_path, Evaluate())
