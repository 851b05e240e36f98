"""The training of one model, in this process or shared by several."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.core.execution import ALONE, RankInfo
from seqtune.core.task import Report, TaskSpec

from ._execution import ExecutionBackend
from ._forecast import announce

if TYPE_CHECKING:
    from seqtune.core.config import ClusterConfig, RunConfig
    from seqtune.core.resolve import Resolved


VALID = "valid"


@dataclass(frozen=True)
class DistributedFit:
    """One training, shared by the processes that call it at the same time; picklable."""

    task: TaskSpec
    config: RunConfig
    split: Path
    directory: Path
    fingerprint: str

    def __call__(self, place: RankInfo) -> None:
        from seqtune.training import fit

        fit(
            self.task,
            self.config,
            self.task.open_data(self.split),
            directory=self.directory,
            fingerprint=self.fingerprint,
            launched=place,
        )


def train_checkpoint(
    task: TaskSpec, resolved: Resolved[Any], split: Path, scratch: Path, cluster: ClusterConfig
) -> Path:
    """Train, or resume; return the folder of the checkpoint in scratch."""
    from seqtune.core.config import fingerprint
    from seqtune.training.checkpoints import FOLDER

    data = task.open_data(split)
    run = fingerprint(resolved.config, data_hash=data.content_hash)
    folder = scratch / f"train-{run}"
    training = DistributedFit(task, resolved.config, split, folder, run)
    backend = ExecutionBackend(cluster, reads=(split,), scratch=scratch)
    if backend.shares_trainings:
        backend.run_ranks(training)
    else:
        if not folder.is_dir():  # otherwise it goes on, and says so
            announce(task, resolved.config, data, scratch)
        training(ALONE)
    return folder / FOLDER


def evaluate_checkpoint(task: TaskSpec, checkpoint: Path, split: Path) -> Report:
    """Score the checkpoint and the baselines on what was held out.

    If test may be used only once, by the final model, this scores valid alone.
    """
    parts = (VALID,) if task.test_once else None
    return task.evaluate(checkpoint, task.open_data(split), parts=parts)
