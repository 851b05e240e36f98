"""Estimate a training's peak memory from its configuration.

Counts the bytes of tensors alive at the peak, without the interpreter and its libraries. Parameters
are exact (from a model on the meta device); the rest was fitted to 25 peaks on a CPU, and five
repeated measurements were 0.93 to 1.02 of the estimate (test_memory.py). Not measured on a GPU.
B batch, T time (longest text within the limit), D hidden, F feed-forward, H heads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from seqtune.core.format import MIB
from seqtune.inference import select_device
from seqtune.text.split import Part

from .data import ClassifyData, model_folder
from .model import outline
from .params import ClassifyConfig

FP32 = 4.0
OPTIMIZER = {"adamw": 8.0, "adam": 8.0, "adafactor": 1.0, "sgd": 4.0}
"""Bytes of state for one trained parameter."""
FIXED_MIB = 36.0
"""Constant part: kernels, threads, a prefetched batch."""
BACKWARD_FACTOR = 2.5
"""Extra memory of the layer in its backward pass, relative to its stored activations; on a CPU much
of it is fragmentation."""
HALF = 0.8
"""Size of a layer under bf16 relative to fp32: norms and residuals stay in fp32."""


class _Shape(NamedTuple):
    """Sizes of an encoder that determine its memory."""

    parameters: int
    table: int
    """Those of the token embeddings."""
    hidden: int
    inner: int
    heads: int
    layers: int
    drops_attention: bool


def estimate_memory(config: ClassifyConfig, data: ClassifyData) -> float:
    """Return the peak MiB of one training on one device, beside what was in use before."""
    shape = _shape(config)
    state = _state_bytes(config, shape, len(data.labels))
    return (state + _peak_bytes(config, data, shape)) / MIB + FIXED_MIB


def _state_bytes(config: ClassifyConfig, shape: _Shape, num_labels: int) -> float:
    """Return the bytes of parameters, gradients and optimiser state."""
    units = config.model.head_units
    head = (shape.hidden + 1) * units + ((units or shape.hidden) + 1) * num_labels
    trained = head + _num_trained(config, shape)
    kept = FP32 * (head + shape.parameters)
    half = 2.0 * shape.parameters if _is_half(config) else 0.0  # autocast caches cast weights
    return kept + (FP32 + OPTIMIZER[config.training.optimizer]) * trained + half


def _num_trained(config: ClassifyConfig, shape: _Shape) -> int:
    """Count the parameters of the encoder that are trained."""
    if config.model.freeze_encoder:
        return 0
    return shape.parameters - (shape.table if config.model.freeze_embeddings else 0)


def _peak_bytes(config: ClassifyConfig, data: ClassifyData, shape: _Shape) -> float:
    """Return the peak bytes of a step or of a validation, beside the state."""
    if config.model.freeze_encoder:  # all vectors are computed first, in batches of evaluation
        return _scoring_bytes(config, data, shape, "train")
    time = _longest(config, data, "train")
    batch = min(config.training.batch_size, data.num_rows("train"))
    layer = _layer_bytes(config, shape, time, trains=True)
    if config.model.gradient_checkpointing:
        kept = shape.layers * FP32 * time * shape.hidden + layer
    else:
        kept = shape.layers * layer
    validation = _scoring_bytes(config, data, shape, "valid")
    return max(validation, batch * (kept + BACKWARD_FACTOR * layer))


def _scoring_bytes(config: ClassifyConfig, data: ClassifyData, shape: _Shape, part: Part) -> float:
    """Return the peak bytes of a forward pass over a batch of a part."""
    scored = min(config.evaluation.batch_size, data.num_rows(part))
    return scored * _layer_bytes(config, shape, _longest(config, data, part), trains=False)


def _layer_bytes(config: ClassifyConfig, shape: _Shape, time: int, *, trains: bool) -> float:
    """Return the bytes of one text in one layer."""
    tokens = time * (FP32 * (8.0 * shape.hidden + 2.0 * shape.inner) + 2.0 * shape.hidden)
    is_cpu = select_device(None, config.training.accelerator).type == "cpu"
    is_unfused = is_cpu and trains and shape.drops_attention  # computes [T, T] weights
    weights = 9.0 * shape.heads * time * time if is_unfused else 0.0
    return (tokens + weights) * (HALF if _is_half(config) else 1.0)


def _longest(config: ClassifyConfig, data: ClassifyData, part: Part) -> int:
    """Return the tokens of the longest text of a part."""
    return int(np.max(data.tokens(part, config.model).lengths, initial=0))


def _shape(config: ClassifyConfig) -> _Shape:
    encoder: Any = outline(model_folder(config.model))
    described = encoder.config
    hidden = int(described.hidden_size)
    return _Shape(
        parameters=sum(parameter.numel() for parameter in encoder.parameters()),
        table=encoder.get_input_embeddings().weight.numel(),
        hidden=hidden,
        inner=int(getattr(described, "intermediate_size", 4 * hidden)),
        heads=int(described.num_attention_heads),
        layers=int(described.num_hidden_layers),
        drops_attention=getattr(described, "attention_probs_dropout_prob", 0.0) > 0.0,
    )


def _is_half(config: ClassifyConfig) -> bool:
    return config.training.precision in ("bf16", "fp16")
