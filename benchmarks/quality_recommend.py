"""Real trainings of `recommend` on the development data: one line of JSON for each.

    OMP_NUM_THREADS=1 nice -n 10 python benchmarks/quality_recommend.py queue.yml

The queue is a list of trainings: {name, data, set: {key: value}, seeds, preset, test}. `data` is
one of `_datasets.FILES`; the preset is `none` unless it says another. Finished trainings are
skipped, an unfinished one goes on in `--keep`. A line has the curve on valid, the best epoch's
metrics, the floors and the minutes; test is looked at only where the queue says `test: true`.
Lines go to benchmarks/reports/data/recommend_runs.jsonl.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from _datasets import READ, split_of
from _harness import REPORTS, ROOT, append_line, provenance, read_lines
from seqtune.core.config import fingerprint
from seqtune.core.resolve import flatten, unflatten
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.training import fit, resolve_auto

OUT = REPORTS / "data" / "recommend_runs.jsonl"
FIXED = {"training.accelerator": "cpu", "training.num_threads": 1}


def main() -> None:
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    done = {(row["run"], row["test"] is not None) for row in read_runs(arguments.out)}
    for job in read_queue(arguments.queue):
        data = split_of(job["data"], arguments.keep / "data")
        config = configuration(job, data)
        run = fingerprint(config, data_hash=data.content_hash)
        opens_test = bool(job.get("test"))
        if (run, opens_test) not in done:
            place = arguments.keep / f"train-{run}"
            append_line(arguments.out, {"run": run, **job} | train(config, data, place, opens_test))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("queue", type=Path)
    parser.add_argument("--keep", type=Path, required=True, help="folder of unfinished trainings")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def read_runs(out: Path = OUT) -> list[dict[str, Any]]:
    """Return the finished trainings."""
    return read_lines(out)


def read_queue(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the trainings of a queue, a seed each; the file may grow while it is worked through."""
    position = 0
    while position < len(jobs := yaml.safe_load(path.read_text())):
        job = jobs[position]
        for seed in job.get("seeds", [42]):
            yield {key: value for key, value in job.items() if key != "seeds"} | {"seed": seed}
        position += 1


def configuration(job: Mapping[str, Any], data: SplitData) -> RecommendConfig:
    """Resolve a training of the queue as `kedro run` does: conf/base, its preset, its values."""
    file = ROOT / "conf" / "base" / "parameters_recommend.yml"
    base = yaml.safe_load(file.read_text(encoding="utf-8"))["recommend"]
    given = READ[job["data"]] | FIXED | job.get("set", {}) | {"seed": job["seed"]}
    values = unflatten({**dict(flatten(base)), **given, "preset": job.get("preset", "none")})
    parameters = TASK.parse_parameters(values=values, runtime={}, origins={})
    facts = TASK.describe_data(data) if TASK.describe_data else None
    config = resolve_auto(parameters.resolve(facts)).config
    assert isinstance(config, RecommendConfig)
    return config


def train(config: RecommendConfig, data: Any, place: Path, opens_test: bool) -> dict[str, Any]:
    start = time.perf_counter()
    run = place.name.removeprefix("train-")
    result = fit(TASK, config, data, directory=place, fingerprint=run, progress=False)
    minutes = (time.perf_counter() - start) / 60
    parts = TASK.evaluate(result.checkpoint, data)["parts"]
    monitor = config.training.monitor
    return {
        "valid": metrics(parts["valid"]),
        "test": metrics(parts["test"]) if opens_test else None,
        "best_epoch": result.best_epoch,
        "curve": [round(row[monitor], 5) for row in result.history if monitor in row],
        "seconds": [round(row["seconds"], 1) for row in result.history],
        "minutes": round(minutes, 1),
        **provenance(),
    }


def metrics(part: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    ranking = part["full_ranking"]
    return {
        of: {name: round(ranking[name][of], 5) for name in ("ndcg@10", "hit@10")}
        for of in ranking["ndcg@10"]
    }


if __name__ == "__main__":
    main()
