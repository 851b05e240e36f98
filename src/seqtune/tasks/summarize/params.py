"""The parameters of `summarize`, typed and bounded."""

from __future__ import annotations

from string import Formatter
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

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

Tokens = Annotated[int, Field(ge=1, le=131_072)]
Augmentation = Literal["none", "paraphrase", "backtranslation", "both"]
KINDS: dict[str, tuple[str, ...]] = {
    "none": (),
    "paraphrase": ("paraphrase",),
    "backtranslation": ("backtranslation",),
    "both": ("paraphrase", "backtranslation"),
}
"""Kinds of augmented rows by value of a parameter `augmentation`."""
REWRITERS: dict[str, tuple[str, ...]] = {
    "paraphrase": ("paraphrase_model",),
    "backtranslation": ("forward_model", "backward_model"),
}
"""Parameters of the models that make each kind, in the order of their use."""


class ColumnNames(Section):
    """What the user's file calls our columns."""

    id: str | None = "fname"
    """null: rows are numbered."""
    dialogue: str = "dialogue"
    """The column of dialogues."""
    summary: str = "summary"
    """The column of summaries. Several references: columns of this name with 1, 2, 3 behind it."""
    topic: str | None = None
    """null: none is read."""


class IngestConfig(TextIngestConfig):
    """How raw files are read and what happens to bad rows."""

    columns: ColumnNames = ColumnNames()
    on_empty: Literal["error", "drop"] = "error"
    """What happens to rows without a dialogue or a summary; drop counts them in the report."""
    on_duplicates: Literal["error", "drop", "keep"] = "drop"
    """Equal dialogues; drop keeps the first of them."""
    max_characters: Annotated[int, Field(ge=1, le=10_000_000)] = 50_000
    """Longer dialogues are cut there before they are tokenised, and counted."""


class SplitConfig(Section):
    """What is held out, and how."""

    valid_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Share of rows for valid; not used where a file of them is given."""
    test_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """The same for test."""
    use_full_data: bool = False
    """Train on everything but test, for as many epochs as the validated run found best."""
    augmentation: Augmentation = "none"
    """Kinds of further dialogues that are made for the fit part, by the models below."""
    paraphrase_model: str | None = None
    """A folder or a name on the hub of an encoder-decoder that paraphrases."""
    forward_model: str | None = None
    """backtranslation: of one that translates to another language."""
    backward_model: str | None = None
    """backtranslation: of one that translates back."""
    allow_pickle: bool = False
    """Take weights of these models that are no safetensors; loading them can run any code."""
    augment_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Share of the fit part that gets another dialogue of each kind."""

    _train_share = model_validator(mode="after")(require_train_share)

    @model_validator(mode="after")
    def _require_augmentation_models(self) -> SplitConfig:
        needed = [name for kind in KINDS[self.augmentation] for name in REWRITERS[kind]]
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(
                f"augmentation={self.augmentation} needs {' and '.join(missing)}: a folder, or a "
                "name on the hub"
            )
        return self


class PreprocessConfig(Section):
    """From a dialogue to what the model reads; searched like any other parameter."""

    max_input_length: Annotated[int, Field(ge=16, le=131_072)] = 1024
    """Tokens of a dialogue (of the whole prompt for a causal model); longer ones are cut."""
    max_target_length: Annotated[int, Field(ge=4, le=8192)] = 128
    """Tokens of a summary."""
    noise_removal: Literal["none", "minimal", "moderate", "aggressive"] = "minimal"
    """minimal: spaces and line ends; moderate: also repeated letters and marks; aggressive: also
    sounds of hesitation and single jamo."""
    person_tokens: Literal["keep", "simplify", "abstract"] = "keep"
    """keep: #Person1#; simplify: P1; abstract: the speaker, the other speaker, ..."""
    special_tokens: bool = True
    """Give each person, and #PhoneNumber# and its like, a token of its own."""
    augmentation: Augmentation = "both"
    """Which of the dialogues that the split made training takes; both: whatever was made."""
    max_truncated_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    """More dialogues than this share that do not fit stop the run before training."""


