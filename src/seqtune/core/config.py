"""`RunConfig`: all settings of a run, in one frozen object with one hash.

Each task derives its own `RunConfig`; `training` reads `RunConfig.training` only. `conf/base`
repeats the class defaults with comments; a test keeps the two equal.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
PositiveInt = Annotated[int, Field(ge=1)]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Scheduler = Literal["none", "cosine", "linear", "step", "cosine_with_restarts", "polynomial"]
Strategy = Literal[
    "auto",
    "fsdp",
    "ddp_spawn",
    "ddp_spawn_find_unused_parameters_true",
    "ddp",
    "ddp_find_unused_parameters_true",
]
LearningRate = Annotated[float, Field(gt=0.0, le=1.0)]

WITHOUT_EFFECT = {"training": {"resume", "save_state_every_minutes"}}
"""Parameters that cannot change the result of a run."""
FINGERPRINTED_LIBRARIES = ("seqtune", "torch", "lightning", "numpy", "optuna")


class Section(BaseModel):
    """A group of parameters: frozen, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    selector: ClassVar[str] = ""
    """The field that selects the variant of a section with several."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_bool(cls, values: Any) -> Any:
        """Refuse true and false as the numbers 1 and 0, which pydantic takes them for."""
        for name, value in values.items() if isinstance(values, Mapping) else ():
            field = cls.model_fields.get(name)
            if isinstance(value, bool) and field and _takes_number(field):
                raise ValueError(f"{name}={str(value).lower()} is neither a number nor text")
        return values

    @classmethod
    def variant(cls, values: Mapping[str, Any]) -> type[Section]:  # noqa: ARG003
        """Return the class that checks these values."""
        return cls

    @classmethod
    def other_variant(cls, name: str) -> str:  # noqa: ARG003
        """Return the other variant that has a field of this name; empty: none."""
        return ""


def _takes_number(field: FieldInfo) -> bool:
    """Whether a field takes numbers, and neither true nor anything."""
    kinds = {field.annotation, *get_args(field.annotation)}
    kinds |= {kind for each in kinds for kind in get_args(each)}
    return bool(kinds & {int, float}) and not kinds & {bool, Any, True}


@dataclass(frozen=True)
class OnlyIf:
    """Annotates a field that has an effect only if `field`, beside it, has one of `values`."""

    field: str
    values: Container[Any]


UNUSED_IN_TRAINING = OnlyIf("", ())
"""Annotates a field that only affects reports, so that it is never searched."""


def has_effect(config: Section, key: str) -> bool:
    """Whether the value at a dotted key can change the metrics of training.

    Conditions are declared with `OnlyIf`; a class that overrides a field inherits them.
    """
    *path, name = key.split(".")
    section: Section = reduce(getattr, path, config)
    if name not in type(section).model_fields:  # a parameter of another variant
        return False
    declared = [
        mark
        for cls in type(section).__mro__
        if issubclass(cls, Section) and name in cls.model_fields
        for mark in cls.model_fields[name].metadata
        if isinstance(mark, OnlyIf)
    ]
    return all(mark.values and getattr(section, mark.field) in mark.values for mark in declared)


SplitT = TypeVar("SplitT", bound=Section)


def require_train_share(split: SplitT) -> SplitT:
    """Refuse shares that leave no rows to train on; a validator of split sections."""
    shares = {name: getattr(split, name) for name in ("valid_share", "test_share")}
    if sum(shares.values()) >= 1.0:
        raise ValueError(
            f"{' and '.join(f'{name}={share}' for name, share in shares.items())} leave nothing "
            "to train on; their sum must stay below 1"
        )
    return split


class EarlyStopping(Section):
    """Stop when the monitored metric has not improved for `patience` validations."""

    patience: Annotated[int, Field(ge=0)] = 10
    """0 switches early stopping off."""
    min_delta: Annotated[float, Field(ge=0.0), OnlyIf("patience", range(1, 10**9))] = 0.0
    """What counts as an improvement."""


ADAMS = ("adamw", "adam")


class TrainingConfig(Section):
    """How any LightningModule is trained; read by `training.fit` alone."""

    start_from: str | None = None
    """Folder of a checkpoint whose weights training starts from; null: from new weights, or those
    of a pretrained model."""
    epochs: PositiveInt = 100
    """An upper limit; early stopping may end before it."""
    batch_size: PositiveInt = 256
    """Sequences in a batch, shared by all devices."""
    group_by_length: bool = True
    """Batch sequences of similar lengths, for less padding; false: sequences at random."""
    accumulate_grad_batches: PositiveInt = 1
    """Batches per step of the optimiser."""
    optimizer: Literal["adamw", "adam", "adafactor", "sgd"] = "adamw"
    """Of torch. adafactor keeps a fraction of the state; sgd has beta1 as its momentum."""
    lr: LearningRate = 1e-3
    """The learning rate; with a scheduler, the highest it reaches."""
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    """Weight decay of the optimiser."""
    beta1: Annotated[Probability, OnlyIf("optimizer", ("adamw", "adam", "sgd"))] = 0.9
    """Decay rate of the mean of gradients; the momentum of sgd."""
    beta2: Annotated[Probability, OnlyIf("optimizer", ADAMS)] = 0.999
    """Decay rate of the mean of squared gradients."""
    eps: Annotated[float, Field(gt=0.0), OnlyIf("optimizer", ADAMS)] = 1e-8
    """Added to the denominator for numerical stability."""
    scheduler: Scheduler = "none"
    """How the rate falls: not at all, to 0 as a cosine, a line or a power, or in steps."""
    warmup_ratio: Annotated[Probability, OnlyIf("warmup_steps", (None,))] = 0.0
    """Share of all optimiser steps in which the rate rises linearly from 0."""
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    """The same as a number of steps; overrides warmup_ratio."""
    restarts: Annotated[PositiveInt, OnlyIf("scheduler", ("cosine_with_restarts",))] = 2
    """cosine_with_restarts: number of cosine cycles."""
    power: Annotated[float, Field(gt=0.0, le=10.0), OnlyIf("scheduler", ("polynomial",))] = 2.0
    """polynomial: the exponent; 1 is a line."""
    step_size_epochs: Annotated[PositiveInt, OnlyIf("scheduler", ("step",))] = 25
    """step: epochs from one step to the next."""
    step_gamma: Annotated[float, Field(gt=0.0, le=1.0), OnlyIf("scheduler", ("step",))] = 0.5
    """step: the factor of the rate at each step."""
    gradient_clip_val: Annotated[float, Field(ge=0.0)] = 5.0
    """Norm to clip at; 0 switches clipping off."""
    precision: Precision = "auto"
    """auto: bf16 where the hardware has it, fp16 on older GPUs, else fp32."""
    monitor: str = "val_loss"
    """The metric that decides the best epoch and early stopping."""
    monitor_mode: Literal["max", "min"] = "min"
    """Whether higher or lower is better."""
    early_stopping: EarlyStopping = EarlyStopping()
    validate_every_epochs: PositiveInt = 1
    """Epochs from one validation to the next."""
    max_minutes: Annotated[float, Field(gt=0.0)] | None = None
    """Wall-clock limit; the current epoch is finished. null: none."""
    num_workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that load batches; 0 is fastest here (decision 0006)."""
    num_threads: PositiveInt | Literal["auto"] = "auto"
    """CPU threads; auto: all cores. The number changes the order of sums."""
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """The device; auto: a GPU if there is one."""
    devices: PositiveInt | Literal["auto"] = 1
    """How many GPUs one training uses."""
    num_nodes: PositiveInt = 1
    """Always 1; for several machines set cluster.training_workers."""
    strategy: Strategy = "auto"
    """How devices share a training: auto (DDP); fsdp, which shards the weights that adapters leave
    frozen, so that no device holds all of them; or one of Lightning's ddp_..."""
    save_state_every_minutes: Annotated[float, Field(gt=0.0)] = 10.0
    """The most work that a kill -9 can cost; the state is also saved after every epoch."""
    resume: bool = True
    """Resume an unfinished run of the same fingerprint, if there is one."""


