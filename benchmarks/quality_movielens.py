"""Quality of `recommend` on MovieLens-1M under protocol P1: curves, and test beside the floors.

Protocol P1: the file ml-1m.txt in its own order; test = last item, valid = the one before,
train = the rest; full ranking, seen items excluded. Chosen on valid, tested once.

    python benchmarks/quality_movielens.py --preset causal --seeds 42 43 44
    python benchmarks/quality_movielens.py --minutes 58 --set model.hidden_units=64

`--preset` is one of conf/base/parameters_recommend.yml; without it, BERT4Rec as in RECIPE. With
several members (seeds, and checkpoints of other runs by `--also`) they are weighed on valid too,
and what `weigh` chose is looked at on test once.

Needs torch, lightning and this project's own package, neither Kedro nor DuckDB, so that it also
runs on a GPU machine as it is (--device cuda). Writes curves and metrics to benchmarks/reports/.
"""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _harness import Report
from _movielens import ml1m_split, write_ensemble
from _projects import preset
from seqtune.core.config import EnsembleConfig, fingerprint
from seqtune.core.resolve import Layer, resolve, unflatten
from seqtune.ensembling import weigh
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.training import FitResult, fit, resolve_auto

FLOORS = ("markov", "popularity")
RECIPE: dict[str, Any] = {
    "model.hidden_units": 64,
    "model.num_heads": 2,
    "model.num_layers": 2,
    "model.max_len": 200,
    "model.dropout_rate": 0.1,
    "model.attention_dropout": False,
    "model.random_mask_prob": 0.3,
    "model.last_item_mask_ratio": 0.1,
    "training.batch_size": 64,
    "training.lr": 1e-3,
    "training.epochs": 200,
    "training.early_stopping.patience": 0,
}


def main() -> None:
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    report = Report(arguments.name, title="MovieLens-1M, protocol P1: quality beside the floors")
    report.text(f"`python benchmarks/quality_movielens.py {shlex.join(sys.argv[1:])}`")
    with tempfile.TemporaryDirectory() as folder:
        data = ml1m_split(Path(folder) / "split")
        runs = [
            run(values_of(arguments, seed), data, arguments.keep or Path(folder))
            for seed in arguments.seeds
        ]
        add_runs(report, runs)
        members = {f"seed {one.seed}": one.checkpoint for one in runs}
        members |= {f"{path}": path for path in arguments.also}
        if len(members) > 1:
            add_ensemble(report, members, data, Path(folder) / "ensemble")
    report.write()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--preset", help="of conf/base/parameters_recommend.yml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    parser.add_argument("--minutes", type=float, help="wall-clock limit of each training")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--set", nargs="*", default=[], help="key=value over the recipe")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="checkpoints to weigh too")
    parser.add_argument("--keep", type=Path, help="keep the runs here, to resume a killed one")
    parser.add_argument("--name", default="quality_movielens", help="theme of the report")
    return parser.parse_args()


def values_of(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Every value that is not a default."""
    values = RECIPE if arguments.preset is None else preset("recommend", arguments.preset)
    values = values | dict(pair.split("=", 1) for pair in arguments.set)
    if arguments.minutes:
        values["training.max_minutes"] = arguments.minutes
    return values | {"training.accelerator": arguments.device, "seed": seed}


@dataclass(frozen=True)
class Run:
    seed: int
    values: dict[str, Any]
    result: FitResult
    minutes: float
    metrics: dict[str, Any]

    @property
    def checkpoint(self) -> Path:
        return Path(self.result.checkpoint)

    def score(self, part: str, metric: str) -> float:
        return float(self.metrics["parts"][part]["full_ranking"][metric]["model"])


def run(values: dict[str, Any], data: SplitData, folder: Path) -> Run:
    resolved = resolve_auto(
        resolve(RecommendConfig, Layer("recipe", unflatten(values)), root="recommend")
    )
    name = fingerprint(resolved.config, data_hash=data.content_hash)
    start = time.perf_counter()
    result = fit(TASK, resolved.config, data, directory=folder / f"train-{name}", fingerprint=name)
    minutes = (time.perf_counter() - start) / 60
    metrics = TASK.evaluate(result.checkpoint, data)
    return Run(int(values["seed"]), values, result, minutes, metrics)


def add_runs(report: Report, runs: list[Run]) -> None:
    """What was run, test of every seed, the curve and all metrics of the first one."""
    first = runs[0]
    report.text(f"```json\n{json.dumps(first.values, indent=2)}\n```")
    report.text(
        "Each training keeps its best epoch on valid; test was looked at once for each, with those "
        "weights, and nothing was chosen by it."
    )
    columns = [(part, metric) for part in ("valid", "test") for metric in ("ndcg@10", "hit@10")]
    rows = [
        [
            one.seed,
            *(f"{one.score(*column):.4f}" for column in columns),
            f"{one.result.best_epoch} of {len(one.result.history)}",
            f"{one.minutes:.1f}",
        ]
        for one in runs
    ]
    names = [f"{part} {metric.upper()}" for part, metric in columns]
    report.table(["seed", *names, "best epoch", "minutes"], rows)
    report.text(f"## Curve of seed {first.seed}")
    add_curve(report, first.result)
    add_metrics(report, first.metrics)


def add_curve(report: Report, result: FitResult) -> None:
    history = result.history
    step = max(1, len(history) // 20)
    shown = [row for row in history if row["epoch"] % step == 0 or row in (history[0], history[-1])]
    report.table(
        ["epoch", "train loss", "valid NDCG@10", "valid HIT@10", "seconds"],
        [
            [
                f"{row['epoch']:.0f}",
                f"{row['train_loss']:.4f}",
                f"{row['val_ndcg@10']:.4f}",
                f"{row['val_hit@10']:.4f}",
                f"{row['seconds']:.1f}",
            ]
            for row in shown
        ],
    )


def add_ensemble(report: Report, members: dict[str, Path], data: SplitData, folder: Path) -> None:
    """Weights from valid alone, then test once."""
    pool = TASK.open_pool(members, data, EnsembleConfig(), seed=42)
    weighing = weigh(pool, EnsembleConfig(), seed=42)
    path = write_ensemble(folder, members, weighing.weights, weighing.scale, data)
    found = TASK.evaluate(path, data)
    report.text(f"## Ensemble\n\n{weighing.reason}")
    report.table(
        ["member", "weight"],
        [[name, f"{w:.3f}"] for name, w in zip(members, weighing.weights, strict=True)],
    )
    add_metrics(report, found)


def add_metrics(report: Report, metrics: dict[str, Any]) -> None:
    """Full-ranking metrics of the model and of the floors, each part a table."""
    for part, found in metrics["parts"].items():
        report.text(f"## {part}: {found['users']} users\n\n{found['verdict']}")
        names = ["model", *FLOORS]
        rows = [
            [metric, *(f"{values[name]:.4f}" for name in names)]
            for metric, values in found["full_ranking"].items()
        ]
        report.table(["metric", *names], rows)


if __name__ == "__main__":
    main()
