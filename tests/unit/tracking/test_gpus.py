"""What is written down of the GPUs while a run goes on."""

from __future__ import annotations

import time

import pytest

from seqtune.core.gpus import GpuUse
from seqtune.tracking import gpus
from seqtune.tracking.gpus import GpuMonitor

TWO_GPUS = (GpuUse("0", "GPU-aa", 75.0, 2048.0), GpuUse("2", "GPU-cc", 10.0, 100.0))


def test_watch_tells_its_news_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "list_gpus", lambda: ("0", "2"))
    monkeypatch.setattr(gpus, "measure_gpus", lambda: list(TWO_GPUS))
    watch = GpuMonitor(every_seconds=60.0)
    watch.start()
    deadline = time.monotonic() + 10
    while not (news := watch.news()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    watch.stop()

    assert set(news) == {
        "gpu_0/busy_percent",
        "gpu_0/used_mib",
        "gpu_2/busy_percent",
        "gpu_2/used_mib",
    }
    assert list(news["gpu_0/used_mib"].values()) == [2048.0]
    assert watch.news() == {}


def test_without_a_gpu_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "list_gpus", lambda: ())
    watch = GpuMonitor(every_seconds=0.01)
    watch.start()
    watch.stop()

    assert watch.news() == {}


def test_a_trial_is_told_of_its_own_gpu_while_it_ran() -> None:
    watch = GpuMonitor(0.0)
    watch._samples = [
        (at, GpuUse(index, f"GPU-{index}", busy, used))
        for at, index, busy, used in [
            (90.0, "0", 99.0, 9000.0),  # before it began
            (101.0, "0", 50.0, 2000.0),
            (105.0, "0", 70.0, 3000.0),
            (105.0, "1", 5.0, 10.0),  # somebody else's
        ]
    ]

    assert watch.during("host/12/gpu 0", 100.0, 10.0) == {
        "gpu_busy_percent": 60.0,
        "gpu_used_mib": 3000.0,
    }
    assert watch.during("host/12/gpu GPU-1", 100.0, 10.0)["gpu_busy_percent"] == 5.0
    assert watch.during("host/12/cpu", 100.0, 10.0) == {}
