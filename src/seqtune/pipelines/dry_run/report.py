"""From a few steps of training to what all of them would take, as text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

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
    """What a training needs on one device; None if this machine does not report it."""

    estimate_mib: float
    measured_mib: float | None
    here_mib: float | None

    @property
    def line(self) -> str:
        measured = "" if self.measured_mib is None else f", {self.measured_mib:.0f} MiB measured"
        here = "" if self.here_mib is None else f", of {self.here_mib:.0f} MiB that are free here"
        fix = ""
        if self.here_mib is not None and self.estimate_mib > self.here_mib:
            fix = (
                ": too much. Lower training.batch_size (and raise "
                "training.accumulate_grad_batches), or take a smaller model"
            )
        return f"memory: about {self.estimate_mib:.0f} MiB by the estimate{measured}{here}{fix}"


@dataclass(frozen=True)
class Costs:
    """The time that one training takes; a step of the optimiser may have several batches."""

    step_seconds: float
    """Per batch."""
    batches_per_epoch: int
    steps_per_epoch: int
    validation_seconds: float | None
    """Of a whole validation, estimated from its first batch."""
    epochs: int
    validations: int

    @classmethod
    def of(cls, steps: StepProfile, training: TrainingConfig) -> Costs:
        batches = steps.num_batches
        return cls(
            step_seconds=steps.step_seconds,
            batches_per_epoch=batches,
            steps_per_epoch=-(-batches // training.accumulate_grad_batches),
            validation_seconds=steps.validation_seconds,
            epochs=training.epochs,
            validations=training.epochs // training.validate_every_epochs,
        )

    @property
    def epoch_seconds(self) -> float:
        """An epoch with its share of the validations."""
        validation = (self.validation_seconds or 0.0) * self.validations / self.epochs
        return self.batches_per_epoch * self.step_seconds + validation

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
    """Report memory, time and the lengths of texts."""
    tokens = [
        f"tokens of {part}: {found['longer']} of {found['texts']} texts are longer than "
        f"{found['limit']} ({found['share']:.1%})"
        for part, found in audits.items()
    ]
    line = f"{task}: dry run, nothing was trained"
    return {
        "headline": [line, memory.line, *costs.lines, *tokens],
        "memory": asdict(memory),
        "costs": {**asdict(costs), "epoch_seconds": costs.epoch_seconds, "seconds": costs.seconds},
        "audits": audits,
    }


def planned_search(tuning: TuningParameters, costs: Costs, *, workers: int) -> Report:
    """Report the most that each stage of the search may take within its budget."""
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
    details = ", ".join(
        f"{stage} {one['trials']} x {one['epochs']} epochs {format_duration(one['seconds'])}"
        for stage, one in stages.items()
    )
    whole = sum(one["seconds"] for one in stages.values())
    line = (
        f"tuning: at most about {format_duration(whole)} with {workers} workers, if a trial "
        f"takes what this configuration does ({details})"
    )
    return {"headline": [line], "stages": stages, "seconds": whole, "workers": workers}
