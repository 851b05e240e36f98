"""The time that a training takes, foreseen from a few of its steps."""

from __future__ import annotations

from dataclasses import dataclass

from seqtune.core.config import TrainingConfig
from seqtune.core.format import format_duration

from .step_profiler import StepProfile


@dataclass(frozen=True)
class TrainingCosts:
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
    def of(cls, steps: StepProfile, training: TrainingConfig) -> TrainingCosts:
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
        return self.batches_per_epoch * self.step_seconds + self._validation_seconds_of_epoch

    @property
    def validation_share(self) -> float:
        """The share of validations (of texts, mostly decoding) in the time of an epoch."""
        return self._validation_seconds_of_epoch / self.epoch_seconds

    @property
    def _validation_seconds_of_epoch(self) -> float:
        return (self.validation_seconds or 0.0) * self.validations / self.epochs

    @property
    def seconds(self) -> float:
        return self.epochs * self.epoch_seconds

    @property
    def lines(self) -> list[str]:
        steps = self.steps_per_epoch * self.epochs
        return [
            f"time: {self.step_seconds:.3g} s for each of {self.batches_per_epoch} batches of an "
            f"epoch, {format_duration(self.epoch_seconds)} for the epoch, of which its validation "
            f"takes {self.validation_share:.0%}",
            f"training: {steps} steps in at most {self.epochs} epochs, at most about "
            f"{format_duration(self.seconds)}",
        ]
