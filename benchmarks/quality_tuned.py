"""Searches with a time budget, as a user runs them: a row of docs/results.md for each.

    python benchmarks/quality_tuned.py toys --budget 2h --keep FOLDER

In a project below FOLDER, with the data in their place, `kedro run` ingests, splits, tunes within
the budget and trains what was found. Run again after a stop, it goes on; minutes are then those of
the last start. Test is opened once. Lines go to benchmarks/reports/data/recommend_runs.jsonl, with
the trials of each stage.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from _datasets import FILES, READ
from _harness import ROOT, append_line, provenance, shared_data
from _projects import copy_settings
from quality_recommend import FIXED, OUT, metrics, read_runs
from seqtune.core.resolve import unflatten

PREPARE, SEARCH = "ingest,split", "tune,train"
RAW = "data/01_raw/recommend/interactions.csv"
SPLIT = "data/05_model_input/recommend/split"
REPORTING = "data/08_reporting/recommend"
STAGES = ("quick", "medium")


def main() -> None:
    arguments = parse_arguments()
    known = [row["run"] for row in read_runs(arguments.out)]
    for name in arguments.data:
        project = arguments.keep.absolute() / name
        run = f"tuned, {name}, {arguments.budget}, seed {arguments.seed}"
        if run in known:
            continue
        if not (project / SPLIT).is_dir():
            shutil.rmtree(project, ignore_errors=True)
            make_project(project, name)
            kedro(project, PREPARE, {})
        settings = {"budget": arguments.budget, "workers": arguments.workers}
        given = {f"tuning.{key}": value for key, value in settings.items()}
        start = time.perf_counter()
        kedro(project, SEARCH, given | {"tuning.seed": arguments.seed})
        minutes = round((time.perf_counter() - start) / 60, 1)
        row = {
            "run": run,
            "name": f"tuned, {arguments.budget}",
            "data": name,
            "preset": "auto",
            "set": settings,
        }
        row |= {"seed": arguments.seed, **found_in(project), "minutes": minutes, **provenance()}
        append_line(arguments.out, row)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", nargs="+", choices=list(FILES))
    parser.add_argument("--budget", default="2h", help="of tuning")
    parser.add_argument("--workers", default="auto", help="of tuning")
    parser.add_argument("--seed", type=int, default=42, help="of tuning")
    parser.add_argument("--keep", type=Path, required=True, help="folder of the projects")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def make_project(project: Path, name: str) -> None:
    """A project that reads the data, each training on one thread of the processor."""
    copy_settings(project)
    values = {"recommend": unflatten({**READ[name], **FIXED})}
    local = project / "conf" / "local" / "parameters_recommend.yml"
    local.write_text(yaml.safe_dump(values), encoding="utf-8")
    raw = project / RAW
    raw.parent.mkdir(parents=True)
    shutil.copy(shared_data() / "recommend" / FILES[name], raw)


def kedro(project: Path, pipelines: str, parameters: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "kedro", "run", "--pipelines", pipelines]
    if parameters:
        command += ["--params", ",".join(f"{key}={value}" for key, value in parameters.items())]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run(command, cwd=project, env=environment, check=True)


def found_in(project: Path) -> dict[str, Any]:
    """Metrics of the newest checkpoint, what the search brought over the default on valid, and the
    trials of each stage by state."""
    parts = read_report(project, "metrics.json")["parts"]
    return {
        "valid": metrics(parts["valid"]),
        "test": metrics(parts["test"]),
        "gain": read_report(project, "rerank_report.json")["gain"],
        "trials": {stage: count_states(project, stage) for stage in STAGES},
    }


def read_report(project: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(newest(project / REPORTING, name).read_text("utf-8"))
    return found


def count_states(project: Path, stage: str) -> dict[str, int]:
    trials = newest(project / "data/06_models/recommend", f"{stage}_trials.parquet")
    return {
        str(state): int(n) for state, n in pd.read_parquet(trials)["state"].value_counts().items()
    }


def newest(folder: Path, name: str) -> Path:
    """The newest version of a dataset."""
    return max((folder / name).glob(f"*/{name}"))


if __name__ == "__main__":
    main()
