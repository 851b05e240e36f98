"""Learning curves of real training: BERT4Rec on MovieLens-100K, many configurations, every epoch.

What `race_tuning.py` fits its surrogate on. The split is the task's own (last item test, the one
before valid); trained by `training.fit`; the value kept is the whole curve of valid NDCG@10.

    OMP_NUM_THREADS=1 nice -n 10 python benchmarks/curves_movielens.py --minutes 40

Sobol configurations, all with seed 42, and in between ten of them with four more seeds, for the
noise. Appends a JSON line each to benchmarks/reports/data/curves_movielens100k.jsonl and goes on
where it was stopped.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from _harness import REPORTS, append_line, provenance, read_lines, shared_data
from seqtune.core.config import fingerprint
from seqtune.core.resolve import Layer, resolve, unflatten
from seqtune.core.trials import Params
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.training import fit, resolve_auto

OUT = REPORTS / "data" / "curves_movielens100k.jsonl"
METRIC = "val_ndcg@10"
EPOCHS = 60
SEED = 42
MORE_SEEDS = (43, 44, 45, 46)
NUM_NOISE = 10
READ: dict[str, Any] = {
    "ingest.columns.user": "user_id:token",
    "ingest.columns.item": "item_id:token",
    "ingest.columns.time": "timestamp:float",
    "ingest.delimiter": "\t",
    "evaluation.num_sampled_negatives": 0,
}
FIXED: dict[str, Any] = {
    "model.attention_dropout": True,
    "training.epochs": EPOCHS,
    "training.early_stopping.patience": 0,
    "training.accelerator": "cpu",
    "training.num_threads": 1,
    "training.precision": "fp32",
}
SPACE: dict[str, Any] = {
    "model": {
        "hidden_units": {"type": "categorical", "choices": [16, 32]},
        "num_heads": {"type": "categorical", "choices": [1, 2]},
        "num_layers": {"type": "int", "low": 1, "high": 2},
        "max_len": {"type": "categorical", "choices": [30, 50]},
        "dropout_rate": {"type": "float", "low": 0.0, "high": 0.5},
        "random_mask_prob": {"type": "float", "low": 0.1, "high": 0.5},
        "last_item_mask_ratio": {"type": "float", "low": 0.0, "high": 0.4},
    },
    "training": {
        "lr": {"type": "float", "low": 3e-4, "high": 2e-2, "log": True},
        "weight_decay": {"type": "float", "low": 0.0, "high": 0.1},
        "batch_size": {"type": "categorical", "choices": [64, 128]},
    },
}
"""As in the YAML of a space."""


class Job(NamedTuple):
    number: int
    """Of the configuration in the Sobol sequence."""
    seed: int


def main() -> None:
    arguments = parse_arguments()
    deadline = time.monotonic() + arguments.minutes * 60
    done = {Job(row["number"], row["seed"]) for row in read_curves()}
    points = sobol_configurations(arguments.configurations)
    with tempfile.TemporaryDirectory(prefix="curves-") as folder:
        data = ml100k_split(Path(folder))
        for job in jobs(len(points)):
            if job in done:
                continue
            if time.monotonic() > deadline:
                break
            row = {"number": job.number, "seed": job.seed, "params": points[job.number]}
            append_line(OUT, row | train(points[job.number], job, data, Path(folder) / "trial"))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--configurations", type=int, default=512)
    return parser.parse_args()


def read_curves() -> list[dict[str, Any]]:
    """Return what was measured so far."""
    return read_lines(OUT)


def jobs(num_configurations: int) -> Iterator[Job]:
    """Every fifth configuration of the first fifty also with the other seeds."""
    for number in range(num_configurations):
        yield Job(number, SEED)
        if number % 5 == 4 and number < 5 * NUM_NOISE:
            yield from (Job(number, seed) for seed in MORE_SEEDS)


def sobol_configurations(count: int) -> list[Params]:
    from scipy.stats import qmc

    keys = [(f"{group}.{name}", spec) for group in SPACE for name, spec in SPACE[group].items()]
    points = qmc.Sobol(len(keys), scramble=True, rng=2026).random(count)
    return [
        {key: value_at(spec, x) for (key, spec), x in zip(keys, row, strict=True)} for row in points
    ]


def value_at(spec: Mapping[str, Any], x: float) -> Any:
    """The value of a parameter at `x` in [0, 1)."""
    if spec["type"] == "categorical":
        return spec["choices"][int(x * len(spec["choices"]))]
    if spec["type"] == "int":
        return int(spec["low"] + x * (spec["high"] - spec["low"] + 1))
    if spec.get("log"):
        return float(spec["low"] * (spec["high"] / spec["low"]) ** x)
    return float(spec["low"] + x * (spec["high"] - spec["low"]))


def ml100k_split(folder: Path) -> Any:
    """Ingested and split by the task's own functions."""
    source = shared_data() / "recommend" / "ml-100k.inter"
    if not source.is_file():
        raise FileNotFoundError(f"{source} is missing; set SEQTUNE_DATA to the folder of data sets")
    config = resolve(RecommendConfig, Layer("read", unflatten(READ)), root="recommend").config
    raw = folder / "interactions.csv"
    raw.symlink_to(source)
    for name in ("interactions", "split"):
        (folder / name).mkdir()
    sources = {role: (raw,) if role == "interactions" else () for role in TASK.sources}
    TASK.ingest(sources, config, out=folder / "interactions")
    TASK.split(folder / "interactions", config, out=folder / "split")
    return TASK.open_data(folder / "split")


def train(params: Params, job: Job, data: Any, directory: Path) -> dict[str, Any]:
    """The curve, and what it took."""
    values = unflatten(READ | FIXED | dict(params) | {"seed": job.seed})
    config = resolve_auto(resolve(RecommendConfig, Layer("job", values), root="recommend")).config
    run = fingerprint(config, data_hash=data.content_hash)
    curve: list[float] = []
    start, cpu = time.perf_counter(), time.process_time()

    def report(_epoch: int, metrics: Mapping[str, float]) -> bool:
        curve.append(round(metrics[METRIC], 5))
        return False

    place = directory.with_name(f"trial-{run}")
    fit(TASK, config, data, directory=place, fingerprint=run, report=report, progress=False)
    return {
        "curve": curve,
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        **provenance(),
    }


if __name__ == "__main__":
    main()
