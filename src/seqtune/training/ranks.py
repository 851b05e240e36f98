"""Several devices: the strategies allowed, and how errors of ranks are reported.

Ranks are processes that Lightning spawns from this one, or that an external launcher has started
(`distributed`). A strategy that starts the whole program again for every rank (`ddp` by itself)
would run all of Kedro for each device.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException
from typing_extensions import override

from seqtune.core import errors
from seqtune.core.config import TrainingConfig
from seqtune.core.errors import ConfigurationError, SeqtuneError, TrainingError
from seqtune.core.execution import ALONE, RankInfo
from seqtune.core.files import write_json

from .fsdp import FSDP
from .memory import out_of_memory_is_infeasible
from .precision import Device, num_devices_here
from .silence_lightning import silence_warnings

logger = logging.getLogger(__name__)

AUTO = "auto"
OURS = (AUTO, FSDP)
"""Names allowed for ranks of both kinds."""
SPAWNED = ("ddp_spawn", "ddp_spawn_find_unused_parameters_true")
LAUNCHED = ("ddp", "ddp_find_unused_parameters_true")
ERROR_FILE = "error-{rank}.json"


def num_ranks(config: TrainingConfig, device: Device) -> int:
    if config.devices == "auto":
        return num_devices_here(device) or 1
    return config.devices


def strategy_for(config: TrainingConfig, device: Device, place: RankInfo = ALONE) -> str:
    """Return Lightning's name of the strategy; refuse those that start the program again.

    `fsdp` is our own (see `fsdp`), DDP to Lightning: Lightning's FSDP and DeepSpeed shard trained
    weights too, but our clipping, parameter groups and saved states need whole ones.
    """
    if config.num_nodes > 1:
        raise ConfigurationError(
            f"training.num_nodes={config.num_nodes} has no effect: choose 1, and ask for several "
            "machines by cluster.engine=ray and cluster.training_workers"
        )
    if place.world_size > 1:
        return _launched_strategy(config, place)
    if num_ranks(config, device) == 1 and config.strategy in (*OURS, *LAUNCHED):
        return AUTO
    if config.strategy in OURS:
        return SPAWNED[0]
    if config.strategy not in SPAWNED:
        raise ConfigurationError(
            f"training.strategy={config.strategy!r} is not supported with training.devices="
            f"{config.devices}: only ranks spawned by this process are, because others start the "
            "whole program, pipeline included, once for every device; choose one of "
            f"{', '.join((*OURS, *SPAWNED))} ({', '.join(LAUNCHED)}: with cluster.training_workers)"
        )
    return config.strategy


def _launched_strategy(config: TrainingConfig, place: RankInfo) -> str:
    if config.strategy not in (*OURS, *LAUNCHED):
        raise ConfigurationError(
            f"training.strategy={config.strategy!r} is not supported for the {place.world_size} "
            f"processes of a cluster; choose one of {', '.join((*OURS, *LAUNCHED))}"
        )
    return LAUNCHED[0] if config.strategy in OURS else config.strategy


def launch(
    trainer: Trainer,
    module: LightningModule,
    datamodule: LightningDataModule,
    *,
    directory: Path,
    state: Path | None,
) -> None:
    """Call `trainer.fit`; raise the errors of spawned ranks as our own."""
    _remove_errors(directory)
    strategy: Any = trainer.strategy
    if strategy.launcher and not strategy.cluster_environment.creates_processes_externally:
        _require_picklable(trainer)
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=state, weights_only=True)
    except (ProcessRaisedException, ProcessExitedException) as error:
        raise _error_of_rank(directory) or TrainingError(
            f"a training process ended: {error}"
        ) from error
    finally:
        _remove_errors(directory)


class Ranks(Callback):
    """Prepares a spawned rank, and makes it write the error that ends it to a file.

    Lightning calls `on_exception` in the launching process only, where the error is only the text
    of a traceback; so the loop itself is wrapped.
    """

    def __init__(self, directory: Path, config: TrainingConfig) -> None:
        self._directory = directory
        self._config = config
        self._launcher = os.getpid()
        self._level = logging.getLogger().getEffectiveLevel()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Silence Lightning: called when a rank starts, before its first message."""
        self.__dict__.update(state)
        silence_warnings()

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if os.getpid() == self._launcher:
            return
        if trainer.is_global_zero:
            logging.basicConfig(level=self._level, format="%(message)s")
        error_file = self._directory / ERROR_FILE.format(rank=trainer.global_rank)
        run: Any = partial(_write_error, trainer.fit_loop.run, error_file, self._config)
        trainer.fit_loop.run = run  # type: ignore[method-assign]


def _write_error(run: Callable[[], None], error_file: Path, config: TrainingConfig) -> None:
    try:
        with out_of_memory_is_infeasible(config):
            run()
    except SeqtuneError as error:
        write_json(error_file, errors.to_dict(error))
        raise


def _require_picklable(trainer: Trainer) -> None:
    """Refuse callbacks that cannot be sent to a spawned rank; usually `report` is the cause."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        report: Any = getattr(callback, "report", None)
        try:
            pickle.dumps(report)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ConfigurationError(
                f"training.devices={trainer.num_devices}: the callback of epochs cannot "
                f"be sent to other processes ({error}); train on one device, or pass a function "
                "of a module"
            ) from error


def _error_of_rank(directory: Path) -> SeqtuneError | None:
    for path in sorted(directory.glob(ERROR_FILE.format(rank="*"))):
        return errors.from_dict(json.loads(path.read_text(encoding="utf-8")))
    return None


def _remove_errors(directory: Path) -> None:
    for path in directory.glob(ERROR_FILE.format(rank="*")):
        path.unlink()
