"""Estimate of a training's peak memory, from its configuration and an empty model.

Counts bytes alive at the worst moment: weights, optimiser state, activations, and logits over all
tokens; not the interpreter and its libraries. Against measured peaks on a CPU it is 0.93 to 1.25
over 8 configurations (BART, Llama, Qwen3; fp32, bf16, adapters, 4 bits, checkpointing), 1.53 for
BART in bf16. Not measured on a GPU.
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

from .data import SummarizeData
from .encoding import pairs
from .model import AUTO, Kind, kind_of, open_tokenizer, source
from .params import SummarizeConfig

FIXED_MIB = 40.0
"""What does not grow: kernels, threads, a batch under way."""
STATE_BYTES = {"adamw": 12, "adam": 12, "adafactor": 5, "sgd": 8}
"""For a trained parameter in fp32, beside itself: its gradient, and what the optimiser keeps."""
QUANTISED_BYTES = {"none": 0.0, "8bit": 1.02, "4bit": 0.53}
"""For a weight of a linear layer, scales of its blocks included."""


class Sizes(NamedTuple):
    """Numbers of a model."""

    parameters: int
    linear: int
    """Of them in linear layers other than the output: those that can be quantised."""
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
    """The largest batch there is."""

    rows: int
    inputs: int
    targets: int


def estimate_memory(config: SummarizeConfig, data: SummarizeData) -> float:
    """MiB that one training takes at most on one device, beside what was in use before."""
    folder = source(config)
    kind = kind_of(config, load_config(folder))
    speech = open_tokenizer(config, data)
    sizes = _sizes(folder, kind, speech.num_rows, config.model.lora.targets)
    batch = _largest(config, data)
    peak = _weights(config, sizes) + _training(config, sizes, batch, kind)
    return peak / MIB + FIXED_MIB


def num_trained(config: SummarizeConfig, sizes: Sizes) -> int:
    """Parameters that have a gradient."""
    return config.model.lora.r * sizes.adapters if config.model.lora.enabled else sizes.parameters


def _weights(config: SummarizeConfig, sizes: Sizes) -> float:
    """Bytes of all weights, and of the state of those that are trained."""
    model, training = config.model, config.training
    trained = num_trained(config, sizes)
    half = training.precision in ("bf16", "fp16")
    if not model.lora.enabled:
        copies = 2.0 * sizes.parameters if half else 0.0  # of autocast, during a step
        return (4.0 + STATE_BYTES[training.optimizer]) * trained + copies
    whole = 2.0 if half else 4.0
    small = QUANTISED_BYTES[model.quantisation] or whole
    base = small * sizes.linear + whole * (sizes.parameters - sizes.linear)
    return base + (4.0 + STATE_BYTES[training.optimizer]) * trained


def _training(config: SummarizeConfig, sizes: Sizes, batch: BatchShape, kind: Kind) -> float:
    """Bytes of what a step keeps for the way back, and of its logits."""
    length = batch.inputs + batch.targets if kind == "causal" else batch.targets
    decoded = _kept(config, sizes, batch.rows, length, layers=sizes.decoder_layers)
    if kind == "seq2seq":
        decoded *= 1.4  # attention to the encoder as well
    encoded = _kept(config, sizes, batch.rows, batch.inputs, layers=sizes.encoder_layers)
    half = config.training.precision in ("bf16", "fp16")
    answered = batch.rows * (batch.targets + 1)
    logits = (14.0 if half else 12.0) * answered * sizes.tokens
    return encoded + decoded + logits


def _kept(config: SummarizeConfig, sizes: Sizes, rows: int, time: int, *, layers: int) -> float:
    """Bytes of the inside of layers; with checkpointing of one, and of what goes into each."""
    if not layers:
        return 0.0
    half = config.training.precision in ("bf16", "fp16")
    width = 3.8 if half else 4.0  # what passes a norm is fp32 again
    # causal: also what is gated and turned by its place
    elements = (14.0, 4.0) if not sizes.encoder_layers else (9.0, 2.0)
    inside = width * rows * time * (elements[0] * sizes.hidden + elements[1] * sizes.feed_forward)
    if config.model.lora.enabled:  # what each adapter reads, behind its dropout
        inside *= 1.7 if half else 2.6
    if sizes.drops_attention and select_device(None, config.training.accelerator).type == "cpu":
        inside += 3.0 * width * rows * sizes.heads * time * time  # spelled out there
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
    linear = [m for m in model.modules() if isinstance(m, nn.Linear) and m is not output]
    adapters = _adapters(model, targets)
    hidden = _first(architecture, "hidden_size", "d_model")
    more_rows = max(num_rows - architecture.vocab_size, 0) * hidden
    encoder = _first(architecture, "encoder_layers", "num_layers") if kind == "seq2seq" else 0
    return Sizes(
        parameters=sum(p.numel() for p in model.parameters()) + more_rows,
        linear=sum(layer.weight.numel() for layer in linear),
        hidden=hidden,
        feed_forward=_first(architecture, "intermediate_size", "encoder_ffn_dim", "d_ff"),
        encoder_layers=encoder,
        decoder_layers=_first(
            architecture, "decoder_layers", "num_decoder_layers", "num_hidden_layers"
        ),
        heads=_first(architecture, "num_attention_heads", "encoder_attention_heads", "num_heads"),
        tokens=max(num_rows, architecture.vocab_size),
        drops_attention=_first(architecture, "attention_dropout", "dropout_rate") > 0,
        adapters=adapters,
    )


def _adapters(model: nn.Module, targets: tuple[str, ...]) -> int:
    return sum(
        layer.in_features + layer.out_features
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and name.rpartition(".")[2] in targets
    )


def _first(architecture: Any, *names: str) -> Any:
    """The first of these values that an architecture has; 0 where it has none."""
    return next((v for n in names if (v := getattr(architecture, n, None)) is not None), 0)
