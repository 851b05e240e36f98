"""Optimiser and learning-rate schedule from the configuration, attached to any module."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from operator import itemgetter
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from typing_extensions import override

from seqtune.core.config import TrainingConfig
from seqtune.core.errors import ConfigurationError

from .lazy_adam import LazyAdam, clip_norm, has_sparse_gradients

logger = logging.getLogger(__name__)


class Schedule:
    """Factor of the learning rate at an optimiser step, counted from 0.

    Rises linearly from 0 over the warm-up steps, then follows the configured shape. StepCount sets
    the number of steps when training starts: reading it from Lightning earlier would create the
    loaders before their state is restored.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.kind: str = config.scheduler
        self.epochs = config.epochs
        self.warmup_steps = config.warmup_steps
        self.warmup_ratio = config.warmup_ratio if self.warmup_steps is None else 0.0
        self.step_size_epochs = config.step_size_epochs
        self.step_gamma = config.step_gamma
        self.restarts = config.restarts if self.kind == "cosine_with_restarts" else 1
        self.power = config.power if self.kind == "polynomial" else 1.0
        self.steps_per_epoch = 0

    @property
    def total(self) -> int:
        """Steps of the whole run; 0 before it starts."""
        return self.steps_per_epoch * self.epochs

    @property
    def warmup(self) -> int:
        """Number of warm-up steps."""
        if self.warmup_steps is not None:
            return self.warmup_steps
        return math.ceil(self.total * self.warmup_ratio)

    @property
    def depends_on_epochs(self) -> bool:
        """Whether another number of epochs changes the rate of a step that both runs take."""
        return self.kind not in ("none", "step") or self.warmup_ratio > 0

    @property
    def is_constant(self) -> bool:
        return self.kind == "none" and not self.warmup_steps and self.warmup_ratio == 0

    def __call__(self, step: int) -> float:
        warmup = self.warmup
        if step < warmup or (step == 0 and self.warmup_ratio > 0):
            return step / max(warmup, 1)
        if self.kind == "none" or step == 0:
            return 1.0
        if self.kind == "step":
            return self.step_gamma ** (step // self.steps_per_epoch // self.step_size_epochs)
        return self._decay(min(1.0, (step - warmup) / max(self.total - warmup, 1)))

    def _decay(self, progress: float) -> float:
        """Return the factor after this share of the steps that follow the warm-up."""
        if self.kind in ("linear", "polynomial"):
            return math.pow(1.0 - progress, self.power)
        if progress == 1.0:
            return 0.0
        return 0.5 * (1.0 + math.cos(math.pi * (progress * self.restarts % 1.0)))


class StepCount(Callback):
    """Sets the number of optimiser steps per epoch of a schedule."""

    def __init__(self, schedule: Schedule, *, accumulate: int) -> None:
        self._schedule = schedule
        self._accumulate = accumulate

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        schedule = self._schedule
        schedule.steps_per_epoch = -(-int(trainer.num_training_batches) // self._accumulate)
        if schedule.warmup > schedule.total > 0:
            logger.warning(
                "training.warmup_steps=%d is more than the %d steps of this run: the learning "
                "rate never reaches training.lr",
                schedule.warmup,
                schedule.total,
            )


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]],
    *,
    lr: float,
    weight_decay: float,
    lr_factor: Callable[[str], float] = lambda _: 1.0,
) -> list[dict[str, Any]]:
    """Return two groups for each factor of the learning rate, highest first: matrices, with weight
    decay, and biases and norms, without."""
    groups = defaultdict[tuple[float, bool], list[nn.Parameter]](list)
    for name, parameter in named:
        if parameter.requires_grad:
            groups[lr_factor(name), parameter.ndim >= 2].append(parameter)
    return [
        {"params": params, "lr": lr * factor, "weight_decay": weight_decay * is_matrix}
        for (factor, is_matrix), params in sorted(groups.items(), reverse=True, key=itemgetter(0))
    ]


def build_optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Build the optimiser, fused except under fp16: a fused optimiser unscales gradients inside its
    step, too late for clipping them. A module with sparse embeddings gets LazyAdam; the method
    `lr_factor` of a module gives the factor of the learning rate of a parameter, by its name."""
    groups = parameter_groups(
        module.named_parameters(),
        lr=config.lr,
        weight_decay=config.weight_decay,
        lr_factor=getattr(module, "lr_factor", lambda _: 1.0),
    )
    is_lazy = has_sparse_gradients(module)
    if is_lazy and config.optimizer not in ("adamw", "adam"):
        raise ConfigurationError(
            f"training.optimizer={config.optimizer} cannot update the rows of an embedding "
            "lazily; choose adamw or adam, or switch lazy embeddings off"
        )
    if config.optimizer == "adafactor":
        return torch.optim.Adafactor(groups, lr=config.lr)
    fused = config.precision != "fp16"
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.beta1, fused=fused)
    adam: Any = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    if is_lazy:
        adam = partial(LazyAdam, decoupled_weight_decay=config.optimizer == "adamw")
    optimizer: torch.optim.Optimizer = adam(
        groups,
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=fused,
    )
    return optimizer


def configure_optimizers(
    module: nn.Module, *, config: TrainingConfig, schedule: Schedule
) -> dict[str, Any]:
    """Return optimiser and scheduler in the form that Lightning expects of a module."""
    optimizer = build_optimizer(module, config)
    if schedule.is_constant:
        return {"optimizer": optimizer}
    scheduler = {"scheduler": LambdaLR(optimizer, schedule), "interval": "step"}
    return {"optimizer": optimizer, "lr_scheduler": scheduler}


def attach_optimizer(module: LightningModule, config: TrainingConfig, schedule: Schedule) -> None:
    """Set the module's `configure_optimizers`, as LightningCLI does; a partial can be pickled."""
    configure: Any = partial(configure_optimizers, module, config=config, schedule=schedule)
    module.configure_optimizers = configure  # type: ignore[method-assign]


class ClipNorm(Callback):
    """Clips the norm of all gradients together.

    Lightning's own clipping refuses fused optimisers in bf16 too, where nothing is scaled.
    """

    def __init__(self, max_norm: float) -> None:
        self._max_norm = max_norm

    @override
    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        clip_norm(parameters, self._max_norm)
