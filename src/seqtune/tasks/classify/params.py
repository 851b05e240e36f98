"""The parameters of `classify`, typed and bounded."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from seqtune.core.config import (
    UNUSED_IN_TRAINING,
    EarlyStopping,
    LearningRate,
    OnlyIf,
    PositiveInt,
    Probability,
    RunConfig,
    Scheduler,
    Section,
    TrainingConfig,
    require_train_share,
)
from seqtune.core.parameters import ParameterParser
from seqtune.text.params import PretrainedConfig, TextIngestConfig


class ColumnNames(Section):
    """Names of the columns in the user's files."""

    text: str = "text"
    """The column of texts."""
    id: str | None = None
    """The column of row ids; null: rows are numbered."""
    labels: tuple[str, ...] = ()
    """Label columns of 0 and 1, in order; empty: all columns except text, id and ignore."""
    ignore: tuple[str, ...] = ()
    """Columns that are not used."""


class IngestConfig(TextIngestConfig):
    """How raw files are read and invalid rows are handled."""

    columns: ColumnNames = ColumnNames()
    on_empty: Literal["error", "drop"] = "error"
    """Texts without a letter or digit: refuse them, or drop and count them. A test file is never
    shortened, here and below, so that its metrics stay comparable."""
    on_duplicates: Literal["error", "drop", "keep"] = "drop"
    """Equal texts with equal labels; drop keeps the first."""
    on_conflict: Literal["error", "drop", "keep"] = "drop"
    """Equal texts with different labels; drop removes all of them."""


class SplitConfig(Section):
    """How valid and test are held out."""

    valid_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Share of rows for valid, stratified over all labels."""
    test_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Share of rows for test; not used with a test file, which is then the whole test part."""
    use_full_data: bool = False
    """Train on everything except test, for as many epochs as the validated run found best."""
    min_positives: Annotated[int, Field(ge=1)] = 1
    """Least positives of each label in every part."""
    augmentation: Literal["none", "aeda"] = "aeda"
    """aeda: copy rows of rare labels with random punctuation, in the fit part only."""
    augment_factor: Annotated[int, Field(ge=2, le=10)] = 3
    """aeda: number of copies of a rare row, the original included."""
    minority_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """aeda: labels with a smaller share of positives are rare."""
    leakage: Literal["error", "drop", "keep"] = "drop"
    """Texts that are in the test file too, up to spaces, case and punctuation; drop removes them
    from train and valid. Such texts of one file always share a part."""

    _train_share = model_validator(mode="after")(require_train_share)


class ModelConfig(PretrainedConfig):
    """A pretrained encoder with a linear head."""

    name: str = "beomi/KcELECTRA-base-v2022"
    max_length: Annotated[int, Field(ge=4, le=8192)] | Literal["auto"] = 128
    """Most tokens of a text; longer texts are cut. auto: as many as 99 % of the training texts
    have."""
    dropout_rate: Probability = 0.3
    """Dropout before each layer of the head; the encoder uses its own configuration."""
    pooling: Literal["auto", "first", "mean"] = "auto"
    """What represents a text: its first token, or the mean of all tokens. auto: as the model's own
    files say, else the first."""
    head_units: Annotated[int, Field(ge=0, le=8192)] = 0
    """Units of a hidden layer between vector and linear head; 0: none."""
    freeze_encoder: bool = False
    """Train only the head, on vectors that are computed once and kept with the split."""
    freeze_embeddings: Annotated[bool, OnlyIf("freeze_encoder", (False,))] = False
    """Leave the table of token embeddings as it is: most of the weights of a multilingual model."""
    gradient_checkpointing: bool = True
    """Recompute layers in the backward pass: less memory, a third more time."""
    pos_weight_max: Annotated[float, Field(ge=1.0, le=1000.0)] = 10.0
    """Largest weight of positives (negatives / positives of the label); 1: as negatives."""

    @model_validator(mode="after")
    def _require_features(self) -> ModelConfig:
        if self.from_scratch and self.freeze_encoder:
            raise ValueError(
                "from_scratch=true with freeze_encoder=true would train a head on what a random "
                "encoder makes of a text; set one of them to false"
            )
        return self

    @property
    def token_limit(self) -> int:
        """Most tokens of a text, once `resolve_auto` has settled it."""
        if self.max_length == "auto":
            raise ValueError("max_length=auto is settled by resolve_auto, before it is used")
        return self.max_length


class ClassifyTraining(TrainingConfig):
    epochs: PositiveInt = 80
    batch_size: PositiveInt = 16
    accumulate_grad_batches: PositiveInt = 4
    lr: LearningRate = 2e-5
    layer_lr_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Factor of the learning rate from one layer to the one below; the head has `lr`."""
    scheduler: Scheduler = "cosine"
    warmup_ratio: Probability = 0.05
    gradient_clip_val: Annotated[float, Field(ge=0.0)] = 1.0
    monitor: str = "val_macro_f1"
    monitor_mode: Literal["max", "min"] = "max"
    early_stopping: EarlyStopping = EarlyStopping(patience=10, min_delta=0.001)


class EvaluationConfig(Section):
    """How texts are scored."""

    batch_size: PositiveInt = 64
    """Texts in a batch."""
    train_metric_rows: Annotated[int, Field(ge=0)] = 500
    """Rows of the fit part (a fixed sample) that are also scored, as `train_<metric>`."""
    floor: Annotated[bool, UNUSED_IN_TRAINING] = True
    """Compute the TF-IDF floor: logistic regression on character n-grams."""


class ClassifyConfig(RunConfig):
    """All parameters of a run of `classify`."""

    libraries: ClassVar[tuple[str, ...]] = ("transformers", "tokenizers")

    task: str = "classify"
    ingest: IngestConfig = IngestConfig()
    split: SplitConfig = SplitConfig()
    model: ModelConfig = ModelConfig()
    training: ClassifyTraining = ClassifyTraining()
    evaluation: EvaluationConfig = EvaluationConfig()


class PredictConfig(Section):
    """Which model, weights and thresholds predict."""

    model: Literal["auto", "checkpoint", "ensemble"] = "auto"
    """auto: the ensemble made beside this checkpoint, unless the checkpoint is better on valid."""
    weights: Literal["best", "last"] = "best"
    """Weights of the best epoch by the monitored metric, or of the last."""
    thresholds: Literal["auto", "half"] = "auto"
    """auto: each label's own, tuned on valid; half: 0.5 for all."""
    batch_size: PositiveInt = 64
    """Texts in a batch."""
    escape_formulas: bool = False
    """An apostrophe before =, +, - and @ in submission.csv, which are formulas in spreadsheets."""


parse = ParameterParser("classify", ClassifyConfig, PredictConfig)
