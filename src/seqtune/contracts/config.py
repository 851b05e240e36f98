"""`RunConfig`: everything that shapes a run, in one frozen object with one hash.

A task derives its own `RunConfig` with its sections; `training` reads `RunConfig.training` only.
Class defaults are the reference defaults of seqtune; `conf/base` repeats them with comments, and
a test holds the two equal.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
PositiveInt = Annotated[int, Field(ge=1)]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

WITHOUT_EFFECT = {"training": {"resume", "save_state_every_minutes"}}
"""Parameters that say how a run is kept, not what comes out of it."""
FINGERPRINTED_LIBRARIES = ("seqtune", "torch", "lightning", "numpy", "optuna", "transformers")


class Section(BaseModel):
    """A group of parameters: frozen, and closed to keys that nobody declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EarlyStopping(Section):
    """Stop when the monitored metric has not improved for `patience` validations."""

    patience: Annotated[int, Field(ge=0)] = 10
    """0 switches early stopping off."""
    min_delta: Annotated[float, Field(ge=0.0)] = 0.0


class TrainingConfig(Section):
    """How any LightningModule is trained; read by `training.fit` alone."""

    epochs: PositiveInt = 100
    batch_size: PositiveInt = 256
    accumulate_grad_batches: PositiveInt = 1
    optimizer: Literal["adamw", "adam"] = "adamw"
    lr: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    beta1: Probability = 0.9
    beta2: Probability = 0.999
    eps: Annotated[float, Field(gt=0.0)] = 1e-8
    scheduler: Literal["none", "cosine", "linear", "step"] = "none"
    warmup_ratio: Probability = 0.0
    """Share of all optimiser steps in which the rate rises linearly from 0."""
    step_size_epochs: PositiveInt = 25
    step_gamma: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    gradient_clip_val: Annotated[float, Field(ge=0.0)] = 5.0
    """Norm to clip at; 0 switches clipping off."""
    precision: Precision = "auto"
    """auto: bf16 where the hardware has it, fp16 on older GPUs, else fp32."""
    monitor: str = "val_loss"
    monitor_mode: Literal["max", "min"] = "min"
    early_stopping: EarlyStopping = EarlyStopping()
    validate_every_epochs: PositiveInt = 1
    max_minutes: Annotated[float, Field(gt=0.0)] | None = None
    """Wall-clock limit; the epoch under way is finished. null: none."""
    num_workers: Annotated[int, Field(ge=0, le=64)] = 0
    num_threads: PositiveInt | Literal["auto"] = "auto"
    """Threads of the CPU; auto: all cores. Sums are taken in another order by another number."""
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: PositiveInt | Literal["auto"] = 1
    num_nodes: PositiveInt = 1
    strategy: str = "auto"
    save_state_every_minutes: Annotated[float, Field(gt=0.0)] = 10.0
    """How much work a kill -9 can cost at most; the state is also saved after every epoch."""
    resume: bool = True
    """Go on with an unfinished run of the same fingerprint, if there is one."""


class VerifyConfig(Section):
    """How tuning and training are proved to be the same."""

    on_mismatch: Literal["stop", "warn"] = "stop"
    num_steps: PositiveInt = 3
    """Training steps that both sides take, whose losses must be equal bit for bit."""


class ValidateConfig(Section):
    """How often the final configuration is trained again, and what counts as stable."""

    runs: Annotated[int, Field(ge=2)] = 5
    seeds: Literal["same", "different", "both"] = "same"
    max_std: Annotated[float, Field(ge=0.0)] = 0.002


class RunConfig(Section):
    """Base of every task's resolved configuration."""

    task: str
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    training: TrainingConfig = TrainingConfig()

    def canonical_json(self) -> str:
        """The same text for the same configuration, wherever it is written."""
        return canonical_json(self.model_dump(mode="json"))


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: what gets hashed."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def library_versions() -> dict[str, str]:
    """Versions of what can change a result; libraries that are not installed are left out."""
    versions = {"python": platform.python_version()}
    for name in FINGERPRINTED_LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def fingerprint(
    config: RunConfig, *, data_hash: str, versions: Mapping[str, str] | None = None
) -> str:
    """16 hex digits over configuration, content of the split and library versions."""
    environment = {
        "config": config.model_dump(mode="json", exclude=WITHOUT_EFFECT),
        "data": data_hash,
        "versions": dict(library_versions() if versions is None else versions),
    }
    return sha256(canonical_json(environment).encode()).hexdigest()[:16]
