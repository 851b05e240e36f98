"""GPUs are looked at through nvidia-smi; here a program of that name says what one would."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from seqtune.tracking.gpus import GpuWatch, Sample, ask

TWO_GPUS = "0, GPU-aa, 75, 2048\n1, GPU-bb, [N/A], [N/A]\n2, GPU-cc, 10, 100\n"


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{TWO_GPUS}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


@pytest.mark.usefixtures("nvidia_smi")
def test_sliced_gpus_that_do_not_tell_are_left_out() -> None:
    assert [(s.index, s.busy_percent, s.used_mib) for s in ask()] == [
        ("0", 75.0, 2048.0),
        ("2", 10.0, 100.0),
    ]


def test_a_driver_that_fails_says_nothing(nvidia_smi: Path) -> None:
    nvidia_smi.write_text("#!/bin/sh\nexit 9\n")

    assert ask() == []


@pytest.mark.usefixtures("nvidia_smi")
def test_watch_tells_its_news_once() -> None:
    watch = GpuWatch(every_seconds=60.0)
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


def test_without_a_gpu_nothing_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    watch = GpuWatch(every_seconds=0.01)
    watch.start()
    watch.stop()

    assert watch.news() == {}


def test_a_trial_is_told_of_its_own_gpu_while_it_ran() -> None:
    watch = GpuWatch(0.0)
    watch._samples = [
        Sample(at, index, f"GPU-{index}", busy, used)
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
