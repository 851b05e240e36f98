"""The progress of a run: its metrics, its best epoch, and whether it has ended."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from seqtune.core.config import TrainingConfig
from seqtune.core.errors import ConfigurationError, TrainingError

FINISHED = "finished"
EARLY_STOPPING = "early stopping"
TIME_LIMIT = "time limit"
ASKED = "asked by the caller"

Row = dict[str, float]
"""Metrics of an epoch, with `epoch` (counted from 1), `train_loss` and `seconds`."""


@dataclass
class RunHistory:
    """Plain values, saved with every state and read without running code."""

    fingerprint: str
    epochs: int
    monitor: str | None
    """None: no validation, and the last epoch is the best one."""
    mode: Literal["max", "min"]
    patience: int
    min_delta: float
    max_seconds: float
    history: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    best_file: str = ""
    reference: float | None = None
    """The score that must improve by min_delta for early stopping to wait."""
    waited: int = 0
    seconds: float = 0.0
    stopped: str = ""
    """Why the run ended; empty while it continues."""

    @classmethod
    def start(cls, config: TrainingConfig, *, fingerprint: str, validated: bool) -> RunHistory:
        limit = config.max_minutes
        return cls(
            fingerprint=fingerprint,
            epochs=config.epochs,
            monitor=config.monitor if validated else None,
            mode=config.monitor_mode,
            patience=config.early_stopping.patience,
            min_delta=config.early_stopping.min_delta,
            max_seconds=math.inf if limit is None else 60.0 * limit,
        )

    @property
    def epoch(self) -> int:
        """Epochs finished so far."""
        return len(self.history)

    @property
    def best_row(self) -> Row:
        return self.history[self.best_epoch - 1]

    def add(self, row: Row, *, was_validated: bool) -> bool:
        """Add the row of an epoch; return whether it is the best so far."""
        row = {"epoch": self.epoch + 1, **row}
        self.history.append(row)
        if self.monitor is None:
            self.best_epoch = self.epoch
            return False  # the last weights are the best: no second file
        return was_validated and self._update_best(row)

    def close(self, *, asked: bool) -> None:
        """Decide whether the run ends with this epoch."""
        self.stopped = self._find_stop_reason(asked=asked)
        if self.stopped and not self.best_epoch:
            self.best_epoch = self.epoch  # ended before its first validation

    def _find_stop_reason(self, *, asked: bool) -> str:
        if self.epoch >= self.epochs:
            return FINISHED
        if self.monitor is not None and 0 < self.patience <= self.waited:
            return EARLY_STOPPING
        if asked:
            return ASKED
        return TIME_LIMIT if self.seconds >= self.max_seconds else ""

    def _update_best(self, row: Row) -> bool:
        score = self._score(row)
        if self.reference is None or self._gain(score, self.reference) > self.min_delta:
            self.reference, self.waited = score, 0
        else:
            self.waited += 1
        if self.best_epoch and self._gain(score, self._score(self.best_row)) <= 0:
            return False
        self.best_epoch = self.epoch
        return True

    def _score(self, row: Row) -> float:
        """Return the monitored metric; refuse a name that was never logged."""
        if self.monitor not in row:
            logged = sorted(set(row) - {"epoch", "seconds"})
            raise ConfigurationError(
                f"training.monitor={self.monitor!r} was never logged; choose one of "
                f"{', '.join(logged)}"
            )
        score = row[self.monitor]
        if not math.isfinite(score):
            raise TrainingError(
                f"{self.monitor} is {score} after epoch {self.epoch}: the weights are no longer "
                "usable; lower training.lr or training.gradient_clip_val, or set "
                "training.precision=fp32"
            )
        return score

    def _gain(self, score: float, reference: float) -> float:
        return score - reference if self.mode == "max" else reference - score