class VerifyConfig(Section):
    """How to verify that tuning and training are the same."""

    on_mismatch: Literal["stop", "warn"] = "stop"
    """Whether a difference ends the run or only logs a warning."""
    num_steps: PositiveInt = 3
    """Training steps on both sides, whose losses must be equal bit for bit."""


class ValidateConfig(Section):
    """How often the final configuration is trained again, and what counts as stable."""

    runs: Annotated[int, Field(ge=2)] = 5
    """Number of trainings of the final configuration."""
    seeds: Literal["same", "different", "both"] = "same"
    """The configuration's own seed each time, another each time, or both kinds."""
    max_std: Annotated[float, Field(ge=0.0)] = 0.002
    """Standard deviation below which it counts as stable."""


def _as_list(value: Any) -> Any:
    """Take a single name as a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


class EnsembleConfig(Section):
    """The members of an ensemble and their weights."""

    members: Literal["auto", "trials", "seeds", "presets", "checkpoints"] = "auto"
    """trials: the best of tuning; seeds: the final configuration with other seeds; presets: one
    member for each preset; checkpoints: those listed below; auto: trials after tuning, else
    seeds."""
    top: PositiveInt = 5
    """Members from trials, seeds or presets; the trained checkpoint is the first of them."""
    presets: tuple[str, ...] = ()
    """Names for members=presets; empty: all presets of the task, in their order."""
    checkpoints: tuple[str, ...] = ()
    """Folders of checkpoints, or versions of the catalog's."""
    scale: str = "auto"
    """The scale on which scores are added up; auto: by cross-validation."""
    weights: Literal["auto", "single", "uniform", "greedy", "simplex"] = "auto"
    """auto: the best of all by cross-validation."""
    folds: Annotated[int, Field(ge=2, le=50)] = 5
    """Folds of valid in cross-validation."""
    greedy_rounds: PositiveInt = 20
    """greedy: how many times a member is added, repeatedly too."""
    max_rows: PositiveInt = 10_000
    """Rows of valid (a fixed sample) on which weights are searched."""
    candidates: PositiveInt = 100
    """Best answers of each member that are kept for each of these rows."""
    baselines: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ("auto",)
    """Baselines of the task that are weighed beside the trained members; auto: where weights are
    searched, all that the model does not hold already; none."""
    reopen_test: bool = False
    """Score another ensemble on a test that a task allows to be scored once only; this is counted
    and shown with the result."""

    @model_validator(mode="after")
    def _check_checkpoints(self) -> EnsembleConfig:
        if self.checkpoints and self.members != "checkpoints":
            raise ValueError(
                f"checkpoints are named, but members={self.members} does not take them; set "
                "members: checkpoints, or take them out (checkpoints: [])"
            )
        if self.members == "checkpoints" and not self.checkpoints:
            raise ValueError(
                "members=checkpoints needs at least one in checkpoints: the folder of a "
                "checkpoint, or a version of the catalog's"
            )
        return self

    @model_validator(mode="after")
    def _check_baselines(self) -> EnsembleConfig:
        if self.weights == "uniform" and self.names_baselines:
            raise ValueError(
                f"weights=uniform gives baselines no weight, and baselines={list(self.baselines)} "
                "names some; choose other weights, or baselines: none"
            )
        return self

    @property
    def names_baselines(self) -> bool:
        """Whether `baselines` lists names."""
        return self.baselines not in ((), ("auto",), ("none",))

    @property
    def searches_weights(self) -> bool:
        """Whether a share of a member between 0 and 1 can be found."""
        return self.weights in ("auto", "greedy", "simplex")


