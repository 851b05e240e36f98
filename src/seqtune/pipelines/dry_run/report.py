"""From a few steps of training to what all of them would take, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from seqtune.core.config import TrainingConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.format import format_duration
from seqtune.core.task import Report
from seqtune.tuning.budgets.plans import plan_stages
from seqtune.tuning.parameters import TuningParameters

if TYPE_CHECKING:
    from seqtune.training import StepProfile


@dataclass(frozen=True)
class Memory:
    """What a training takes on one device; None where this machine does not tell."""

    estimate_mib: float
    measured_mib: float | None
    here_mib: float | None

    @property
    def line(self) -> str:
        measured = "" if self.measured_mib is None else f", {self.measured_mib:.0f} MiB measured"
        here = "" if self.here_mib is None else f", of {self.here_mib:.0f} MiB that are free here"
        fits = ""
        if self.here_mib is not None and self.estimate_mib > self.here_mib:
            fits = (
                ": too much. Lower training.batch_size (and raise "
                "training.accumulate_grad_batches), or take a smaller model"
            )
        return f"memory: about {self.estimate_mib:.0f} MiB by the estimate{measured}{here}{fits}"


@dataclass(frozen=True)
class Costs:
    """What one training takes in time."""

    step_seconds: float
    """Of a batch."""
    batches_per_epoch: int
    steps_per_epoch: int
    """Of the optimiser."""
    validation_seconds: float | None
    """Of a whole validation, going by its first batch."""
    epochs: int
    validations: int

    @classmethod
    def of(cls, rehearsal: StepProfile, training: TrainingConfig) -> Costs:
        batches = rehearsal.num_batches
        return cls(
            step_seconds=rehearsal.step_seconds,
            batches_per_epoch=batches,
            steps_per_epoch=-(-batches // training.accumulate_grad_batches),
            validation_seconds=rehearsal.validation_seconds,
            epochs=training.epochs,
            validations=training.epochs // training.validate_every_epochs,
        )

    @property
    def epoch_seconds(self) -> float:
        """Of an epoch, with its share of the validations."""
        validated = (self.validation_seconds or 0.0) * self.validations / self.epochs
        return self.batches_per_epoch * self.step_seconds + validated

    @property
    def seconds(self) -> float:
        return self.epochs * self.epoch_seconds

    @property
    def lines(self) -> list[str]:
        steps = self.steps_per_epoch * self.epochs
        return [
            f"time: {self.step_seconds:.3g} s for each of {self.batches_per_epoch} batches of an "
            f"epoch, {format_duration(self.epoch_seconds)} for the epoch with its validation",
            f"training: {steps} steps in at most {self.epochs} epochs, at most about "
            f"{format_duration(self.seconds)}",
        ]


def describe(task: str, costs: Costs, memory: Memory, audits: Report) -> Report:
    """The report, without what the search would take."""
    lines = [f"{task}: dry run, nothing was trained", memory.line, *costs.lines]
    return {
        "headline": [*lines, *_audited(audits)],
        "memory": asdict(memory),
        "costs": {**asdict(costs), "epoch_seconds": costs.epoch_seconds, "seconds": costs.seconds},
        "audits": audits,
    }


def planned_search(tuning: TuningParameters, costs: Costs, *, workers: int) -> Report:
    """What each stage of the search may take at most, by the budget that is set."""
    try:
        budgets = plan_stages(
            tuning.config,
            spaces=tuning.spaces,
            seconds_per_epoch=costs.epoch_seconds,
            num_workers=workers,
        )
    except ConfigurationError as error:
        return {"headline": [f"tuning cannot be planned: {error}"], "stages": {}}
    stages = {
        stage: {
            "trials": budget.trials,
            "epochs": budget.epochs,
            "seconds": budget.trials * budget.epochs * costs.epoch_seconds / workers,
        }
        for stage, budget in budgets.items()
    }
    told = ", ".join(
        f"{stage} {one['trials']} x {one['epochs']} epochs {format_duration(one['seconds'])}"
        for stage, one in stages.items()
    )
    whole = sum(one["seconds"] for one in stages.values())
    line = (
        f"tuning: at most about {format_duration(whole)} with {workers} workers, if a trial "
        f"takes what this configuration does ({told})"
    )
    return {"headline": [line], "stages": stages, "seconds": whole, "workers": workers}


def _audited(audits: Mapping[str, Any]) -> list[str]:
    """One line for each part of which it is known how long its texts are."""
    return [
        f"tokens of {part}: {found['longer']} of {found['texts']} texts are longer than "
        f"{found['limit']} ({found['share']:.1%})"
        for part, found in audits.items()
    ]
