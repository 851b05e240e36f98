"""Build models to train, and restore them from checkpoints.

Embeddings of tokens added from the data start as the mean of the pieces that they replace. The
generation settings of a pretrained model are ignored (see decoder.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.core.seeds import derive_seed
from seqtune.inference import HALF, outline, select_device
from seqtune.text.pretrained import (
    empty_model,
    identity,
    load_config,
    load_model,
    load_tokenizer,
    locate_model,
)

from . import lora
from .params import PreprocessConfig, SummarizeConfig
from .preprocess import add_marks
from .prompts import end_of_turn

BASE = "base.json"
"""Asset of adapters: the model that they belong to."""
Kind = Literal["seq2seq", "causal"]
AUTO: dict[Kind, str] = {"seq2seq": "AutoModelForSeq2SeqLM", "causal": "AutoModelForCausalLM"}


class HasMarks(Protocol):
    """A split with the placeholders of its fit part."""

    def marks(self, config: PreprocessConfig) -> list[str]: ...


class TokenizerBundle(NamedTuple):
    """A tokeniser with the tokens added from the data."""

    tokenizer: Any
    pieces: dict[str, list[int]]
    """The pieces that each added token replaces."""

    @property
    def tokens(self) -> list[int]:
        ids: list[int] = self.tokenizer.convert_tokens_to_ids(list(self.pieces))
        return ids

    @property
    def num_rows(self) -> int:
        """Rows that embeddings need; `vocab_size` would leave out added tokens."""
        return len(self.tokenizer)


def source(config: SummarizeConfig) -> Path:
    """Return the folder of the pretrained model."""
    return locate_model(config.model, key="summarize.model.name")


def kind_of(config: SummarizeConfig, architecture: Any) -> Kind:
    """Return the kind of the model; `auto` reads it from the model's own configuration."""
    if config.model.kind != "auto":
        return config.model.kind
    return "seq2seq" if architecture.is_encoder_decoder else "causal"


def open_tokenizer(config: SummarizeConfig, data: HasMarks) -> TokenizerBundle:
    """Open the tokeniser of a model, with tokens for the placeholders of the fit part."""
    folder = source(config)
    tokenizer = plain_tokenizer(folder, kind_of(config, load_config(folder)))
    return TokenizerBundle(tokenizer, add_marks(tokenizer, data.marks(config.preprocess)))


def plain_tokenizer(folder: Path, kind: Kind) -> Any:
    """Open a tokeniser with a padding token, whose `eos` ends a summary."""
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


def build_model(config: SummarizeConfig, data: HasMarks) -> Any:
    """Build a model to train: pretrained or with random weights, with adapters if configured."""
    folder = source(config)
    architecture = load_config(folder)
    kind = kind_of(config, architecture)
    speech = open_tokenizer(config, data)
    if config.model.from_scratch:
        model = _random_model(config, kind, architecture, num_rows=speech.num_rows)
    else:
        model = pretrained(config, kind, folder)
        give_rows(model, speech)
    if config.model.lora.enabled:
        model = adapted(model, config, tokens=speech.tokens).get_base_model()
    if config.model.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return with_contiguous_output(model)


def with_contiguous_output(model: Any) -> Any:
    """Make the input of the output layer contiguous, in place.

    Of a slice of positions (`logits_to_keep`), torch multiplies each row of a batch alone, and
    copies the frozen output weights for each of them: on a CPU, 640 MiB a row for Gemma.
    """
    model.get_output_embeddings().register_forward_pre_hook(_contiguous)
    return model


