"""How much memory a training takes, worked out from its configuration before anything is built.

Counted in bytes of the tensors that are alive at the same time at the worst moment. The counts of
each part were read off the model and then held against measured peaks: on a CPU the estimate was
0.79 to 1.27 times the peak over 16 configurations (test_memory.py repeats them). On a GPU, where no
attention weights are kept, it was not measured. What the interpreter and its
libraries take is not counted.

B batch, T time (the longest sequence there is), D hidden, H heads, V items.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from seqtune.contracts.format import MIB

from .data import SplitData
from .params import ModelConfig, RecommendConfig

STATE_BYTES = 16
"""A parameter in fp32: itself, its gradient, two moments of Adam."""
GRADIENT_BYTES = 4
"""Of that the gradient, which lazy embeddings do not have."""
FIXED_MIB = 36.0
"""What does not grow: kernels, threads, a batch under way."""
LOSS_PIECE = {"cpu": 1 << 20}
LOSS_PIECE_ELSEWHERE = 1 << 27
ATTENTION_PIECE = 8.0 * MIB
"""What attention takes beside the weights that it keeps."""


class _Costs(NamedTuple):
    """Bytes for one element of each kind, while training."""

    hidden: float
    """An element [B, T, D] of one whole block, kept for the way back."""
    weight: float
    """An element [B, H, Q, T] of the attention weights of one block."""
    item: float
    """An element [V, D] of the output weights, beside its state."""
    logit: float
    """An element of a piece of the logits."""


def estimate_memory(config: RecommendConfig, data: SplitData) -> float:
    """MiB that one training takes at most on one device, beside what was in use before."""
    parameters = num_parameters(config.model, data)
    peak = max(_training(config, data), _validation(config, data))
    state = STATE_BYTES * parameters - GRADIENT_BYTES * _num_lazy(config.model, data)
    return (state + peak) / MIB + FIXED_MIB


def num_parameters(model: ModelConfig, data: SplitData) -> int:
    """Trained numbers of the model."""
    hidden, items = model.hidden_units, data.num_items
    block = 12 * hidden**2 + 13 * hidden
    block += model.num_heads * model.max_len if model.relative_positions else 0
    embeddings = (items + 2 + model.max_len) * hidden + 2 * hidden
    sides = sum((data.sides[name].num_values + 1) * hidden for name in model.sides)
    output = items + (0 if model.share_embeddings else items * hidden)
    return embeddings + sides + output + model.num_layers * block


def _training(config: RecommendConfig, data: SplitData) -> float:
    """Bytes of the worst moment of a step, beside the state of the parameters."""
    model, costs = config.model, _costs(config)
    longest = int(np.max(data.train_end, initial=0))
    time = min(model.max_len, longest)
    batch = min(config.training.batch_size, data.num_users)
    tokens = batch * time
    masked = time if model.objective == "causal" else _masked(time, model.random_mask_prob)
    hidden = tokens * model.hidden_units
    # the last block answers only where it is asked
    blocks = model.num_layers - 1 + masked / max(time, 1)
    weights = batch * model.num_heads * time * time
    kept = costs.hidden * hidden * (blocks + 0.5) + costs.weight * weights * blocks
    answers = model.num_negatives or data.num_items
    logits = min(_loss_piece(config), batch * masked * answers)
    items = _item_cost(model, costs) * data.num_items * model.hidden_units
    return kept + max(ATTENTION_PIECE, items + costs.logit * logits)


def _num_lazy(model: ModelConfig, data: SplitData) -> int:
    """Trained numbers whose gradients are sparse."""
    if not model.lazy_embeddings:
        return 0
    tables = 1 if model.share_embeddings else 2
    return data.num_items * (tables * model.hidden_units + 1)


def _item_cost(model: ModelConfig, costs: _Costs) -> float:
    """Bytes for an element of the output weights in the loss, beside its state."""
    if not model.num_negatives:
        return costs.item
    # what the input and the output do to one table is two gradients for a moment
    return 0.0 if model.lazy_embeddings or not model.share_embeddings else float(GRADIENT_BYTES)


def _validation(config: RecommendConfig, data: SplitData) -> float:
    """Bytes of the scores of all items for a batch of users, and of what they are computed from."""
    from .batches import users_at_once

    longest = int(np.max(np.diff(data.offsets), initial=0))
    time = min(config.model.max_len, longest)
    rows = users_at_once(config.evaluation.batch_size, num_items=data.num_items)
    rows = min(rows, data.num_users)
    scores = 6.0 * rows * data.num_items  # fp32, and who outranks the target, twice
    history = 30.0 * rows * longest
    return scores + history + 44.0 * rows * time * config.model.hidden_units


def _masked(time: int, share: float) -> float:
    """Most masked positions of any sequence in a batch: mean and three standard deviations."""
    return min(float(time), time * share + 3.0 * math.sqrt(time * share * (1.0 - share)))


def _costs(config: RecommendConfig) -> _Costs:
    on_cpu = _on_cpu(config)
    half = config.training.precision in ("bf16", "fp16")
    drops = config.model.dropout_rate > 0.0
    drops_weights = drops and config.model.attention_dropout
    hidden = (50.0 if half else 80.0) + (4.0 if drops else 0.0)
    kept = 0.0
    if on_cpu and (drops_weights or half):  # attention in pieces keeps its weights
        kept = (2.0 if half else 4.0) + (2.0 if drops_weights else 0.0)
    return _Costs(hidden, kept, 12.0, 10.0)


def _on_cpu(config: RecommendConfig) -> bool:
    accelerator = config.training.accelerator
    if accelerator != "auto":
        return accelerator == "cpu"
    import torch

    return not (torch.cuda.is_available() or torch.backends.mps.is_available())


def _loss_piece(config: RecommendConfig) -> int:
    return LOSS_PIECE["cpu"] if _on_cpu(config) else LOSS_PIECE_ELSEWHERE
