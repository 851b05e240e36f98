"""Tables of real trainings over the default space of `recommend`: every epoch of every one.

    OMP_NUM_THREADS=1 nice -n 15 python benchmarks/collect_curves.py ml-100k --minutes 120

Sobol configurations of the space in conf/base, under the preset that `auto` picks for the data, all
with seed 42; the best fifth of them again with two more seeds, for the noise. A row is an epoch:
the configuration, valid and test of the monitored metric, the loss, seconds. Rows go to
benchmarks/reports/data/curves_<data>.parquet after each training, so that the script can be
stopped and goes on. What a search is worth can then be replayed at no cost (`race_tuning.py`).
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pandas as pd
import yaml
from typing_extensions import override

from _datasets import FILES, split_of
from _harness import REPORTS, ROOT, shared_data
from quality_recommend import configuration
from seqtune.batching import Loader, eval_loader
from seqtune.core.config import fingerprint
from seqtune.core.files import atomic_write
from seqtune.core.trials import Params
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.batches import EvalBatch, evaluation, users_at_once
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.datamodule import RecommendData
from seqtune.training import fit
from seqtune.tuning.sampling.samplers.sobol import sobol_point
from seqtune.tuning.spaces.space import Space, parse_space

SEED, MORE_SEEDS = 42, (43, 44)
SHARE_REPEATED = 0.2
SHARE_OF_TOYS = 5
"""Every fifth user of it."""
STAGE = "medium"


class Job(NamedTuple):
    number: int
    """Of the configuration in the Sobol sequence."""
    seed: int


class TestBesideValid(RecommendData):
    """Validation on the test part too, where the sample of training items would be."""

    @override
    def val_dataloader(self) -> list[Loader[EvalBatch]]:
        some = evaluation(self._data, "test", max_len=self._config.model.max_len)
        size = users_at_once(self._config.evaluation.batch_size, num_items=self._data.num_items)
        test = eval_loader(some, some.histories.lengths, batch_size=size)
        return [super().val_dataloader()[0], test]


MEASURED = replace(TASK, build_data=TestBesideValid)


def main() -> None:
    arguments = parse_arguments()
    deadline = time.monotonic() + arguments.minutes * 60
    file = REPORTS / "data" / f"curves_{arguments.data}.parquet"
    rows = pd.read_parquet(file) if file.is_file() else pd.DataFrame()
    space = default_space()
    with TemporaryDirectory(prefix="curves-") as folder:
        data = open_split(arguments.data, Path(folder))
        while time.monotonic() < deadline and (job := next_job(rows, arguments.configurations)):
            params = space.from_unit(
                sobol_point(job.number, num_dimensions=len(space.keys), seed=SEED)
            )
            found = train(params, job, arguments.data, data, Path(folder) / "trial")
            rows = pd.concat([rows, pd.DataFrame(found)], ignore_index=True)
            with atomic_write(file) as partial:
                rows.to_parquet(partial, index=False, compression="zstd")
            print(job, f"{len(found)} epochs, valid {max(row['valid'] for row in found):.4f}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", choices=FILES)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--configurations", type=int, default=300)
    return parser.parse_args()


def default_space() -> Space:
    file = ROOT / "conf" / "base" / "parameters_recommend_tuning.yml"
    spaces = yaml.safe_load(file.read_text(encoding="utf-8"))["recommend"]["tuning"]["spaces"]
    return parse_space(spaces[STAGE], root=f"recommend.tuning.spaces.{STAGE}")


def open_split(name: str, folder: Path) -> SplitData:
    if name != "toys":
        return split_of(name, folder)
    users: dict[str, int] = {}
    part = folder / "part.csv"
    with (shared_data() / "recommend" / FILES[name]).open() as source, part.open("w") as target:
        rows, kept = csv.reader(source), csv.writer(target)
        kept.writerow(next(rows))
        kept.writerows(
            row for row in rows if users.setdefault(row[0], len(users)) % SHARE_OF_TOYS == 0
        )
    return split_of(name, folder, source=part)


def next_job(rows: pd.DataFrame, num_configurations: int) -> Job | None:
    """Return the first job without rows: configurations in order, then repeats of the best."""
    done = set(zip(rows["number"], rows["seed"], strict=True)) if len(rows) else set()
    return next((job for job in jobs(rows, num_configurations) if job not in done), None)


def jobs(rows: pd.DataFrame, num_configurations: int) -> Iterator[Job]:
    yield from (Job(number, SEED) for number in range(num_configurations))
    best = rows[rows["seed"] == SEED].groupby("number")["valid"].max()
    for number in best.nlargest(round(SHARE_REPEATED * num_configurations)).index:
        yield from (Job(int(number), seed) for seed in MORE_SEEDS)


def train(
    params: Params, job: Job, name: str, data: SplitData, directory: Path
) -> list[dict[str, Any]]:
    """Return a row for each epoch."""
    full = {**params, "training.early_stopping.patience": 0}
    config = configuration({"data": name, "preset": "auto", "set": full, "seed": job.seed}, data)
    monitor = config.training.monitor
    rows: list[dict[str, Any]] = []

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        rows.append(
            {
                **job._asdict(),
                **params,
                "epoch": epoch,
                "valid": round(metrics[monitor], 5),
                "test": round(metrics[f"train_{monitor.removeprefix('val_')}"], 5),
                "train_loss": round(metrics["train_loss"], 5),
                "seconds": round(metrics["seconds"], 2),
            }
        )

    run = fingerprint(config, data_hash=data.content_hash)
    place = directory.with_name(f"trial-{run}")
    fit(MEASURED, config, data, directory=place, fingerprint=run, report=report, progress=False)
    return rows


if __name__ == "__main__":
    main()
