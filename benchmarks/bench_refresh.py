"""What a refresh is worth: the model of before as it is, trained on, and trained anew.

MovieLens (latest small) is cut in time: a model is trained on the first 95 % of the ratings, then
all of them arrive. Test NDCG@10 of all users, and the minutes on one core.

    OMP_NUM_THREADS=1 python benchmarks/bench_refresh.py [--share 0.95] [--seeds 42 43]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from _datasets import FILES, READ, split_of
from _harness import Report, shared_data
from quality_recommend import configuration, metrics
from seqtune.core.config import fingerprint
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.data import SplitData
from seqtune.training import carry_over, fit

DATA = "ml-latest-small"
SHARES_OF_EPOCHS, LR_FACTORS = (0.25, 0.5), (0.1, 0.3, 1.0)
Row = list[Any]


def main() -> None:
    arguments = parse_arguments()
    rows: list[Row] = []
    with TemporaryDirectory(prefix="refresh-") as folder:
        before, now = cut_in_time(Path(folder), arguments.share)
        for seed in arguments.seeds:
            rows += compare(before, now, seed, Path(folder) / str(seed))
    report = Report("refresh", title="A refresh beside training anew")
    report.text(f"{DATA}, the last {1 - arguments.share:.0%} of the ratings are new.")
    report.table(["seed", "what", "valid NDCG@10", "test NDCG@10", "minutes"], rows)
    report.write()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--share", type=float, default=0.95, help="of the ratings, known before")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    return parser.parse_args()


def cut_in_time(folder: Path, share: float) -> tuple[SplitData, SplitData]:
    """Return the splits of the first ratings, and of all."""
    ratings = pd.read_csv(shared_data() / "recommend" / FILES[DATA])
    ratings = ratings.sort_values(READ[DATA]["ingest.columns.time"], kind="stable")
    early = folder / "early.csv"
    ratings.head(int(share * len(ratings))).to_csv(early, index=False)
    return split_of(DATA, folder / "before", source=early), split_of(DATA, folder / "now")


def compare(before: SplitData, now: SplitData, seed: int, folder: Path) -> list[Row]:
    job = {"data": DATA, "preset": "auto", "seed": seed}
    old, _ = train(configuration(job, before), before, folder / "old")
    anew, minutes = train(configuration(job, now), now, folder / "anew")
    start = {"training.start_from": str(old)}
    config = configuration(job | {"set": start}, now)
    kept = carry_over(TASK, config, now, directory=folder / "kept", fingerprint="kept")
    rows = [row(seed, "the model before", kept, now, 0.0), row(seed, "anew", anew, now, minutes)]
    for share in SHARES_OF_EPOCHS:
        for factor in LR_FACTORS:
            changed = {
                "training.epochs": max(1, round(share * config.training.epochs)),
                "training.lr": factor * config.training.lr,
            }
            shorter = configuration(job | {"set": start | changed}, now)
            made, minutes = train(shorter, now, folder / f"{share}-{factor}")
            what = f"trained on, {share:g} of the epochs, rate x {factor:g}"
            rows.append(row(seed, what, made, now, minutes))
    return rows


def train(config: Any, data: SplitData, directory: Path) -> tuple[Path, float]:
    start = time.perf_counter()
    run = fingerprint(config, data_hash=data.content_hash)
    made = fit(TASK, config, data, directory=directory, fingerprint=run, progress=False).checkpoint
    return made, (time.perf_counter() - start) / 60


def row(seed: int, what: str, checkpoint: Path, data: SplitData, minutes: float) -> Row:
    parts = TASK.evaluate(checkpoint, data)["parts"]
    found = [f"{metrics(parts[part])['model']['ndcg@10']:.4f}" for part in ("valid", "test")]
    print(seed, what, *found, f"{minutes:.1f} minutes", flush=True)
    return [seed, what, *found, f"{minutes:.1f}"]


if __name__ == "__main__":
    main()
