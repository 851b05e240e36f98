"""Records of a run as plain values, which sinks write in their own formats."""

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
"""Prefix of curves, which separates them from the one value at the best epoch."""
ENDS: Mapping[str, End] = {
    "complete": "FINISHED",
    "pruned": "FINISHED",
    "infeasible": "FAILED",
    "failed": "FAILED",
    "lost": "KILLED",
}
"""The status of a finished trial."""


@dataclass(frozen=True)
class Record:
    """Something to log about the run, one of its stages, or one training of a stage."""

    kind: Kind
    stage: str = ""
    """Empty for the run itself."""
    name: str = ""
    group: str = ""
    """The study of a trial."""
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Curves by name, then by step."""
    tags: Mapping[str, str] = field(default_factory=dict)
    note: Sequence[str] = ()
    """Lines for people."""
    files: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    """Files and folders to keep, by target folder."""
    model: Path | None = None
    """The folder of a checkpoint or an ensemble, to be logged for serving."""
    started: float | None = None
    """Seconds since 1970."""
    seconds: float | None = None
    end: End = "FINISHED"
    is_new: bool = True
    """False for a training of an earlier run, which may have been logged already."""

    @property
    def is_training(self) -> bool:
        """Return whether sinks that only know trainings should log it."""
        return self.kind == "training" or bool(self.series)


def trial_record(trial: Trial, *, stage: str, metric: str, since: float = 0.0) -> Record:
    """Return the record of a trial; `metric` names its curve, `since` is the start of the run."""
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
    """Return the record of a trained model: configuration, curves, metrics at the best epoch."""
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
    """Read the curves of a training from its history, one value per epoch."""
    curves: dict[str, dict[int, float]] = {}
    for row in json.loads(file.read_text(encoding="utf-8")):
        for name, value in row.items():
            if name != "epoch":
                curves.setdefault(f"{EPOCH}{name}", {})[int(row["epoch"])] = float(value)
    return curves


def timestamp(moment: str | None) -> float | None:
    """Convert an ISO time to seconds since 1970."""
    return None if moment is None else datetime.fromisoformat(moment).timestamp()
