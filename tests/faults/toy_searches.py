"""A search whose trials go wrong in known ways, as a program of its own.

It does not live in the test: workers import it by name.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqtune.core.errors import InfeasibleError
from seqtune.core.trials import Params
from seqtune.tuning.config import GuardConfig, PrunerConfig, SamplerConfig
from seqtune.tuning.objectives.scoring import Scoring
from seqtune.tuning.plan import ReportEpoch, StudyPlan
from seqtune.tuning.search.stage import StudyResult, run_study
from seqtune.tuning.spaces.space import parse_space
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.workers.local import run_local

NUM_EPOCHS = 3


@dataclass(frozen=True)
class Toy:
    """Best at x=0.3. Notes every start in a log of its own, which no kill can undo."""

    folder: Path
    acts: Mapping[int, str] = field(default_factory=dict)
    """By the number that a trial had at first: what it does the first time that it is run."""
    seconds: float = 0.02
    """An epoch."""

    def __call__(self, params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
        number = int(name[-4:])
        act = self.acts.get(number, "") if number not in self.started() else ""
        self._note(number)
        value = -((float(str(params["x"])) - 0.3) ** 2)
        for epoch in range(1, NUM_EPOCHS + 1):
            time.sleep(self.seconds)
            report(epoch, {"val_score": value - 1 / epoch})
            if epoch == 2 and act:
                value = go_wrong(act)
        return {"val_score": value}

    def started(self) -> list[int]:
        """Numbers of the trials that were begun, as often as they were."""
        return [line["number"] for line in self._lines()]

    def pids(self) -> set[int]:
        return {line["pid"] for line in self._lines()}

    def _note(self, number: int) -> None:
        line = json.dumps({"number": number, "pid": os.getpid()}) + "\n"
        log = os.open(self.folder / "log.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(log, line.encode())
        os.close(log)

    def _lines(self) -> list[dict[str, Any]]:
        log = self.folder / "log.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def go_wrong(act: str) -> float:
    if act == "raise":
        raise ValueError("no such thing")
    if act == "refuse":
        raise InfeasibleError("7 heads do not divide 64", constraint="shapes", violation=2.0)
    if act == "memory":
        raise MemoryError("cannot allocate 1 TiB")
    if act == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "hang":
        time.sleep(600)
    return math.nan


def toy_plan(total: int, **changes: Any) -> StudyPlan:
    space = {
        "x": {"type": "float", "low": -1.0, "high": 1.0},
        "lr": {"type": "float", "low": 0.001, "high": 1.0, "log": True},
    }
    options: dict[str, Any] = {
        "sampler": SamplerConfig(kind="tpe", startup_trials=4),
        "guards": GuardConfig(max_failures_in_a_row=5),
        **changes,
    }
    return StudyPlan(
        task="toy",
        stage="quick",
        space=parse_space(space, root="toy.space"),
        total=total,
        epochs=NUM_EPOCHS,
        scoring=Scoring(metric="val_score", mode="max"),
        seed=1,
        pruner=PrunerConfig(kind="none"),
        environment={},
        **options,
    )


def storage(folder: Path) -> StorageUrl:
    return StorageUrl(f"sqlite:///{folder}/studies.db", heartbeat_seconds=1, grace_seconds=5)


def run(
    folder: Path, plan: StudyPlan, toy: Toy, *, num_workers: int, ref: StorageUrl | None = None
) -> StudyResult:
    return run_study(
        plan,
        toy,
        ref=ref or storage(folder),
        executor=run_local,
        num_workers=num_workers,
        progress=False,
    )


def start(
    folder: Path, *, total: int, num_workers: int, seconds: float = 0.02
) -> subprocess.Popen[bytes]:
    """The same in a process of its own, in a group of its own."""
    arguments = [folder, str(total), str(num_workers), str(seconds)]
    code = "import toy_searches; toy_searches.main()"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment, start_new_session=True
    )


def main() -> None:
    folder, total, num_workers, seconds = sys.argv[1:]
    toy = Toy(Path(folder), seconds=float(seconds))
    run(Path(folder), toy_plan(int(total)), toy, num_workers=int(num_workers))
