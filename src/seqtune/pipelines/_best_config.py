"""The best configuration of tuning: written by `tune`, read by `train` and by people."""

from __future__ import annotations

import logging
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from seqtune.core.config import WITHOUT_EFFECT, Section, library_versions
from seqtune.core.differences import differences, explain
from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.core.manifests import first_fault
from seqtune.core.resolve import Layer, Resolved
from seqtune.core.task import TrainingData

from ._resolution import EPOCHS

logger = logging.getLogger(__name__)

SectionT = TypeVar("SectionT", bound=Section)

FORMAT_VERSION = 1
FOR_FULL_DATA = ("split.use_full_data", EPOCHS)
"""What training on the full data changes on purpose, besides the data."""


class BestConfig(Section):
    """`values` is what training uses; the rest says where it comes from."""

    format_version: int = FORMAT_VERSION
    task: str
    values: dict[str, Any]
    """Nested as in the task's configuration: searched values, epochs, threads."""
    metric: str
    score: float
    """Of the trial, with the seed of the configuration, after any penalty."""
    metrics: dict[str, float]
    best_epoch: int
    study: str
    stage: str
    trial: int
    chosen: str
    """Why this trial and not another."""
    searched: list[str]
    environment: dict[str, dict[str, Any]]
    """Every value of the resolved configuration of the trial, with its origin."""
    data_hash: str
    versions: dict[str, str]
    fingerprint: str

    @property
    def layer(self) -> Layer:
        """The layer that training puts over the YAML files."""
        return Layer(f"best config (trial {self.trial} of {self.study})", self.values)


def read_best_config(values: Any, *, task: str) -> BestConfig | None:
    """Read the best configuration from the catalog; None if there is none yet."""
    return None if values is None else _read(values, what=f"{task}.best_config", task=task)


def read_top_configs(values: Any, *, task: str) -> tuple[BestConfig, ...]:
    """Read the best trials of tuning, the chosen one first; empty without tuning."""
    if values is None:
        return ()
    trials = values if isinstance(values, list) and values else [values]
    return tuple(_read(one, what=f"{task}.top_configs", task=task) for one in trials)


def changes_since(best: BestConfig, now: Resolved[Any], data: TrainingData) -> list[str]:
    """List what makes training now differ from the tuned trial, one line each.

    Training on the full data has other data and the best number of epochs on purpose.
    """
    is_final = not data.has_validation
    ignored = {f"{group}.{key}" for group, keys in WITHOUT_EFFECT.items() for key in keys}
    changes = [
        explain(difference, best.task, names=("the trial that was tuned", "training now"))
        for difference in differences(
            best.environment, now.table(), ignore={*ignored, *(FOR_FULL_DATA if is_final else ())}
        )
    ]
    if best.data_hash != data.content_hash and not is_final:
        changes.append(
            f"it was tuned on other data (content {best.data_hash[:12]}, now "
            f"{data.content_hash[:12]})"
        )
    before, versions = best.versions, library_versions(now.config.libraries)
    if other := [
        f"{name} {before.get(name, 'absent')} -> {versions.get(name, 'absent')}"
        for name in sorted({*before, *versions})
        if before.get(name) != versions.get(name)
    ]:
        changes.append(f"it was tuned with other versions ({', '.join(other)})")
    return changes


def _read(values: Any, *, what: str, task: str) -> BestConfig:
    best = read_section(BestConfig, values, what=what, hint=_NEXT_STEP.format(task=task))
    if best.format_version != FORMAT_VERSION:
        raise ArtifactError(
            f"{what} has format {best.format_version}; this version of seqtune reads "
            f"{FORMAT_VERSION}; {_NEXT_STEP.format(task=task)}"
        )
    return best


def read_section(kind: type[SectionT], values: Any, *, what: str, hint: str) -> SectionT:
    """Check what a file of the catalog holds."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ArtifactError(f"{what} is damaged: {first_fault(error)}; {hint}") from error


def require_agreement(
    best: BestConfig,
    now: Resolved[Any],
    data: TrainingData,
    *,
    on_mismatch: Literal["stop", "warn"],
) -> None:
    """Refuse to train anything but what was tuned, unless the user allowed it."""
    changes = changes_since(best, now, data)
    if not changes:
        return
    if on_mismatch == "warn":
        for change in changes:
            logger.warning("%s", change)
        return
    raise ConfigurationError(
        [
            *changes,
            f"training would not reproduce trial {best.trial} of {best.study}. Undo the change, "
            f"tune again (`kedro run --pipelines {best.task}.tune`), train without it (--params "
            f"{best.task}.best_config=ignore), or continue anyway (--params "
            "verify_env.on_mismatch=warn)",
        ]
    )


_NEXT_STEP = (
    "choose another version with --load-versions, tune again (`kedro run --pipelines tune`), or "
    "train without it (--params {task}.best_config=ignore)"
)
