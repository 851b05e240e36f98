"""Write to Weights & Biases: one run for each training, grouped by study."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal

from seqtune.core.secrets import mask, masked

from .records import EPOCH, End, Record

EXIT_CODES = {"FINISHED": 0, "FAILED": 1, "KILLED": 1}


class WandbSink:
    """In mode `offline`, everything stays in `folder/wandb` until `wandb sync`."""

    name = "Weights & Biases"
    switch = "tracking.wandb=off"

    def __init__(
        self, folder: Path, *, project: str, mode: Literal["offline", "online"], run: str
    ) -> None:
        self._folder = folder
        self._project = project
        self._mode = mode
        self._run = run

    def log(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.is_training and not (self._knows(record) and not record.is_new):
                self._log(record)

    def close(self, _end: End, _reason: str) -> None:
        self.abandon()

    def abandon(self) -> None:
        """End the process of wandb, which would otherwise live as long as this one."""
        import wandb

        wandb.teardown()

    def _log(self, record: Record) -> None:
        import wandb

        self._folder.mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project=self._project,
            mode=self._mode,
            dir=str(self._folder),
            id=self._id(record),
            name=record.name,
            group=record.group or self._run,
            job_type=record.stage,
            config=masked(record.params),
            notes=mask("\n".join(record.note)) or None,
            resume="allow",
            reinit="finish_previous",
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, x_disable_stats=True
            ),
        )
        steps = sorted({step for curve in record.series.values() for step in curve})
        for step in steps:
            row = {n.removeprefix(EPOCH): c[step] for n, c in record.series.items() if step in c}
            run.log({"epoch": step, **row}, step=step)
        run.summary.update({f"best/{name}": value for name, value in record.metrics.items()})
        run.summary.update({f"tag/{name}": mask(value) for name, value in record.tags.items()})
        run.finish(exit_code=EXIT_CODES[record.end])

    def _id(self, record: Record) -> str:
        """Return the same id for the same training in every run."""
        name = f"{record.group or self._run}-{record.stage}-{record.name}"
        digest = sha256(name.encode()).hexdigest()[:8]
        return f"{re.sub(r'[^a-z0-9]+', '-', record.name.lower()).strip('-')[:40]}-{digest}"

    def _knows(self, record: Record) -> bool:
        return any((self._folder / "wandb").glob(f"*-{self._id(record)}"))
