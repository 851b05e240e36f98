"""Predictions by one process and by processes of a Ray cluster on this machine: users a second, and
memory of whoever writes and of whoever makes.

Top-10 lists of a model of one step on random sequences, through `predict`, files included. Every
process computes on one thread. A run is a process of its own; runs take turns.

    python benchmarks/bench_predict_shards.py [--users 50000 200000] [--rounds 3] [--workers 1 2]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from _harness import Report, Timing, peak_rss_mib, run_isolated, show
from bench_ray import ray_nodes
from seqtune.core.config import ClusterConfig
from seqtune.core.execution import ParallelMap, PartFactory, map_serially

NUM_ITEMS = 3_418


class Predicted(NamedTuple):
    """One run."""

    first: float
    """Seconds from the call to the first lists."""
    whole: float
    before_mib: float
    """Of the process that writes, its imports done."""
    writer_mib: float
    """The same at most."""
    maker_mib: float
    """Of the largest process that made lists, at most; of one process, that of both."""


def main() -> None:
    arguments = parse_arguments()
    report = Report("predict_shards", title="Predictions by one process and by several")
    report.text(
        f"Top-10 of {NUM_ITEMS:,} items for users of 25 to 52, hidden 64, 2 layers; Parquet and "
        "CSV written. Seconds: the median ± half of the distance from the fastest to the slowest "
        f"of {arguments.rounds}; peaks of memory: the highest. Nodes of the cluster share the "
        "cores of this machine."
    )
    with ray_nodes() as nodes, tempfile.TemporaryDirectory() as name:
        config = nodes.at_least(1)
        for num_users in arguments.users:
            folder = Path(name) / str(num_users)
            checkpoint, split = prepared(folder, num_users)
            sides = [0, *arguments.workers]
            found: dict[int, list[Predicted]] = {workers: [] for workers in sides}
            for _ in range(arguments.rounds):
                for workers in sides:
                    run = run_isolated(
                        "bench_predict_shards",
                        "predicted",
                        checkpoint=str(checkpoint),
                        split=str(split),
                        address=config.address,
                        workers=workers,
                    )
                    found[workers].append(Predicted(*run.result))
            tell(report, num_users, found)
        report.write()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--users", type=int, nargs="*", default=[50_000, 200_000])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def tell(report: Report, num_users: int, found: dict[int, list[Predicted]]) -> None:
    report.text(f"## {num_users:,} users")
    rates = {workers: rate_of(runs, num_users) for workers, runs in found.items()}
    rows = [
        [
            f"Ray, {workers} processes" if workers else "one process",
            Timing(tuple(run.first for run in runs)),
            Timing(tuple(run.whole for run in runs)),
            show(rates[workers]),
            f"{rates[workers] / rates[0]:.2f}",
            show(max(run.before_mib for run in runs)),
            show(max(run.writer_mib for run in runs)),
            show(max(run.maker_mib for run in runs)),
        ]
        for workers, runs in found.items()
    ]
    report.table(
        [
            "",
            "to the first lists",
            "whole",
            "users a second, once begun",
            "of one process",
            "MiB of the writer before",
            "at most",
            "MiB of a maker",
        ],
        rows,
    )


def rate_of(runs: list[Predicted], num_users: int) -> float:
    """Users a second between the first lists and the last."""
    from seqtune.tasks.recommend.params import PredictConfig
    from seqtune.tasks.recommend.predict import CHUNK_BATCHES

    rest = num_users - CHUNK_BATCHES * PredictConfig().batch_size
    return statistics.median(rest / (run.whole - run.first) for run in runs)


def prepared(folder: Path, num_users: int) -> tuple[Path, Path]:
    """A checkpoint, and a split of so many users."""
    from bench_catalogue import BATCH, configuration, random_split
    from seqtune.tasks.recommend import TASK
    from seqtune.training import fit

    few = random_split(folder / "few", num_users=BATCH, num_items=NUM_ITEMS)
    directory = folder / "run"
    trained = fit(
        TASK, configuration(), few, directory=directory, fingerprint="bench", progress=False
    )
    split = random_split(folder / "split", num_users=num_users, num_items=NUM_ITEMS)
    return trained.checkpoint, split.path


# ---- one run, in a process of its own ------------------------------------------------------------


@dataclass(frozen=True)
class Watched:
    """Makes the parts of another, and writes down what memory that has taken."""

    opener: PartFactory[Any]
    folder: Path

    def __call__(self) -> Callable[[int], Any]:
        make = self.opener()

        def make_watched(number: int) -> Any:
            found = make(number)
            (self.folder / str(os.getpid())).write_text(str(peak_rss_mib()))
            return found

        return make_watched


def predicted(
    *, checkpoint: str, split: str, address: str, workers: int
) -> tuple[float, float, float, float, float]:
    """By so many processes of a cluster; 0: by this one."""
    import torch

    from seqtune.tasks.recommend.data import SplitData
    from seqtune.tasks.recommend.params import PredictConfig
    from seqtune.tasks.recommend.predict import predict

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        out, watched = Path(name) / "out", Path(name) / "watched"
        out.mkdir()
        watched.mkdir()
        spread = spread_by(workers, address, scratch=Path(name))
        before, began, firsts = peak_rss_mib(), time.perf_counter(), []

        def timed(opener: PartFactory[Any], num_parts: int) -> Iterator[Any]:
            for part in spread(Watched(opener, watched), num_parts):
                firsts.append(time.perf_counter() - began)
                yield part

        data = SplitData.open(Path(split))
        predict(Path(checkpoint), data, PredictConfig(), new_rows=(), out=out, spread=timed)
        whole = time.perf_counter() - began
        makers = [float(file.read_text()) for file in watched.iterdir()]
    return Predicted(firsts[0], whole, before, peak_rss_mib(), max(makers))


def spread_by(workers: int, address: str, *, scratch: Path) -> ParallelMap:
    if not workers:
        return map_serially
    from seqtune.workers.cluster.file_shipping import ShippedFiles
    from seqtune.workers.cluster.parallel_map import parallel_map_over

    config = ClusterConfig(
        engine="ray", address=address, prediction_workers=workers, wait_seconds=100.0
    )
    return parallel_map_over(config, ShippedFiles(reads=(), scratch=scratch, copy=False))


if __name__ == "__main__":
    main()