PLAIN_TEMPLATE = "{instruction}\n\n{dialogue}\n\nSummary:\n"
"""The prompt of a model without a chat template."""
TEMPLATE_RULE = (
    "give {dialogue} once, {instruction} if it is wanted, and write other braces twice: {{ and }}"
)
ADAPTED = OnlyIf("enabled", (True,))
SAMPLED = OnlyIf("do_sample", (True,))


class LoraConfig(Section):
    """Low-rank adapters; the base model stays as it is."""

    enabled: bool = False
    """Train adapters alone."""
    r: Annotated[int, Field(ge=1, le=512), ADAPTED] = 16
    """Rank."""
    alpha: Annotated[float, Field(gt=0.0, le=1024.0), ADAPTED] = 32.0
    """Scale: updates count alpha / r."""
    dropout: Annotated[Probability, ADAPTED] = 0.05
    """In front of the adapters."""
    use_rslora: Annotated[bool, ADAPTED] = False
    """Rank-stabilised: updates count alpha / sqrt(r), so that high ranks learn no less."""
    use_dora: Annotated[bool, ADAPTED] = False
    """Train the length of each row of weights beside its direction (DoRA)."""
    targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    """Names of the linear layers that get one; those that the model does not have are left out."""


class ModelConfig(PretrainedConfig):
    """A pretrained encoder-decoder, or a causal language model."""

    name: str = "digit82/kobart-summarization"
    kind: Literal["auto", "seq2seq", "causal"] = "auto"
    """auto: by the model's own configuration."""
    quantisation: Literal["none", "8bit", "4bit"] = "none"
    """Of the base model, which then needs lora.enabled."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the target's probability that is spread over all tokens."""
    gradient_checkpointing: bool = False
    """Compute the inside of layers again on the way back: less memory, a third more time."""
    instruction: str = "Summarise the following dialogue in a few sentences."
    """causal: what the model is asked, in front of the dialogue."""
    prompt_template: str | None = None
    """causal: the prompt, with {dialogue} and maybe {instruction}; null: the model's chat template,
    or PLAIN_TEMPLATE for a base model, which has none."""
    lora: LoraConfig = LoraConfig()

    @model_validator(mode="after")
    def _require_adapters_if_quantised(self) -> ModelConfig:
        if self.quantisation != "none" and not self.lora.enabled:
            raise ValueError(
                f"quantisation={self.quantisation} keeps weights that cannot be trained; set "
                "lora.enabled=true, or quantisation=none"
            )
        return self

    @field_validator("prompt_template")
    @classmethod
    def _require_dialogue_in_template(cls, template: str | None) -> str | None:
        if template is None:
            return None
        try:
            names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
        except ValueError as error:
            raise ValueError(f"{template!r} is no template ({error}); {TEMPLATE_RULE}") from error
        if names.count("dialogue") != 1 or not {*names} <= {"dialogue", "instruction"}:
            found = ", ".join(f"{{{name}}}" for name in names) or "nothing"
            raise ValueError(f"{template!r} has {found} to be filled in; {TEMPLATE_RULE}")
        return template


