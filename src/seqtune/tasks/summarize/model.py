"""From a name to a model that can be trained, and from a checkpoint back to one that can write.

Tokens that the data bring get rows in the embeddings that start as the mean of the pieces which
they replace. How a pretrained model was set up to generate is not taken over, except for the ids
of its special tokens: a derived KoBART would end every summary with <usr>.

A checkpoint's assets: the tokeniser, config.json, and with adapters base.json, which says what
they belong to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from seqtune.contracts.errors import ArtifactError, ConfigurationError
from seqtune.contracts.resolve import Resolved
from seqtune.contracts.seeds import derive_seed
from seqtune.text.pretrained import (
    empty_model,
    identity,
    load_config,
    load_model,
    load_tokenizer,
    locate,
    require_match,
)

from . import lora
from .data import SummarizeData
from .params import SummarizeConfig
from .preprocess import add_marks, marks_of
from .prompts import end_of_turn, prompt_of

Kind = Literal["seq2seq", "causal"]
AUTO: dict[Kind, str] = {"seq2seq": "AutoModelForSeq2SeqLM", "causal": "AutoModelForCausalLM"}
BASE = "base.json"
_FROZEN_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Speech(NamedTuple):
    """A tokeniser with what the data added to it."""

    tokenizer: Any
    pieces: dict[str, list[int]]
    """Of each added token, what it consisted of before."""

    @property
    def tokens(self) -> list[int]:
        ids: list[int] = self.tokenizer.convert_tokens_to_ids(list(self.pieces))
        return ids

    @property
    def num_rows(self) -> int:
        """Rows that embeddings need; `vocab_size` would leave out added tokens."""
        return len(self.tokenizer)


def source(config: SummarizeConfig) -> Path:
    """The folder of the pretrained model."""
    model = config.model
    return locate(
        model.name,
        revision=model.revision,
        allow_pickle=model.allow_pickle,
        key="summarize.model.name",
    )


def kind_of(config: SummarizeConfig, architecture: Any) -> Kind:
    """Encoder-decoder or causal; `auto` goes by the model's own configuration."""
    if config.model.kind != "auto":
        return config.model.kind
    return "seq2seq" if architecture.is_encoder_decoder else "causal"


def open_speech(config: SummarizeConfig, data: SummarizeData) -> Speech:
    """The tokeniser of a model, with tokens for the placeholders of the fit part."""
    folder = source(config)
    tokenizer = plain_tokenizer(folder, kind_of(config, load_config(folder)))
    return Speech(tokenizer, add_marks(tokenizer, marks_of(data, config.preprocess)))


def plain_tokenizer(folder: Path, kind: Kind) -> Any:
    """A tokeniser whose `eos` is what ends a summary, and which can pad."""
    tokenizer = load_tokenizer(folder)
    if tokenizer.eos_token_id is None:
        raise ConfigurationError(
            f"the tokenizer in {folder} has no end of a text (eos_token): a model could not learn "
            "to stop; choose a model that writes text"
        )
    if kind == "causal":
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end_of_turn(tokenizer))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def build_model(config: SummarizeConfig, data: SummarizeData) -> Any:
    """A model to train: pretrained, or from random weights; with adapters where they are wanted."""
    folder = source(config)
    architecture = load_config(folder)
    kind = kind_of(config, architecture)
    speech = open_speech(config, data)
    if config.model.from_scratch:
        model = _random_model(config, kind, architecture, num_rows=speech.num_rows)
    else:
        model = _pretrained(config, kind, folder)
        give_rows(model, speech)
    generate_plainly(model, speech.tokenizer)
    if config.model.lora.enabled:
        model = _adapted(model, config, tokens=speech.tokens)
    if config.model.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return model


def give_rows(model: Any, speech: Speech) -> None:
    """Rows for added tokens, in place: the mean of the rows of their pieces."""
    if len(model.get_input_embeddings().weight) < speech.num_rows:
        model.resize_token_embeddings(speech.num_rows, mean_resizing=False)
    layers = {id(layer.weight): layer for layer in _tables(model)}
    with torch.no_grad():
        for layer in layers.values():
            for token, pieces in zip(speech.tokens, speech.pieces.values(), strict=True):
                layer.weight[token] = layer.weight[pieces].float().mean(0).to(layer.weight.dtype)


