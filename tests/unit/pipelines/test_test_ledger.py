"""Test is opened once for an ensemble, whoever asks again."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqtune.core.errors import ArtifactError
from seqtune.core.task import Report
from seqtune.pipelines import _test_ledger
from seqtune.pipelines._test_ledger import (
    LOCK,
    Opening,
    ScoredEnsemble,
    TestLedger,
    describe_openings,
)
from seqtune.pipelines.train.nodes import TrainNodes
from seqtune.tasks.recommend import TASK


class Evaluate:
    """Counts how often test was opened."""

    def __init__(self, *parts: str) -> None:
        self.calls = 0
        self.parts = parts or ("valid", "test")

    def __call__(self, parts: Collection[str] | None) -> Report:
        self.calls += 1
        scored = [part for part in self.parts if parts is None or part in parts]
        return {"parts": {part: {"number": self.calls} for part in scored}}


def score(
    store: Path, evaluate: Any, *, ensemble: str = "e1", test: str = "t1", **how: bool
) -> ScoredEnsemble:
    return TestLedger(store, **how).score(ensemble=ensemble, test=test, evaluate=evaluate)


def files(store: Path) -> list[Path]:
    return [path for path in store.iterdir() if path.name != LOCK]


def test_a_second_time_the_stored_result_is_read(tmp_path: Path) -> None:
    evaluate = Evaluate()
    first, second = score(tmp_path, evaluate), score(tmp_path, evaluate)
    assert evaluate.calls == 1
    assert (first.from_store, second.from_store) == (False, True)
    assert first.report == second.report
    assert first.when == second.when != ""
    (file,) = files(tmp_path)
    assert file.suffix == ".json"


def test_different_ensembles_of_the_same_test_are_counted(tmp_path: Path) -> None:
    found = [
        score(tmp_path, Evaluate(), ensemble=ensemble, test=test).openings
        for ensemble, test in [("a", "t1"), ("b", "t1"), ("a", "t1"), ("a", "t2"), ("c", "t1")]
    ]
    assert found == [1, 2, 2, 1, 3]


def test_another_version_of_seqtune_scores_anew_but_is_no_other_ensemble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(tmp_path, Evaluate())
    monkeypatch.setattr(_test_ledger, "__version__", "99")
    again = score(tmp_path, Evaluate())
    assert (again.from_store, again.openings) == (False, 1)
    assert len(files(tmp_path)) == 2


def test_without_a_test_part_there_is_nothing_to_keep(tmp_path: Path) -> None:
    evaluate = Evaluate("valid")
    for _ in range(2):
        scored = score(tmp_path, evaluate)
        assert (scored.from_store, scored.openings) == (False, 0)
    assert evaluate.calls == 2
    assert files(tmp_path) == []


def test_of_two_at_once_the_second_waits_and_reads(tmp_path: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()
    found: dict[str, ScoredEnsemble] = {}

    def slowly(parts: Collection[str] | None) -> Report:
        inside.set()
        assert go_on.wait(10)
        return Evaluate()(parts)

    slow = threading.Thread(target=lambda: found.update(first=score(tmp_path, slowly)))
    slow.start()
    assert inside.wait(10)
    second = threading.Thread(target=lambda: found.update(second=score(tmp_path, Evaluate())))
    second.start()
    second.join(0.2)
    assert second.is_alive()
    go_on.set()
    slow.join(10)
    second.join(10)
    assert (found["first"].from_store, found["second"].from_store) == (False, True)


def test_scored_once_means_for_the_first_ensemble_alone(tmp_path: Path) -> None:
    first = score(tmp_path, Evaluate(), ensemble="a", once=True)
    evaluate = Evaluate()
    second = score(tmp_path, evaluate, ensemble="b", once=True)
    assert list(second.report["parts"]) == ["valid"]
    assert second.refused is not None
    assert (second.refused.ensemble, second.refused.when) == ("a", first.when)
    assert second.openings == 1
    assert len(files(tmp_path)) == 1

    again = score(tmp_path, Evaluate(), ensemble="a", once=True)
    assert (again.from_store, again.refused) == (True, None)
    elsewhere = score(tmp_path, Evaluate(), ensemble="b", test="t2", once=True)
    assert "test" in elsewhere.report["parts"]


def test_opened_again_on_purpose_is_counted_and_kept(tmp_path: Path) -> None:
    score(tmp_path, Evaluate(), ensemble="a", once=True)
    opened = score(tmp_path, Evaluate(), ensemble="b", once=True, reopen=True)
    assert "test" in opened.report["parts"]
    assert opened.openings == 2
    read = score(tmp_path, Evaluate(), ensemble="b", once=True)
    assert read.from_store


def test_of_two_different_ensembles_at_once_one_is_scored(tmp_path: Path) -> None:
    found: list[ScoredEnsemble] = []
    start = threading.Barrier(2)

    def run(name: str) -> None:
        start.wait(10)
        found.append(score(tmp_path, Evaluate(), ensemble=name, once=True))

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted("test" in one.report["parts"] for one in found) == [False, True]


def test_a_failed_evaluation_keeps_nothing(tmp_path: Path) -> None:
    def fails(_parts: object) -> Report:
        raise ArtifactError("broken")

    with pytest.raises(ArtifactError, match="broken"):
        score(tmp_path, fails)
    assert files(tmp_path) == []


@pytest.mark.parametrize("content", ["{", json.dumps({"ensemble": "e1"}), "[]"])
def test_a_damaged_result_is_not_made_anew_in_silence(tmp_path: Path, content: str) -> None:
    score(tmp_path, Evaluate())
    (file,) = files(tmp_path)
    file.write_text(content)
    with pytest.raises(ArtifactError, match=r"is damaged .*Restore it"):
        score(tmp_path, Evaluate())


def test_training_never_opens_a_test_that_is_for_one_model() -> None:
    asked: list[Collection[str] | None] = []

    def evaluate(*_: object, parts: Collection[str] | None) -> Report:
        asked.append(parts)
        return {}

    for once in (False, True):
        task = replace(TASK, evaluate=evaluate, open_data=lambda path: path, test_once=once)
        TrainNodes(task).evaluate(Path("checkpoint"), Path("split"))
    assert asked == [None, ("valid",)]


def test_a_closed_test_is_told_with_who_opened_it_and_what_opens_it_again() -> None:
    closed = ScoredEnsemble(
        {}, from_store=False, openings=1, refused=Opening("abc", "2026-01-31T09:00")
    )
    (line,) = describe_openings(closed)
    for part in ("abc", "2026-01-31T09:00", "--params ensemble.reopen_test=true"):
        assert part in line
