"""What `bench_growth.py` measures, each call in a process of its own.

Every function takes folders that were made before, does the work, and returns its seconds and how
far its memory rose above what stood there when it began. Shapes of the data are in `Size`.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from _harness import CLOCKS, Clock, peak_rss_mib, seconds_of

HIDDEN, LAYERS, HEADS, BATCH = 64, 2, 2, 128
TIMED_EPOCHS = 2
LAST_TRIALS = 10
REPORTS_A_TRIAL = 5
Found = dict[str, float]


class Memory:
    """How much higher the resident memory of this process rose at most, in MiB."""

    def __init__(self) -> None:
        with suppress(OSError):  # Linux; elsewhere imports count until they are outgrown
            Path("/proc/self/clear_refs").write_text("5")
        self._before = peak_rss_mib()

    def rise(self) -> float:
        return peak_rss_mib() - self._before


def once(work: Callable[[], Any], clock: Clock) -> Found:
    memory = Memory()
    return {"seconds": seconds_of(work, clock=clock), "mib": memory.rise()}


def ingest_and_split(*, csv: str, clock: str) -> Found:
    """From a CSV file to the arrays of the split."""
    from seqtune.tasks.recommend.ingest import ingest
    from seqtune.tasks.recommend.params import RecommendConfig
    from seqtune.tasks.recommend.split import split

    config = RecommendConfig()
    with tempfile.TemporaryDirectory() as name:
        ingested, out = Path(name) / "interactions", Path(name) / "split"
        ingested.mkdir()
        out.mkdir()

        def work() -> None:
            ingest({"interactions": (Path(csv),)}, config, out=ingested)
            split(ingested, config, out=out)

        return once(work, CLOCKS[clock])


def training_epoch(
    *, split: str, length: int, model: Mapping[str, Any], out: str, clock: str
) -> Found:
    """An epoch of `fit` after the first, its state saved; leaves a checkpoint in `out`."""
    import numpy as np

    from seqtune.tasks.recommend import TASK
    from seqtune.tasks.recommend.data import SplitData
    from seqtune.training import fit

    config = configuration(length, model)
    data = SplitData.open(Path(split))
    nobody = np.full(data.num_users, -1, dtype=np.int32)
    data = dataclasses.replace(data, valid_at=nobody, test_at=nobody)
    ends: list[float] = []
    memory = Memory()
    fit(
        TASK,
        config,
        data,
        directory=Path(out),
        fingerprint="growth",
        report=lambda *_: ends.append(CLOCKS[clock]()),
        progress=False,
    )
    epochs = [later - earlier for earlier, later in itertools.pairwise(ends)]
    return {"seconds": statistics.median(epochs), "mib": memory.rise()}


def configuration(length: int, model: Mapping[str, Any]) -> Any:
    from seqtune.tasks.recommend.params import RecommendConfig
    from seqtune.training.precision import best_precision

    sizes = {"hidden_units": HIDDEN, "num_layers": LAYERS, "num_heads": HEADS, "max_len": length}
    training = {
        "batch_size": BATCH,
        "epochs": 1 + TIMED_EPOCHS,
        "precision": best_precision("cpu")[0],
        "accelerator": "cpu",
        "num_threads": 1,
    }
    return RecommendConfig.model_validate({"model": {**sizes, **model}, "training": training})


def evaluation(*, split: str, checkpoint: str, clock: str) -> Found:
    """Full ranking of one held-out item of every user, the floors beside it."""
    from seqtune.tasks.recommend.data import SplitData
    from seqtune.tasks.recommend.evaluate import evaluate

    data = SplitData.open(Path(split))
    return once(lambda: evaluate(Path(checkpoint), data, parts=["test"]), CLOCKS[clock])


def prediction(*, split: str, checkpoint: str, clock: str) -> Found:
    """Top-10 for everybody, the files written."""
    from seqtune.tasks.recommend.data import SplitData
    from seqtune.tasks.recommend.params import PredictConfig
    from seqtune.tasks.recommend.predict import predict

    data = SplitData.open(Path(split))
    with tempfile.TemporaryDirectory() as out:
        settings = PredictConfig(top_k=10)
        return once(
            lambda: predict(Path(checkpoint), data, settings, new_rows=(), out=Path(out)),
            CLOCKS[clock],
        )


def study(*, trials: int, clock: str) -> Found:
    """A whole study of trials that train nothing, in SQLite, by one worker in this process."""
    from bench_engine import SPACE
    from seqtune.core.execution import WorkerInfo
    from seqtune.tuning.config import PrunerConfig, SamplerConfig
    from seqtune.tuning.objectives.scoring import Scoring
    from seqtune.tuning.plan import StudyPlan
    from seqtune.tuning.search.stage import run_study
    from seqtune.tuning.spaces.space import parse_space
    from seqtune.tuning.studies.storage_url import StorageUrl

    now = CLOCKS[clock]
    calls: list[tuple[float, float]] = []

    def objective(params: Any, report: Any, *, name: str) -> dict[str, float]:
        del name
        called = now()
        value = -((float(params["dropout_rate"]) - 0.2) ** 2)
        for epoch in range(1, REPORTS_A_TRIAL + 1):
            report(epoch, {"val_score": value - 1 / epoch})
        calls.append((called, now()))
        return {"val_score": value}

    plan = StudyPlan(
        task="bench",
        stage="quick",
        space=parse_space(SPACE, root="bench.space"),
        total=trials,
        epochs=REPORTS_A_TRIAL,
        scoring=Scoring(metric="val_score", mode="max"),
        seed=1,
        sampler=SamplerConfig(kind="tpe"),
        pruner=PrunerConfig(),
        environment={},
    )

    def here(work: Any, _foreman: Any, *, num_workers: int, **_: Any) -> None:
        work(WorkerInfo(0, num_workers, "here"))

    with tempfile.TemporaryDirectory() as folder:
        ref = StorageUrl(f"sqlite:///{folder}/study.db")
        found = once(
            lambda: run_study(
                plan, objective, ref=ref, executor=here, num_workers=1, progress=False
            ),
            now,
        )
    ends = [returned for _, returned in calls[-LAST_TRIALS - 1 :]]
    each = [later - earlier for earlier, later in itertools.pairwise(ends)]
    return {**found, "last_trial": statistics.median(each)}
