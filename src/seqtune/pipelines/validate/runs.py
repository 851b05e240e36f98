"""The trainings of a validation, and their results until all are done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from seqtune.core.config import RunConfig, ValidateConfig
from seqtune.core.files import atomic_write
from seqtune.core.seeds import derive_seed

Kind = Literal["same", "different"]


@dataclass(frozen=True)
class PlannedRun:
    """One training to run."""

    kind: Kind
    number: int
    """From 1, within its kind."""
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind}-seed-{self.number:02d}"


@dataclass(frozen=True)
class FinishedRun:
    """The result of one training."""

    run: PlannedRun
    score: float
    best_epoch: int
    stopped: str
    seconds: float
    metrics: Mapping[str, float]


def plan_runs(config: RunConfig, settings: ValidateConfig) -> list[PlannedRun]:
    """Plan trainings with the configuration's seed, with seeds derived from it, or both."""
    numbers = range(1, settings.runs + 1)
    runs = []
    if settings.seeds in ("same", "both"):
        runs += [PlannedRun("same", number, config.seed) for number in numbers]
    if settings.seeds in ("different", "both"):
        seeds = (derive_seed(config.seed, "validate", number) % 2**32 for number in numbers)
        runs += [PlannedRun("different", number, seed) for number, seed in enumerate(seeds, 1)]
    return runs


def read_done(folder: Path, run: PlannedRun) -> FinishedRun | None:
    """Read the result of an earlier session; None if that run did not finish."""
    path = folder / f"{run.name}.json"
    if not path.is_file():
        return None
    values = json.loads(path.read_text(encoding="utf-8"))
    return FinishedRun(**{**values, "run": PlannedRun(**values["run"])})


def write_done(folder: Path, done: FinishedRun) -> None:
    with atomic_write(folder / f"{done.run.name}.json") as partial:
        partial.write_text(json.dumps(asdict(done)), encoding="utf-8")
