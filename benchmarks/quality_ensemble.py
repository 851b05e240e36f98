"""The seeds of our default as an ensemble, weighed on valid: a row of docs/results.md.

    python benchmarks/quality_ensemble.py toys ml-1m --keep FOLDER

FOLDER is that of quality_recommend.py, whose trainings it combines with the settings of `ensemble`.
Test is opened once. Lines go to benchmarks/reports/data/recommend_runs.jsonl.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path
from typing import Any

from _datasets import FILES, split_of
from _harness import append_line, provenance
from quality_recommend import OUT, metrics, read_runs
from seqtune.core.config import EnsembleConfig
from seqtune.pipelines.ensemble.members import MemberPlan, PlannedMember
from seqtune.pipelines.ensemble.weighing import make_ensemble
from seqtune.tasks.recommend import TASK


def main() -> None:
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    known = {row["run"]: row for row in read_runs(arguments.out)}
    for name in arguments.data:
        runs = {
            run: row
            for run, row in known.items()
            if (row["name"], row["data"]) == ("default", name)
        }
        ensemble = f"ensemble, {name}, {' '.join(runs)}"
        if ensemble in known:
            continue
        kept = {run: arguments.keep / f"train-{run}" / "checkpoint" for run in runs}
        if missing := [str(path) for path in kept.values() if not path.is_dir()]:
            raise FileNotFoundError(f"{', '.join(missing)}: run quality_recommend.py first")
        row = {"run": ensemble, "name": "ensemble", "data": name}
        minutes = sum(run["minutes"] for run in runs.values())
        found = combine(name, kept, arguments.keep)
        append_line(arguments.out, row | {"seed": 42} | found | {"minutes": round(minutes, 1)})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", nargs="+", choices=list(FILES))
    parser.add_argument("--keep", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def combine(name: str, checkpoints: dict[str, Path], keep: Path) -> dict[str, Any]:
    data = split_of(name, keep / "data")
    members = tuple(
        PlannedMember(name=f"seed-{place}", origin=run, fingerprint=run, checkpoint=path)
        for place, (run, path) in enumerate(checkpoints.items())
    )
    plan = MemberPlan(members, "seeds", "the seeds of the default")
    with tempfile.TemporaryDirectory(prefix="ensemble-") as scratch:
        out = Path(scratch) / "ensemble"
        folder, _ = make_ensemble(TASK, plan, members, data, EnsembleConfig(), out=out)
        parts = TASK.evaluate(folder, data)["parts"]
    return {
        "valid": metrics(parts["valid"]),
        "test": metrics(parts["test"]),
        "best_epoch": 0,
        **provenance(),
    }


if __name__ == "__main__":
    main()
