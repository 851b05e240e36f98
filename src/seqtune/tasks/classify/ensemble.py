"""A checkpoint or an ensemble folder, opened: texts in, probabilities out.

A checkpoint is an ensemble of one model, whose probabilities it leaves as they are.

Shapes: N texts, L labels.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqtune.contracts.checkpoint import Which
from seqtune.contracts.ensemble import Ensemble, is_ensemble, open_ensemble
from seqtune.contracts.errors import ArtifactError
from seqtune.contracts.task import Report
from seqtune.text.split import Part

from .data import ClassifyData
from .params import ClassifyConfig
from .scales import PROBABILITIES, SCALES, combined, on_scale
from .scorer import Classifier, DescribedClassifier, describe, load_classifier, require_labels
from .thresholds import HALF, Floats

logger = logging.getLogger(__name__)

THRESHOLDS = "thresholds"
"""The key of an ensemble's `decision`: a threshold for each label by name."""


@dataclass(frozen=True)
class Told:
    """Weights that no longer change, and all that is known of them while they lie on the disk."""

    path: Path
    """The folder that they were opened from."""
    models: Mapping[str, DescribedClassifier | Classifier]
    shares: Mapping[str, float]
    scale: str
    """What models' scores are brought to before they are added up."""
    thresholds: Floats
    """Of each label [L]."""
    is_decided: bool
    """Whether they were found on valid together with the shares; else they are 0.5."""
    data_hash: str
    """Content hash of the split that they were trained on."""
    identity: Report
    """Which weights these are, for reports."""
    kind: str
    """model or ensemble, for people."""

    @property
    def config(self) -> ClassifyConfig:
        """The first model's: what it says of reading and evaluating holds for all."""
        return next(iter(self.models.values())).config

    @property
    def labels(self) -> tuple[str, ...]:
        return next(iter(self.models.values())).labels

    def configuration(self) -> Report:
        """How they came to be, for reports."""
        if self.kind == "model":
            return self.models[self.kind].configuration()
        found = {name: model.configuration()["config"] for name, model in self.models.items()}
        return {"configs": found}

    def combined(self, logits: Mapping[str, Floats]) -> Floats:
        """Probabilities of what each model said, by its name [N, L]."""
        scaled = ((self.shares[name], on_scale(logits[name], self.scale)) for name in self.models)
        return combined(scaled, self.scale)

    def require_labels(self, data: ClassifyData) -> None:
        """Refuse data with other labels than they were trained for; warn of another split."""
        for name, model in self.models.items():
            require_labels(model, data, who=name)
        if self.data_hash != data.content_hash:
            logger.warning(
                "%s was trained on another split (content %s) than the present one (%s): texts "
                "held out here may have been trained on",
                self.path,
                self.data_hash[:12],
                data.content_hash[:12],
            )


@dataclass(frozen=True)
class Opened(Told):
    """The same ready to score."""

    models: Mapping[str, Classifier]

    def logits(self, texts: Sequence[str], *, batch_size: int) -> dict[str, Floats]:
        """What each model says of any texts, by its name [N, L]."""
        return {
            name: model.logits(texts, batch_size=batch_size) for name, model in self.models.items()
        }

    def probabilities(self, texts: Sequence[str], *, batch_size: int) -> Floats:
        """Of any texts [N, L]."""
        return self.combined(self.logits(texts, batch_size=batch_size))

    def probabilities_of(self, data: ClassifyData, part: Part) -> Floats:
        """Of a part of a split, in its order [N, L]."""
        return self.combined(
            {name: model.logits_of(data, part) for name, model in self.models.items()}
        )


def describe_model(path: Path, which: Which = "best") -> Told:
    """Read what a checkpoint or an ensemble folder says of itself."""
    return _told_ensemble(path, which) if is_ensemble(path) else _told_model(path, which)


def open_model(path: Path, which: Which = "best", *, device: str | None = None) -> Opened:
    """Open a checkpoint or an ensemble folder; an ensemble has its `best` weights only.

    `device` is where to compute; without one, where it was trained.
    """
    told = describe_model(path, which)
    paths = {name: model.path for name, model in told.models.items()}
    models = open_members(paths, which, device=device)
    return Opened(**{**vars(told), "models": models})


def open_members(
    paths: Mapping[str, Path], which: Which = "best", *, device: str | None = None
) -> dict[str, Classifier]:
    """Checkpoints that can be combined, on the device of the first."""
    members: dict[str, Classifier] = {}
    for name, path in paths.items():
        members[name] = load_classifier(path, which, device=device)
        device = device or str(members[name].device)
    _refuse_disagreement(members)
    return members


def _refuse_disagreement(members: Mapping[str, DescribedClassifier | Classifier]) -> None:
    first = next(iter(members))
    for name, member in members.items():
        if member.labels != members[first].labels:
            raise ArtifactError(
                f"members {first} and {name} cannot be combined: the labels of one are "
                f"{', '.join(members[first].labels)}, those of the other "
                f"{', '.join(member.labels)}; combine checkpoints that were trained on the same "
                "texts"
            )


def _told_model(path: Path, which: Which) -> Told:
    model = describe(path, which)
    return Told(
        path=path,
        models={"model": model},
        shares={"model": 1.0},
        scale=PROBABILITIES,
        thresholds=np.full(len(model.labels), HALF),
        is_decided=False,
        data_hash=model.data_hash,
        identity=model.identity(),
        kind="model",
    )


def _told_ensemble(path: Path, which: Which) -> Told:
    ensemble = open_ensemble(path)
    ensemble.require_usable("classify", which, scales=SCALES)
    ensemble.checkpoints()  # that they are those it was made with
    manifest = ensemble.manifest
    models = {name: describe(folder) for name, folder in ensemble.member_paths().items()}
    _refuse_disagreement(models)
    return Told(
        path=path,
        models=models,
        shares={member.name: member.weight for member in manifest.used},
        scale=manifest.scale,
        thresholds=_thresholds(ensemble, next(iter(models.values())).labels),
        is_decided=THRESHOLDS in manifest.decision,
        data_hash=manifest.data_hash,
        identity=ensemble.identity(),
        kind="ensemble",
    )


def _thresholds(ensemble: Ensemble, labels: Sequence[str]) -> Floats:
    """Those of the manifest, in the order of the labels."""
    if THRESHOLDS not in ensemble.manifest.decision:
        return np.full(len(labels), HALF)
    found = ensemble.manifest.decision[THRESHOLDS]
    if missing := [label for label in labels if label not in found]:
        raise ArtifactError(
            f"ensemble {ensemble.path} has no threshold for {', '.join(missing)}; make it again "
            "(kedro run --pipelines classify.ensemble)"
        )
    return np.array([float(found[label]) for label in labels])
