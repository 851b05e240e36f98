"""Whether combining five good configurations pays on MovieLens-100K: test NDCG@10 over three seeds.

    OMP_NUM_THREADS=1 nice -n 10 python benchmarks/ensemble_movielens.py

For each seed the five configurations below are trained by `training.fit`, weighed on valid by
`ensembling.weigh` with the defaults of `EnsembleConfig`, and then looked at on test: the single
member that is best on valid, and what `weigh` chose. The plain mean of all five stands beside them
for orientation; nothing is chosen by it. Split: last item test, the one before valid.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from _harness import Report
from _movielens import METRIC, write_ensemble
from curves_movielens import FIXED, OUT, READ, ml100k_split
from seqtune.core.config import EnsembleConfig, fingerprint
from seqtune.core.resolve import Layer, resolve, unflatten
from seqtune.ensembling import Weighing, weigh
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.training import fit, resolve_auto

SEEDS = (42, 43, 44)
EPOCHS = 120
CONFIGURATIONS = (120, 52, 156, 32, 95)
"""Numbers in `reports/data/curves_movielens100k.jsonl`: the five with the highest valid NDCG@10 at
any of 60 epochs, with seed 42, of the 157 that were drawn by Sobol."""


class Result(NamedTuple):
    seed: int
    single_name: str
    single: dict[str, float]
    """Valid and test of the member that is best on valid."""
    chosen: dict[str, float]
    plain: dict[str, float]
    weighing: Weighing
    facts: dict[str, Any]
    seconds: float


def main() -> None:
    arguments = parse_arguments()
    started = time.process_time()
    report = Report("ensemble_movielens", title="MovieLens-100K: the best of five against all five")
    with tempfile.TemporaryDirectory(prefix="ensemble-") as folder:
        data = ml100k_split(Path(folder))
        results = [
            one_seed(seed, data, Path(folder) / str(seed), epochs=arguments.epochs)
            for seed in arguments.seeds
        ]
    minutes = (time.process_time() - started) / 60
    write(report, results, minutes=minutes, epochs=arguments.epochs)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    return parser.parse_args()


def one_seed(seed: int, data: Any, folder: Path, *, epochs: int) -> Result:
    found = configurations()
    members = {
        f"configuration {number}": train(found[number], data, folder, seed=seed, epochs=epochs)
        for number in CONFIGURATIONS
    }
    start = time.perf_counter()
    pool = TASK.open_pool(members, data, EnsembleConfig(), seed=seed)
    weighing = weigh(pool, EnsembleConfig(), seed=seed)
    seconds = time.perf_counter() - start
    names = list(members)
    single = names[weighing.rows[0].weights.index(1.0)]
    chosen = write_ensemble(folder / "chosen", members, weighing.weights, weighing.scale, data)
    plain = write_ensemble(folder / "plain", members, [0.2] * 5, "log_softmax", data)
    scored = [values(TASK.evaluate(path, data)) for path in (members[single], chosen, plain)]
    of_single, of_chosen, of_plain = scored
    facts = dict(pool.facts())
    result = Result(seed, single, of_single, of_chosen, of_plain, weighing, facts, seconds)
    print(f"seed {seed}: {scored} {weighing.reason}", flush=True)
    return result


def configurations() -> dict[int, dict[str, Any]]:
    rows = map(json.loads, OUT.read_text().splitlines())
    return {row["number"]: row["params"] for row in rows if row["seed"] == SEEDS[0]}


def train(params: dict[str, Any], data: Any, folder: Path, *, seed: int, epochs: int) -> Path:
    """The checkpoint with the weights of the epoch that is best on valid."""
    asked = unflatten(READ | FIXED | params | {"seed": seed, "training.epochs": epochs})
    config = resolve_auto(resolve(RecommendConfig, Layer("member", asked), root="recommend")).config
    run = fingerprint(config, data_hash=data.content_hash)
    result = fit(TASK, config, data, directory=folder / run, fingerprint=run, progress=False)
    return Path(result.checkpoint)


def values(report: dict[str, Any]) -> dict[str, float]:
    return {
        part: report["parts"][part]["full_ranking"][METRIC]["model"] for part in ("valid", "test")
    }


def write(report: Report, results: list[Result], *, minutes: float, epochs: int) -> None:
    differences = [result.chosen["test"] - result.single["test"] for result in results]
    report.text(
        f"Command: `OMP_NUM_THREADS=1 nice -n 10 python benchmarks/ensemble_movielens.py --epochs "
        f"{epochs}`; {minutes:.1f} minutes of processor time, one thread. Members: configurations "
        f"{', '.join(map(str, CONFIGURATIONS))} of `data/{OUT.name}`, chosen there by valid at 60 "
        f"epochs with seed 42; here {epochs} epochs, the best one on valid kept."
    )
    report.text(f"## Test {METRIC}\n\n{verdict(differences)}")
    report.table(
        ["seed", "best single on valid", "chosen", "difference", "plain mean of all five"],
        [
            [
                result.seed,
                f"{result.single['test']:.4f} ({result.single_name})",
                f"{result.chosen['test']:.4f} ({how(result)})",
                f"{result.chosen['test'] - result.single['test']:+.4f}",
                f"{result.plain['test']:.4f}",
            ]
            for result in results
        ],
    )
    for result in results:
        add_seed(report, result)
    report.write()


def verdict(differences: list[float]) -> str:
    mean = statistics.mean(differences)
    spread = statistics.stdev(differences) if len(differences) > 1 else 0.0
    better = sum(difference > 0 for difference in differences)
    return (
        f"The ensemble is better than the best single member with {better} of {len(differences)} "
        f"seeds: {mean:+.4f} on average, standard deviation over seeds {spread:.4f}, from "
        f"{min(differences):+.4f} to {max(differences):+.4f}. The users are the same for all "
        "seeds, so the seeds say how much training varies, not how much other users would."
    )


def how(result: Result) -> str:
    weighing = result.weighing
    return "single" if weighing.method == "single" else f"{weighing.method} on {weighing.scale}"


def add_seed(report: Report, result: Result) -> None:
    """What cross-validation on valid said, and the shares."""
    weighing, facts = result.weighing, result.facts
    report.text(
        f"## Seed {result.seed}\n\n{weighing.reason} On valid: single "
        f"{result.single['valid']:.4f}, chosen {result.chosen['valid']:.4f}, plain mean "
        f"{result.plain['valid']:.4f}. Pool and weighing took {result.seconds:.1f} s; the pool has "
        f"{facts['in_dispute']} items in dispute of {facts['users']} users, {facts['memory_mib']} "
        f"MiB, and is exact for any weights for {facts['exact_for_any_weights']:.1%} of users."
    )
    report.table(
        ["method", "scale", "cross-validated", "std over folds", "to single", "SE", "weights"],
        [
            [
                row.method,
                row.scale,
                f"{row.cv_mean:.4f}",
                f"{row.cv_std:.4f}",
                f"{row.difference:+.4f}",
                f"{row.difference_se:.4f}",
                " ".join(f"{weight:.2f}" for weight in row.weights),
            ]
            for row in weighing.rows
        ],
    )


if __name__ == "__main__":
    main()
