"""From a few steps of training to what all of them would take, as text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from seqtune.core.errors import ConfigurationError
from seqtune.core.format import format_duration
from seqtune.core.task import Report
from seqtune.tuning.budgets.plans import plan_stages
from seqtune.tuning.parameters import TuningParameters

if TYPE_CHECKING:
    from seqtune.training import TrainingCosts


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


def describe(task: str, costs: TrainingCosts, memory: Memory, audits: Report) -> Report:
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


def planned_search(tuning: TuningParameters, costs: TrainingCosts, *, workers: int) -> Report:
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