class RefreshConfig(Section):
    """How a model is brought up to date with new data."""

    epochs: PositiveInt | Literal["auto"] = "auto"
    """Epochs from the weights of the checkpoint before; auto: a quarter of those of `train`."""
    lr_factor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    """The learning rate, as a share of that of `train`."""
    rollback_to: str | None = None
    """A version of the checkpoint that is published again, for the new data and without training;
    null: none."""


class CompareConfig(Section):
    """What is compared, and on which rows."""

    part: Literal["valid", "test"] = "valid"
    """The held-out part. Choose on valid; test is for what has been chosen."""
    metric: str = "auto"
    """A metric of the task, such as ndcg@10; auto: the one that training monitors."""
    models: tuple[str, ...] = ()
    """Folders of checkpoints or ensembles, or versions of the catalog's, beside the newest ones."""
    max_rows: PositiveInt | None = None
    """Rows (a fixed sample) for which each model writes a text, where answers are texts; null: as
    many as at a validation (evaluation.max_rows of the checkpoint)."""
    draws: Annotated[int, Field(ge=100, le=100_000)] = 10_000
    """Bootstrap draws behind intervals and p-values. No p-value is below 1 / draws, before it is
    multiplied by the number of tests."""


class ExportConfig(Section):
    """What an export holds, and how closely it must agree with the trained model."""

    int8: bool = True
    """Also write graphs with weights in 8 bits, a quarter as large, and report what that costs."""
    check_rows: PositiveInt = 1000
    """Rows of valid (a fixed sample) on which the exported model is compared with the trained."""
    tolerance: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 0.001
    """Largest difference of a score in fp32, relative where the score is beyond 1; more is
    refused."""
    min_agreement: Annotated[float, Field(ge=0.0, le=1.0)] = 0.99
    """Smallest share of equal top-10 items, or of equal decisions on labels, in fp32; less is
    refused."""


