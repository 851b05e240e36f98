"""The parameters of `recommend`: SPEC section 3, typed and bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from seqtune.contracts.config import (
    PositiveInt,
    Probability,
    RunConfig,
    Section,
    TrainingConfig,
    require_train_share,
)
from seqtune.contracts.parameters import ParameterParser

if TYPE_CHECKING:
    from .data import SplitData

AUTO_PRESETS = ("small", "medium", "large")
SIDES = ("genre", "director", "writer", "title")
"""Optional item side tables; the first three are categories, the last is text."""


class ColumnNames(Section):
    """What the user's file calls our columns."""

    user: str = "user"
    """The column of users."""
    item: str = "item"
    """The column of items."""
    time: str | None = "time"
    """null: the file has no times and its order counts."""


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


class ModelConfig(Section):
    """A transformer over items."""

    objective: Literal["cloze", "causal"] = "cloze"
    """cloze (BERT4Rec): name masked items, from both sides; causal (SASRec): name the next item
    at every position, from those before it."""
    hidden_units: Annotated[int, Field(ge=2, le=4096)] = 256
    """Width of the model; num_heads must divide it."""
    num_heads: Annotated[int, Field(ge=1, le=64)] = 8
    """Attention heads of a layer."""
    num_layers: Annotated[int, Field(ge=1, le=48)] = 3
    """Transformer layers."""
    max_len: Annotated[int, Field(ge=2, le=4096)] = 200
    """Longest sequence the model sees, [MASK] included; older interactions are cut off."""
    relative_positions: bool = False
    """causal: attention also learns how far back it looks, a bias for each head and distance."""
    window_step: Annotated[int, Field(ge=0)] = 0
    """Histories beyond max_len: training also reads windows of max_len items that end so many
    items earlier, down to the oldest item; below max_len. 0: the last window alone."""
    dropout_rate: Probability = 0.2
    """Share of values set to 0 in training: the main regulariser."""
    attention_dropout: bool = True
    """Apply dropout_rate to attention weights too."""
    share_embeddings: bool = True
    """Output projection tied to the item embedding; false: a separate linear layer."""
    init_std: Annotated[float, Field(gt=0.0, le=1.0)] = 0.02
    """Standard deviation of the weights at the start."""
    num_negatives: Annotated[int, Field(ge=0)] = 0
    """Items, drawn anew at each step, that stand for the whole catalogue in the loss; for
    catalogues of 100,000 items and more. 0: all items."""
    lazy_embeddings: bool = False
    """Update only the items that a step has met, with adamw or adam; with num_negatives, a step
    then costs the same however large the catalogue."""
    random_mask_prob: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
    """cloze: share of a sequence's items that are masked in training."""
    last_item_mask_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """cloze: share of sequences of which only the last item is masked, as in prediction."""
    use_genre_emb: bool = False
    """Add embeddings of the side table genre.csv."""
    use_director_emb: bool = False
    """Add embeddings of the side table director.csv."""
    use_writer_emb: bool = False
    """Add embeddings of the side table writer.csv."""
    use_title_emb: bool = False
    """Add embeddings of the words in the side table title.csv."""

    @model_validator(mode="after")
    def _heads_divide_hidden(self) -> ModelConfig:
        if self.hidden_units % self.num_heads:
            divisors = [n for n in range(1, 65) if self.hidden_units % n == 0]
            raise ValueError(
                f"num_heads={self.num_heads} does not divide hidden_units={self.hidden_units}; "
                f"choose one of {', '.join(map(str, divisors))}"
            )
        return self

    @model_validator(mode="after")
    def _distances_look_back(self) -> ModelConfig:
        if self.relative_positions and self.objective != "causal":
            raise ValueError(
                f"relative_positions=true needs objective=causal, not {self.objective}; choose "
                "that, or switch it off"
            )
        return self

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> ModelConfig:
        if self.window_step >= self.max_len:
            raise ValueError(
                f"window_step={self.window_step} would leave out items between windows of max_len="
                f"{self.max_len}; choose at most {self.max_len - 1}, or 0 for the last window alone"
            )
        return self

    @model_validator(mode="after")
    def _lazy_embeddings_are_met_rarely(self) -> ModelConfig:
        if self.lazy_embeddings and not self.num_negatives:
            raise ValueError(
                "lazy_embeddings=true has no effect where the loss meets all items in every step; "
                "set num_negatives (for example 1024), or switch it off"
            )
        if self.lazy_embeddings and self.sides:
            raise ValueError(
                f"lazy_embeddings=true cannot be had with the side tables {', '.join(self.sides)}: "
                "their values belong to many items each; switch one or the other off"
            )
        return self

    @property
    def shortest_sequence(self) -> int:
        """Items that a user must have in the training part to be learned from."""
        return 2 if self.objective == "causal" else 1

    @property
    def sides(self) -> tuple[str, ...]:
        """The side tables that are switched on."""
        return tuple(side for side in SIDES if getattr(self, f"use_{side}_emb"))


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
    num_sampled_negatives: Annotated[int, Field(ge=0)] = 100
    """Negatives of the sampled ranking, reported under a name of its own; 0 switches it off."""


class RecommendConfig(RunConfig):
    """Everything that shapes a run of `recommend`."""

    task: str = "recommend"
    ingest: IngestConfig = IngestConfig()
    split: SplitConfig = SplitConfig()
    model: ModelConfig = ModelConfig()
    training: RecommendTraining = RecommendTraining()
    evaluation: EvaluationConfig = EvaluationConfig()

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


def choose_preset(data: SplitData) -> str:
    """The preset that `auto` means for this many users."""
    if data.num_users < 10_000:
        return "small"
    return "medium" if data.num_users <= 100_000 else "large"


parse = ParameterParser("recommend", RecommendConfig, PredictConfig, AUTO_PRESETS)
