"""The proof: both sides train a few steps in two processes, and their losses must be equal."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtune.core.config import RunConfig
from seqtune.core.errors import SeqtuneError
from seqtune.core.task import TaskSpec
from seqtune.core.verification import Check
from seqtune.workers.child import end_with_parent
from seqtune.workers.local import worker_context

from .._execution import PRELOAD

NAME = "same losses"


@dataclass(frozen=True)
class StepResults:
    """The steps of one side; `error` instead of losses if it could not take them."""

    losses: tuple[float, ...] = ()
    metrics: tuple[str, ...] = ()
    model_mib: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class RunSteps:
    """Trains a few steps of a configuration; picklable, and so is its result."""

    task: TaskSpec
    split: Path
    directory: Path
    num_steps: int

    def __call__(self, config: RunConfig) -> StepResults:
        from seqtune.training import profile_steps

        data = self.task.open_data(self.split)
        try:
            steps = profile_steps(
                self.task, config, data, num_steps=self.num_steps, directory=self.directory
            )
        except SeqtuneError as error:
            return StepResults(error=str(error))
        return StepResults(steps.losses, steps.metrics, steps.model_mib)


def in_worker(call: Callable[[Any], StepResults], config: RunConfig) -> StepResults:
    """Run the steps in a process like that of a trial."""
    context = worker_context(PRELOAD)
    with ProcessPoolExecutor(1, context, initializer=end_with_parent) as pool:
        try:
            return pool.submit(call, config).result()
        except BrokenProcessPool as error:
            return StepResults(error=f"the process that ran it ended: {error}")


def prove(tuning: StepResults, training: StepResults) -> Check:
    """Check that both took exactly the same steps."""
    sides = {"tuning": tuning.error, "training": training.error}
    if errors := {side: error for side, error in sides.items() if error}:
        details = "; ".join(dict.fromkeys(errors.values()))
        return Check(NAME, "fail", f"{' and '.join(errors)} cannot take a step: {details}")
    pairs = zip(tuning.losses, training.losses, strict=False)
    unequal = [step for step, (a, b) in enumerate(pairs, start=1) if a != b]
    if len(tuning.losses) != len(training.losses) or unequal:
        step = unequal[0] if unequal else min(len(tuning.losses), len(training.losses)) + 1
        return Check(
            NAME,
            "fail",
            f"from step {step} on tuning and training are not the same: "
            f"{_listed(tuning.losses)} against {_listed(training.losses)}",
            "correct the values that differ above; if none does, this device does not give the same"
            " result twice (try training.num_threads=1, or training.precision=fp32), or report it",
        )
    return Check(NAME, "ok", f"{len(tuning.losses)} steps, equal to the last bit, in two processes")


def _listed(losses: tuple[float, ...]) -> str:
    return ", ".join(map(repr, losses)) or "none"
