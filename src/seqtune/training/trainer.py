"""The only place that builds a Lightning Trainer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

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
    """Build a Trainer that leaves logging, saving and progress to our callbacks."""
    strategy = strategy_for(config, device, place)
    # named, because otherwise the environment variables of a cluster would start ranks
    environment = ExternalEnvironment(place) if place.world_size > 1 else LightningEnvironment()
    try:
        return Trainer(
            accelerator=device,
            devices=_devices(config, device, place),
            num_nodes=place.world_size,
            strategy=strategy,
            plugins=[environment],
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
            f"Lightning refuses training.strategy={config.strategy}, "
            f"training.devices={config.devices}, training.accelerator={config.accelerator}, "
            f"training.precision={config.precision}: {error}"
        ) from error


def _devices(
    config: TrainingConfig, device: Device, place: RankInfo
) -> int | list[int] | Literal["auto"]:
    """An externally started rank has one, regardless of the configuration."""
    if place.world_size > 1:
        return [place.gpu] if device == "cuda" else 1
    return 1 if device == "cpu" and config.devices == "auto" else config.devices


def start_at_epoch(datamodule: LightningDataModule, epoch: int) -> None:
    """Set the epoch of the training loader when it is created.

    Lightning makes the first iterator of a session before it sets the epoch of the sampler; a
    loader that fixes its order in `iter` would start a resumed run with the order of epoch 0.
    """
    make: Any = partial(_make_loader, datamodule.train_dataloader, epoch)
    datamodule.train_dataloader = make  # type: ignore[method-assign]


def _make_loader(make_loader: Any, epoch: int) -> Any:
    loader = make_loader()
    set_epoch = getattr(getattr(loader, "sampler", None), "set_epoch", None)
    if set_epoch is not None:
        set_epoch(epoch)
    return loader
