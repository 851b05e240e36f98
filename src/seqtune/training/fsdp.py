"""`training.strategy=fsdp`: frozen weights, sharded over the ranks.

A language model with adapters is nearly all frozen: each rank keeps a shard of its matrices, and a
layer is gathered while it computes. Trained weights stay whole on every rank, as in DDP. So weight
decay groups, clipping, optimiser states and checkpoints are those of one process, and a run can
resume with another number of ranks, or without shards.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol, cast, runtime_checkable

from lightning.pytorch import LightningModule
from torch import distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from seqtune.core.config import TrainingConfig
from seqtune.core.errors import ConfigurationError

FSDP = "fsdp"


@runtime_checkable
class Shardable(Protocol):
    """A module whose frozen weights can be sharded."""

    def model_to_shard(self) -> nn.Module:
        """Return the part with the frozen weights; raise ConfigurationError if it has none.

        It is only used by calling it, equally often on every rank, in validation too."""


def prepare_shards(module: LightningModule, config: TrainingConfig) -> None:
    """Have the ranks shard the frozen weights once they are connected."""
    if config.strategy != FSDP:
        return
    if not isinstance(module, Shardable):
        raise ConfigurationError(
            f"training.strategy={FSDP} cuts the frozen weights of a language model with adapters "
            "(summarize.model.lora.enabled=true), and the models of this task have none; choose "
            "auto"
        )
    module.model_to_shard()  # raises before ranks are started
    configure: Any = partial(_shard, module)
    module.configure_model = configure  # type: ignore[method-assign]


def _shard(module: LightningModule) -> None:
    """Shard the frozen weights; called by Lightning in every rank, before it sets up DDP."""
    all_ranks: Any = distributed.group.WORLD
    device = module.trainer.strategy.root_device.type
    mesh = DeviceMesh.from_group(all_ranks, device)  # devices stay as they were set
    model: nn.Module = cast(Shardable, module).model_to_shard()
    whole = {parameter for parameter in model.parameters() if not _is_sharded(parameter)}
    for part in (*_layers(model), model):
        fully_shard(part, mesh=mesh, ignored_params=whole)
    gc.collect()  # frees the whole weights
    frozen = [name for name, value in module.named_parameters() if not value.requires_grad]
    ignore: Any = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
    ignore(module, frozen)


def _is_sharded(parameter: nn.Parameter) -> bool:
    """Whether it is a frozen matrix; vectors are small and may have another type."""
    return not parameter.requires_grad and parameter.ndim > 1


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers of the outermost lists; ranks may skip modules inside a layer."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _layers(child)
