"""Training of missing members, several at once, resumed after a kill."""

from __future__ import annotations

import logging
import os
import shutil
import socket
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.errors import Interrupted, SeqtuneError, TrainingError
from seqtune.core.execution import Executor, MonitorDecision, Process, WorkerInfo
from seqtune.core.files import publish
from seqtune.core.task import TaskSpec, TrainingData

from .baselines import fit_baseline
from .members import MemberPlan, PlannedMember, stored, trained_versions

logger = logging.getLogger(__name__)

MARKER = "worker"
"""A file in the folder of a training: the process that runs it."""


@dataclass(frozen=True)
class TrainMembers:
    """Trains members; picklable, because worker processes call it and open the data by its path."""

    task: TaskSpec
    split: Path
    scratch: Path
    store: Path
    members: tuple[PlannedMember, ...]
    labels: tuple[str, ...]
    """The name of each for people: member 2 of 5."""

    def __call__(self, place: WorkerInfo) -> None:
        data = self.task.open_data(self.split)
        mine = slice(place.index, None, place.num_workers)
        for member, label in zip(self.members[mine], self.labels[mine], strict=True):
            if stored(self.store, member.fingerprint) is None:  # or a worker that died trained it
                self._train(member, data, label=label, progress=place.num_workers == 1)

    def folder(self, member: PlannedMember) -> Path:
        return self.scratch / "members" / member.fingerprint

    def _train(
        self, member: PlannedMember, data: TrainingData, *, label: str, progress: bool
    ) -> None:
        from seqtune.training import fit

        if member.config is None:
            raise TrainingError(f"{label}: {member.origin} has no configuration to train")
        folder = self.folder(member)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text(marker_of(Process(os.getpid(), socket.gethostname())))
        try:
            if member.baseline:
                checkpoint = fit_baseline(self.task, member, data, folder)
            else:
                checkpoint = fit(
                    self.task,
                    member.config,
                    data,
                    directory=folder,
                    fingerprint=member.fingerprint,
                    progress=progress,
                ).checkpoint
        except Interrupted:
            raise  # the folder stays, so that training resumes from it
        except SeqtuneError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise TrainingError(f"{label} ({member.origin}) failed: {error}") from error
        publish(checkpoint, self.store / member.fingerprint)
        shutil.rmtree(folder, ignore_errors=True)
        made = open_checkpoint(self.store / member.fingerprint)
        score, seconds = describe_score(made.path), made.manifest.seconds
        logger.info("%s: %s, %s, %.0f s", label, member.origin, score, seconds)


@dataclass
class MemberMonitor:
    """Monitor that restarts the training of a member a few times, not for ever."""

    work: TrainMembers
    max_retries: int
    deaths: Counter[str] = field(default_factory=Counter)
    hopeless: str = ""

    def look(self) -> MonitorDecision:
        return MonitorDecision(stop=self.hopeless)

    def lost(self, process: Process, _exit_code: int, *, reason: str) -> None:
        member = self._member_of(process)
        self.deaths[member] += 1
        logger.warning("%s: %s; it is restarted", member, reason)
        if self.deaths[member] > self.max_retries:
            self.hopeless = (
                f"{member}: its process died {self.deaths[member]} times, and "
                f"tuning.guards.max_retries={self.max_retries} allows no further run; of the last "
                f"one, {reason}. Free memory, or run fewer workers (tuning.workers)"
            )

    def _member_of(self, process: Process) -> str:
        """Name the member that a worker was training."""
        for member, label in zip(self.work.members, self.work.labels, strict=True):
            marker = self.work.folder(member) / MARKER
            if marker.is_file() and marker.read_text() == marker_of(process):
                return f"{label} ({member.origin})"
        return "a worker"


def marker_of(process: Process) -> str:
    return f"{process.pid} {process.host}"


def train_missing(
    plan: MemberPlan,
    task: TaskSpec,
    *,
    split: Path,
    scratch: Path,
    store: Path,
    trained: Path,
    executor: Executor,
    num_workers: int,
    max_retries: int,
) -> tuple[PlannedMember, ...]:
    """Return every member with a checkpoint; train only those that have none."""
    before = trained_versions(trained, [member.fingerprint for member in plan.members])
    checkpoints, missing = [], []
    for number, member in enumerate(plan.members, start=1):
        label, key = f"member {number} of {len(plan.members)}", member.fingerprint
        checkpoint = member.checkpoint or before.get(key) or stored(store, key)
        checkpoints.append(checkpoint or store / key)
        if checkpoint is None:
            missing.append((member, label))
        else:
            score = describe_score(checkpoint)
            logger.info("%s: %s, %s, from before", label, member.origin, score)
    if missing:
        members, labels = zip(*missing, strict=True)
        work = TrainMembers(task, split, scratch, store, members, labels)
        num_networks = sum(not member.baseline for member in members)
        num_workers = max(1, min(num_workers, num_networks))  # a baseline is not worth a process
        _run(work, executor, num_workers=num_workers, max_retries=max_retries)
    pairs = zip(plan.members, checkpoints, strict=True)
    return tuple(replace(member, checkpoint=checkpoint) for member, checkpoint in pairs)


def describe_score(checkpoint: Path) -> str:
    """Describe the monitored metric at the best epoch for people."""
    manifest = open_checkpoint(checkpoint).manifest
    if manifest.baseline:
        return "fitted on train"
    score = manifest.score
    return "nothing held out" if score is None else f"{manifest.monitor} {score:.4f}"


def _run(work: TrainMembers, executor: Executor, *, num_workers: int, max_retries: int) -> None:
    if num_workers == 1:  # in this process: another one would have to import torch first
        work(WorkerInfo(0, 1, "here"))
    else:
        monitor = MemberMonitor(work, max_retries)
        executor(work, monitor, num_workers=num_workers)
        if monitor.hopeless:
            raise TrainingError(monitor.hopeless)
    folder = work.scratch / "members"
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
