"""The parameters of `recommend`, typed and bounded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

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

if TYPE_CHECKING:
    from .data import SplitData

AUTO_PRESETS = ("small", "medium", "large")


class ColumnNames(Section):
    """What the user's file calls our columns."""

    user: str = "user"
    """The column of users."""
    item: str = "item"
    """The column of items."""
    time: str | None = "time"
    """null: the file has no times and its order counts."""


SideKind = Literal["category", "text"]


class SideTables(Section):
    """Item side tables and what each holds: the shipped ones, and any other by its name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, SideKind]

    genre: SideKind = "category"
    """What the side table genre holds: values that items share, or text, of which words are."""
    director: SideKind = "category"
    """The same for the side table director."""
    writer: SideKind = "category"
    """The same for the side table writer."""
    title: SideKind = "text"
    """The same for the side table title, by which reports call an item."""

    @model_validator(mode="after")
    def _names_can_be_files_and_columns(self) -> SideTables:
        for name in self.kinds:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name == "interactions":
                raise ValueError(
                    f"{name!r} cannot be the name of a side table; take letters, digits and _, "
                    "with a letter first, and not interactions"
                )
        return self

    @property
    def kinds(self) -> dict[str, SideKind]:
        """Every side table by name, the shipped ones first."""
        shipped = {name: getattr(self, name) for name in type(self).model_fields}
        return {**shipped, **(self.model_extra or {})}


class IngestConfig(Section):
    """How raw files are read and what happens to bad rows."""

    format: Literal["auto", "csv", "parquet"] = "auto"
    """csv covers every delimited text, gzip too; auto goes by the file's name."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """null: detected."""
    encoding: Literal["utf-8", "utf-16", "latin-1", "cp949", "euc-kr"] = "utf-8"
    """Of text files; cp949 is usual for Korean files from Excel."""
    header: bool = True
    """Whether the first line names the columns; false: give file_columns."""
    file_columns: tuple[str, ...] = ()
    """Names of the columns of a file without a header, in their order."""
    columns: ColumnNames = ColumnNames()
    id_type: Literal["auto", "integer", "string"] = "auto"
    """auto: integers if all ids of a column are, text if they are not meant as numbers, and an
    error where most are integers and a few are not."""
    min_interactions: PositiveInt = 3
    """Users with fewer are dropped, counted and reported."""
    on_null: Literal["error", "drop"] = "error"
    """What happens to rows with an empty field; drop counts them in the report."""
    on_bad_time: Literal["error", "drop"] = "error"
    """The same for times that cannot be read, or are negative."""
    on_duplicates: Literal["error", "drop", "keep"] = "drop"
    """Rows equal in user, item and time; drop keeps the first of them."""
    max_examples: PositiveInt = 5
    """Row numbers named in an error."""
    sides: SideTables = SideTables()

    @model_validator(mode="after")
    def _names_of_a_file_without_header(self) -> IngestConfig:
        if not self.header and not self.file_columns:
            raise ValueError(
                "header=false needs the names of the columns in their order; give "
                "file_columns, for example [user, item, time]"
            )
        return self


class SplitConfig(Section):
    """What is held out, and how."""

    strategy: Literal["last_item", "temporal"] = "last_item"
    """last_item: by place in each user's sequence; temporal: by a global cut in time."""
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
    """How lists are scored."""

    ks: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 5, 10, 20)
    """Cut-offs of HIT@K, NDCG@K and MRR@K."""
    exclude_seen: bool = True
    """Items of the user's history are no candidates."""
    batch_size: PositiveInt = 256
    """Users in a batch."""
    train_metric_users: Annotated[int, Field(ge=0)] = 500
    """Users (a fixed sample) whose last training item is ranked too, at every validation, as
    `train_<metric>`: the gap to `val_<metric>` shows overfitting. 0 switches it off."""
    num_sampled_negatives: Annotated[int, Field(ge=0), UNUSED_IN_TRAINING] = 100
    """Negatives of the sampled ranking, reported under a name of its own; 0 switches it off."""


class RecommendConfig(RunConfig):
    """Everything that shapes a run of `recommend`."""

    task: str = "recommend"
    ingest: IngestConfig = IngestConfig()
    split: SplitConfig = SplitConfig()
    model: AnyModelConfig = TransformerConfig()
    training: RecommendTraining = RecommendTraining()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _side_tables_are_declared(self) -> RecommendConfig:
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
    def _what_can_be_lazy(self) -> RecommendConfig:
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


class PredictConfig(Section):
    """What is recommended, to whom, from which weights."""

    top_k: PositiveInt = 10
    """Items for each user."""
    exclude_seen: bool = True
    """Never recommend what is in the history."""
    model: Literal["auto", "checkpoint", "ensemble"] = "auto"
    """auto: the ensemble where there is one that was made beside this checkpoint."""
    weights: Literal["best", "last"] = "best"
    """Of the best epoch by the monitored metric, or of the last."""
    batch_size: PositiveInt = 512
    """Users in a batch."""


def side_names(config: RecommendConfig) -> tuple[str, ...]:
    """Names of the side tables that are read where they exist."""
    return tuple(config.ingest.sides.kinds)


def choose_preset(data: SplitData) -> str:
    """The preset that `auto` means for this many users."""
    if data.num_users < 10_000:
        return "small"
    return "medium" if data.num_users <= 100_000 else "large"


parse = ParameterParser("recommend", RecommendConfig, PredictConfig, AUTO_PRESETS)
