"""The interface of a task: a frozen set of callables, imported at their first call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .execution import ParallelMap, map_serially
from .reports import OURS as OURS
from .reports import Report as Report

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from lightning.pytorch import LightningDataModule, LightningModule

    from .checkpoint import Checkpoint
    from .config import CompareConfig, EnsembleConfig, ExportConfig, RunConfig, Section
    from .ensemble import Pool
    from .parameters import TaskParameters
    from .resolve import Resolved
    from .row_metrics import RowMetrics

Sources = Mapping[str, tuple[Path, ...]]
"""Raw files by role ("interactions", "genre", ...); empty for an optional file that is absent."""


class TrainingData(Protocol):
    """An opened, memory-mapped split. Only the task knows its content."""

    @property
    def content_hash(self) -> str:
        """Hash of everything that training and evaluation can see."""

    @property
    def assets_hash(self) -> str:
        """Hash of the meaning of the model's inputs and outputs: equal for equal vocabularies."""

    @property
    def made_with(self) -> Mapping[str, Mapping[str, Any]]:
        """The configuration sections that shaped it, by the stage that reads them."""

    @property
    def has_validation(self) -> bool:
        """False where everything is used for training (`use_full_data`)."""

    @property
    def test_hash(self) -> str:
        """Hash of the test part: two tests are the same if it is."""

    def write_assets(self, directory: Path, config: Any) -> None:
        """Write what a checkpoint of this configuration needs beside its weights."""


class ParseParameters(Protocol):
    def __call__(
        self, *, values: Mapping[str, Any], runtime: Mapping[str, Any], origins: Mapping[str, str]
    ) -> TaskParameters: ...


class Ingest(Protocol):
    def __call__(self, sources: Sources, config: RunConfig, *, out: Path) -> Report: ...


class Split(Protocol):
    def __call__(self, ingested: Path, config: RunConfig, *, out: Path) -> Report: ...


class Evaluate(Protocol):
    def __call__(
        self, checkpoint: Path, data: Any, *, parts: Collection[str] | None = None
    ) -> Report:
        """Score a checkpoint or ensemble folder on some held-out parts, or all, in the form of
        `core.metrics`."""


class OpenPool(Protocol):
    def __call__(
        self, members: Mapping[str, Path], data: Any, settings: EnsembleConfig, *, seed: int
    ) -> Pool:
        """Score the validation part by each of these checkpoints."""


class FitBaseline(Protocol):
    def __call__(
        self, data: Any, config: Any, *, assets: Path
    ) -> Mapping[str, npt.NDArray[np.generic]]:
        """Fit on the training part; return arrays by name, and write what else a reader needs
        (labels, a vocabulary) below `assets`.

        `config` is that of the trained checkpoint: settings of reading and evaluation.
        """


@dataclass(frozen=True)
class BaselineSpec:
    """A baseline that can be a member of an ensemble.

    A fitted one is stored as a checkpoint, and the task opens it and scores with it like a network.
    """

    fit: FitBaseline
    libraries: tuple[str, ...] = ()
    """What it needs beside those of the task."""
    is_inside: Callable[[Any], bool] | None = None
    """Whether a model of this configuration already holds it, so that `auto` leaves it out."""


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
        sources: Sources | None = None,
    ) -> Report:
        """Write predictions for all rows below `out`; `checkpoint` may be an ensemble folder.

        The predictions do not depend on `spread`. `sources` are given to a task with
        `predict_sources`.
        """


class ScoreRows(Protocol):
    def __call__(
        self,
        models: Mapping[str, Path],
        answers: tuple[Path, ...],
        data: Any,
        settings: CompareConfig,
        *,
        scratch: Path,
    ) -> tuple[RowMetrics, Report]:
        """Score models, the baselines and files with the answers of other systems on the rows of
        one held-out part; return their metrics and facts for a report."""


class ExportModel(Protocol):
    def __call__(
        self, model: Path, data: Any, predict: Any, settings: ExportConfig, *, out: Path
    ) -> tuple[dict[str, Any], Report]:
        """Write the files of an export below `out`: of a checkpoint or an ensemble, to answer as
        under the parameters `predict`. Refuse one that disagrees with the trained model.

        Return the manifest, without its files, and a report.
        """


