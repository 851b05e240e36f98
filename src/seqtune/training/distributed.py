"""The ranks of a training that an external launcher has started: Ray Train, torchrun, SLURM.

Every rank calls `fit` with its `RankInfo`. Only rank 0 manages the folder of the run, and
broadcasts what it finds to the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from torch import distributed
from typing_extensions import override

from seqtune.core.errors import ConfigurationError
from seqtune.core.execution import RankInfo

from .precision import Device

T = TypeVar("T")

ADDRESS = ("MASTER_ADDR", "MASTER_PORT")
"""The environment variables of torch with the address of rank 0."""
BACKENDS: dict[Device, str] = {"cuda": "nccl", "cpu": "gloo"}


@contextmanager
def init_process_group(place: RankInfo, device: Device) -> Iterator[None]:
    """Connect all ranks, unless their launcher has done so."""
    if place.world_size == 1 or distributed.is_initialized():
        yield
        return
    _require_address(place, device)
    if device == "cuda":
        torch.cuda.set_device(place.gpu)
    distributed.init_process_group(BACKENDS[device], rank=place.rank, world_size=place.world_size)
    yield
    # not after an error: the other ranks may be waiting for this one
    distributed.destroy_process_group()


def broadcast_from_rank0(place: RankInfo, decide: Callable[[], T]) -> T:
    """Return the result of `decide` on rank 0 in every rank, or raise its error."""
    if place.world_size == 1:
        return decide()
    sent: list[Any] = [None, None]
    if place.rank == 0:
        try:
            sent[0] = decide()
        except Exception as error:  # noqa: BLE001 - raised below, in every rank
            sent[1] = error
    distributed.broadcast_object_list(sent, src=0)
    if sent[1] is not None:
        raise sent[1]
    result: T = sent[0]
    return result


class ExternalEnvironment(LightningEnvironment):
    """Presents each rank to Lightning as a machine with one device: Lightning starts no process."""

    def __init__(self, place: RankInfo) -> None:
        super().__init__()
        self._place = place
        self.set_world_size(place.world_size)
        self.set_global_rank(place.rank)

    @property
    @override
    def creates_processes_externally(self) -> bool:
        return True

    @override
    def local_rank(self) -> int:
        return 0

    @override
    def node_rank(self) -> int:
        return self._place.rank

    @override
    def teardown(self) -> None:
        """Keep the environment variables, which belong to the launcher."""


def _require_address(place: RankInfo, device: Device) -> None:
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
