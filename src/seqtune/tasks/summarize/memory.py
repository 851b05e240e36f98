"""Estimate a training's peak memory from its configuration and an empty model.

Counts weights, optimiser state, activations and logits over all tokens at the peak; not the
interpreter and its libraries. Over 8 configurations (BART, Llama, Qwen3; fp32, bf16, adapters,
4 bits, checkpointing) it is 0.93 to 1.25 times the peak measured on a CPU, 1.53 for BART in bf16.
Not measured on a GPU.
B batch, T time (longest inputs), U time of the targets, D hidden, F feed-forward, V tokens.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from seqtune.core.format import MIB
from seqtune.inference import select_device
from seqtune.text.pretrained import empty_model, load_config

from .batches import rows_at_once
from .data import SummarizeData
from .encoding import pairs
from .model import AUTO, Kind, kind_of, open_tokenizer, source
from .params import SummarizeConfig

FIXED_MIB = 40.0
"""Constant part: kernels, threads, a batch in preparation."""
STATE_BYTES = {"adamw": 12, "adam": 12, "adafactor": 5, "sgd": 8}
"""Gradient and optimiser state of a trained fp32 parameter."""
QUANTISED_BYTES = {"none": 0.0, "8bit": 1.02, "4bit": 0.53}
"""A weight of a linear layer, with its share of the scales of blocks."""


class Sizes(NamedTuple):
    """Sizes of a model."""

    parameters: int
    linear: int
    """Parameters that can be quantised: of linear layers other than the output."""
    hidden: int
    feed_forward: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    tokens: int
    drops_attention: bool
    adapters: int
    """Parameters of adapters of rank 1."""


class BatchShape(NamedTuple):
    """Shape of the largest batch."""

    rows: int
    inputs: int
    targets: int


def estimate_memory(config: SummarizeConfig, data: SummarizeData) -> float:
    """Return the peak MiB of one training on one device, above what was in use before."""
    folder = source(config)
    kind = kind_of(config, load_config(folder))
    speech = open_tokenizer(config, data)
    sizes = _sizes(folder, kind, speech.num_rows, config.model.lora.targets)
    batch = _largest(config, data)
    step = max(_training(config, sizes, batch, kind), _validation(config, sizes, batch))
    return (_weights(config, sizes) + step) / MIB + FIXED_MIB


def _weights(config: SummarizeConfig, sizes: Sizes) -> float:
    """Return bytes of all weights, and of gradients and optimiser state of trained ones."""
    model, training = config.model, config.training
    trained = model.lora.r * sizes.adapters if model.lora.enabled else sizes.parameters
    half = training.precision in ("bf16", "fp16")
    if model.lora.enabled:
        whole = 2.0 if half else 4.0
        small = QUANTISED_BYTES[model.quantisation] or whole
        frozen = small * sizes.linear + whole * (sizes.parameters - sizes.linear)
    else:
        frozen = 2.0 * sizes.parameters if half else 0.0  # copies of autocast, during a step
    return frozen + (4.0 + STATE_BYTES[training.optimizer]) * trained


def _training(config: SummarizeConfig, sizes: Sizes, batch: BatchShape, kind: Kind) -> float:
    """Return bytes of activations kept for the backward pass, and of logits."""
    length = batch.inputs + batch.targets if kind == "causal" else batch.targets
    decoded = _kept(config, sizes, batch.rows, length, layers=sizes.decoder_layers)
    if kind == "seq2seq":
        decoded *= 1.4  # attention to the encoder as well
    encoded = _kept(config, sizes, batch.rows, batch.inputs, layers=sizes.encoder_layers)
    return encoded + decoded + _logits(config, sizes, batch)


def _validation(config: SummarizeConfig, sizes: Sizes, batch: BatchShape) -> float:
    """Return bytes of the logits of a validation batch, of which nothing else is kept."""
    size = config.evaluation.batch_size
    rows = rows_at_once(size, longest=batch.targets, num_tokens=sizes.tokens)
    return _logits(config, sizes, batch._replace(rows=rows))


def _logits(config: SummarizeConfig, sizes: Sizes, batch: BatchShape) -> float:
    half = config.training.precision in ("bf16", "fp16")
    return (14.0 if half else 12.0) * batch.rows * (batch.targets + 1) * sizes.tokens


def _kept(config: SummarizeConfig, sizes: Sizes, rows: int, time: int, *, layers: int) -> float:
    """Return bytes of activations in layers; with checkpointing, in one layer and all inputs."""
    if not layers:
        return 0.0
    half = config.training.precision in ("bf16", "fp16")
    width = 3.8 if half else 4.0  # norms return fp32
    # causal: gates and rotary embeddings too
    elements = (14.0, 4.0) if not sizes.encoder_layers else (9.0, 2.0)
    inside = width * rows * time * (elements[0] * sizes.hidden + elements[1] * sizes.feed_forward)
    if config.model.lora.enabled:  # what each adapter reads, behind its dropout
        inside *= 1.7 if half else 2.6
    if sizes.drops_attention and select_device(None, config.training.accelerator).type == "cpu":
        inside += 3.0 * width * rows * sizes.heads * time * time  # not fused there
    if config.model.gradient_checkpointing:
        return 4.0 * rows * time * sizes.hidden * layers + inside
    return inside * layers


def _largest(config: SummarizeConfig, data: SummarizeData) -> BatchShape:
    of = pairs(config, data, "train")
    rows = min(config.training.batch_size, len(of.inputs))
    return BatchShape(
        rows, int(of.inputs.lengths.max(initial=1)), int(of.targets.lengths.max(initial=1))
    )


@cache
def _sizes(folder: Path, kind: Kind, num_rows: int, targets: tuple[str, ...]) -> Sizes:
    architecture = load_config(folder)
    with torch.device("meta"):
        model = empty_model(AUTO[kind], architecture)
    output = model.get_output_embeddings()
    layers = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear)}
    hidden = _first(architecture, "hidden_size", "d_model")
    more_rows = max(num_rows - architecture.vocab_size, 0) * hidden
    encoder = _first(architecture, "encoder_layers", "num_layers") if kind == "seq2seq" else 0
    return Sizes(
        parameters=sum(p.numel() for p in model.parameters()) + more_rows,
        linear=sum(m.weight.numel() for m in layers.values() if m is not output),
        hidden=hidden,
        feed_forward=_first(architecture, "intermediate_size", "encoder_ffn_dim", "d_ff"),
        encoder_layers=encoder,
        decoder_layers=_first(
            architecture, "decoder_layers", "num_decoder_layers", "num_hidden_layers"
        ),
        heads=_first(architecture, "num_attention_heads", "encoder_attention_heads", "num_heads"),
        tokens=max(num_rows, architecture.vocab_size),
        drops_attention=_first(architecture, "attention_dropout", "dropout_rate") > 0,
        adapters=sum(
            layer.in_features + layer.out_features
            for name, layer in layers.items()
            if name.rpartition(".")[2] in targets
        ),
    )


def _first(architecture: Any, *names: str) -> Any:
    """Return the first of these values that the architecture has, or 0."""
    return next((v for n in names if (v := getattr(architecture, n, None)) is not None), 0)
