"""Trials as plain values: written by tuning, read by reports, figures and training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Value = str | int | float | bool | None
Params = Mapping[str, Value]
"""Searched values by the dotted key of the configuration (`training.lr`)."""

State = Literal["complete", "pruned", "infeasible", "failed", "lost", "running", "waiting"]
"""Only complete and pruned trials count towards a stage's total. infeasible: refused before
training, or out of memory. failed: raised, NaN, too slow. lost: its process ended; retried as a new
trial."""
FINISHED: tuple[State, ...] = ("complete", "pruned")

JSON_COLUMNS = ("params", "values", "metrics", "curve")


@dataclass(frozen=True)
class Trial:
    """One trial of a study."""

    number: int
    state: State
    params: Params
    score: float | None = None
    """What the search optimises: the metric at the best epoch, less the gap penalty. None unless
    complete, or pruned after at least one report (then the best so far)."""
    values: tuple[float, ...] = ()
    """One for each of several objectives; (score,) for a single one."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """All metrics at the best epoch."""
    curve: Mapping[int, float] = field(default_factory=dict)
    """The reported metric by epoch, counted from 1."""
    reason: str = ""
    """Why it was pruned, refused, failed or lost."""
    origin: str = "sampled"
    """sampled, queued (given by the user), retried or imported."""
    started: str | None = None
    """ISO time, UTC."""
    seconds: float | None = None
    worker: str = ""
    study: str = ""
    """Numbers are unique within one study only."""
    resumed_from: str = ""
    """The trial (<study>-<number>) whose training it resumed; empty: none."""
    resumed_epoch: int = 0
    """Epochs that the other trial had trained."""

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    @property
    def num_epochs(self) -> int:
        """Epochs reported so far."""
        return max(self.curve, default=0)

    def row(self) -> dict[str, Any]:
        """Return a flat row of the trials table: mappings and lists as JSON."""
        values = asdict(self)
        return {
            name: json.dumps(value, sort_keys=True) if name in JSON_COLUMNS else value
            for name, value in values.items()
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Trial:
        values: dict[str, Any] = dict(row)
        for name in JSON_COLUMNS:
            values[name] = json.loads(values[name])
        values["curve"] = {int(epoch): value for epoch, value in values["curve"].items()}
        values["values"] = tuple(values["values"])
        return cls(**values)


def ranked(trials: Iterable[Trial], *, mode: Literal["max", "min"]) -> list[Trial]:
    """Sort the complete trials, best first, then by number."""
    sign = -1.0 if mode == "max" else 1.0
    done = [trial for trial in trials if trial.state == "complete" and trial.score is not None]
    return sorted(done, key=lambda trial: (sign * (trial.score or 0.0), trial.number))
