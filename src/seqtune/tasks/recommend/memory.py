"""Estimate the memory of a training from its configuration.

The estimate sums the bytes of the tensors that are alive at the peak. Its constants come from the
models and were compared with measured peaks: on a CPU the estimate was 0.78 to 1.22 times the peak
over 22 configurations (test_memory.py repeats them). On a GPU, which keeps no
attention weights, it was not measured. The interpreter and its libraries are not counted.

B batch, T time (the longest sequence there is), D hidden, V items.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from seqtune.core.format import MIB

from .batches import users_at_once
from .data import SplitData
from .losses.cross_entropy import elements_per_chunk
from .models import build_model
from .models.base import SequenceModel, Step
from .models.config import ModelConfig
from .params import RecommendConfig

STATE_BYTES = 16  # of a parameter in fp32: value, gradient, two moments of Adam
GRADIENT_BYTES = 4  # the gradient's part of it, which lazy embeddings do not have
FIXED_MIB = 36.0  # independent of the configuration: kernels, threads, a batch being loaded
COMPILED_MIB = 24.0  # the products that oneDNN compiles and keeps in bf16, on a CPU
WORKSPACE = 8.0 * MIB  # temporary memory of the layers
ITEM_BYTES = 12.0  # of an element [V, D] of the output weights in the loss, apart from its state
LOGIT_BYTES = 10.0  # of an element in a chunk of the logits


class _WithoutInitialisation(TorchFunctionMode):
    """Skips random initialisation, which takes a second on the device `meta` to no effect."""

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func is torch.Tensor.normal_ else func(*args, **(kwargs or {}))


def estimate_memory(config: RecommendConfig, data: SplitData) -> float:
    """Return the MiB that a training takes at its peak on one device."""
    model = outline(config.model, data)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    peak = max(_training(config, data, model), _validation(config, data))
    num_sparse = 0
    if config.model.lazy_embeddings:
        tables = 1 if config.model.share_embeddings else 2
        num_sparse = data.num_items * (tables * config.model.hidden_units + 1)
    state = STATE_BYTES * num_parameters - GRADIENT_BYTES * num_sparse
    compiled = COMPILED_MIB if _is_on_cpu(config) and config.training.precision == "bf16" else 0.0
    return (state + peak) / MIB + FIXED_MIB + compiled


def outline(config: ModelConfig, data: SplitData) -> SequenceModel[Any]:
    """Build the model on the device `meta`, without memory for its weights."""
    with torch.device("meta"), _WithoutInitialisation():
        return build_model(config, num_items=data.num_items, sides=data.sides)


def _training(config: RecommendConfig, data: SplitData, model: SequenceModel[Any]) -> float:
    """Return the peak bytes of a training step, apart from the state of the parameters."""
    time = min(config.model.max_len, int(np.max(data.train_end, initial=0)))
    batch = min(config.training.batch_size, data.num_users)
    on_cpu = _is_on_cpu(config)
    step = Step(batch, time, config.training.precision in ("bf16", "fp16"), on_cpu)
    answers = config.model.num_negatives or data.num_items
    piece = elements_per_chunk("cpu" if on_cpu else "cuda")
    logits = min(piece, batch * model.most_targets(time) * answers)
    items = _item_bytes(config.model) * data.num_items * config.model.hidden_units
    return model.activation_bytes(step) + max(WORKSPACE, items + LOGIT_BYTES * logits)


def _item_bytes(model: ModelConfig) -> float:
    """Return the bytes per element of the output weights in the loss, apart from its state."""
    if not model.num_negatives:
        return ITEM_BYTES
    # a tied table briefly has two gradients, from the input and from the output
    return 0.0 if model.lazy_embeddings or not model.share_embeddings else float(GRADIENT_BYTES)


def _validation(config: RecommendConfig, data: SplitData) -> float:
    """Return the bytes of a validation batch: the scores of all items and their inputs."""
    longest = int(np.max(np.diff(data.offsets), initial=0))
    time = min(config.model.max_len, longest)
    rows = users_at_once(config.evaluation.batch_size, num_items=data.num_items)
    rows = min(rows, data.num_users)
    scores = 6.0 * rows * data.num_items  # fp32 and two bool masks
    history = 30.0 * rows * longest
    return scores + history + 44.0 * rows * time * config.model.hidden_units


def _is_on_cpu(config: RecommendConfig) -> bool:
    if config.training.accelerator != "auto":
        return config.training.accelerator == "cpu"
    return not (torch.cuda.is_available() or torch.backends.mps.is_available())
