"""`training.strategy=fsdp`: weights that are not trained, cut into shards, one for each rank.

A language model with adapters is nearly all frozen: its matrices lie on all ranks together, and a
layer is brought together while it computes. What is trained stays whole on every rank, shared as
in DDP. So groups of weight decay, clipping, optimiser states and checkpoints are those of one
process, and a run goes on with another number of ranks, or with none that are cut.
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
    """A module that can be trained without holding all of its weights."""

    def model_to_shard(self) -> nn.Module:
        """The part with the frozen weights, which is only ever used by being called.

        Every rank must call it equally often, in validation too. Raises ConfigurationError where
        this one cannot be cut.
        """


def prepare_shards(module: LightningModule, config: TrainingConfig) -> None:
    """Have the ranks cut what is frozen, as soon as they know one another."""
    if config.strategy != FSDP:
        return
    if not isinstance(module, Shardable):
        raise ConfigurationError(
            f"training.strategy={FSDP} cuts the frozen weights of a language model with adapters "
            "(summarize.model.lora.enabled=true), and the models of this task have none; choose "
            "auto"
        )
    module.model_to_shard()  # refused before ranks are started
    configure: Any = partial(_cut, module)
    module.configure_model = configure  # type: ignore[method-assign]


def _cut(module: LightningModule) -> None:
    """Called by Lightning in every rank, before it shares what is trained."""
    everybody: Any = distributed.group.WORLD
    device = module.trainer.strategy.root_device.type
    mesh = DeviceMesh.from_group(everybody, device)  # devices stay as they were set
    model: nn.Module = cast(Shardable, module).model_to_shard()
    whole = {parameter for parameter in model.parameters() if not _is_cut(parameter)}
    for part in (*_layers(model), model):
        fully_shard(part, mesh=mesh, ignored_params=whole)
    gc.collect()  # what was whole
    frozen = [name for name, value in module.named_parameters() if not value.requires_grad]
    leave_alone: Any = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
    leave_alone(module, frozen)


def _is_cut(parameter: nn.Parameter) -> bool:
    """Frozen matrices; vectors are small and may be of another type."""
    return not parameter.requires_grad and parameter.ndim > 1


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """Those of the outermost lists: what is inside of one may not be called by every rank."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _layers(child)
