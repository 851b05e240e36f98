"""All checks in their order, and the report of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seqtune.core.config import RunConfig, fingerprint, library_versions
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


@dataclass
class Findings:
    """What was found so far."""

    checks: list[Check] = field(default_factory=list)
    tuning: Resolved[Any] | None = None
    training: Resolved[Any] | None = None
    proof: dict[str, Any] = field(default_factory=dict)


def verify(
    task: TaskSpec,
    data: TrainingData,
    sides: ComparedPaths,
    *,
    place: VerifyPaths,
    best: Sequence[Check] = (),
) -> Report:
    """Check both sides and report what was found; nothing that was found raises an error."""
    findings = Findings([environment_checks.imports(), environment_checks.locked(place.lock)])
    try:
        tuning, training = sides.tuning(), sides.training()
    except ConfigurationError as error:
        findings.checks += [Check("configuration", "fail", fault) for fault in error.faults]
    else:
        findings.tuning, findings.training = tuning, training
        findings.checks += _compare(tuning, training, data, place, task=task.name)
        steps = sides.rehearse_tuning(tuning.config), sides.rehearse_training(training.config)
        size = max(side.model_mib for side in steps)
        findings.checks += [
            prove(*steps),
            environment_checks.disk_space(place.scratch, model_mib=size),
        ]
        findings.proof = {"tuning": asdict(steps[0]), "training": asdict(steps[1])}
    findings.checks += best
    return _report(findings, data, task=task.name)


def _compare(
    tuning: Resolved[Any],
    training: Resolved[Any],
    data: TrainingData,
    place: VerifyPaths,
    *,
    task: str,
) -> list[Check]:
    config, origin = training.config, training.origins.get("training.precision", DEFAULT)
    is_full = bool(getattr(getattr(config, "split", None), "use_full_data", False))
    return [
        environment_checks.device(config.training, origin=origin),
        *compare_values(tuning.table(), training.table(), task=task),
        environment_checks.held_out(data, name=place.split, use_full_data=is_full),
    ]


def _report(findings: Findings, data: TrainingData, *, task: str) -> Report:
    tables = [side.table() if side else {} for side in (findings.tuning, findings.training)]
    training = findings.training
    return {
        "headline": [_headline(findings, task)],
        "task": task,
        "counts": counted(findings.checks),
        "checks": [check.as_dict() for check in findings.checks],
        "values": table_of_both(*tables),
        "proof": findings.proof,
        "data_hash": data.content_hash,
        "versions": library_versions(training.config.libraries if training else ()),
        "fingerprint": (
            fingerprint(training.config, data_hash=data.content_hash) if training else None
        ),
    }


def _headline(findings: Findings, task: str) -> str:
    counts = counted(findings.checks)
    if counts["fail"]:
        return (
            f"{task}: tuning and training are NOT the same, or cannot run: {counts['fail']} of "
            f"{len(findings.checks)} checks failed"
        )
    warned = f", {counts['warn']} warnings" if counts["warn"] else ""
    values = len(findings.training.table()) if findings.training else 0
    steps = len(findings.proof.get("training", {}).get("losses", ()))
    return (
        f"{task}: tuning and training are the same: {values} values and {steps} training steps "
        f"are equal{warned}"
    )