def generate_plainly(model: Any, tokenizer: Any) -> None:
    """Forget how a pretrained model was told to generate; keep what its special tokens are."""
    import transformers

    settings: Any = transformers.GenerationConfig
    before = model.generation_config
    start = getattr(model.config, "decoder_start_token_id", None)
    model.generation_config = settings(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=before.decoder_start_token_id if start is None else start,
        forced_bos_token_id=before.forced_bos_token_id,
        forced_eos_token_id=tokenizer.eos_token_id if before.forced_eos_token_id else None,
    )


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """What belongs into a checkpoint: with adapters what is trained, else everything once."""
    if lora.is_attached(model):
        return {name: p for name, p in model.named_parameters() if p.requires_grad}
    tied = getattr(model, "all_tied_weights_keys", {})
    return {name: tensor for name, tensor in model.state_dict().items() if name not in tied}


def fill(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put weights of a checkpoint into a model; they must be exactly those that it saves."""
    expected = weights_of(model)
    missing, unknown = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    other = [n for n in expected.keys() & weights.keys() if expected[n].shape != weights[n].shape]
    faults = {"missing": missing, "unknown": unknown, "of another shape": other}
    if any(faults.values()):
        said = "; ".join(
            f"{len(names)} {what} ({', '.join(sorted(names)[:3])})"
            for what, names in faults.items()
            if names
        )
        raise ArtifactError(f"the weights do not fit the model: {said}")
    model.load_state_dict(dict(weights), strict=False)


def write_model_assets(directory: Path, config: SummarizeConfig, data: SummarizeData) -> None:
    """Everything but the weights that a checkpoint needs to be used on its own."""
    folder = source(config)
    speech = open_speech(config, data)
    architecture = load_config(folder)
    kind = kind_of(config, architecture)
    speech.tokenizer.save_pretrained(directory)
    if config.model.lora.enabled:
        base = {
            "name": config.model.name,
            "revision": config.model.revision or identity(folder),
            "tokens": speech.tokens,
            "num_rows": speech.num_rows,
        }
        text = json.dumps(base, indent=2, ensure_ascii=False)
        (directory / BASE).write_text(text + "\n", encoding="utf-8")
    architecture.architectures = [AUTO[kind]]
    rows = architecture.vocab_size
    architecture.vocab_size = (
        speech.num_rows if config.model.from_scratch else max(rows, speech.num_rows)
    )
    architecture.save_pretrained(directory)


def restored_model(
    assets: Path, config: SummarizeConfig, weights: Mapping[str, Tensor], *, device: str
) -> tuple[Any, Any, Kind]:
    """Model, tokeniser and kind of a checkpoint, from its assets and weights."""
    architecture = load_config(assets)
    kind = kind_of(config, architecture)
    tokenizer = plain_tokenizer(assets, kind)
    with torch.random.fork_rng(devices=[]):  # what is drawn here is overwritten
        if config.model.lora.enabled:
            model = _with_adapters(assets, config, kind, device=device)
        else:
            model = empty_model(AUTO[kind], architecture, dtype=torch.float32)
    generate_plainly(model, tokenizer)
    fill(model, weights)
    return model, tokenizer, kind


def settle(resolved: Resolved[SummarizeConfig], _data: SummarizeData) -> Resolved[SummarizeConfig]:
    """Write down which model is meant and of what kind; refuse what cannot be built."""
    config = resolved.config
    if faults := [*lora.missing_libraries(config.model), *_contradictions(config)]:
        raise ConfigurationError(faults)
    folder = source(config)
    architecture = load_config(folder)
    kind = kind_of(config, architecture)
    tokenizer = plain_tokenizer(folder, kind)
    if not config.model.from_scratch:
        require_match(tokenizer, architecture, name=config.model.name)
    if faults := _lengths(config, kind, architecture, tokenizer):
        raise ConfigurationError(faults)
    if config.model.revision is None:
        resolved = resolved.replace(
            "model.revision", identity(folder), origin=f"what {folder} holds now"
        )
    if config.model.kind == "auto":
        resolved = resolved.replace("model.kind", kind, origin="auto: by the model's config.json")
    return resolved


def place(accelerator: str) -> str:
    """Where a configuration wants to compute, as far as this machine can."""
    if accelerator in ("auto", "cuda") and torch.cuda.is_available():
        return "cuda"
    if accelerator in ("auto", "mps") and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def _pretrained(
    config: SummarizeConfig, kind: Kind, folder: Path, *, device: str | None = None
) -> Any:
    """The weights in `folder`: whole where they are trained, small where they stay as they are."""
    model, frozen = config.model, config.model.lora.enabled
    dtype = _FROZEN_TYPES.get(config.training.precision, torch.float32) if frozen else torch.float32
    options = lora.quantisation_options(model, compute=dtype)
    if options:
        options["device_map"] = {"": device or place(config.training.accelerator)}
    try:
        with lora.quiet_quantisation():
            loaded = load_model(
                AUTO[kind], folder, allow_pickle=model.allow_pickle, dtype=dtype, **options
            )
    except (ImportError, RuntimeError, ValueError, NotImplementedError) as error:
        if not options:
            raise
        raise ConfigurationError(
            f"summarize.model.quantisation={model.quantisation} does not work with {model.name} on "
            f"this machine ({str(error).splitlines()[0]}); set summarize.model.quantisation=none"
        ) from error
    lora.keep_trainable(loaded)
    return loaded


def _random_model(config: SummarizeConfig, kind: Kind, architecture: Any, *, num_rows: int) -> Any:
    architecture.vocab_size = num_rows
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(config.seed, "weights"))
        return empty_model(AUTO[kind], architecture, dtype=torch.float32)


def _with_adapters(assets: Path, config: SummarizeConfig, kind: Kind, *, device: str) -> Any:
    """The base that a checkpoint names, with adapters that wait for their weights."""
    base = json.loads((assets / BASE).read_text(encoding="utf-8"))
    named = config.model.model_copy(update={"name": base["name"], "revision": base["revision"]})
    config = config.model_copy(update={"model": named})
    model = _pretrained(config, kind, source(config), device=device)
    if len(model.get_input_embeddings().weight) < base["num_rows"]:
        model.resize_token_embeddings(base["num_rows"], mean_resizing=False)
    return _adapted(model, config, tokens=base["tokens"])


def _adapted(model: Any, config: SummarizeConfig, *, tokens: list[int]) -> Any:
    """With adapters, whose first values follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(config.seed, "adapters"))
        return lora.attach(model, config.model.lora, tokens=tokens)


