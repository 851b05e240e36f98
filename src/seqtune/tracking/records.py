"""What is told of a run, as plain values; sinks know how each place wants it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from seqtune.core.checkpoint import HISTORY, open_checkpoint
from seqtune.core.resolve import flatten
from seqtune.core.trials import Trial

Kind = Literal["run", "stage", "training"]
"""run: the whole `kedro run`. stage: a part of it. training: a trial, or any other training."""
End = Literal["FINISHED", "FAILED", "KILLED"]

EPOCH = "epoch/"
"""In front of what is a curve, so that it stands apart from the one value at the best epoch."""
ENDS: Mapping[str, End] = {
    "complete": "FINISHED",
    "pruned": "FINISHED",
    "infeasible": "FAILED",
    "failed": "FAILED",
    "lost": "KILLED",
}
"""How a trial's run ended; those waiting or under way are no results yet."""


@dataclass(frozen=True)
class Record:
    """Something to be told of the run, of a stage of it, or of one training in a stage."""

    kind: Kind
    stage: str = ""
    """What it belongs to; empty for the run itself."""
    name: str = ""
    group: str = ""
    """The study, for trials: what they are to be compared within."""
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Curves by name, then by step."""
    tags: Mapping[str, str] = field(default_factory=dict)
    note: Sequence[str] = ()
    """Lines for people."""
    files: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    """Files and folders to keep, by the folder they go to."""
    model: Path | None = None
    """The folder of a checkpoint or an ensemble, to be logged as a model that can be served."""
    started: float | None = None
    """Seconds since 1970."""
    seconds: float | None = None
    end: End = "FINISHED"
    is_new: bool = True
    """Whether this run trained it; an earlier one may have written it down already."""

    @property
    def is_training(self) -> bool:
        """Whether loggers that know trainings alone want to hear of it."""
        return self.kind == "training" or bool(self.series)


def trial_record(trial: Trial, *, stage: str, metric: str, since: float = 0.0) -> Record:
    """One trial; `metric` is what its curve is a curve of, `since` when the run began."""
    started = timestamp(trial.started)
    known = {"score": trial.score, "seconds": trial.seconds, "epochs": float(trial.num_epochs)}
    several = trial.values if len(trial.values) > 1 else ()
    goals = {f"goal_{number}": value for number, value in enumerate(several, start=1)}
    measured = {name: value for name, value in known.items() if value is not None}
    tags = {
        "study": trial.study,
        "trial": str(trial.number),
        "state": trial.state,
        "reason": trial.reason,
        "origin": trial.origin,
        "worker": trial.worker,
    }
    return Record(
        kind="training",
        stage=stage,
        name=f"trial {trial.number}",
        group=trial.study,
        params=trial.params,
        metrics={**trial.metrics, **goals, **measured},
        series={f"{EPOCH}{metric}": trial.curve} if trial.curve else {},
        tags={name: value for name, value in tags.items() if value},
        started=started,
        seconds=trial.seconds,
        end=ENDS.get(trial.state, "KILLED"),
        is_new=started is None or started >= int(since),
    )


def checkpoint_record(
    folder: Path, *, stage: str, name: str, kind: Kind = "training", group: str = ""
) -> Record:
    """A trained model: its configuration, its curves, what it scored at its best epoch."""
    manifest = open_checkpoint(folder).manifest
    return Record(
        kind=kind,
        stage=stage,
        name=name,
        group=group,
        params=dict(flatten(manifest.config)),
        metrics={
            **manifest.best.metrics,
            "best_epoch": float(manifest.best.epoch),
            "epochs": float(manifest.last.epoch),
            "fit_seconds": manifest.seconds,
        },
        series=rows_of_history(folder / HISTORY),
        tags={
            "task": manifest.task,
            "fingerprint": manifest.fingerprint,
            "data_hash": manifest.data_hash,
            "stopped": manifest.stopped,
            **{f"version.{library}": number for library, number in manifest.versions.items()},
        },
        seconds=manifest.seconds,
    )


def rows_of_history(file: Path) -> dict[str, dict[int, float]]:
    """The curves of a training from its history, one value an epoch."""
    curves: dict[str, dict[int, float]] = {}
    for row in json.loads(file.read_text(encoding="utf-8")):
        for name, value in row.items():
            if name != "epoch":
                curves.setdefault(f"{EPOCH}{name}", {})[int(row["epoch"])] = float(value)
    return curves


def timestamp(moment: str | None) -> float | None:
    """Seconds since 1970 from an ISO time."""
    return None if moment is None else datetime.fromisoformat(moment).timestamp()
