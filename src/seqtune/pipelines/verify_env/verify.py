"""All checks in their order, and the report that is made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from seqtune.core.config import RunConfig, fingerprint, library_versions
from seqtune.core.errors import ConfigurationError
from seqtune.core.resolve import DEFAULT, Resolved
from seqtune.core.task import Report, TaskSpec, TrainingData
from seqtune.core.verification import Check, counted

from . import environment_checks
from .comparison import StepResults, prove
from .values import compare_values, table_of_both

RehearseSide = Callable[[RunConfig], StepResults]


class ResolvePath(Protocol):
    """The way from what was typed to the configuration of one side."""

    def __call__(self) -> Resolved[Any]: ...


@dataclass(frozen=True)
class ComparedPaths:
    """Tuning and training: how each resolves its configuration, and how each runs."""

    tuning: ResolvePath
    training: ResolvePath
    rehearse_tuning: RehearseSide
    rehearse_training: RehearseSide


@dataclass(frozen=True)
class VerifyPaths:
    """Where it is checked."""

    split: str
    scratch: Path
    lock: Path


@dataclass
class Findings:
    """Grows check by check."""

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
    """Everything that is found out about the two sides; nothing is raised for what is found."""
    findings = Findings([environment_checks.imports(), environment_checks.locked(place.lock)])
    _resolve(findings, sides)
    if findings.tuning is not None and findings.training is not None:
        _compare(findings, findings.tuning, findings.training, task=task.name)
        _check_split(findings, data, findings.training, place)
        _prove(findings, sides, findings.tuning, findings.training, place)
    findings.checks += best
    return _report(findings, data, task=task.name)


def _resolve(findings: Findings, sides: ComparedPaths) -> None:
    try:
        findings.tuning, findings.training = sides.tuning(), sides.training()
    except ConfigurationError as error:
        findings.checks += [Check("configuration", "fail", fault) for fault in error.faults]


def _compare(
    findings: Findings, tuning: Resolved[Any], training: Resolved[Any], *, task: str
) -> None:
    origin = training.origins.get("training.precision", DEFAULT)
    findings.checks.append(environment_checks.device(training.config.training, origin=origin))
    findings.checks += compare_values(tuning.table(), training.table(), task=task)


def _check_split(
    findings: Findings, data: TrainingData, training: Resolved[Any], place: VerifyPaths
) -> None:
    split = getattr(training.config, "split", None)
    is_full = bool(getattr(split, "use_full_data", False))
    findings.checks.append(
        environment_checks.held_out(data, name=place.split, use_full_data=is_full)
    )


def _prove(
    findings: Findings,
    sides: ComparedPaths,
    tuning: Resolved[Any],
    training: Resolved[Any],
    place: VerifyPaths,
) -> None:
    ran = {
        "tuning": sides.rehearse_tuning(tuning.config),
        "training": sides.rehearse_training(training.config),
    }
    size = max(side.model_mib for side in ran.values())
    findings.checks += [
        prove(ran["tuning"], ran["training"]),
        environment_checks.disk_space(place.scratch, model_mib=size),
    ]
    findings.proof = {name: asdict(side) for name, side in ran.items()}


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
