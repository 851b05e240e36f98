"""What the engine itself takes for a trial, through `run_study` and `run_local`.

The objective trains nothing: it reports 20 epochs at once and returns. Between its return and its
next call lie telling the result, asking the sampler, and all that the storage takes; within it, 20
reports. A study is filled up to just below 10, 100 and 1000 trials beforehand, so that only trials
at that size are timed. With two workers it is the time between trials of the same worker.

The processor time is the worker's own (no waiting, no database server): on a machine that others
use too, it says more than the wall clock.

PostgreSQL is started here, in a temporary folder behind a local socket, with its usual guarantees
(fsync); where it is not installed, its rows are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from _harness import Report, show
from seqtune.core.trials import Params
from seqtune.tuning.config import PrunerConfig, SamplerConfig, SamplerKind
from seqtune.tuning.objectives.scoring import Scoring
from seqtune.tuning.plan import ReportEpoch, StudyPlan
from seqtune.tuning.search.stage import run_study
from seqtune.tuning.spaces.space import parse_space
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.study import open_study
from seqtune.workers.local import run_local

PRELOAD = ("optuna", "seqtune.tuning.search.loop")
EPOCHS = 20
TRIAL_SECONDS = 30.0
AIM = 0.02
"""Share of a trial of `TRIAL_SECONDS`."""
SPACE: dict[str, Any] = {
    "hidden_units": {"type": "categorical", "choices": [128, 256]},
    "num_heads": {"type": "categorical", "choices": [2, 4, 8]},
    "num_layers": {"type": "categorical", "choices": [2, 3]},
    "max_len": {"type": "categorical", "choices": [100, 150, 200]},
    "dropout_rate": {"type": "float", "low": 0.1, "high": 0.3},
    "weight_decay": {"type": "float", "low": 0.0, "high": 0.1},
    "random_mask_prob": {"type": "float", "low": 0.15, "high": 0.25},
    "last_item_mask_ratio": {"type": "float", "low": 0.0, "high": 0.2},
    "lr": {"type": "float", "low": 8e-4, "high": 5e-3, "log": True},
    "batch_size": {"type": "categorical", "choices": [128, 256, 512]},
}
"""The quick space of `recommend`."""


@dataclass(frozen=True)
class NoTraining:
    """Writes down when it was called and when it returned, by both clocks."""

    folder: Path

    def __call__(
        self,
        params: Params,
        report: ReportEpoch,
        *,
        name: str,  # noqa: ARG002
    ) -> Mapping[str, float]:
        called = time.monotonic(), time.process_time()
        value = -((float(params["dropout_rate"]) - 0.2) ** 2)  # type: ignore[arg-type]
        for epoch in range(1, EPOCHS + 1):
            report(epoch, {"val_score": value - 1 / epoch})
        with (self.folder / str(os.getpid())).open("a") as file:
            file.write(json.dumps([*called, time.monotonic(), time.process_time()]) + "\n")
        return {"val_score": value}


@dataclass(frozen=True)
class Measured:
    """Seconds for each trial: between two of them, and in their reports."""

    between: tuple[float, ...]
    reports: tuple[float, ...]
    processor: tuple[float, ...]
    """Of both, by processor time."""
    until_first: float
    """From the call of `run_study` to the first trial: workers started, modules imported."""

    @property
    def per_trial(self) -> float:
        return statistics.median(self.between) + statistics.median(self.reports)


def main() -> None:
    arguments = parse_arguments()
    report = Report("engine", title="What the engine takes for a trial")
    report.text(
        f"A no-op objective that reports {EPOCHS} epochs; {len(SPACE)} parameters; median pruner. "
        "Seconds of the wall clock: median over the timed trials ± half of the range between "
        f"quartiles. The share is of a trial that takes {TRIAL_SECONDS:.0f} seconds; the aim is "
        f"below {AIM:.0%}."
    )
    with ExitStack() as stack:
        urls = [("SQLite", stack.enter_context(sqlite())), *stack.enter_context(postgresql())]
        for storage, new_url in urls:
            report.text(f"## {storage}")
            report.table(COLUMNS, [*rows_of(new_url, sizes=arguments.sizes)])
    report.write()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[10, 100, 1000])
    return parser.parse_args()


COLUMNS = (
    *("sampler", "trials", "workers", "between trials", f"{EPOCHS} reports", "share"),
    *("processor time of both", "start to first trial", "timed"),
)


def rows_of(new_url: Any, *, sizes: list[int]) -> Iterator[list[object]]:
    for sampler in ("tpe", "gp"):
        for size in sizes:
            for num_workers in (1, 2):
                found = measure(new_url(), sampler=sampler, size=size, num_workers=num_workers)
                yield [
                    *(sampler, size, num_workers, spread(found.between), spread(found.reports)),
                    f"{found.per_trial / TRIAL_SECONDS:.2%}",
                    spread(found.processor),
                    f"{show(found.until_first)} s",
                    len(found.between),
                ]


def spread(seconds: tuple[float, ...]) -> str:
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return f"{show(middle)} ± {show((high - low) / 2)} s"


def measure(url: str, *, sampler: SamplerKind, size: int, num_workers: int) -> Measured:
    """Fill a study up to below `size`, and time the trials that complete it."""
    num_timed = 10 if size <= 10 else 6 if sampler == "gp" and size >= 1000 else 20
    plan = StudyPlan(
        task="bench",
        stage="quick",
        space=parse_space(SPACE, root="bench.space"),
        total=size,
        epochs=EPOCHS,
        scoring=Scoring(metric="val_score", mode="max"),
        seed=1,
        sampler=SamplerConfig(kind=sampler),
        pruner=PrunerConfig(),
        environment={},
    )
    ref = StorageUrl(url)
    fill(ref, plan, size - num_timed)
    executor = partial(run_local, preload=PRELOAD)
    with tempfile.TemporaryDirectory() as folder:
        work = NoTraining(Path(folder))
        began = time.monotonic()
        run_study(plan, work, ref=ref, executor=executor, num_workers=num_workers, progress=False)
        calls = [read_calls(file) for file in Path(folder).iterdir()]
    pairs = [pair for worker in calls for pair in pairwise(worker)]
    return Measured(
        between=tuple(two.called - one.returned for one, two in pairs),
        reports=tuple(call.returned - call.called for worker in calls for call in worker),
        processor=tuple(two.cpu_returned - one.cpu_returned for one, two in pairs),
        until_first=min(worker[0].called for worker in calls) - began,
    )


class Call(NamedTuple):
    called: float
    cpu_called: float
    returned: float
    cpu_returned: float


def read_calls(file: Path) -> list[Call]:
    return [Call(*json.loads(line)) for line in file.read_text().splitlines()]


def fill(ref: StorageUrl, plan: StudyPlan, number: int) -> None:
    """Complete trials at random points, with their curves."""
    from optuna.trial import create_trial

    study = open_study(ref, plan).study
    generator = np.random.default_rng(0)
    distributions = plan.space.distributions()
    trials = []
    for _ in range(number):
        params = plan.space.from_unit(generator.random(len(plan.space.parameters)).tolist())
        value = -((float(params["dropout_rate"]) - 0.2) ** 2)  # type: ignore[arg-type]
        curve = {epoch: value - 1 / epoch for epoch in range(1, EPOCHS + 1)}
        trials.append(
            create_trial(
                params=params,
                distributions=distributions,
                value=value,
                intermediate_values=curve,
                user_attrs={"metrics": {"val_score": value}},
            )
        )
    study.add_trials(trials)


# ---- storages ----------------------------------------------------------------------------------


@contextmanager
def sqlite() -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as folder:
        files = iter(range(1000))
        yield lambda: f"sqlite:///{folder}/{next(files)}.db"


@contextmanager
def postgresql() -> Iterator[list[tuple[str, Any]]]:
    """A server of its own; an empty list where there is none."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        yield []
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        control = partial(as_postgres, programs[-1], folder)
        control("initdb", "-D", f"{folder}/data", "-U", "bench", "-A", "trust")
        server = partial(control, "pg_ctl", "-D", f"{folder}/data")
        options = f"-c listen_addresses= -c unix_socket_directories={folder}"
        server("-w", "-o", options, "-l", f"{folder}/log", "start")
        try:
            names = (f"study{number}" for number in range(1000))
            yield [("PostgreSQL", lambda: new_database(control, folder, next(names)))]
        finally:
            server("-m", "immediate", "stop")


def new_database(control: Any, folder: Path, name: str) -> str:
    control("createdb", "-h", str(folder), "-U", "bench", name)
    return f"postgresql://bench@/{name}?host={folder}"


def as_postgres(programs: Path, folder: Path, program: str, *arguments: str) -> None:
    command = [str(programs / program), *arguments]
    if os.geteuid() == 0:  # it refuses to run as root
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
