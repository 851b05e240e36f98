"""The only place that builds a Lightning Trainer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningDataModule, Trainer

from seqtune.core.config import TrainingConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.execution import ALONE, RankInfo

from .distributed import ExternalEnvironment
from .precision import LIGHTNING_NAMES, Device
from .ranks import strategy_for


def build_trainer(
    config: TrainingConfig,
    *,
    device: Device,
    callbacks: list[Callback],
    directory: Path,
    validate: bool,
    place: RankInfo = ALONE,
) -> Trainer:
    """A Trainer that trains, and leaves logging, saving and showing to our callbacks."""
    strategy = strategy_for(config, device, place)
    try:
        return Trainer(
            accelerator=device,
            devices=_devices(config, device, place),
            num_nodes=place.world_size,
            strategy=strategy,
            plugins=[_environment(place)],
            precision=LIGHTNING_NAMES[config.precision],
            max_epochs=config.epochs,
            accumulate_grad_batches=config.accumulate_grad_batches,
            check_val_every_n_epoch=config.validate_every_epochs,
            limit_val_batches=None if validate else 0,
            num_sanity_val_steps=0,
            callbacks=callbacks,
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=directory,
        )
    except (MisconfigurationException, ValueError) as error:
        raise ConfigurationError(
            f"no Trainer can be made of training.strategy={config.strategy}, "
            f"training.devices={config.devices}, training.accelerator={config.accelerator}, "
            f"training.precision={config.precision}: {error}"
        ) from error


def _devices(
    config: TrainingConfig, device: Device, place: RankInfo
) -> int | list[int] | Literal["auto"]:
    """A rank that somebody else started has one, whatever the configuration says."""
    if place.world_size > 1:
        return [place.gpu] if device == "cuda" else 1
    return 1 if device == "cpu" and config.devices == "auto" else config.devices


def _environment(place: RankInfo) -> ClusterEnvironment:
    if place.world_size > 1:
        return ExternalEnvironment(place)
    return LightningEnvironment()  # a cluster's variables must not start ranks


def start_at_epoch(datamodule: LightningDataModule, epoch: int) -> None:
    """Tell the loader its epoch as soon as it is made.

    Lightning makes the first iterator of a session before it tells the sampler the epoch; a
    loader that decides its order in `iter` would begin a resumed run with the order of epoch 0.
    """
    make_loader = datamodule.train_dataloader
    datamodule.train_dataloader = partial(  # type: ignore[method-assign]
        _loader_at, make_loader, epoch
    )


def _loader_at(make_loader: Any, epoch: int) -> Any:
    loader = make_loader()
    set_epoch = getattr(getattr(loader, "sampler", None), "set_epoch", None)
    if set_epoch is not None:
        set_epoch(epoch)
    return loader
