"""Large catalogues: what a training step and a prediction cost as items and users grow in number.

Training: hidden 64, 2 layers, 2 heads, length 50, batch 128, random items; a step of the loss over
all items, of one over drawn items, and of that with lazy embeddings. Prediction: top-10 through
`predict`, files included, of a model of one step. Every row is measured in a process of its own.

    python benchmarks/bench_catalogue.py [--part train|predict] [--clock cpu] [--users 1000000]
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pyarrow import parquet

from _harness import CLOCKS, Report, peak_rss_mib, repeat, run_isolated, show
from _movielens import write_split
from seqtune.core.columns import USER, USER_ID
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.data import USERS_TABLE, SplitData
from seqtune.tasks.recommend.datamodule import RecommendData
from seqtune.tasks.recommend.memory import estimate_memory
from seqtune.tasks.recommend.module import build_module
from seqtune.tasks.recommend.params import PredictConfig, RecommendConfig
from seqtune.tasks.recommend.predict import predict
from seqtune.training import fit
from seqtune.training.lazy_adam import clip_norm
from seqtune.training.optimizers import build_optimizer
from seqtune.training.precision import best_precision

LENGTH, BATCH, NEGATIVES = 50, 128, 1024
CATALOGUES = (10_000, 100_000, 1_000_000)
KINDS: dict[str, dict[str, Any]] = {
    "all items": {},
    f"{NEGATIVES} drawn": {"num_negatives": NEGATIVES},
    f"{NEGATIVES} drawn, lazy": {"num_negatives": NEGATIVES, "lazy_embeddings": True},
}
SECONDS_OF_A_STEP = 60.0
"""Where all items cost more, one step is measured and no more."""
PREDICTED_ITEMS = 50_000
PREDICTED_USERS = (20_000, 40_000)
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def main() -> None:
    arguments = parse_arguments()
    report = Report("catalogue", title="Large catalogues and many users")
    report.text(f"seconds of the {arguments.clock} clock")
    if arguments.part in ("train", "all"):
        tell_training(report, arguments)
    if arguments.part in ("predict", "all"):
        tell_prediction(report, arguments)
    report.show(keep=arguments.keep)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--part", choices=["train", "predict", "all"], default="all")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: one thread's")
    parser.add_argument("--times", type=int, default=7, help="steps of each kind")
    parser.add_argument("--items", type=int, nargs="+", default=CATALOGUES)
    parser.add_argument("--users", type=int, nargs="+", default=PREDICTED_USERS)
    parser.add_argument("--hidden", type=int, default=64, help="of the model that predicts")
    parser.add_argument("--length", type=int, default=LENGTH, help="of its sequences")
    parser.add_argument("--try", dest="keep", action="store_false", help="keep no report")
    return parser.parse_args()


def tell_training(report: Report, arguments: argparse.Namespace) -> None:
    rows = []
    for num_items, kind in itertools.product(arguments.items, KINDS):
        times = 1 if num_items >= 1_000_000 and kind == "all items" else arguments.times
        found = run_isolated(
            "bench_catalogue",
            "training_step",
            num_items=num_items,
            kind=kind,
            times=times,
            clock=arguments.clock,
        ).result
        rows.append([f"{num_items:,}", kind, *found])
    columns = ["items", "loss over", "a step", "MiB of the training at most", "MiB estimated"]
    report.table(columns, rows)


def training_step(*, num_items: int, kind: str, times: int, clock: str) -> list[str]:
    """Seconds of a step, and memory beyond what stood before the model was built."""
    config = configuration(**KINDS[kind])
    with tempfile.TemporaryDirectory() as folder:
        data = random_split(Path(folder) / "split", num_users=4 * BATCH, num_items=num_items)
        estimate = estimate_memory(config, data)
        loader = RecommendData(config, data).train_dataloader()
        batches = itertools.cycle(list(loader))
        before = peak_rss_mib()
        torch.manual_seed(0)
        module = build_module(config, data).train()
        optimizer = build_optimizer(module, config.training)
        numbers = itertools.count()
        dtype = AUTOCAST.get(config.training.precision)

        def step() -> None:
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
                loss = module.training_step(next(batches), next(numbers))
            loss.backward()  # type: ignore[no-untyped-call]
            clip_norm(module.parameters(), config.training.gradient_clip_val)
            optimizer.step()

        timing = repeat(step, times=times, warm_up=2 if times > 1 else 0, clock=CLOCKS[clock])
    return [str(timing), show(peak_rss_mib() - before), show(estimate)]


def tell_prediction(report: Report, arguments: argparse.Namespace) -> None:
    model = {"hidden_units": arguments.hidden, "max_len": arguments.length}
    rows, seconds = [], {}
    for num_users in arguments.users:
        found = run_isolated(
            "bench_catalogue",
            "top_ten",
            num_users=num_users,
            model=model,
            clock=arguments.clock,
        ).result
        seconds[num_users] = found["seconds"]
        each = found["seconds"] / num_users
        rows.append(
            [
                f"{num_users:,}",
                show(found["seconds"]),
                f"{1e6 * each:.0f} µs",
                show(found["before_mib"]),
                show(found["peak_mib"]),
            ]
        )
    report.text(
        f"Top-10 of {PREDICTED_ITEMS:,} items, seen ones left out, for users of {arguments.length} "
        f"items; hidden {arguments.hidden}; Parquet and CSV written. Memory-mapped histories count "
        "as memory while they are read."
    )
    report.table(["users", "seconds", "a user", "MiB before", "MiB at most"], rows)
    if len(seconds) > 1:
        (few, many) = min(seconds), max(seconds)
        each = (seconds[many] - seconds[few]) / (many - few)
        whole = seconds[many] + each * (1_000_000 - many)
        report.text(f"A million users would take {whole / 60:.0f} min (a line through these rows).")


def top_ten(*, num_users: int, model: dict[str, int], clock: str) -> dict[str, float]:
    """All of `predict` for so many users."""
    now = CLOCKS[clock]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = configuration(**model)
        few = random_split(folder / "few", num_users=BATCH, num_items=PREDICTED_ITEMS)
        trained = fit(
            TASK, config, few, directory=folder / "run", fingerprint="bench", progress=False
        )
        data = random_split(
            folder / "split",
            num_users=num_users,
            num_items=PREDICTED_ITEMS,
            length=config.model.max_len,
        )
        (folder / "out").mkdir()
        before = peak_rss_mib()
        start = now()
        predict(trained.checkpoint, data, PredictConfig(top_k=10), new_rows=(), out=folder / "out")
        seconds = now() - start
    return {"seconds": seconds, "before_mib": before, "peak_mib": peak_rss_mib()}


def configuration(**model: Any) -> RecommendConfig:
    sizes = {"hidden_units": 64, "num_heads": 2, "num_layers": 2, "max_len": LENGTH}
    training = {"batch_size": BATCH, "epochs": 1, "accelerator": "cpu", "monitor": "val_ndcg@10"}
    return RecommendConfig.model_validate(
        {
            "model": {**sizes, "attention_dropout": False, **model},
            "training": {**training, "precision": best_precision("cpu")[0]},
        }
    )


def random_split(
    directory: Path, *, num_users: int, num_items: int, length: int = LENGTH
) -> SplitData:
    """Users of two to `length` items more than are held out, the last item of the catalogue among
    them."""
    random = np.random.default_rng(0)
    lengths = random.integers(length // 2, length + 1, num_users) + 2
    items: npt.NDArray[np.int32] = random.integers(
        1, num_items + 1, int(lengths.sum()), dtype=np.int32
    )
    items[0] = num_items
    data = write_split(directory, items=items, lengths=lengths, raw_ids=np.arange(num_items))
    users = np.arange(num_users, dtype=np.int64)
    parquet.write_table(pa.table({USER: users, USER_ID: users}), directory / USERS_TABLE)
    return data


if __name__ == "__main__":
    main()
