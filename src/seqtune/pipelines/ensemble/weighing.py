"""The weight of each member: found on valid, written to the ensemble folder."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from seqtune.core.checkpoint import Checkpoint, Which, open_checkpoint
from seqtune.core.config import EnsembleConfig, library_versions
from seqtune.core.ensemble import (
    MANIFEST,
    MEMBERS,
    EnsembleManifest,
    Member,
    ensemble_fingerprint,
)
from seqtune.core.errors import ConfigurationError
from seqtune.core.files import write_json
from seqtune.core.task import Report, TaskSpec, TrainingData

from .baselines import unknown_baselines
from .members import MemberPlan, PlannedMember

logger = logging.getLogger(__name__)

AUTO = "auto"
UNIFORM = "uniform"
NOTHING_HELD_OUT = (
    "nothing is held out (split.use_full_data), so nothing is weighed: every member counts the same"
)


@dataclass(frozen=True)
class WeighedEnsemble:
    """The weights, and how they were found."""

    weights: Sequence[float]
    scale: str
    method: str
    metric: str
    reason: str
    findings: dict[str, Any]
    decision: dict[str, Any] = field(default_factory=dict)
    """What a prediction needs besides the weights, such as thresholds."""


def make_ensemble(
    task: TaskSpec,
    plan: MemberPlan,
    members: Sequence[PlannedMember],
    data: TrainingData,
    settings: EnsembleConfig,
    *,
    out: Path,
) -> tuple[Path, Report]:
    """Weigh the members and write the ensemble to `out`; report what was compared."""
    members = _drop_duplicates(members)
    paths = {member.name: _path(member) for member in members}
    opened = {name: open_checkpoint(path) for name, path in paths.items()}
    first = opened[members[0].name].manifest
    num_baselines = sum(bool(checkpoint.manifest.baseline) for checkpoint in opened.values())
    seed = int(first.config["seed"])
    weighed = _weigh(task, paths, data, settings, seed=seed, num_baselines=num_baselines)
    described = [
        _member(member, opened[member.name], weight=weight)
        for member, weight in zip(members, weighed.weights, strict=True)
    ]
    shares = {member.weights_sha256: member.weight for member in described}
    manifest = EnsembleManifest(
        task=task.name,
        fingerprint=ensemble_fingerprint(
            shares,
            scale=weighed.scale,
            data_hash=data.content_hash,
            decision=weighed.decision,
        ),
        data_hash=data.content_hash,
        assets_hash=data.assets_hash,
        reference=members[0].fingerprint,
        scale=weighed.scale,
        method=weighed.method,
        members=tuple(described),
        metric=weighed.metric,
        decision=weighed.decision,
        findings=weighed.findings,
        versions=library_versions(
            dict.fromkeys(
                library
                for member in described
                if member.weight > 0
                for library in opened[member.name].manifest.versions
            )
        ),
    )
    _write_folder(out, manifest, opened)
    return out, _report(manifest, plan, weighed)


def refuse_unknown(task: TaskSpec, settings: EnsembleConfig, data: TrainingData) -> None:
    """Refuse settings that cannot weigh members, before any member is trained."""
    faults = []
    if task.scales and settings.scale not in (AUTO, *task.scales):
        faults.append(
            f"ensemble.scale={settings.scale!r} is not a scale of {task.name}; choose one of "
            f"{', '.join((AUTO, *task.scales))}"
        )
    if not data.has_validation and settings.weights not in (AUTO, UNIFORM):
        faults.append(
            f"ensemble.weights={settings.weights} needs held-out data to find weights, and "
            "split.use_full_data holds out nothing; choose auto or uniform"
        )
    if not data.has_validation and settings.names_baselines:
        faults.append(
            f"ensemble.baselines={list(settings.baselines)} need held-out data to find their "
            "weights, and split.use_full_data holds out nothing; choose auto or none"
        )
    if faults := [*faults, *unknown_baselines(task, settings)]:
        raise ConfigurationError(faults)


def _weigh(
    task: TaskSpec,
    paths: dict[str, Path],
    data: TrainingData,
    settings: EnsembleConfig,
    *,
    seed: int,
    num_baselines: int,
) -> WeighedEnsemble:
    if not data.has_validation:
        scale = settings.scale if settings.scale != AUTO else (*task.scales, AUTO)[0]
        logger.warning("%s, on the scale %s", NOTHING_HELD_OUT, scale)
        return WeighedEnsemble(
            weights=[1 / len(paths)] * len(paths),
            scale=scale,
            method=UNIFORM,
            metric="nothing held out",
            reason=NOTHING_HELD_OUT,
            findings={"reason": NOTHING_HELD_OUT},
        )
    import numpy as np

    from seqtune.ensembling import weigh

    pool = task.open_pool(paths, data, settings, seed=seed)
    found = weigh(pool, settings, seed=seed, num_baselines=num_baselines)
    return WeighedEnsemble(
        weights=found.weights,
        scale=found.scale,
        method=found.method,
        metric=pool.metric,
        reason=found.reason,
        findings={**found.as_dict(), "pool": dict(pool.facts())},
        decision=dict(pool.decision(np.asarray(found.weights), scale=found.scale)),
    )


def _drop_duplicates(members: Sequence[PlannedMember]) -> list[PlannedMember]:
    """Keep one member of each set of weights: two configurations may train the same model."""
    kept: dict[str, PlannedMember] = {}
    for member in members:
        sha = open_checkpoint(_path(member)).manifest.best.sha256
        first = kept.setdefault(sha, member)
        if first is not member:
            logger.info("%s is the same model as %s: left out", member.origin, first.origin)
    return list(kept.values())


def _member(member: PlannedMember, checkpoint: Checkpoint, *, weight: float) -> Member:
    score = checkpoint.manifest.score
    return Member(
        name=member.name,
        origin=member.origin,
        kind="baseline" if checkpoint.manifest.baseline else "network",
        fingerprint=member.fingerprint,
        weights_sha256=checkpoint.manifest.best.sha256,
        weight=weight,
        score=member.known_score if score is None else score,
    )


def _describe_useless_networks(manifest: EnsembleManifest) -> list[str]:
    """Say so if only baselines have a weight."""
    if any(member.kind == "network" for member in manifest.used):
        return []
    names = " and ".join(member.name for member in manifest.used)
    line = (
        f"only baselines have a weight: on valid the trained networks add nothing to {names}. "
        "Train longer, tune, or choose another model"
    )
    logger.warning("%s", line)
    return [line]


FIELDS_OF_REPORT = ("method", "scale", "weights", "reason")
"""Findings that the report writes itself."""


def _report(manifest: EnsembleManifest, plan: MemberPlan, weighed: WeighedEnsemble) -> Report:
    heaviest = sorted(manifest.used, key=lambda member: -member.weight)
    return {
        "headline": [
            f"{len(heaviest)} of {len(manifest.members)} members count ({manifest.method}, on the "
            f"scale {manifest.scale})",
            weighed.reason,
            *_describe_useless_networks(manifest),
            *(f"{member.weight:.0%} {member.origin}" for member in heaviest),
        ],
        "fingerprint": manifest.fingerprint,
        "reference": manifest.reference,
        "data_hash": manifest.data_hash,
        "chosen_from": plan.kind,
        "why_these": plan.why,
        "metric": manifest.metric,
        "method": manifest.method,
        "scale": manifest.scale,
        "reason": weighed.reason,
        "members": [member.model_dump(mode="json") for member in manifest.members],
        "weights": {member.name: member.weight for member in manifest.members},
        **{k: v for k, v in weighed.findings.items() if k not in FIELDS_OF_REPORT},
    }


def _path(member: PlannedMember) -> Path:
    if member.checkpoint is None:
        raise ConfigurationError(f"{member.origin} was never trained")
    return member.checkpoint


def _write_folder(
    folder: Path, manifest: EnsembleManifest, checkpoints: Mapping[str, Checkpoint]
) -> None:
    """Fill a new folder with the members that count, and write the manifest last.

    Both weights of a member are compared with their hashes: those of its last epoch were not read.
    """
    (folder / MEMBERS).mkdir(parents=True)
    for name in (member.name for member in manifest.used):
        for which in get_args(Which):
            checkpoints[name].weights_path(which)
        shutil.copytree(checkpoints[name].path, folder / MEMBERS / name, copy_function=_link)
    write_json(folder / MANIFEST, json.loads(manifest.model_dump_json()))


def _link(source: str, target: str) -> str:
    """Link the file under a second name, or copy it if the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
