"""What a training gains from being shared: one process against two that take turns at its rows.

MovieLens-1M as in bench_train, batches of 128 that the processes share; seconds of the second epoch
of `training.fit` with its state, in turns. On a CPU each of the two has half of the threads that
one process may have, and one thread alone is a row of its own; on GPUs each has a device.

    python benchmarks/bench_ranks.py [--device cuda] [--batches 40] [--times 3] [--ranks 2]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch

from _crew import first_rank_says
from _harness import Report, Timing
from _movielens import ml1m_split
from bench_train import BATCH, configuration, without_validation
from seqtune.core.execution import RankInfo
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.data import SplitData
from seqtune.training import fit
from seqtune.training.precision import Device, best_precision

FINGERPRINT = "0" * 16


class WorkerPool(NamedTuple):
    """Processes that share a training."""

    num_ranks: int
    num_threads: int

    def __str__(self) -> str:
        return f"{self.num_ranks} x {self.num_threads} threads"


def main() -> None:
    arguments = parse_arguments()
    crews = crews_on(arguments.device, arguments.ranks)
    report = Report("ranks", title="One training, shared by processes of this machine")
    report.text(
        f"{arguments.device}, {best_precision(arguments.device)[0]}, about {arguments.batches} "
        f"batches of {BATCH} rows an epoch; seconds of an epoch, {arguments.times} runs in turns"
    )
    with tempfile.TemporaryDirectory() as folder:
        split = Path(folder) / "split"
        ml1m_split(split)
        seconds: dict[WorkerPool, list[float]] = {crew: [] for crew in crews}
        losses: dict[WorkerPool, float] = {}
        for turn in range(arguments.times):
            for crew in crews:
                run = Path(folder) / f"{crew}-{turn}"
                epoch, losses[crew] = first_rank_says(
                    train,
                    crew.num_ranks,
                    num_threads=crew.num_threads,
                    split=split,
                    folder=run,
                    device=arguments.device,
                    batches=arguments.batches,
                )
                seconds[crew].append(epoch)
    report.table(("processes", "an epoch", "of one process", "train_loss"), rows(seconds, losses))
    report.write()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--batches", type=int, default=40, help="of an epoch, about")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--times", type=int, default=3, help="repeats")
    return parser.parse_args()


def crews_on(device: str, ranks: int) -> list[WorkerPool]:
    """One process with all threads first: the others are compared with it."""
    cores = len(os.sched_getaffinity(0))
    if device == "cuda":
        return [WorkerPool(1, 1), WorkerPool(ranks, 1)]
    return [WorkerPool(1, cores), WorkerPool(1, 1), WorkerPool(ranks, max(1, cores // ranks))]


def rows(
    seconds: dict[WorkerPool, list[float]], losses: dict[WorkerPool, float]
) -> list[list[str]]:
    timings = {crew: Timing(tuple(found)) for crew, found in seconds.items()}
    whole = next(iter(timings.values())).median
    return [
        [str(crew), str(timing), f"{timing.median / whole:.2f}", f"{losses[crew]:.4f}"]
        for crew, timing in timings.items()
    ]


def train(
    place: RankInfo, *, num_threads: int, split: Path, folder: Path, device: Device, batches: int
) -> tuple[float, float]:
    """What a rank does; seconds and loss of the last epoch."""
    torch.set_num_threads(num_threads)
    data = without_validation(SplitData.open(split), batches)
    result = fit(
        TASK,
        configuration(device, best_precision(device)[0], attention_dropout=False),
        data,
        directory=folder,
        fingerprint=FINGERPRINT,
        progress=False,
        launched=place,
    )
    return result.history[-1]["seconds"], result.history[-1]["train_loss"]


if __name__ == "__main__":
    main()
