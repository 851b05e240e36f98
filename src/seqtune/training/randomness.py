"""Randomness that depends on the position in a run, never on earlier draws."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from seqtune.core.seeds import derive_seed

from .precision import Device


@contextmanager
def cpu_threads(number: int | Literal["auto"]) -> Iterator[None]:
    """Run with this many threads; restore the number afterwards."""
    before = torch.get_num_threads()
    if number != "auto":
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def isolated(seed: int, *, device: Device) -> Iterator[None]:
    """Seed the global generators for a run; restore their states afterwards."""
    init = derive_seed(seed, "init")
    states = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if device == "cuda" else []
    with torch.random.fork_rng(devices=devices), _deterministic(device == "cpu"):
        random.seed(init)
        np.random.seed(init % 2**32)
        torch.default_generator.manual_seed(init)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


@contextmanager
def _deterministic(enabled: bool) -> Iterator[None]:
    """Use deterministic algorithms if enabled. Without them, threads of the CPU add up gradients of
    gathered rows in any order; on a GPU they cost too much to be enabled here."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # the property is missing in its types
    filling = memory.fill_uninitialized_memory
    if enabled:
        torch.use_deterministic_algorithms(True, warn_only=True)
        memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        memory.fill_uninitialized_memory = filling


class StepSeeds(Callback):
    """Seeds torch's global generator, which dropout uses, before every training step."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        seed = derive_seed(
            self._seed, "step", trainer.current_epoch, batch_idx, trainer.global_rank
        )
        # not torch.manual_seed, which formats a stack trace at every call if CUDA is not in use
        torch.default_generator.manual_seed(seed)
        device = pl_module.device
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
