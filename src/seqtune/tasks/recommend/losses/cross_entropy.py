"""Cross entropy over a catalogue without holding the logits of a whole batch.

Positions are processed in chunks: logits, softmax and gradients while the numbers are still in the
cache. Memory is bounded by the chunk. Logits are in base 2 (the weights are scaled), because
torch's `exp2` is several times faster on the CPU than `exp`; see benchmarks/bench_parts.py.

Shapes: M positions, P positions of a chunk, D hidden, V items.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

_FEWEST_POSITIONS = 16
LOG2_E = math.log2(math.e)
_SAFE_EXPONENT = 60.0
"""Millions of powers of 2 up to it sum in fp32 without overflow, and their inverse is not 0."""


def elements_per_chunk(device_type: str) -> int:
    """Return how many logits are in memory at a time."""
    return 1 << 20 if device_type == "cpu" else 1 << 27


def positions_at_once(num_logits: int, device: torch.device) -> int:
    """Return the positions of a chunk, with `num_logits` each."""
    return max(elements_per_chunk(device.type) // num_logits, _FEWEST_POSITIONS)


def item_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, columns: Tensor) -> Tensor:
    """Return the mean cross entropy, fp32, of `hidden @ weight.T + bias` for target columns.

    hidden [M, D]; weight [V, D]; bias [V]; columns int64 [M]. Products are computed in the dtype of
    `hidden`, everything else in fp32.
    """
    loss: Tensor = _ItemCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, columns
    )
    return loss


class _ItemCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, columns: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            total, *gradients = _loss_and_gradients(
                hidden,
                (weight.detach() * LOG2_E).to(hidden.dtype),
                (bias.detach() * LOG2_E).to(hidden.dtype),
                columns,
            )
        ctx.save_for_backward(*gradients)
        ctx.dtypes = hidden.dtype, weight.dtype, bias.dtype
        ctx.count = max(len(columns), 1)
        mean: Tensor = total / ctx.count
        return mean

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        factor = gradients[0] / ctx.count
        by_hidden, by_weight, by_bias = ctx.saved_tensors
        scaled = by_hidden * (factor / LOG2_E), by_weight * factor, by_bias * factor
        return *(g.to(dtype) for g, dtype in zip(scaled, ctx.dtypes, strict=True)), None


def _loss_and_gradients(
    hidden: Tensor, weight: Tensor, bias: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the summed loss and its gradients; `weight`, `bias` and the gradient with respect to
    hidden are in base 2."""
    num_items = len(weight)
    piece = positions_at_once(num_items, hidden.device)
    total = torch.zeros((), dtype=torch.float32, device=hidden.device)
    by_hidden = torch.empty_like(hidden)
    by_weight = torch.zeros(weight.shape, dtype=torch.float32, device=hidden.device)
    by_bias = torch.zeros_like(by_weight[:, 0])
    is_safe = _is_safe(hidden, weight, bias)
    for start in range(0, len(hidden), piece):
        part = hidden[start : start + piece]  # [P, D]
        rows = columns[start : start + piece, None]  # [P, 1]
        logits = torch.addmm(bias, part, weight.t()).float()  # [P, V]
        loss, wrong = softmax2_less_target(logits, rows, is_safe=is_safe)
        total += loss
        by_bias += wrong.sum(0)
        wrong = wrong.to(hidden.dtype)
        by_hidden[start : start + piece] = wrong @ weight
        by_weight += wrong.t() @ part
    return total, by_hidden, by_weight, by_bias


def _is_safe(hidden: Tensor, weight: Tensor, bias: Tensor) -> bool:
    """Whether no logit can overflow a power of 2, so that the maximum need not be subtracted.

    Checked on the CPU only: a GPU would have to synchronise and gain nothing.
    """
    if hidden.device.type != "cpu" or len(hidden) == 0:
        return False
    norms = (
        torch.linalg.vector_norm(x, dim=1, dtype=torch.float32).max() for x in (hidden, weight)
    )
    return float(math.prod(norms) + bias.abs().max()) <= _SAFE_EXPONENT


def softmax2_less_target(
    logits: Tensor, columns: Tensor, *, is_safe: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the summed loss of base-2 fp32 logits [P, V], and softmax minus one-hot in place."""
    if not is_safe:
        logits.sub_(logits.amax(1, keepdim=True))
    right = logits.gather(1, columns)
    sums = logits.exp2_().sum(1, keepdim=True)
    logits.mul_(sums.reciprocal()).scatter_add_(1, columns, -torch.ones_like(right))
    return (sums.log2() - right).sum() / LOG2_E, logits
