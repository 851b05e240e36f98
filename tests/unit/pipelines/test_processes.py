"""How many trainings run at once."""

from __future__ import annotations

import os

import pytest

from seqtune.pipelines._processes import num_workers
from seqtune.workers import gpus


@pytest.mark.parametrize(
    ("devices", "cores", "threads", "expected"),
    [((), 4, 1, 4), ((), 64, 1, 8), ((), 4, 2, 2), ((), 2, 16, 1), (("0", "1"), 64, 16, 2)],
)
def test_auto_is_one_for_each_gpu_or_for_as_many_threads_as_there_are_cores(
    monkeypatch: pytest.MonkeyPatch,
    devices: tuple[str, ...],
    cores: int,
    threads: int,
    expected: int,
) -> None:
    monkeypatch.setattr(gpus, "visible_gpus", lambda: devices)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert num_workers("auto", num_threads=threads) == expected


def test_a_number_that_was_given_is_taken() -> None:
    assert num_workers(3, num_threads=99) == 3