def _tables(model: Any) -> list[Any]:
    """Embeddings and output, where there are both."""
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    return [layer for layer in layers if layer is not None]


def _contradictions(config: SummarizeConfig) -> list[str]:
    if config.model.from_scratch and config.model.lora.enabled:
        return [
            "summarize.model.from_scratch=true with lora.enabled=true would train adapters on "
            "random weights that never change; set one of them to false"
        ]
    return []


def _lengths(config: SummarizeConfig, kind: Kind, architecture: Any, tokenizer: Any) -> list[str]:
    """Faults of length limits: more than the model has positions for, or less than a prompt."""
    wanted, target = config.preprocess.max_input_length, config.preprocess.max_target_length
    positions = getattr(architecture, "max_position_embeddings", None)
    faults = []
    if kind == "causal":
        own = prompt_of(tokenizer, config.model.instruction).length
        if own >= wanted:
            faults.append(
                f"summarize.preprocess.max_input_length={wanted} leaves no room for a dialogue: "
                f"the prompt alone takes {own} tokens; choose more than {own}"
            )
        needed = {"max_input_length + max_target_length": wanted + target}
    else:
        needed = {"max_input_length": wanted, "max_target_length": target}
    faults += [
        f"summarize.preprocess.{name}={length} is more than {config.model.name} has positions for "
        f"({positions}); choose at most {positions}"
        for name, length in needed.items()
        if positions is not None and length > positions
    ]
    return faults
