"""The parameters of `recommend`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from seqtune.core.config import (
    UNUSED_IN_TRAINING,
    PositiveInt,
    RunConfig,
    Section,
    TrainingConfig,
    require_train_share,
)
from seqtune.core.errors import did_you_mean
from seqtune.core.parameters import ParameterParser

from .models.config import AnyModelConfig
from .models.transformer_config import TransformerConfig


class ColumnNames(Section):
    """Column names in the input file."""

    user: str = "user"
    """The column of users."""
    item: str = "item"
    """The column of items."""
    time: str | None = "time"
    """null: the file has no times, and its row order counts."""

    @model_validator(mode="after")
    def _check_distinct(self) -> ColumnNames:
        names = [name for name in (self.user, self.item, self.time) if name]
        if len(set(names)) < len(names):
            raise ValueError(
                f"user={self.user}, item={self.item} and time={self.time} name a column more than "
                "once; each is a column of its own (time: null if there is none)"
            )
        return self


SideKind = Literal["category", "text"]


class SideTables(Section):
    """Item side tables and their kinds: the four predefined ones, and any others by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, SideKind]

    genre: SideKind = "category"
    """Kind of the side table genre: category (shared values) or text (split into words)."""
    director: SideKind = "category"
    """The same for the side table director."""
    writer: SideKind = "category"
    """The same for the side table writer."""
    title: SideKind = "text"
    """The same for the side table title, which reports show as an item's name."""

    @model_validator(mode="after")
    def _check_names(self) -> SideTables:
        for name in self.kinds:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name == "interactions":
                raise ValueError(
                    f"{name!r} is not a valid name of a side table; use letters, digits and _, "
                    "starting with a letter, and not interactions"
                )
        return self

    @property
    def kinds(self) -> dict[str, SideKind]:
        """The kind of every side table by name, the predefined ones first."""
        predefined = {name: getattr(self, name) for name in type(self).model_fields}
        return {**predefined, **(self.model_extra or {})}


class IngestConfig(Section):
    """How raw files are read and what happens to bad rows."""

    format: Literal["auto", "csv", "parquet"] = "auto"
    """csv is any delimited text, also gzipped; auto goes by the content."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """null: detected."""
    encoding: Literal["utf-8", "utf-16", "latin-1", "cp949", "euc-kr"] = "utf-8"
    """Encoding of text files; Korean files from Excel usually use cp949."""
    header: bool = True
    """Whether the first line names the columns; if false, set file_columns."""
    file_columns: tuple[str, ...] = ()
    """Column names of a file without a header, in order."""
    columns: ColumnNames = ColumnNames()
    id_type: Literal["auto", "integer", "string"] = "auto"
    """auto: integer if all ids of a column are integers, string if most are not, and an error if
    most are integers but some are not."""
    null_values: tuple[str, ...] = (
        *("NULL", "null", "None", "nan", "NaN", "NA", "<NA>", "N/A", "#N/A", "\\N"),
    )
    """Ids that count as an empty field; []: none, and all of them are ids like any other."""
    normalize_ids: bool = False
    """Bring ids to Unicode's form NFC, without invisible characters and spaces around them."""
    min_interactions: PositiveInt = 3
    """Users with fewer are dropped; the report counts them."""
    on_null: Literal["error", "drop"] = "error"
    """What to do with rows that have an empty field; the report counts dropped rows."""
    on_bad_time: Literal["error", "drop"] = "error"
    """The same for times that are unreadable or negative."""
    on_duplicates: Literal["error", "drop", "keep"] = "drop"
    """Rows with equal user, item and time; drop keeps the first."""
    max_examples: PositiveInt = 5
    """Row numbers listed in an error."""
    sides: SideTables = SideTables()

    @model_validator(mode="after")
    def _check_file_columns(self) -> IngestConfig:
        if not self.header and not self.file_columns:
            raise ValueError(
                "header=false needs the names of the columns in their order; set "
                "file_columns, for example [user, item, time]"
            )
        return self


class SplitConfig(Section):
    """How targets are held out."""

    strategy: Literal["last_item", "temporal"] = "last_item"
    """last_item: by position in each user's sequence; temporal: by global cuts in time."""
    test_items: Annotated[int, Field(ge=0, le=1)] = 1
    """last_item: 1 holds out the last item as test and the one before as valid; 0: valid only."""
    valid_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """temporal: share of all interactions, by time, between the first cut and the second."""
    test_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """temporal: share of all interactions after the second cut."""
    use_full_data: bool = False
    """Train on everything, for as many epochs as the validated run found best."""

    _train_share = model_validator(mode="after")(require_train_share)


