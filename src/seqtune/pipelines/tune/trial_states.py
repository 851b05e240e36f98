"""States of the best quick trials, from which the trials that they are promoted to resume.

<scratch>/tune/states-<task>/<key>/    the last state of a training, and trial.json: whose it is
<scratch>/tune/states-<task>.partial/  one that is being added
<scratch>/tune/states-<task>.lock      exclusive while one is added, shared while one is read

The key is a hash of everything that training reads except its number of epochs. A state that is
missing costs time and never changes a result.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from seqtune.core.config import RunConfig, TrainingConfig, fingerprint
from seqtune.core.errors import ArtifactError, SeqtuneError
from seqtune.core.files import PARTIAL, lock, publish, remove, write_json
from seqtune.core.task import TrainingData
from seqtune.tuning.objectives.scoring import Scoring
from seqtune.tuning.plan import TrialReport

if TYPE_CHECKING:
    from seqtune.training.resume_checkpoints import ResumeState

ORIGIN = "trial.json"
GIB = 2**30

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """The trial that left a state."""

    trial: str
    """<study>-<number>"""
    rank: float
    """Its score; more is better."""

    @property
    def study(self) -> str:
        return self.trial.rpartition("-")[0]


@dataclass(frozen=True)
class TrialStates:
    """The states of a search: the best of one stage, for the stages after it."""

    folder: Path
    scoring: Scoring
    num: int = 0
    """Number of states that this stage keeps."""
    max_gib: float = 0.0
    """Disk that they may take together."""

    @property
    def is_kept(self) -> bool:
        """Whether this stage keeps states."""
        return self.num > 0 and self.max_gib > 0

    def resume(
        self,
        directory: Path,
        config: RunConfig,
        data: TrainingData,
        report: TrialReport,
        *,
        known: Mapping[str, float],
        name: str,
    ) -> None:
        """Put the state of a training with the same values and fewer epochs into `directory`.

        Not if a training has begun there, nor if its learning rate depends on its epochs. `known`
        was measured before training and belongs to every epoch.
        """
        from seqtune.training.checkpoints import FOLDER
        from seqtune.training.resume_checkpoints import adopt, newest

        training = config.training
        if not can_resume(training):
            return
        if (directory / FOLDER).exists() or newest(directory) is not None:
            return
        with self._find(_key(config, data), epochs=training.epochs) as found:
            if found is None:
                return
            origin, state = found
            report.resume(origin.trial, [{**known, **row} for row in state.ledger.history])
            directory.mkdir(parents=True, exist_ok=True)
            whole = fingerprint(config, data_hash=data.content_hash)
            adopt(state, directory, training, fingerprint=whole)
        epoch = state.ledger.epoch
        logger.info("%s resumes the training of %s after epoch %d", name, origin.trial, epoch)

    def keep(
        self,
        directory: Path,
        config: RunConfig,
        data: TrainingData,
        metrics: Mapping[str, float],
        *,
        name: str,
    ) -> None:
        """Move the last state in `directory` here if the trial is among the best."""
        from seqtune.training.resume_checkpoints import clear, move_newest

        origin = self._origin(name, metrics)
        if not self.is_kept or origin is None:
            return
        made = self.folder.with_suffix(PARTIAL)
        try:
            with lock(self._guard):
                remove(made)
                made.mkdir(parents=True)
                write_json(made / ORIGIN, asdict(origin))
                if move_newest(directory, made):
                    self._add(made, self.folder / _key(config, data), study=origin.study)
                remove(made)
            clear(directory)
        except (OSError, ArtifactError) as error:  # such as a full disk: it would only save time
            logger.warning("the state of %s is not kept: %s", name, error)

    def remove(self) -> None:
        """Free the disk at the end of a search."""
        with lock(self._guard):
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _guard(self) -> Path:
        return self.folder.with_suffix(".lock")

    def _origin(self, name: str, metrics: Mapping[str, float]) -> Origin | None:
        """None without a score, which the search will say."""
        try:
            score = self.scoring.score(metrics).score
        except SeqtuneError:
            return None
        return Origin(name, score if self.scoring.first.mode == "max" else -score)

    @contextmanager
    def _find(self, key: str, *, epochs: int) -> Iterator[tuple[Origin, ResumeState] | None]:
        """Yield the state of this key unless it has more epochs; it stays until the end."""
        from seqtune.training.resume_checkpoints import newest

        path = self.folder / key
        with lock(self._guard, shared=True):
            try:
                state = newest(path)
            except ArtifactError as error:
                logger.warning("%s: here it is trained from the first epoch", error)
                state = None
            origin = _origin_of(path)
            fits = origin.trial and state is not None and state.ledger.epoch <= epochs
            yield (origin, state) if state is not None and fits else None

    def _add(self, made: Path, target: Path, *, study: str) -> None:
        """Publish one more state, and remove what is beyond the limits."""
        if target.is_dir() and _rank(target, study) >= _rank(made, study):
            return
        remove(target)
        publish(made, target)
        found = [path.parent for path in self.folder.glob(f"*/{ORIGIN}")]
        left = self.max_gib * GIB
        for place, path in enumerate(sorted(found, key=lambda one: _rank(one, study))[::-1]):
            size = sum(file.stat().st_size for file in path.iterdir())
            left -= size
            if place >= self.num or left < 0:
                remove(path)
            if place == 0 and left < 0:
                _warn_of_size(f"{size / GIB:.1f}", self.max_gib)


@cache
def _warn_of_size(size: str, limit: float) -> None:
    """Warn once in each process."""
    logger.warning(
        "a state takes %s GiB, more than tuning.narrowing.states_gib=%g: promoted trials are "
        "trained from the first epoch",
        size,
        limit,
    )


def can_resume(training: TrainingConfig) -> bool:
    """Whether the first epochs do not depend on how many there are."""
    from seqtune.training.optimizers import Schedule

    return training.resume and not Schedule(training).depends_on_epochs


def _key(config: RunConfig, data: TrainingData) -> str:
    """Return what two trainings share if the shorter one is the beginning of the longer one."""
    training = config.training.model_copy(update={"epochs": 1})
    shared = config.model_copy(update={"training": training})
    return fingerprint(shared, data_hash=data.content_hash)


def _origin_of(path: Path) -> Origin:
    """Read whose state it is; one that is missing or damaged is nobody's, and the first to go."""
    try:
        return Origin(**json.loads((path / ORIGIN).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Origin("", -math.inf)


def _rank(path: Path, study: str) -> tuple[bool, float]:
    """Order by score; those of other studies, whose scores do not compare, come first."""
    origin = _origin_of(path)
    return origin.study == study, origin.rank
