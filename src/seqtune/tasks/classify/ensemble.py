"""Open a checkpoint or an ensemble folder as a classifier of texts.

Shapes: N texts, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from seqtune.core.checkpoint import Which
from seqtune.core.errors import ArtifactError
from seqtune.inference import ModelEnsemble, load_members
from seqtune.text.split import Part

from .data import ClassifyData
from .loading import load_classifier
from .params import ClassifyConfig
from .score_normalization import PROBABILITIES, SCALES, combined, on_scale
from .scorer import Classifier, ClassifierInfo, describe, require_labels
from .thresholds import HALF, Floats

THRESHOLDS = "thresholds"
"""Key of an ensemble's `decision`: the threshold of each label by name."""

MemberT = TypeVar("MemberT", bound=ClassifierInfo)


class ClassifierEnsemble(ModelEnsemble[MemberT, ClassifyConfig]):
    """Labels and thresholds, and how members' logits become one probability."""

    @property
    def labels(self) -> tuple[str, ...]:
        return self.first.labels

    @property
    def is_decided(self) -> bool:
        """Whether thresholds were tuned on valid, in training or with the shares; else they are
        0.5."""
        if self.ensemble is None:
            return self.first.thresholds is not None
        return THRESHOLDS in self.ensemble.manifest.decision

    @cached_property
    def thresholds(self) -> Floats:
        """The threshold of each label [L]."""
        if not self.is_decided:
            return np.full(len(self.labels), HALF)
        if self.ensemble is None:
            return np.asarray(self.first.thresholds)
        found = self.ensemble.manifest.decision[THRESHOLDS]
        if missing := [label for label in self.labels if label not in found]:
            raise ArtifactError(
                f"ensemble {self.path} has no threshold for {', '.join(missing)}; make it again "
                "(kedro run --pipelines classify.ensemble)"
            )
        return np.array([float(found[label]) for label in self.labels])

    def combined(self, logits: Mapping[str, Floats]) -> Floats:
        """Combine members' logits, by name, to probabilities [N, L]."""
        scale = self.ensemble.manifest.scale if self.ensemble else PROBABILITIES
        shares = self.shares
        return combined(
            ((shares[name], on_scale(logits[name], scale)) for name in self.members), scale
        )

    def require_labels(self, data: ClassifyData) -> None:
        """Refuse data with other labels than in training; warn of another split."""
        for name, member in self.members.items():
            require_labels(member, data, who=name)
        self.warn_of_other_split(data, rows="texts")


class LoadedClassifiers(ClassifierEnsemble[Classifier]):
    """An ensemble in memory."""

    def logits(self, texts: Sequence[str], *, batch_size: int) -> dict[str, Floats]:
        """Return each member's logits of any texts [N, L], by its name."""
        return {
            name: member.logits(texts, batch_size=batch_size)
            for name, member in self.members.items()
        }

    def probabilities(self, texts: Sequence[str], *, batch_size: int) -> Floats:
        """Return the probabilities of any texts [N, L]."""
        return self.combined(self.logits(texts, batch_size=batch_size))

    def probabilities_of(self, data: ClassifyData, part: Part) -> Floats:
        """Return the probabilities of a part of a split, in its order [N, L]."""
        return self.combined(
            {name: member.logits_of(data, part) for name, member in self.members.items()}
        )


def describe_model(path: Path, which: Which = "best") -> ClassifierEnsemble[ClassifierInfo]:
    """Read the manifests of a checkpoint or an ensemble folder."""
    info = ClassifierEnsemble[ClassifierInfo].read(
        path,
        which,
        describe,
        task="classify",
        scales=SCALES,
        require_compatible=require_compatible,
    )
    _ = info.thresholds  # raises where a label has none
    return info


def open_model(
    path: Path, which: Which = "best", *, device: str | None = None
) -> LoadedClassifiers:
    """Open a checkpoint or an ensemble folder, on `device` or where it was trained."""
    info = describe_model(path, which)
    members = load_members(info.paths, load_classifier, which, device=device)
    return LoadedClassifiers(path, members, info.ensemble)


def open_members(paths: Mapping[str, Path]) -> dict[str, Classifier]:
    """Open checkpoints that can be combined, on the device of the first."""
    members = load_members(paths, load_classifier, device=None)
    require_compatible(members)
    return members


def require_compatible(members: Mapping[str, ClassifierInfo]) -> None:
    """Refuse members with different labels."""
    first = next(iter(members))
    for name, member in members.items():
        if member.labels != members[first].labels:
            raise ArtifactError(
                f"members {first} and {name} cannot be combined: their labels differ "
                f"({', '.join(members[first].labels)}; {', '.join(member.labels)}). Combine "
                "checkpoints that were trained on the same texts"
            )
