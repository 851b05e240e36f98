"""Write to TensorBoard: one folder for each training, below its study."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from seqtune.core.secrets import masked

from .records import EPOCH, End, Record


class TensorBoardSink:
    """`tensorboard --logdir <folder>` shows curves, and parameters beside results (HPARAMS)."""

    name = "TensorBoard"
    switch = "tracking.tensorboard=false"

    def __init__(self, folder: Path, *, run: str) -> None:
        self._folder = folder
        self._run = run

    def log(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.is_training:
                self._log(record)

    def close(self, _end: End, _reason: str) -> None:
        """Nothing is kept open."""

    def abandon(self) -> None:
        """Nothing is kept open."""

    def _log(self, record: Record) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = self._folder / folder_name(record.group or self._run) / folder_name(record.name)
        if folder.exists() and not record.is_new:
            return  # a second event file would draw each curve twice
        begun = record.started or 0.0
        with SummaryWriter(log_dir=str(folder)) as writer:
            for name, curve in record.series.items():
                for step, value in curve.items():
                    writer.add_scalar(name.removeprefix(EPOCH), value, step, begun + step)
            params = {
                k: v if isinstance(v, str | int | float | bool) else str(v)
                for k, v in masked(record.params).items()
            }
            results = {f"best/{name}": value for name, value in record.metrics.items()}
            writer.add_hparams(
                params, {k: v for k, v in results.items() if math.isfinite(v)}, run_name="."
            )


def folder_name(text: str) -> str:
    """Return a name that every file system accepts."""
    return re.sub(r"[^\w.\-]+", "-", text).strip("-.") or "run"
