"""What writing a run down in MLflow costs: the same search with and without it, in turns.

A search on the generated sample data, each time from the beginning and in a process of its own.
Beside the whole run, the time spent in the hooks that track is measured by itself: on a machine
that others use too, that is the steadier number.

    python benchmarks/bench_tracking.py [--trials 24] [--epochs 8] [--times 3]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _harness import ROOT, Isolated, Report, Timing, run_isolated, show

SEARCH = """
tuning:
  stages:
    test: {{trials: 1, epochs: 2}}
    quick: {{trials: {trials}, epochs: {epochs}}}
    medium: {{trials: 1, epochs: {epochs}}}
"""
HOOKS = ("before_pipeline_run", "before_node_run", "after_dataset_saved", "after_pipeline_run")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--times", type=int, default=3, help="repeats")
    arguments = parser.parse_args()
    report = Report("tracking", title="What MLflow costs a search")
    with tempfile.TemporaryDirectory() as folder:
        project = prepare(Path(folder) / "project", arguments.trials, arguments.epochs)
        found: dict[str, list[Isolated]] = {"off": [], "on": []}
        for _ in range(arguments.times):
            for tracking, runs in found.items():
                forget(project)
                os.environ["SEQTUNE_TRACKING"] = tracking
                runs.append(run_isolated("bench_tracking", "search", project=str(project)))
    write(report, arguments, {name: [run.result for run in runs] for name, runs in found.items()})


def write(
    report: Report, arguments: argparse.Namespace, found: dict[str, list[dict[str, Any]]]
) -> None:
    on, trials = found["on"], arguments.trials + 1
    report.text(
        f"`tune_test` and the quick stage with its analysis and figures: {trials} trials of up "
        f"to {arguments.epochs} epochs on the sample data, one worker a core, from an empty study. "
        "The hooks' shares are of the run with tracking."
    )
    rows = [
        [f"run, tracking {name}", str(Timing(tuple(run["seconds"] for run in runs))), ""]
        for name, runs in found.items()
    ]
    for name in (*HOOKS, "all hooks"):
        spent = Timing(tuple(run["hooks"].get(name, 0.0) for run in on))
        shares = [run["hooks"].get(name, 0.0) / run["seconds"] for run in on]
        rows.append([name, str(spent), f"{100 * statistics.median(shares):.2f} %"])
    report.table(["what", "seconds", "share of the run"], rows)
    saved = statistics.median(run["hooks"]["after_dataset_saved"] for run in on)
    training = statistics.median(run["training"] for run in on)
    report.text(
        f"Beginning a run costs once what `before_pipeline_run` says (the import of MLflow; the "
        f"first time also its tables). After that it is {show(1000 * saved / trials)} ms for each "
        f"trial, files and figures of the stages included: {show(100 * saved / training)} % of the "
        f"{show(training)} s that these very short trials took together "
        f"({show(training / trials)} s each)."
    )
    report.write()


def prepare(project: Path, trials: int, epochs: int) -> Path:
    """A project with sample data, split and checked, and a small search to run."""
    shutil.copytree(ROOT / "conf", project / "conf", ignore=shutil.ignore_patterns("local"))
    (project / "conf" / "local").mkdir()
    (project / "src").mkdir()
    for name in ("pyproject.toml", "requirements.lock", ".telemetry"):
        shutil.copy(ROOT / name, project / name)
    tuning = project / "conf" / "sample" / "parameters_tuning.yml"
    spaces = tuning.read_text().partition("\nrecommend:")[2]
    tuning.write_text(f"{SEARCH.format(trials=trials, epochs=epochs)}\nrecommend:{spaces}")
    os.environ["SEQTUNE_TRACKING"] = "off"
    run_isolated("bench_tracking", "make_ready", project=str(project))
    return project


def make_ready(project: str) -> None:
    """In a process of its own: everything before the search."""
    for names in (["sample"], ["ingest", "split", "verify_env"]):
        session(project).run(pipeline_names=names)


def search(project: str) -> dict[str, Any]:
    """In a process of its own: the search, timed."""
    spent = timed_hooks()
    opened = session(project)
    begun = time.perf_counter()
    opened.run(pipeline_names=["tune"], tags=["test", "quick"])
    seconds = time.perf_counter() - begun
    spent["all hooks"] = sum(spent.values())
    return {"seconds": seconds, "hooks": dict(spent), "training": training_seconds(Path(project))}


def timed_hooks() -> Counter[str]:
    """Seconds spent in each hook of tracking from now on, by name."""
    from seqtune.hooks import TrackingHooks

    spent: Counter[str] = Counter()

    def timed(name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            try:
                return hook(*args, **kwargs)
            finally:
                spent[name] += time.perf_counter() - begun  # type: ignore[assignment]  # seconds

        call.__dict__ |= hook.__dict__
        call.__wrapped__ = hook  # type: ignore[attr-defined]  # pluggy reads the arguments' names
        return call

    for name in HOOKS:
        setattr(TrackingHooks, name, timed(name, getattr(TrackingHooks, name)))
    return spent


def session(project: str) -> Any:
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(Path(project))
    return KedroSession.create(project, env="sample")


def training_seconds(project: Path) -> float:
    """What all trials took together."""
    import pandas as pd

    tables = project.glob("data/sample/06_models/recommend/*_trials.parquet")
    newest = (max(folder.iterdir()) / folder.name for folder in tables)
    return float(sum(pd.read_parquet(table)["seconds"].sum() for table in newest))


def forget(project: Path) -> None:
    """Studies of before; the tracking database stays, as it would."""
    for file in project.glob("data/sample/06_models/recommend/studies.db*"):
        file.unlink()


if __name__ == "__main__":
    main()