def _contiguous(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(value.contiguous() for value in inputs)


def give_rows(model: Any, speech: TokenizerBundle) -> None:
    """Add rows for added tokens, in place: the mean of the rows of their pieces."""
    if len(model.get_input_embeddings().weight) < speech.num_rows:
        model.resize_token_embeddings(speech.num_rows, mean_resizing=False)
    both = (model.get_input_embeddings(), model.get_output_embeddings())
    layers = {id(layer.weight): layer for layer in both if layer is not None}
    with torch.no_grad():
        for layer in layers.values():
            for token, pieces in zip(speech.tokens, speech.pieces.values(), strict=True):
                layer.weight[token] = layer.weight[pieces].float().mean(0).to(layer.weight.dtype)


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint: with adapters only the trained ones, else each once."""
    if lora.is_attached(model):
        return {name: p for name, p in model.named_parameters() if p.requires_grad}
    tied = getattr(model, "all_tied_weights_keys", {})
    return {name: tensor for name, tensor in model.state_dict().items() if name not in tied}


def fill(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights of a checkpoint; refuse missing, unknown and misshapen ones."""
    require_fit(model, weights)
    model.load_state_dict(dict(weights), strict=False)


def require_fit(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    expected = weights_of(model)
    missing, unknown = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    other = [n for n in expected.keys() & weights.keys() if expected[n].shape != weights[n].shape]
    faults = {"missing": missing, "unknown": unknown, "of another shape": other}
    if any(faults.values()):
        listed = "; ".join(
            f"{len(names)} {what} ({', '.join(sorted(names)[:3])})"
            for what, names in faults.items()
            if names
        )
        raise ArtifactError(f"the weights do not fit the model: {listed}")


def pretrained(
    config: SummarizeConfig, kind: Kind, folder: Path, *, device: str | None = None
) -> Any:
    """Load the model in `folder`: in fp32 if trained, in the type of training if frozen."""
    model, frozen = config.model, config.model.lora.enabled
    dtype = HALF.get(config.training.precision, torch.float32) if frozen else torch.float32
    options = lora.quantisation_options(model, compute=dtype)
    if options:
        options["device_map"] = {"": str(select_device(device, config.training.accelerator))}
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


def write_model_assets(directory: Path, config: SummarizeConfig, data: HasMarks) -> None:
    """Write everything except the weights that a checkpoint needs to be self-contained."""
    folder = source(config)
    speech = open_tokenizer(config, data)
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
    rows = 0 if config.model.from_scratch else architecture.vocab_size
    architecture.vocab_size = max(rows, speech.num_rows)
    architecture.save_pretrained(directory)


def restored_model(
    assets: Path, config: SummarizeConfig, weights: Mapping[str, Tensor], *, device: str
) -> tuple[Any, Any, Kind]:
    """Return model, tokeniser and kind of a checkpoint, from its assets and weights."""
    architecture = load_config(assets)
    kind = kind_of(config, architecture)
    tokenizer = plain_tokenizer(assets, kind)
    with torch.random.fork_rng(devices=[]):  # the values drawn here are overwritten
        if config.model.lora.enabled:
            model = base_with_adapters(assets, config, kind, device=device).get_base_model()
        else:
            build = partial(empty_model, AUTO[kind], architecture, dtype=torch.float32)
            require_fit(outline(build, weights), weights)
            model = build()
    fill(model, weights)
    return with_contiguous_output(model), tokenizer, kind


def base_with_adapters(assets: Path, config: SummarizeConfig, kind: Kind, *, device: str) -> Any:
    """Return a peft model around the base that a checkpoint names; weights are loaded later."""
    base = read_base(assets)
    named = config.model.model_copy(update={"name": base["name"], "revision": base["revision"]})
    config = config.model_copy(update={"model": named})
    model = pretrained(config, kind, source(config), device=device)
    if len(model.get_input_embeddings().weight) < base["num_rows"]:
        model.resize_token_embeddings(base["num_rows"], mean_resizing=False)
    return adapted(model, config, tokens=base["tokens"])


def read_base(assets: Path) -> dict[str, Any]:
    """Return name and revision of the base of adapters, its added tokens and its rows."""
    found: dict[str, Any] = json.loads((assets / BASE).read_text(encoding="utf-8"))
    return found


def _random_model(config: SummarizeConfig, kind: Kind, architecture: Any, *, num_rows: int) -> Any:
    architecture.vocab_size = num_rows
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(config.seed, "weights"))
        return empty_model(AUTO[kind], architecture, dtype=torch.float32)


def adapted(model: Any, config: SummarizeConfig, *, tokens: list[int]) -> Any:
    """Return a peft model around a base, with adapters initialised from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(config.seed, "adapters"))
        return lora.attach(model, config.model.lora, tokens=tokens)
