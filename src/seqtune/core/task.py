"""What a task offers to the pipelines: a frozen set of callables, imported when first called."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .execution import ParallelMap, map_serially
from .reports import OURS as OURS
from .reports import Report as Report

if TYPE_CHECKING:
    from lightning.pytorch import LightningDataModule, LightningModule

    from .config import EnsembleConfig, RunConfig, Section
    from .ensemble import Pool
    from .parameters import TaskParameters
    from .resolve import Resolved

Sources = Mapping[str, tuple[Path, ...]]
"""Raw files by role ("interactions", "genre", ...); an optional file that is absent: empty."""


class TrainingData(Protocol):
    """An opened split, memory-mapped. What is in it is the task's own affair."""

    @property
    def content_hash(self) -> str:
        """Hash of all that training and evaluation can see."""

    @property
    def assets_hash(self) -> str:
        """Hash of what the model's inputs and outputs mean; equal for equal vocabularies."""

    @property
    def made_with(self) -> Mapping[str, Mapping[str, Any]]:
        """The sections of the configuration that shaped it, by the stage that reads them."""

    @property
    def has_validation(self) -> bool:
        """False where everything is trained on (`use_full_data`)."""

    @property
    def test_hash(self) -> str:
        """Hash of what is held out to the very end: a test is the same as long as this is."""

    def write_assets(self, directory: Path, config: Any) -> None:
        """Write what a checkpoint of this configuration needs beside its weights to be used on its
        own."""


class ParseParameters(Protocol):
    def __call__(
        self, *, values: Mapping[str, Any], runtime: Mapping[str, Any], origins: Mapping[str, str]
    ) -> TaskParameters: ...


class Ingest(Protocol):
    def __call__(self, sources: Sources, config: RunConfig, *, out: Path) -> Report: ...


class Split(Protocol):
    def __call__(self, ingested: Path, config: RunConfig, *, out: Path) -> Report: ...


class OpenData(Protocol):
    def __call__(self, split: Path) -> TrainingData: ...


class ChoosePreset(Protocol):
    def __call__(self, data: Any) -> str: ...


class BuildModule(Protocol):
    def __call__(self, config: Any, data: Any) -> LightningModule: ...


class BuildData(Protocol):
    def __call__(self, config: Any, data: Any) -> LightningDataModule: ...


class EstimateMemory(Protocol):
    def __call__(self, config: Any, data: Any) -> float:
        """MiB that one training takes at most on one device, before anything is built."""


class Settle(Protocol):
    def __call__(self, resolved: Resolved[Any], data: Any) -> Resolved[Any]:
        """Replace what is left open by what it means here and now (the content of a pretrained
        model); refuse what cannot be built."""


class Audit(Protocol):
    def __call__(self, config: Any, data: Any) -> Mapping[str, Any]:
        """How far the data fit a configuration, by part, as `text.tokens.audit` says it; refuses
        nothing."""


class Measure(Protocol):
    def __call__(self, checkpoint: Path, data: Any, config: Any) -> Mapping[str, float]:
        """Metrics on valid of trained weights under the `after_training` sections of a
        configuration, whatever those were when the weights were trained."""


class Evaluate(Protocol):
    def __call__(
        self, checkpoint: Path, data: Any, *, parts: Collection[str] | None = None
    ) -> Report:
        """Metrics on what was held out, or on some parts of it; `checkpoint` may be an ensemble
        folder. The form is that of `core.metrics`."""


class OpenPool(Protocol):
    def __call__(
        self, members: Mapping[str, Path], data: Any, settings: EnsembleConfig, *, seed: int
    ) -> Pool:
        """What these checkpoints say about the valid part."""


class Predict(Protocol):
    def __call__(
        self,
        checkpoint: Path,
        data: Any,
        settings: Section | Any,
        *,
        new_rows: tuple[Path, ...],
        out: Path,
        spread: ParallelMap = map_serially,
    ) -> Report:
        """Predictions for everybody, below `out`; `checkpoint` may be an ensemble folder. Whoever
        makes the parts of `spread`, the predictions are the same."""


@dataclass(frozen=True)
class TaskSpec:
    """One task. `training` and the pipelines know a task by this alone."""

    name: str
    sources: tuple[str, ...]
    """Roles of the raw files; `<task>.raw_<role>` in the catalog."""
    ingested: str
    """What ingest makes; `<task>.<ingested>` in the catalog."""
    parse_parameters: ParseParameters
    ingest: Ingest
    split: Split
    open_data: OpenData
    choose_preset: ChoosePreset
    build_module: BuildModule
    build_data: BuildData
    estimate_memory: EstimateMemory
    evaluate: Evaluate
    open_pool: OpenPool
    predict: Predict
    named_sources: Mapping[str, Callable[[Any], Collection[str]]] = field(default_factory=dict)
    """Roles of raw tables of any number, `<task>.raw_<role>` too, each with what gives the names of
    the tables by the configuration: the sources that ingest gets."""
    scales: tuple[str, ...] = ()
    """Words of `ensemble.scale`, the plainest first; empty: whatever `open_pool` takes."""
    resolve_auto: Settle | None = None
    audit: Audit | None = None
    measure: Measure | None = None
    after_training: tuple[str, ...] = ()
    """Sections of the configuration that training never reads and `measure` does: they are searched
    without training again."""
    test_once: bool = False
    """Whether test is scored for one final model alone, and never for another on the same test."""
    figures: tuple[str, ...] = ()
    """Names among the exhibits of its metrics that are drawn: `<task>.<name>_figure`."""
    tables: tuple[str, ...] = ()
    """Names among them that are tables: `<task>.<name>_table`."""
    sample_folder: Path | None = None
    sample_files: tuple[str, ...] = ()
    """Data to try the task on, in `sample_folder`: files, and folders of models without their
    weights; `sample_<name>` in the catalog."""


@dataclass(frozen=True)
class Lazy:
    """A function named by `module:attribute`, imported when it is first called.

    A task can be listed in the registry without importing torch or DuckDB.
    """

    target: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        module, _, attribute = self.target.partition(":")
        return attrgetter(attribute)(import_module(module))(*args, **kwargs)
