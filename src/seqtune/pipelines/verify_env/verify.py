"""All checks in their order, and the report of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seqtune.core.config import RunConfig, fingerprint, library_versions
from seqtune.core.differences import Table
from seqtune.core.errors import ConfigurationError
from seqtune.core.resolve import DEFAULT, Resolved
from seqtune.core.task import Report, TaskSpec, TrainingData
from seqtune.core.verification import Check, counted

from . import environment_checks
from .comparison import StepResults, prove
from .values import compare_values, table_of_both

RehearseSide = Callable[[RunConfig], StepResults]


@dataclass(frozen=True)
class ComparedPaths:
    """How tuning and training each resolve their configuration, and run a few steps of it."""

    tuning: Callable[[], Resolved[Any]]
    training: Callable[[], Resolved[Any]]
    rehearse_tuning: RehearseSide
    rehearse_training: RehearseSide


@dataclass(frozen=True)
class VerifyPaths:
    """The files and folders that are checked."""

    split: str
    scratch: Path
    lock: Path


def verify(
    task: TaskSpec,
    data: TrainingData,
    sides: ComparedPaths,
    *,
    place: VerifyPaths,
    best: Sequence[Check] = (),
) -> Report:
    """Check both sides and report what was found; nothing that was found raises an error."""
    checks = [environment_checks.imports(), environment_checks.locked(place.lock)]
    config: RunConfig | None = None
    tables: list[Table] = [{}, {}]
    proof: dict[str, Any] = {}
    try:
        tuning, training = sides.tuning(), sides.training()
    except ConfigurationError as error:
        checks += [Check("configuration", "fail", fault) for fault in error.faults]
    else:
        config, tables = training.config, [tuning.table(), training.table()]
        checks += _compare(training, tables, data, place, task=task.name)
        steps = sides.rehearse_tuning(tuning.config), sides.rehearse_training(config)
        size = max(side.model_mib for side in steps)
        disk = environment_checks.disk_space(place.scratch, model_mib=size)
        checks += [prove(*steps), disk]
        proof = {"tuning": asdict(steps[0]), "training": asdict(steps[1])}
    checks += best
    return {
        "headline": [_headline(task.name, checks, num_values=len(tables[1]), proof=proof)],
        "task": task.name,
        "counts": counted(checks),
        "checks": [check.as_dict() for check in checks],
        "values": table_of_both(*tables),
        "proof": proof,
        "data_hash": data.content_hash,
        "versions": library_versions(config.libraries if config else ()),
        "fingerprint": fingerprint(config, data_hash=data.content_hash) if config else None,
    }


def _compare(
    training: Resolved[Any],
    tables: Sequence[Table],
    data: TrainingData,
    place: VerifyPaths,
    *,
    task: str,
) -> list[Check]:
    config, origin = training.config, training.origins.get("training.precision", DEFAULT)
    is_full = bool(getattr(getattr(config, "split", None), "use_full_data", False))
    return [
        environment_checks.device(config.training, origin=origin),
        *compare_values(*tables, task=task),
        environment_checks.held_out(data, name=place.split, use_full_data=is_full),
    ]


def _headline(
    task: str, checks: Sequence[Check], *, num_values: int, proof: Mapping[str, Any]
) -> str:
    counts = counted(checks)
    if counts["fail"]:
        return (
            f"{task}: tuning and training are NOT the same, or cannot run: {counts['fail']} of "
            f"{len(checks)} checks failed"
        )
    warnings = f", {counts['warn']} warnings" if counts["warn"] else ""
    steps = len(proof.get("training", {}).get("losses", ()))
    return (
        f"{task}: tuning and training are the same: {num_values} values and {steps} training steps "
        f"are equal{warnings}"
    )
