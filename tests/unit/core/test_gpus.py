"""GPUs are asked for through NVML; here a module of that name answers as one would."""

# ruff: noqa: N802, N815  # names of NVML

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from seqtune.core.gpus import GpuUse, list_gpus, measure_gpus


class NVMLError(Exception):
    pass


class ToyDriver(SimpleNamespace):
    """NVML over GPUs that are cut into so many slices each."""

    NVMLError = NVMLError
    nvmlMemory_v2 = 2

    def __init__(self, *num_slices: int) -> None:
        super().__init__(num_open=0, num_slices=num_slices)

    def nvmlInit(self) -> None:
        self.num_open += 1

    def nvmlShutdown(self) -> None:
        self.num_open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.num_slices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return f"GPU-{index}"

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        return handle

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: str) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: str, index: int) -> str:
        if index >= self.num_slices[int(handle[-1])]:
            raise NVMLError("not found")
        return f"MIG-{handle[-1]}{index}"

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:
        if self.num_slices[int(handle[-1])]:
            raise NVMLError("not supported")
        return SimpleNamespace(gpu=75)

    def nvmlDeviceGetMemoryInfo(self, handle: str, version: int) -> Any:
        return SimpleNamespace(used=2048 * 2**20)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ToyDriver:
    toy = ToyDriver(*request.param)
    monkeypatch.setitem(sys.modules, "pynvml", toy)
    return toy


@pytest.mark.parametrize(
    ("driver", "expected"),
    [((), ()), ((0, 0), ("0", "1")), ((2,), ("MIG-00", "MIG-01"))],
    indirect=["driver"],
)
def test_slices_are_listed_where_a_gpu_is_cut(driver: ToyDriver, expected: tuple[str, ...]) -> None:
    assert list_gpus() == expected
    assert driver.num_open == 0


@pytest.mark.parametrize("driver", [(0, 2, 0)], indirect=True)
def test_sliced_gpus_that_do_not_tell_are_left_out(driver: ToyDriver) -> None:
    assert measure_gpus() == [
        GpuUse("0", "GPU-0", 75.0, 2048.0),
        GpuUse("2", "GPU-2", 75.0, 2048.0),
    ]
    assert driver.num_open == 0


@pytest.mark.parametrize("driver", [(0,)], indirect=True)
@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex"])
def test_a_driver_that_fails_says_nothing(
    driver: ToyDriver, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_arguments: object) -> None:
        raise NVMLError("driver is not loaded")

    monkeypatch.setattr(driver, call, fails)

    assert (list_gpus(), measure_gpus()) == ((), [])
