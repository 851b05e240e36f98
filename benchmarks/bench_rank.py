"""Full ranking: what evaluation and prediction cost over the bare forward and product.

All users of MovieLens-1M, random weights, hidden 64, 2 layers, 2 heads, length 200. The bare loop
computes the scores of ready-made batches and throws them away; evaluation cuts the batches from the
split and ranks the targets; prediction makes top-10 lists. Memory is measured in fresh processes.

    python benchmarks/bench_rank.py [--part time|memory] [--times 3] [--users 6040] [--try]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from _harness import Report, Timing, interleaved, run_isolated, show
from _movielens import ml1m_split, write_split
from seqtune.core.checkpoint import Checkpoint
from seqtune.inference import MODEL
from seqtune.tasks.recommend.baselines import MARKOV, Baselines
from seqtune.tasks.recommend.batches import EvalBatch, eval_batches, sequence_batches
from seqtune.tasks.recommend.cooccurrence import last_items
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.ensemble import Scorer
from seqtune.tasks.recommend.loading import LoadedModel
from seqtune.tasks.recommend.metrics import mean_metrics, rank_counts, target_ranks
from seqtune.tasks.recommend.models import build_model
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.tasks.recommend.sequences import ListRequest, Sequences, recommend
from seqtune.training.precision import best_precision, device_type

BATCH_SIZE = 256
KS = (1, 5, 10, 20)
AIM = 1.5


def untrained(data: SplitData, *, precision: str | None = None) -> Scorer:
    """A model of random weights, set up as one from a checkpoint."""
    model = {"hidden_units": 64, "num_heads": 2, "num_layers": 2, "max_len": 200}
    device = device_type(RecommendConfig().training)
    chosen = precision or best_precision(device)[0]
    config = RecommendConfig.model_validate({"model": model, "training": {"precision": chosen}})
    torch.manual_seed(0)
    network = build_model(config.model, num_items=data.num_items, sides={})
    nowhere: Checkpoint = None  # type: ignore[assignment]
    where = torch.device(device)
    member = LoadedModel(nowhere, "best", config, where, network.to(where).eval())
    return Scorer(Path(), {MODEL: member})


def batches(
    loaded: Scorer, data: SplitData, *, batch_size: int = BATCH_SIZE
) -> Iterator[EvalBatch]:
    for batch in eval_batches(data, "test", max_len=200, batch_size=batch_size):
        yield batch.to(loaded.device)


def bare(loaded: Scorer, inputs: list[torch.Tensor]) -> None:
    for batch in inputs:
        loaded.scores(batch)
    finish(loaded)


def rank_all(loaded: Scorer, data: SplitData, *, batch_size: int = BATCH_SIZE) -> dict[str, float]:
    """What a validation in training does."""
    counts = torch.zeros(max(KS) + 1, dtype=torch.int64, device=loaded.device)
    for batch in batches(loaded, data, batch_size=batch_size):
        scores = loaded.scores(batch.inputs)
        ranks = target_ranks(
            scores, batch.targets, seen_rows=batch.seen_rows, seen_items=batch.seen_items
        )
        counts += rank_counts(ranks, KS)
    return mean_metrics(counts, KS)


def rank_floor(loaded: Scorer, data: SplitData, floors: Baselines) -> None:
    for batch in batches(loaded, data):
        scores = floors.scores(MARKOV, last_items(batch.inputs))
        target_ranks(scores, batch.targets, seen_rows=batch.seen_rows, seen_items=batch.seen_items)
    finish(loaded)


def recommend_all(loaded: Scorer, data: SplitData, *, batch_size: int = BATCH_SIZE) -> None:
    histories = Sequences(np.asarray(data.items), np.asarray(data.offsets))
    recommend(loaded, data.train_counts, histories, ListRequest(top_k=10, batch_size=batch_size))


def finish(loaded: Scorer) -> None:
    if loaded.device.type == "cuda":
        torch.cuda.synchronize()


def peak(num_users: int, num_items: int, batch_size: int = BATCH_SIZE) -> None:
    """In a process of its own: rank synthetic users of 50 items each, and recommend to them."""
    rng = np.random.default_rng(0)
    items = rng.integers(1, num_items + 1, size=num_users * 50)
    items[0] = num_items
    with tempfile.TemporaryDirectory() as directory:
        data = write_split(
            Path(directory) / "split",
            items=items,
            lengths=np.full(num_users, 50),
            raw_ids=np.arange(1, num_items + 1),
        )
        loaded = untrained(data)
        rank_all(loaded, data, batch_size=batch_size)
        recommend_all(loaded, data, batch_size=batch_size)


def speed(report: Report, data: SplitData, precision: str | None, *, times: int) -> None:
    loaded = untrained(data, precision=precision)
    inputs = [batch.inputs for batch in batches(loaded, data)]
    whole = [
        batch.inputs.to(loaded.device)
        for batch in sequence_batches(
            data.items, data.offsets, mask_token=data.mask_token, max_len=200, batch_size=BATCH_SIZE
        )
    ]
    floors = Baselines.of(data, device=loaded.device)
    found = interleaved(
        {
            "bare": lambda: bare(loaded, inputs),
            "rank": lambda: rank_all(loaded, data),
            "bare_next": lambda: bare(loaded, whole),
            "top10": lambda: recommend_all(loaded, data),
            "floors": lambda: Baselines.of(data),
            "floor_ranks": lambda: rank_floor(loaded, data, floors),
        },
        times=times,
    )
    name = loaded.config.training.precision
    report.text(f"## Time, {name} on {loaded.device.type}, {data.num_users} users")
    rows = [
        line("forward and product of the test batches, nothing else", found["bare"]),
        line("full-ranking evaluation, batches included", found["rank"], found["bare"]),
        line("forward and product of everybody's next item", found["bare_next"]),
        line("top-10 lists for everybody, batches included", found["top10"], found["bare_next"]),
        line("counting both floors, once an evaluation", found["floors"]),
        line("full ranking of the Markov floor", found["floor_ranks"], found["bare"]),
    ]
    report.table(["what", "time", f"over the bare (aim <= {AIM})"], rows)


def line(what: str, time: Timing, base: Timing | None = None) -> list[str]:
    return [what, str(time), f"{time.median / base.median:.2f} x" if base else ""]


def memory(report: Report) -> None:
    """Peaks of fresh processes: twice the users, and eight times the items."""
    sizes = {
        "base": {"num_users": 4000, "num_items": 4000},
        "users x 2": {"num_users": 8000, "num_items": 4000},
        "items x 8": {"num_users": 4000, "num_items": 32000},
        "items x 8, half the batch": {"num_users": 4000, "num_items": 32000, "batch_size": 128},
    }
    peaks = {
        name: run_isolated("bench_rank", "peak", **size).peak_rss_mib
        for name, size in sizes.items()
    }
    rows = []
    for name, size in sizes.items():
        batch = size.get("batch_size", BATCH_SIZE)
        scores = batch * size["num_items"] * 4 / 2**20
        whole = size["num_users"] * size["num_items"] * 4 / 2**20
        difference = f"{peaks[name] - peaks['base']:+.0f}"
        numbers = [size["num_users"], size["num_items"], batch]
        rows.append([name, *numbers, show(peaks[name]), difference, show(scores), show(whole)])
    report.text("## Memory of ranking and recommending (synthetic, 50 items a user)")
    report.table(
        [
            "case",
            "users",
            "items",
            "batch",
            "peak MiB",
            "to base",
            "scores of a batch, MiB",
            "users x items would be, MiB",
        ],
        rows,
    )


def main() -> None:
    arguments = parse_arguments()
    report = Report("rank", title="Full ranking and top-10 lists")
    if arguments.part in ("time", "all"):
        with tempfile.TemporaryDirectory() as directory:
            data = ml1m_split(Path(directory) / "split", num_users=arguments.users)
            for precision in (None, "fp32"):
                speed(report, data, precision, times=arguments.times)
    if arguments.part in ("memory", "all"):
        memory(report)
    report.show(keep=arguments.keep)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--part", choices=["time", "memory", "all"], default="all")
    parser.add_argument("--times", type=int, default=3, help="repeats")
    parser.add_argument("--users", type=int, help="only the first of MovieLens-1M, for the times")
    parser.add_argument("--try", dest="keep", action="store_false", help="keep no report")
    return parser.parse_args()


if __name__ == "__main__":
    main()