class RecommendTraining(TrainingConfig):
    monitor: str = "val_ndcg@10"
    monitor_mode: Literal["max", "min"] = "max"


class EvaluationConfig(Section):
    """How rankings are evaluated."""

    ks: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 5, 10, 20)
    """Cut-offs of HIT@K, NDCG@K and MRR@K."""
    exclude_seen: bool = True
    """Exclude the items of the user's history from the candidates."""
    batch_size: PositiveInt = 256
    """Users per batch."""
    train_metric_users: Annotated[int, Field(ge=0)] = 500
    """Size of a fixed sample of users whose last training item is also ranked at each validation,
    as `train_<metric>`: the gap to `val_<metric>` shows overfitting. 0: off."""
    num_sampled_negatives: Annotated[int, Field(ge=0), UNUSED_IN_TRAINING] = 100
    """Negatives of the sampled ranking, which is reported under separate names; 0: off."""


class RecommendConfig(RunConfig):
    """All parameters that determine a training of `recommend`."""

    task: str = "recommend"
    ingest: IngestConfig = IngestConfig()
    split: SplitConfig = SplitConfig()
    model: AnyModelConfig = TransformerConfig()
    training: RecommendTraining = RecommendTraining()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _check_side_embeddings(self) -> RecommendConfig:
        known = self.ingest.sides.kinds
        for name in self.model.sides:
            if name not in known:
                raise ValueError(
                    f"model.side_embeddings names {name!r}, which is not a side table; "
                    f"{did_you_mean(name, list(known))}, or declare it: "
                    f"ingest.sides.{name}: category"
                )
        return self

    @model_validator(mode="after")
    def _check_lazy_embeddings(self) -> RecommendConfig:
        training = self.training
        if self.model.lazy_embeddings and training.optimizer not in ("adamw", "adam"):
            raise ValueError(
                f"model.lazy_embeddings=true needs training.optimizer adamw or adam, not "
                f"{training.optimizer}; choose one of them, or switch it off"
            )
        if self.model.lazy_embeddings and training.devices != 1:
            raise ValueError(
                f"model.lazy_embeddings=true works on one device, not on training.devices="
                f"{training.devices}; choose 1, or switch it off"
            )
        return self


class Quotas(Section):
    """Names of side tables, each with how many items of a list may have the same value."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[int, Field(ge=1, strict=True)]]

    @property
    def limits(self) -> dict[str, int]:
        return dict(self.model_extra or {})


class PredictConfig(Section):
    """What to recommend, with which weights."""

    top_k: PositiveInt = 10
    """Items per user."""
    exclude_seen: bool = True
    """Never recommend items of the history."""
    model: Literal["auto", "checkpoint", "ensemble"] = "auto"
    """auto: the ensemble made beside this checkpoint, unless the checkpoint is better on valid."""
    weights: Literal["best", "last"] = "best"
    """Weights of the best epoch by the monitored metric, or of the last."""
    batch_size: PositiveInt = 512
    """Users per batch."""
    quotas: Quotas = Quotas()
    """At most so many items of a list with the same value of a side table, for example
    {genre: 3}; {}: no quotas."""
    diversity: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Weight of how different an item is from those before it in the list, beside its score; the
    NDCG that quotas and diversity cost on valid is reported. 0: by score alone."""
    candidates: PositiveInt = 100
    """Best items of each user among which quotas and diversity choose."""
    escape_formulas: bool = False
    """An apostrophe before =, +, - and @ in submission.csv, which are formulas in spreadsheets."""


def side_names(config: RecommendConfig) -> tuple[str, ...]:
    """Return the names of the side tables that are read if they exist."""
    return tuple(config.ingest.sides.kinds)


DATA_FACTS = ("users", "items", "interactions", "mean_length", "scores")

parse = ParameterParser("recommend", RecommendConfig, PredictConfig, DATA_FACTS)


def holds_counts(config: RecommendConfig) -> bool:
    """Whether the model mixes item-to-item counts into its scores."""
    return bool(config.model.item_to_item)
