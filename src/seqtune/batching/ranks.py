"""The rank of this process in a distributed training, and the mean loss of all ranks."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn


def place_among_ranks() -> tuple[int, int]:
    """Return the rank of this process and the number of processes."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def is_sharded(model: nn.Module) -> bool:
    """Whether the model is sharded, so that all ranks must call it equally often."""
    if place_among_ranks()[1] == 1:
        return False
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


def mean_over_ranks(mean: Tensor, count: int | Tensor) -> Tensor:
    """Scale this rank's mean loss so that the average over the ranks is the mean over all rows.

    `mean` is over this rank's `count` of rows, positions or tokens. Strategies average gradients of
    ranks, which does not give the gradient of one process if the counts differ. All ranks call it.
    """
    _, world_size = place_among_ranks()
    if world_size == 1:
        return mean
    own = torch.as_tensor(count, device=mean.device)
    total = own.clone()
    distributed.all_reduce(total)
    return mean * (own * world_size / total)
