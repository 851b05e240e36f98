"""Who does the work: how many at once, and what a cluster needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seqtune.core.config import ClusterConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.execution import map_serially
from seqtune.pipelines import _execution
from seqtune.pipelines._execution import ExecutionBackend
from seqtune.workers import gpus


def engine(**cluster: object) -> ExecutionBackend:
    return ExecutionBackend(
        ClusterConfig.model_validate(cluster), reads=(), scratch=Path("scratch")
    )


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
    assert engine().num_workers("auto", num_threads=threads) == expected


def test_a_number_that_was_given_is_taken() -> None:
    assert engine().num_workers(3, num_threads=99) == 3


def test_one_machine_makes_parts_in_this_process() -> None:
    assert engine(training_workers=4).shares_trainings is False
    assert engine().spread() is map_serially


def test_a_cluster_without_ray_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_execution, "find_spec", lambda name: None)
    for ask in (engine(engine="ray").executor, engine(engine="ray").spread):
        with pytest.raises(ConfigurationError, match=r"pip install 'seqtune\[cluster\]'"):
            ask()


def test_what_keeps_results_in_the_data_folder_stays_where_that_is() -> None:
    assert engine(engine="ray").with_shared_results().is_local is False
    assert engine(engine="ray", data="copy").with_shared_results().is_local is True


def test_a_share_of_a_gpu_or_whole_ones() -> None:
    assert engine(gpus_per_worker=0.5).cluster.gpus_per_worker == 0.5
    with pytest.raises(ValueError, match=r"gpus_per_worker=1\.5 is neither"):
        engine(gpus_per_worker=1.5)
