"""Which trainings a validation consists of, and what is kept of each until all are done."""

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
    """One training to do."""

    kind: Kind
    number: int
    """From 1, within its kind."""
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind}-seed-{self.number:02d}"


@dataclass(frozen=True)
class FinishedRun:
    """One training that was done."""

    run: PlannedRun
    score: float
    best_epoch: int
    stopped: str
    seconds: float
    metrics: Mapping[str, float]


def plan_runs(config: RunConfig, settings: ValidateConfig) -> list[PlannedRun]:
    """With the seed of the configuration, with seeds derived from it, or both."""
    numbers = range(1, settings.runs + 1)
    runs = []
    if settings.seeds in ("same", "both"):
        runs += [PlannedRun("same", number, config.seed) for number in numbers]
    if settings.seeds in ("different", "both"):
        runs += [PlannedRun("different", number, _seed(config, number)) for number in numbers]
    return runs


def read_done(folder: Path, run: PlannedRun) -> FinishedRun | None:
    """What an earlier session found; None where it did not get that far."""
    path = folder / f"{run.name}.json"
    if not path.is_file():
        return None
    values = json.loads(path.read_text(encoding="utf-8"))
    return FinishedRun(**{**values, "run": PlannedRun(**values["run"])})


def write_done(folder: Path, done: FinishedRun) -> None:
    with atomic_write(folder / f"{done.run.name}.json") as partial:
        partial.write_text(json.dumps(asdict(done)), encoding="utf-8")


def _seed(config: RunConfig, number: int) -> int:
    return derive_seed(config.seed, "validate", number) % 2**32
