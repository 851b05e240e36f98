"""Quality of BERT4Rec on MovieLens-1M under protocol P1: the curve, and test beside the floors.

Protocol P1: the file ml-1m.txt in its own order; test = last item, valid = the one before,
train = the rest; full ranking, seen items excluded. Chosen on valid, tested once.

    python benchmarks/quality_movielens.py --minutes 58 --set model.hidden_units=64

Needs torch, lightning and this project's own package, neither Kedro nor DuckDB, so that it also
runs on a GPU machine as it is (--device cuda). Writes the curve and the metrics to
benchmarks/reports/.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

from _harness import Report
from _movielens import ml1m_split
from seqtune.contracts.config import fingerprint
from seqtune.contracts.resolve import Layer, resolve, unflatten
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.training import FitResult, fit, settle

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
    values = RECIPE | dict(pair.split("=", 1) for pair in arguments.set)
    values["training.max_minutes"] = arguments.minutes
    values["training.accelerator"] = "cuda" if arguments.device == "cuda" else "cpu"
    resolved = settle(
        resolve(RecommendConfig, Layer("recipe", unflatten(values)), root="recommend")
    )
    with tempfile.TemporaryDirectory() as folder:
        data = ml1m_split(Path(folder) / "split")
        run = fingerprint(resolved.config, data_hash=data.content_hash)
        directory = (arguments.keep or Path(folder)) / f"train-{run}"
        start = time.perf_counter()
        result = fit(TASK, resolved.config, data, directory=directory, fingerprint=run)
        minutes = (time.perf_counter() - start) / 60
        metrics = TASK.evaluate(result.checkpoint, data)
    write_report(arguments.name, values, result, metrics, minutes=minutes)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=58.0, help="wall-clock limit of training")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--set", nargs="*", default=[], help="key=value over the recipe")
    parser.add_argument("--keep", type=Path, help="keep the run here, to resume a killed one")
    parser.add_argument("--name", default="quality_movielens", help="theme of the report")
    return parser.parse_args()


def write_report(
    name: str,
    values: dict[str, Any],
    result: FitResult,
    metrics: dict[str, Any],
    *,
    minutes: float,
) -> None:
    """A table of the curve, and the metrics with their floors."""
    rows = result.history
    report = Report(name, title="MovieLens-1M, protocol P1: BERT4Rec beside its floors")
    report.text(
        f"Training took {minutes:.1f} minutes for {len(rows)} epochs ({result.stopped}); "
        f"best epoch on valid: {result.best_epoch}. Test was looked at once, with those weights."
    )
    report.text(f"```json\n{json.dumps(values, indent=2)}\n```")
    shown = [row for row in rows if row["epoch"] % 10 == 0 or row in (rows[0], rows[-1])]
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
    add_metrics(report, metrics)
    report.write()


def add_metrics(report: Report, metrics: dict[str, Any]) -> None:
    """Full-ranking metrics of the model and of the floors, each part a table."""
    report.text(metrics["protocol"])
    for part, found in metrics["parts"].items():
        report.text(f"## {part}: {found['users']} users\n\n{found['verdict']}")
        names = ["model", "markov", "popularity"]
        rows = [
            [metric, *(f"{values[name]:.4f}" for name in names)]
            for metric, values in found["full_ranking"].items()
        ]
        report.table(["metric", *names], rows)


if __name__ == "__main__":
    main()
