"""Which GPU a worker gets."""

from __future__ import annotations

import pytest

from seqtune.workers.gpus import pick_gpu, visible_gpus


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("0", ("0",)),
        ("2, 3", ("2", "3")),
        ("GPU-1,GPU-2", ("GPU-1", "GPU-2")),
        ("", ()),
        ("-1", ()),
        ("1,-1,2", ("1",)),
    ],
)
def test_a_list_that_is_already_given_counts(given: str, expected: tuple[str, ...]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": given}) == expected


def test_else_all_that_the_driver_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqtune.workers.gpus.list_gpus", lambda: ("0", "1"))

    assert visible_gpus({}) == ("0", "1")


def test_workers_take_turns() -> None:
    assert [pick_gpu(index, ("0", "1")) for index in range(3)] == ["0", "1", "0"]
    assert pick_gpu(0, ()) is None
