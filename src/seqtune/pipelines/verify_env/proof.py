"""The proof: both sides train a few steps, in two processes, and their losses must be equal."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtune.contracts.config import RunConfig
from seqtune.contracts.errors import SeqtuneError
from seqtune.contracts.task import TaskSpec
from seqtune.contracts.verification import Check
from seqtune.workers.local import worker_context

from .._processes import PRELOAD

NAME = "same losses"


@dataclass(frozen=True)
class Rehearsed:
    """What one side did; `error` in place of losses where it could not."""

    losses: tuple[float, ...] = ()
    metrics: tuple[str, ...] = ()
    model_mib: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Rehearse:
    """Trains a few steps of a configuration. Picklable, and so is what it gives back."""

    task: TaskSpec
    split: Path
    directory: Path
    num_steps: int

    def __call__(self, config: RunConfig) -> Rehearsed:
        from seqtune.training import rehearse

        data = self.task.open_data(self.split)
        try:
            found = rehearse(
                self.task, config, data, num_steps=self.num_steps, directory=self.directory
            )
        except SeqtuneError as error:
            return Rehearsed(error=str(error))
        return Rehearsed(found.losses, found.metrics, found.model_mib)


def in_worker(call: Callable[[Any], Rehearsed], config: RunConfig) -> Rehearsed:
    """The same in a process as a trial's."""
    context = worker_context(PRELOAD)
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        try:
            return pool.submit(call, config).result()
        except BrokenProcessPool as error:
            return Rehearsed(error=f"the process that rehearsed it ended: {error}")


def prove(tuning: Rehearsed, training: Rehearsed) -> Check:
    """Whether the two took the very same steps."""
    if errors := {
        side: told.error
        for side, told in (("tuning", tuning), ("training", training))
        if told.error
    }:
        told = "; ".join(dict.fromkeys(errors.values()))
        return Check(NAME, "fail", f"{' and '.join(errors)} cannot take a step: {told}")
    pairs = zip(tuning.losses, training.losses, strict=False)
    unequal = [step for step, (a, b) in enumerate(pairs, start=1) if a != b]
    if len(tuning.losses) != len(training.losses) or unequal:
        step = unequal[0] if unequal else min(len(tuning.losses), len(training.losses)) + 1
        return Check(
            NAME,
            "fail",
            f"from step {step} on tuning and training are not the same: "
            f"{_listed(tuning.losses)} against {_listed(training.losses)}",
            "set the values right that differ above; if none does, this device does not repeat "
            "itself (try training.num_threads=1, or training.precision=fp32), or report it",
        )
    return Check(NAME, "ok", f"{len(tuning.losses)} steps, equal to the last bit, in two processes")


def _listed(losses: tuple[float, ...]) -> str:
    return ", ".join(map(repr, losses)) or "none"