class ClusterConfig(Section):
    """Where work runs. This never changes a result, so it is not part of the fingerprint."""

    engine: Literal["local", "ray"] = "local"
    """local: processes of this machine; ray: those of its Ray cluster."""
    address: str = "auto"
    """host:port of the cluster's head; auto: RAY_ADDRESS, or the cluster of this machine."""
    data: Literal["shared", "copy"] = "shared"
    """shared: every node sees the data folder under the same path; copy: each node receives the
    split once and works in its own temporary folder."""
    cpus_per_worker: PositiveInt = 1
    """Cores that Ray reserves for each trial, and each process of a training or a prediction."""
    gpus_per_worker: Annotated[float, Field(ge=0.0)] | Literal["auto"] = "auto"
    """GPUs for each; below 1 several share one. auto: 1 if the cluster has GPUs, else none."""
    training_workers: PositiveInt = 1
    """Processes that share the training of the stage `train`."""
    prediction_workers: PositiveInt | Literal["auto"] = "auto"
    """Processes of `predict`; auto: as many as fit on the cluster."""
    wait_seconds: Annotated[float, Field(gt=0.0)] = 25.0
    """How long to wait for the cluster to answer, and for the first free resources."""

    @model_validator(mode="after")
    def _check_gpus(self) -> ClusterConfig:
        gpus = self.gpus_per_worker
        if gpus != "auto" and gpus > 1 and gpus != int(gpus):
            raise ValueError(
                f"gpus_per_worker={gpus} is neither a whole number nor a share of one GPU; choose "
                "0.5 for two workers on a GPU, or 1, 2, ..."
            )
        return self


class RunConfig(Section):
    """Base of every task's resolved configuration."""

    libraries: ClassVar[tuple[str, ...]] = ()
    """Those that can change a result of this task, beside those of every task."""

    task: str
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """All randomness of a run follows from it."""
    training: TrainingConfig = TrainingConfig()

    def canonical_json(self) -> str:
        """Return the same text for equal configurations."""
        return canonical_json(self.model_dump(mode="json"))


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces, for hashing."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def library_versions(libraries: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of installed libraries that can change a result, `libraries` included."""
    versions = {"python": platform.python_version()}
    for name in (*FINGERPRINTED_LIBRARIES, *libraries):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def fingerprint(
    config: RunConfig, *, data_hash: str, versions: Mapping[str, str] | None = None
) -> str:
    """Return 16 hex digits over configuration, content of the split and library versions."""
    environment = {
        "config": config.model_dump(mode="json", exclude=WITHOUT_EFFECT),
        "data": data_hash,
        "versions": dict(library_versions(config.libraries) if versions is None else versions),
    }
    return sha256(canonical_json(environment).encode()).hexdigest()[:16]
