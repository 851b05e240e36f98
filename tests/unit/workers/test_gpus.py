"""Which GPU a worker gets."""

from __future__ import annotations

import pytest

from seqtune.workers.gpus import gpu_of, gpus_listed, visible_gpus

TWO = "GPU 0: NVIDIA H100 (UUID: GPU-1)\nGPU 1: NVIDIA H100 (UUID: GPU-2)\n"
SLICED = (
    "GPU 0: NVIDIA A100 (UUID: GPU-1)\n"
    "  MIG 3g.20gb     Device  0: (UUID: MIG-a)\n"
    "  MIG 3g.20gb     Device  1: (UUID: MIG-b)\n"
)


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


@pytest.mark.parametrize(
    ("listing", "expected"), [("", ()), (TWO, ("0", "1")), (SLICED, ("MIG-a", "MIG-b"))]
)
def test_else_what_nvidia_smi_lists(listing: str, expected: tuple[str, ...]) -> None:
    assert gpus_listed(listing) == expected


def test_workers_take_turns() -> None:
    assert [gpu_of(index, ("0", "1")) for index in range(3)] == ["0", "1", "0"]
    assert gpu_of(0, ()) is None
