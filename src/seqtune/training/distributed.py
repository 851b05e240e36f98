"""The ranks of a training that somebody else has started: Ray Train, torchrun, SLURM.

Every rank calls `fit` with its `RankInfo`. The first one alone looks after the folder of the run,
and the others hear from it what it found.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from torch import distributed
from typing_extensions import override

from seqtune.core.errors import ConfigurationError
from seqtune.core.execution import RankInfo

from .precision import Device

T = TypeVar("T")

ADDRESS = ("MASTER_ADDR", "MASTER_PORT")
"""Variables that say where the ranks meet, as torch names them."""
BACKENDS: dict[Device, str] = {"cuda": "nccl", "cpu": "gloo"}


@contextmanager
def init_process_group(place: RankInfo, device: Device) -> Iterator[None]:
    """All ranks connected; whoever started them may have done that before."""
    if place.world_size == 1 or distributed.is_initialized():
        yield
        return
    _require_a_meeting_point(place, device)
    if device == "cuda":
        torch.cuda.set_device(place.gpu)
    distributed.init_process_group(BACKENDS[device], rank=place.rank, world_size=place.world_size)
    yield
    # not after an error: the others may be waiting for what never comes
    distributed.destroy_process_group()


def broadcast_from_rank0(place: RankInfo, decide: Callable[[], T]) -> T:
    """What the first rank finds, or the error that it meets, in every rank."""
    if place.world_size == 1:
        return decide()
    told: list[Any] = [None, None]
    if place.rank == 0:
        try:
            told[0] = decide()
        except Exception as error:  # noqa: BLE001 - raised below, in every rank
            told[1] = error
    distributed.broadcast_object_list(told, src=0)
    if told[1] is not None:
        raise told[1]
    found: T = told[0]
    return found


class ExternalEnvironment(ClusterEnvironment):
    """What Lightning is told: each rank is a machine of its own, with one device.

    So it starts no process, and where the ranks really are does not matter to it.
    """

    def __init__(self, place: RankInfo) -> None:
        super().__init__()
        self._place = place

    @property
    @override
    def creates_processes_externally(self) -> bool:
        return True

    @property
    @override
    def main_address(self) -> str:
        return os.environ[ADDRESS[0]]

    @property
    @override
    def main_port(self) -> int:
        return int(os.environ[ADDRESS[1]])

    @staticmethod
    @override
    def detect() -> bool:
        return False

    @override
    def world_size(self) -> int:
        return self._place.world_size

    @override
    def set_world_size(self, size: int) -> None:
        """It is what it is."""

    @override
    def global_rank(self) -> int:
        return self._place.rank

    @override
    def set_global_rank(self, rank: int) -> None:
        """It is what it is."""

    @override
    def local_rank(self) -> int:
        return 0

    @override
    def node_rank(self) -> int:
        return self._place.rank


def _require_a_meeting_point(place: RankInfo, device: Device) -> None:
    faults = []
    if device not in BACKENDS:
        faults.append(
            f"training.accelerator={device} cannot share a training among {place.world_size} "
            f"processes; choose one of {', '.join(sorted(BACKENDS))}"
        )
    if missing := [name for name in ADDRESS if name not in os.environ]:
        faults.append(
            f"rank {place.rank} of {place.world_size} does not know where the ranks meet: "
            f"{' and '.join(missing)} must be set, as torchrun does"
        )
    if faults:
        raise ConfigurationError(faults)