class GenerationConfig(Section):
    """How a summary is written by a trained model. Training never reads it."""

    beams: Annotated[int, Field(ge=1, le=32)] = 4
    """Beams of the search; 1 is greedy."""
    do_sample: bool = False
    """Draw tokens instead of taking the likeliest."""
    temperature: Annotated[float, Field(gt=0.0, le=5.0), SAMPLED] = 1.0
    """do_sample: below 1 the likely gets likelier."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0), SAMPLED] = 1.0
    """do_sample: only the likeliest tokens that make up this share."""
    top_k: Annotated[int, Field(ge=0), SAMPLED] = 50
    """do_sample: only this many likeliest tokens; 0: all."""
    repetition_penalty: Annotated[float, Field(ge=1.0, le=5.0)] = 1.0
    """Above 1, what was written gets less likely."""
    length_penalty: Annotated[float, Field(ge=-5.0, le=5.0), OnlyIf("beams", range(2, 33))] = 1.0
    """Several beams: above 1 favours long summaries."""
    max_new_tokens: Tokens = 100
    """Longest summary."""
    min_new_tokens: Annotated[int, Field(ge=0, le=8192)] = 0
    """Shortest one."""
    no_repeat_ngram_size: Annotated[int, Field(ge=0, le=20)] = 3
    """No sequence of so many tokens twice; 0: off."""
    stop_strings: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """A summary ends in front of the first of these too, beside the model's own end token; "\\n"
    keeps an untrained base model from writing on."""

    @model_validator(mode="after")
    def _require_min_below_max(self) -> GenerationConfig:
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError(
                f"min_new_tokens={self.min_new_tokens} is more than "
                f"max_new_tokens={self.max_new_tokens}"
            )
        return self


class SummarizeTraining(TrainingConfig):
    epochs: PositiveInt = 20
    batch_size: PositiveInt = 16
    accumulate_grad_batches: PositiveInt = 2
    lr: LearningRate = 3e-5
    scheduler: Scheduler = "cosine"
    warmup_ratio: Probability = 0.1
    gradient_clip_val: Annotated[float, Field(ge=0.0)] = 1.0
    monitor: str = "val_rouge_sum"
    monitor_mode: Literal["max", "min"] = "max"
    early_stopping: EarlyStopping = EarlyStopping(patience=3)


class EvaluationConfig(Section):
    """How summaries are scored."""

    tokenizer: Literal["words", "characters", "morphemes"] = "words"
    """What ROUGE counts: words between spaces, characters, or Korean morphemes (Kiwi)."""
    references: Literal["max", "mean"] = "max"
    """Several references: the best of them, or their mean."""
    batch_size: PositiveInt = 16
    """Dialogues in a batch."""
    max_rows: Annotated[int, Field(ge=1)] = 200
    """Rows of valid (a fixed sample) that are summarised at every validation, greedily, and when
    decoding is searched; final metrics take all rows."""
    max_new_tokens: Tokens = 100
    """Longest summary at a validation."""
    train_metric_rows: Annotated[int, Field(ge=0)] = 0
    """Rows of the fit part that are summarised too, as `train_<metric>`; 0 switches it off."""
    num_examples: Annotated[int, Field(ge=0, le=100), UNUSED_IN_TRAINING] = 5
    """Best, worst and random summaries each that the report shows."""


class SummarizeConfig(RunConfig):
    """Everything that shapes a run of `summarize`."""

    libraries: ClassVar[tuple[str, ...]] = (
        "transformers",
        "tokenizers",
        "peft",
        "bitsandbytes",
        "kiwipiepy",
    )

    task: str = "summarize"
    ingest: IngestConfig = IngestConfig()
    split: SplitConfig = SplitConfig()
    preprocess: PreprocessConfig = PreprocessConfig()
    model: ModelConfig = ModelConfig()
    training: SummarizeTraining = SummarizeTraining()
    generation: GenerationConfig = GenerationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()


class PredictConfig(Section):
    """What is summarised, and from which weights."""

    model: Literal["auto", "checkpoint", "ensemble"] = "auto"
    """auto: the ensemble made beside this checkpoint, unless the checkpoint is better on valid."""
    weights: Literal["best", "last"] = "best"
    """Of the best epoch by the monitored metric, or of the last."""
    batch_size: PositiveInt = 16
    """Dialogues in a batch."""
    escape_formulas: bool = False
    """An apostrophe before =, +, - and @ in submission.csv, which are formulas in spreadsheets."""


parse = ParameterParser("summarize", SummarizeConfig, PredictConfig)
