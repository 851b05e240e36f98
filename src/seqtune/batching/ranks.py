"""Several processes that share one training: which of them this is, and their one mean loss."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn


def place_among_ranks() -> tuple[int, int]:
    """Rank of this process and number of processes."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def is_cut(model: nn.Module) -> bool:
    """Whether ranks hold shards of it: all of them must call it equally often then."""
    if place_among_ranks()[1] == 1:
        return False
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


def mean_over_ranks(mean: Tensor, count: int | Tensor) -> Tensor:
    """A loss whose average over the ranks is the mean over what all of them counted.

    `mean` is that of this rank, over its own `count` of rows, positions or tokens. Strategies
    average the gradients of ranks; where one rank counts more than another, that alone would not
    be the gradient of one process. Called by all ranks at once.
    """
    _, world_size = place_among_ranks()
    if world_size == 1:
        return mean
    own = torch.as_tensor(count, device=mean.device)
    total = own.clone()
    distributed.all_reduce(total)
    return mean * (own * world_size / total)
