"""Write to MLflow in few calls: stages nested under the run, trainings under their stage."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from seqtune.core.secrets import mask, masked

from .records import EPOCH, End, Record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

METRICS_AT_ONCE = 1000
PARAMS_AT_ONCE = 100
PARAM_LENGTH = 6000
TAG_LENGTH = 8000
NOTE = "mlflow.note.content"
PARENT = "mlflow.parentRunId"
AT = "_at_"
"""MLflow allows no @ in a name: `val_ndcg@10` becomes `val_ndcg_at_10`."""

T = TypeVar("T")


@dataclass
class _Stage:
    run_id: str
    last: float
    """Time of its last record, in seconds since 1970."""
    end: End = "FINISHED"


class MlflowSink:
    """Writes below a run that exists already; `finish` ends it."""

    name = "MLflow"
    switch = "tracking.mlflow=false"

    def __init__(
        self,
        client: MlflowClient,
        *,
        experiment_id: str,
        run_id: str,
        finish: Callable[[End], None],
    ) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self.run_id = run_id
        self._finish = finish
        self._stages: dict[str, _Stage] = {}
        self._notes: dict[str, list[str]] = {}

    def log(self, records: Sequence[Record]) -> None:
        trainings = [record for record in records if record.kind == "training"]
        for record in records:
            if record.kind == "run":
                self._add(self.run_id, record)
            elif record.kind == "stage":
                self._log_stage(record)
        for study in dict.fromkeys(record.group for record in trainings):
            self._log_group([record for record in trainings if record.group == study])

    def close(self, end: End, reason: str) -> None:
        for stage in self._stages.values():
            self._client.set_terminated(stage.run_id, stage.end, int(1000 * stage.last))
        if reason:
            self._client.set_tag(self.run_id, "error", mask(reason)[:TAG_LENGTH])
        self._finish(end)

    def abandon(self) -> None:
        self._finish("FAILED")

    def _log_group(self, records: Sequence[Record]) -> None:
        """Log all trainings of a study, unless none is new and an earlier run holds them."""
        first = records[0]
        has_new = any(record.is_new for record in records)
        if not has_new and (earlier := self._find_earlier(first.group)):
            note = f"{first.group}: nothing new; its {len(records)} trials are in run {earlier}"
            tags = {"trials_in": earlier}
            self._log_stage(Record("stage", stage=first.stage, note=[note], tags=tags))
            return
        for record in records:
            self._log_training(record)

    def _find_earlier(self, study: str) -> str | None:
        """Return the run of the stage that holds the trainings of a study already."""
        if not (name := study.replace("'", "")):
            return None
        found = self._client.search_runs(
            [self._experiment_id],
            f"tags.study = '{name}' and tags.kind = 'training'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        return found[0].data.tags.get(PARENT) if found else None

    def _log_training(self, record: Record) -> None:
        started = record.started or time.time() - (record.seconds or 0.0)
        run_id = self._create(record, self._log_stage(Record("stage", record.stage)), started)
        self._add(run_id, record, started=started, with_tags=False)
        ended = started + (record.seconds or 0.0)
        self._client.set_terminated(run_id, record.end, int(1000 * ended))

    def _log_stage(self, record: Record) -> str:
        """Add to the run of a stage, which starts with its first record."""
        now = time.time()
        stage = self._stages.get(record.stage)
        if stage is None:
            parent, begun = self.run_id, Record("stage", record.stage, record.stage)
            stage = _Stage(self._create(begun, parent, record.started or now), now)
            self._stages[record.stage] = stage
        stage.last = now
        if record.end != "FINISHED":
            stage.end = record.end
        self._add(stage.run_id, record)
        return stage.run_id

    def _create(self, record: Record, parent: str, started: float) -> str:
        own = {"kind": record.kind, "stage": record.stage, PARENT: parent}
        if record.group:
            own["study"] = record.group
        run = self._client.create_run(
            self._experiment_id,
            start_time=int(1000 * started),
            tags={**_tags(record), **own},
            run_name=record.name,
        )
        return str(run.info.run_id)

    def _add(
        self, run_id: str, record: Record, *, started: float | None = None, with_tags: bool = True
    ) -> None:
        from mlflow.entities import Param, RunTag

        begun = record.started or started or time.time()
        params = [Param(legal(k), _text(v)) for k, v in masked(record.params).items()]
        tags = [RunTag(k, v) for k, v in _tags(record).items()] if with_tags else []
        if record.note:
            notes = self._notes.setdefault(run_id, [])
            notes.extend(record.note)
            tags.append(RunTag(NOTE, _note(notes)))
        metrics = list(_metrics(record, begun))
        batches = zip_longest(
            _batches(metrics, METRICS_AT_ONCE),
            _batches(params, PARAMS_AT_ONCE),
            _batches(tags, PARAMS_AT_ONCE),
            fillvalue=(),
        )
        for batch in batches:
            self._client.log_batch(run_id, *batch)
        if record.model is not None:
            from .model import log_model

            self._client.set_tag(run_id, "model", log_model(record.model))
        for folder, paths in record.files.items():
            for path in paths:
                log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
                log(run_id, str(path), folder)


def legal(name: str) -> str:
    """Return a name that MLflow accepts."""
    return re.sub(r"[^\w.\- :/]", "_", name.replace("@", AT))


def _metrics(record: Record, begun: float) -> Iterator[Metric]:
    """Yield values and curves; epochs are spread evenly over the time of the training."""
    from mlflow.entities import Metric

    at = int(1000 * begun)
    for name, value in record.metrics.items():
        yield Metric(legal(name), float(value), at, 0)
    for name, curve in record.series.items():
        last = max(curve, default=1) or 1
        length = 1000 * (record.seconds or 0.0)
        for step, value in curve.items():
            when = at + int(length * step / last) if name.startswith(EPOCH) else at + 1000 * step
            yield Metric(legal(name), float(value), when, step)


def _tags(record: Record) -> dict[str, str]:
    return {legal(key): mask(value)[:TAG_LENGTH] for key, value in record.tags.items()}


def _note(lines: Sequence[str]) -> str:
    """Write lines of plain text as a list in Markdown, which MLflow renders."""
    plain = (escape(mask(line), quote=False) for line in lines)
    escaped = (re.sub(r"([\\`*_{}\[\]#|~])", r"\\\1", line) for line in plain)
    return "\n".join(f"- {line}" for line in escaped)[:TAG_LENGTH]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:PARAM_LENGTH]


def _batches(values: Sequence[T], size: int) -> list[Sequence[T]]:
    """Split into parts that MLflow accepts in one call."""
    return [values[start : start + size] for start in range(0, len(values), size)]
