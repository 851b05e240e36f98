"""Training members that are not there yet, several at once, going on after a kill."""

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

from .members import MemberPlan, PlannedMember, stored, trained_versions

logger = logging.getLogger(__name__)

MARKER = "worker"
"""In the folder of a training: who is at it."""


@dataclass(frozen=True)
class TrainMembers:
    """Picklable: it is called in worker processes, which open the data by its path."""

    task: TaskSpec
    split: Path
    scratch: Path
    store: Path
    members: tuple[PlannedMember, ...]
    places: tuple[str, ...]
    """How each is called for people: member 2 of 5."""

    def __call__(self, place: WorkerInfo) -> None:
        data = self.task.open_data(self.split)
        mine = slice(place.index, None, place.num_workers)
        for member, called in zip(self.members[mine], self.places[mine], strict=True):
            if stored(self.store, member.fingerprint) is None:  # not by who died in this place
                self._train(member, data, called=called, progress=place.num_workers == 1)

    def folder(self, member: PlannedMember) -> Path:
        return self.scratch / "members" / member.fingerprint

    def _train(
        self, member: PlannedMember, data: TrainingData, *, called: str, progress: bool
    ) -> None:
        from seqtune.training import fit

        if member.config is None:
            raise TrainingError(f"{called}: {member.origin} has no configuration to be trained by")
        folder = self.folder(member)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text(marker_of(Process(os.getpid(), socket.gethostname())))
        try:
            result = fit(
                self.task,
                member.config,
                data,
                directory=folder,
                fingerprint=member.fingerprint,
                progress=progress,
            )
        except Interrupted:
            raise  # what was trained is gone on with
        except SeqtuneError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise TrainingError(f"{called} ({member.origin}) failed: {error}") from error
        publish(result.checkpoint, self.store / member.fingerprint)
        shutil.rmtree(folder, ignore_errors=True)
        scored = describe_score(self.store / member.fingerprint)
        logger.info("%s: %s, %s, %.0f s", called, member.origin, scored, result.seconds)


@dataclass
class MemberMonitor:
    """A foreman that lets a worker die a few times, not for ever."""

    work: TrainMembers
    max_retries: int
    deaths: Counter[str] = field(default_factory=Counter)
    hopeless: str = ""

    def look(self) -> MonitorDecision:
        return MonitorDecision(stop=self.hopeless)

    def lost(self, process: Process, _exit_code: int, *, reason: str) -> None:
        whose = self._of(process)
        self.deaths[whose] += 1
        logger.warning("%s: %s; it is gone on with", whose, reason)
        if self.deaths[whose] > self.max_retries:
            self.hopeless = (
                f"{whose}: its process died {self.deaths[whose]} times, and "
                f"tuning.guards.max_retries={self.max_retries} allows no further run; of the last "
                f"one, {reason}. Free memory, or run fewer workers (tuning.workers)"
            )

    def _of(self, process: Process) -> str:
        """The member that a worker was at."""
        for member, called in zip(self.work.members, self.work.places, strict=True):
            marker = self.work.folder(member) / MARKER
            if marker.is_file() and marker.read_text() == marker_of(process):
                return f"{called} ({member.origin})"
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
    """Every member with a checkpoint; only what nobody has trained before is trained."""
    before = trained_versions(trained, [member.fingerprint for member in plan.members])
    found = [replace(member, checkpoint=_find(member, before, store)) for member in plan.members]
    calls = [f"member {number} of {len(found)}" for number, _ in enumerate(found, start=1)]
    missing = [pair for pair in zip(found, calls, strict=True) if pair[0].checkpoint is None]
    for member, called in zip(found, calls, strict=True):
        if member.checkpoint is not None:
            scored = describe_score(member.checkpoint)
            logger.info("%s: %s, %s, from before", called, member.origin, scored)
    if missing:
        members, places = zip(*missing, strict=True)
        work = TrainMembers(task, split, scratch, store, members, places)
        _run(work, executor, num_workers=min(num_workers, len(missing)), max_retries=max_retries)
    return tuple(
        member if member.checkpoint else replace(member, checkpoint=store / member.fingerprint)
        for member in found
    )


def describe_score(checkpoint: Path) -> str:
    """The monitored metric at the best epoch, as a person reads it."""
    manifest = open_checkpoint(checkpoint).manifest
    score = manifest.score
    return "nothing held out" if score is None else f"{manifest.monitor} {score:.4f}"


def _find(member: PlannedMember, before: dict[str, Path], store: Path) -> Path | None:
    return member.checkpoint or before.get(member.fingerprint) or stored(store, member.fingerprint)


def _run(work: TrainMembers, executor: Executor, *, num_workers: int, max_retries: int) -> None:
    if num_workers == 1:  # in this process, which need not start another that imports torch
        work(WorkerInfo(0, 1, "here"))
    else:
        watch = MemberMonitor(work, max_retries)
        executor(work, watch, num_workers=num_workers)
        if watch.hopeless:
            raise TrainingError(watch.hopeless)
    folder = work.scratch / "members"
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
