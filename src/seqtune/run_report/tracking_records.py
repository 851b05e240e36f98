"""Turn the results of nodes into records for loggers, node by node during a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kedro.pipeline.node import Node

from seqtune.core.ensemble import MEMBERS, open_ensemble
from seqtune.core.task import OURS
from seqtune.core.trials import Trial, ranked
from seqtune.tracking import Record, checkpoint_record, trial_record
from seqtune.tracking.gpus import GpuMonitor

from .facts import kind_of

UNTRAINED = ("waiting", "running")


@dataclass(frozen=True)
class TrialMetric:
    """The metric by which trials of a task are compared."""

    metric: str
    mode: str


@dataclass(frozen=True)
class RecordBuilder:
    """Builds records from the results of nodes and the files where they were saved."""

    place: Callable[[str], Path | None]
    goals: Mapping[str, TrialMetric]
    """By task."""
    since: float
    """When the run began."""
    watch: GpuMonitor

    def records(self, node: Node, made: Mapping[str, Any]) -> Iterator[Record]:
        stage, task = stage_of(node), task_of(node)
        for name, data in made.items():
            if data is None:
                continue  # an optional dataset
            short = name.rpartition(".")[2]
            yield self._saved_file(stage, name, data)
            if short.endswith("_trials"):
                yield from self._trials(stage, task, data)
            elif short in ("metrics", "ensemble_metrics"):
                yield from _metrics(stage, "ensemble/" * short.startswith("ensemble"), data)
            elif short == "config":
                values = {key: entry["value"] for key, entry in data["values"].items()}
                params = {f"{task}.{key}": value for key, value in values.items()}
                yield Record("run", params=params, tags={f"{task}.preset": str(data["preset"])})
            elif short == "best_config":
                yield Record("run", metrics={f"best_trial/{data['metric']}": data["score"]})
            elif short == "rerank_report":
                yield from _reranked(stage, data)
            elif short == "validate_report":
                yield from _validated(stage, data)
            elif short == "checkpoint":
                yield checkpoint_record(
                    self.saved_path(name), stage=stage, name="train", kind="stage"
                )
            elif short == "ensemble":
                yield from _members(stage, self.saved_path(name))

    def _saved_file(self, stage: str, name: str, data: Any) -> Record:
        """Record the file of a dataset, and the headlines and top-level numbers of a report."""
        folder = kind_of(name)
        place = self.place(name) if folder else None
        files = {folder: [place]} if folder and place and place.exists() else {}
        if not isinstance(data, Mapping) or folder != "reports":
            return Record("stage", stage, files=files)
        numbers = {
            key: float(value)
            for key, value in data.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        return Record("stage", stage, files=files, metrics=numbers, note=data.get("headline", []))

    def _trials(self, stage: str, task: str, table: Any) -> Iterator[Record]:
        from seqtune.pipelines.tune.tables import read_trials_table

        goal = self.goals.get(task, TrialMetric("score", "max"))
        trials = read_trials_table(table)
        yield Record("stage", stage, metrics=_counted(trials, goal))
        for trial in trials:
            if trial.state not in UNTRAINED:
                record = trial_record(trial, stage=stage, metric=goal.metric, since=self.since)
                gpu = self.watch.during(trial.worker, record.started, record.seconds)
                yield replace(record, metrics={**record.metrics, **gpu})

    def saved_path(self, name: str) -> Path:
        place = self.place(name)
        if place is None:
            raise FileNotFoundError(f"{name} is not a file of the catalog")
        return place


def stage_of(node: Node) -> str:
    """Return the stage (`recommend.tune.quick`), or the node itself if it has none."""
    return str(node.namespace or node.name)


def task_of(node: Node) -> str:
    return stage_of(node).partition(".")[0]


def _counted(trials: list[Trial], goal: TrialMetric) -> dict[str, float]:
    counts = Counter(trial.state for trial in trials)
    metrics = {f"trials/{state}": float(number) for state, number in counts.items()}
    best = ranked(trials, mode="min" if goal.mode == "min" else "max")[:1]
    if best and best[0].score is not None:
        metrics[f"best_trial/{goal.metric}"] = best[0].score
    return metrics


def _metrics(stage: str, prefix: str, report: Mapping[str, Any]) -> Iterator[Record]:
    """Record all numbers for the stage, and the model's main ones for the run."""
    main: dict[str, float] = {}
    every: dict[str, float] = {}
    for part, found in report.get("parts", {}).items():
        groups = [(name, rows) for name, rows in found.items() if isinstance(rows, Mapping)]
        for place, (group, rows) in enumerate(groups):
            root = f"{prefix}{part}/{group}" if place else f"{prefix}{part}"
            every |= _numbers(root, rows)
            if not place:  # the first group is what a task is judged by
                own = (row.get(OURS) if isinstance(row, Mapping) else row for row in rows.values())
                main |= _numbers(root, dict(zip(rows, own, strict=True)))
    yield Record("run", metrics=main, note=report.get("headline", []))
    yield Record("stage", stage, metrics=every)


def _numbers(root: str, rows: Mapping[str, Any]) -> dict[str, float]:
    """Name the numbers: `test/ndcg@10` of the model, `test/ndcg@10 markov` of a baseline."""
    found = {}
    for metric, row in rows.items():
        columns = row if isinstance(row, Mapping) else {OURS: row}
        for column, value in columns.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                name = f"{root}/{metric}" if column == OURS else f"{root}/{metric} {column}"
                found[name] = float(value)
    return found


def _reranked(stage: str, report: Mapping[str, Any]) -> Iterator[Record]:
    """Record the mean over fresh seeds of each trial that was trained again."""
    names = ("mean", "std", "min", "max", "single", "rank_before", "rank_after")
    for row in report.get("rows", []):
        yield Record(
            "training",
            stage,
            name=f"trial {row['trial']} over {row['num']} seeds",
            params=row["params"],
            metrics={name: float(row[name]) for name in names if row.get(name) is not None},
            tags={"trial": str(row["trial"]), "chosen": str(row["trial"] == report["chosen"])},
        )


def _validated(stage: str, report: Mapping[str, Any]) -> Iterator[Record]:
    groups = {
        f"{kind}_seed/{name}": float(value)
        for kind, group in report["groups"].items()
        for name, value in group.items()
    }
    yield Record("stage", stage, metrics=groups, tags={"stable": str(report["stable"])})
    for row in report["runs"]:
        yield Record(
            "training",
            stage,
            name=f"{row['kind']} seed {row['number']}",
            params={"seed": row["seed"]},
            metrics={**row["metrics"], "score": row["score"], "best_epoch": row["best_epoch"]},
            tags={"stopped": row["stopped"]},
            seconds=row["seconds"],
        )


def _members(stage: str, folder: Path) -> Iterator[Record]:
    ensemble = open_ensemble(folder)
    manifest = ensemble.manifest
    tags = {"method": manifest.method, "scale": manifest.scale, "fingerprint": manifest.fingerprint}
    yield Record("stage", stage, tags=tags)
    for member in manifest.used:
        record = checkpoint_record(folder / MEMBERS / member.name, stage=stage, name=member.name)
        share = {"weight": member.weight}
        if member.score is not None:  # without held-out rows
            share["score"] = member.score
        yield replace(
            record,
            metrics={**record.metrics, **share},
            tags={**record.tags, "member": member.kind, "origin": member.origin},
        )