@dataclass(frozen=True)
class TaskSpec:
    """One task: all that `training` and the pipelines know about it."""

    name: str
    sources: tuple[str, ...]
    """Roles of the raw files; `<task>.raw_<role>` in the catalog."""
    ingested: str
    """The output of ingest; `<task>.<ingested>` in the catalog."""
    parse_parameters: ParseParameters
    ingest: Ingest
    split: Split
    open_data: Callable[[Path], TrainingData]
    build_module: Callable[[Any, Any], LightningModule]
    """Of configuration and data, like the next two."""
    build_data: Callable[[Any, Any], LightningDataModule]
    estimate_memory: Callable[[Any, Any], float]
    """MiB that one training takes at most on one device, before anything is built."""
    evaluate: Evaluate
    open_pool: OpenPool
    predict: Predict
    baselines: Mapping[str, BaselineSpec] = field(default_factory=dict)
    """Those that can be members of an ensemble, by name."""
    export: ExportModel | None = None
    """None: its models are not served."""
    named_sources: Mapping[str, Callable[[Any], Collection[str]]] = field(default_factory=dict)
    """Roles that hold any number of raw tables (`<task>.raw_<role>` too), each with a function from
    the configuration to the names of the tables that ingest receives."""
    predict_sources: tuple[str, ...] = ()
    """Roles of optional raw files that `predict` reads beside the new rows."""
    describe_data: Callable[[Any], Mapping[str, float]] | None = None
    """The facts that the rules of the preset `auto` go by; None: the task has no such preset."""
    chosen_on_valid: Mapping[str, str] = field(default_factory=dict)
    """Parameters that training chooses on valid where they are `auto`, each with the metric that
    reports the choice."""
    carry_over: Callable[[Checkpoint, Any, Any], Mapping[str, Any]] | None = None
    """Weights for a module and its data from a checkpoint that was trained on other data; None:
    they are taken as they are, and the task has no pipeline `refresh`."""
    describe_changes: Callable[[Path, Any], Report] | None = None
    """What changed in the data since the checkpoint in this folder was trained."""
    smaller: str = ""
    """The parameter that makes trainings short, as for --params; empty: there is none."""
    scales: tuple[str, ...] = ()
    """Values of `ensemble.scale`, the simplest first; empty: those that `open_pool` accepts."""
    resolve_auto: Callable[[Resolved[Any], Any], Resolved[Any]] | None = None
    """Settle open values for the data (the content of a pretrained model); refuse a configuration
    that cannot be built."""
    metrics: Callable[[Any], Mapping[str, Literal["max", "min"]]] | None = None
    """The metrics that training with validation logs under a configuration, and whether higher or
    lower is better: what can be monitored. None: whatever was logged."""
    audit: Callable[[Any, Any], Mapping[str, Any]] | None = None
    """Report by part how far the data fit a configuration, as `text.tokens.audit` does; refuses
    nothing."""
    measure: Callable[[Path, Any, Any], Mapping[str, float]] | None = None
    """Validation metrics of a checkpoint on data under the `after_training` sections of a
    configuration, whatever those were in training."""
    score_rows: ScoreRows | None = None
    """What the stage `compare` needs, with the raw files `<task>.raw_answers`; None: there is no
    such stage for the task."""
    after_training: tuple[str, ...] = ()
    """Sections of the configuration that `measure` reads and training does not: they are searched
    without training again."""
    test_once: bool = False
    """Whether only one final model may ever be scored on the same test."""
    figures: tuple[str, ...] = ()
    """Names of the charts among the report items of its metrics: `<task>.<name>_figure`."""
    tables: tuple[str, ...] = ()
    """Names of the tables among them: `<task>.<name>_table`."""
    sample_folder: Path | None = None
    sample_files: tuple[str, ...] = ()
    """Data to try the task with, in `sample_folder`: files, and folders of models without their
    weights; `sample_<name>` in the catalog."""


@dataclass(frozen=True)
class Lazy:
    """A function named by `module:attribute`, imported at its first call.

    So the registry lists tasks without importing torch or DuckDB.
    """

    target: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        module, _, attribute = self.target.partition(":")
        return attrgetter(attribute)(import_module(module))(*args, **kwargs)
