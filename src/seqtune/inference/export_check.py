"""Compare an exported model with the trained one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from seqtune.core.config import ExportConfig
from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.core.reports import Report

from .checkpoint import CheckpointInfo

NetworkT = TypeVar("NetworkT", bound=CheckpointInfo[Any])
Numbers = npt.NDArray[np.floating[Any]]


def networks_of(
    members: Mapping[str, CheckpointInfo[Any]], kind: type[NetworkT], *, task: str
) -> dict[str, NetworkT]:
    """Return the members of a model, which must all be networks."""
    networks = {name: member for name, member in members.items() if isinstance(member, kind)}
    if others := sorted(members.keys() - networks.keys()):
        raise ConfigurationError(
            f"the ensemble has {', '.join(others)} as a member, and only networks can be exported; "
            "make it again with ensemble.baselines=none, or export the checkpoint: "
            f"{task}.predict.model=checkpoint"
        )
    return networks


@dataclass
class Agreement:
    """How far the answers of one precision agree with those of the trained model."""

    unit: str
    """What is equal or not: top-10 items, decisions."""
    metric: str
    difference: float = 0.0
    """The largest of any score, relative where the score is beyond 1."""
    equal: list[float] = field(default_factory=list)
    """The share of equal units, by row."""
    values: dict[str, float] = field(default_factory=dict)
    """The metric on the checked rows, of the trained model and of the exported one."""

    def compare(self, trained: Numbers, exported: Numbers) -> None:
        """Compare scores of the same rows, value by value."""
        differences = np.abs(trained - exported) / np.maximum(1.0, np.abs(trained))
        self.difference = float(np.maximum(self.difference, differences.max(initial=0.0)))

    @property
    def share(self) -> float:
        return float(np.mean(self.equal))

    def report(self) -> Report:
        found: Report = {"largest_difference": self.difference, f"equal_{self.unit}": self.share}
        if self.values:
            found |= {f"{self.metric}_{who}": value for who, value in self.values.items()}
            found[f"{self.metric}_lost"] = self.values["trained"] - self.values["exported"]
        return found

    def describe(self, precision: str) -> str:
        """Return a line for the report of a run."""
        unit = self.unit.replace("_", " ")
        line = f"{precision}: {self.share:.2%} of {unit} equal"
        if not self.values:
            return line
        trained, exported = self.values["trained"], self.values["exported"]
        return f"{line}, {self.metric} {exported:.4f} instead of {trained:.4f}"

    def require(self, settings: ExportConfig) -> None:
        """Refuse graphs in fp32 that do not agree."""
        if self.difference <= settings.tolerance and self.share >= settings.min_agreement:
            return
        raise ArtifactError(
            f"the exported model is not the trained one: a score differs by {self.difference:.2g} "
            f"(export.tolerance={settings.tolerance:g}), and {self.share:.2%} of "
            f"{self.unit.replace('_', ' ')} are equal (export.min_agreement="
            f"{settings.min_agreement:g}). Nothing was published; choose another checkpoint with "
            "--load-versions, or accept the difference with these two parameters"
        )


def report_agreement(found: Mapping[str, Agreement], *, num_rows: int) -> Report:
    """Return the report of an export, by precision."""
    return {
        "headline": [agreement.describe(precision) for precision, agreement in found.items()],
        "checked_rows": num_rows,
        "checks": {precision: agreement.report() for precision, agreement in found.items()},
    }
