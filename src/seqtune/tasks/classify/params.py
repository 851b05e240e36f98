"""The parameters of `classify`, typed and bounded."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from seqtune.core.config import (
    UNUSED_IN_TRAINING,
    EarlyStopping,
    LearningRate,
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
    """What the user's file calls our columns."""

    text: str = "text"
    """The column of texts."""
    id: str | None = None
    """A column that names rows; null: they are numbered."""
    labels: tuple[str, ...] = ()
    """Columns of 0 and 1, in their order; empty: all columns but those of text, id and ignore."""
    ignore: tuple[str, ...] = ()
    """Columns that are neither."""


class IngestConfig(TextIngestConfig):
    """How raw files are read and what happens to bad rows."""

    columns: ColumnNames = ColumnNames()
    on_empty: Literal["error", "drop"] = "error"
    """What happens to texts without a letter or digit; drop counts them in the report. Under drop,
    a test file stays whole here and below: its number is compared with those of others."""
    on_duplicates: Literal["error", "drop", "keep"] = "drop"
    """Equal texts with equal labels; drop keeps the first of them."""
    on_conflict: Literal["error", "drop", "keep"] = "drop"
    """Equal texts with different labels; drop takes out all of them."""


class SplitConfig(Section):
    """What is held out, and how."""

    valid_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Share of rows for valid, stratified over all labels."""
    test_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """The same for test; not used where a test file is given, which is then test as a whole."""
    use_full_data: bool = False
    """Train on everything but test, for as many epochs as the validated run found best."""
    min_positives: Annotated[int, Field(ge=1)] = 1
    """Rows of each label that every part must have."""
    augmentation: Literal["none", "aeda"] = "aeda"
    """aeda: copies of rows of the rarer labels with punctuation inserted, in the fit part only."""
    augment_factor: Annotated[int, Field(ge=2, le=10)] = 3
    """aeda: how many times a rare row is there afterwards, itself included."""
    minority_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """aeda: labels with a smaller share of positives are rare."""
    leakage: Literal["error", "drop", "keep"] = "drop"
    """Texts that stand, but for spaces, case and marks, in the test file too; drop keeps them out
    of train and valid. Such texts of one file always share a part."""

    _train_share = model_validator(mode="after")(require_train_share)


class ModelConfig(PretrainedConfig):
    """A pretrained encoder with a linear head."""

    name: str = "beomi/KcELECTRA-base-v2022"
    max_length: Annotated[int, Field(ge=4, le=8192)] = 128
    """Tokens of a text; longer ones are cut."""
    dropout_rate: Probability = 0.3
    """Before the linear head; inside the encoder it is that of its own configuration."""
    pooling: Literal["first", "mean"] = "first"
    """What stands for a text: its first token, or the mean of all."""
    freeze_encoder: bool = False
    """Train the head alone."""
    gradient_checkpointing: bool = True
    """Compute the inside of layers again on the way back: less memory, a third more time."""
    pos_weight_max: Annotated[float, Field(ge=1.0, le=1000.0)] = 10.0
    """Positives weigh negatives / positives of their label, at most this; 1: like negatives."""


class ClassifyTraining(TrainingConfig):
    epochs: PositiveInt = 80
    batch_size: PositiveInt = 16
    accumulate_grad_batches: PositiveInt = 4
    lr: LearningRate = 2e-5
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
    """Rows of the fit part (a fixed sample) that are scored too, as `train_<metric>`."""
    floor: Annotated[bool, UNUSED_IN_TRAINING] = True
    """Compute the TF-IDF floor: logistic regression on words and pieces of words."""


class ClassifyConfig(RunConfig):
    """Everything that shapes a run of `classify`."""

    libraries: ClassVar[tuple[str, ...]] = ("transformers", "tokenizers")

    task: str = "classify"
    ingest: IngestConfig = IngestConfig()
    split: SplitConfig = SplitConfig()
    model: ModelConfig = ModelConfig()
    training: ClassifyTraining = ClassifyTraining()
    evaluation: EvaluationConfig = EvaluationConfig()


class PredictConfig(Section):
    """What is said of each text, and from which weights."""

    model: Literal["auto", "checkpoint", "ensemble"] = "auto"
    """auto: the ensemble where there is one that was made beside this checkpoint."""
    weights: Literal["best", "last"] = "best"
    """Of the best epoch by the monitored metric, or of the last."""
    thresholds: Literal["auto", "half"] = "auto"
    """auto: each label's own, found on valid; half: 0.5 for all."""
    batch_size: PositiveInt = 64
    """Texts in a batch."""


parse = ParameterParser("classify", ClassifyConfig, PredictConfig)


def choose_preset(_data: Any) -> str:
    """No preset depends on the size of the data."""
    return "none"
