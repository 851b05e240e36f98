"""Cross entropy over a catalogue without ever holding the logits of a whole batch.

A piece of the masked positions at a time: logits, their softmax and at once the gradients, while
the numbers are still in the cache. Memory is bounded by the piece; what it saves in time is
measured in benchmarks/bench_parts.py.

Shapes: M masked positions, P positions of a piece, D hidden, V items.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ELEMENTS_OF_A_PIECE = {"cpu": 1 << 18}
_ELEMENTS_ELSEWHERE = 1 << 27
_FEWEST_POSITIONS = 16


def item_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, columns: Tensor) -> Tensor:
    """Mean cross entropy, fp32, of `hidden @ weight.T + bias` against the right columns.

    hidden [M, D]; weight [V, D]; bias [V]; columns int64 [M]. Products are taken in the type of
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
                hidden, weight.detach().to(hidden.dtype), bias.detach().float(), columns
            )
        ctx.save_for_backward(*gradients)
        ctx.dtypes = hidden.dtype, weight.dtype, bias.dtype
        ctx.count = max(len(columns), 1)
        mean: Tensor = total / ctx.count
        return mean

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        factor = gradients[0] / ctx.count
        scaled = (g * factor for g in ctx.saved_tensors)
        return *(g.to(dtype) for g, dtype in zip(scaled, ctx.dtypes, strict=True)), None


def _loss_and_gradients(
    hidden: Tensor, weight: Tensor, bias: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sum of the losses, and its gradients by hidden, weight and bias."""
    num_items = len(weight)
    elements = _ELEMENTS_OF_A_PIECE.get(hidden.device.type, _ELEMENTS_ELSEWHERE)
    piece = max(elements // num_items, _FEWEST_POSITIONS)
    total = torch.zeros((), dtype=torch.float32, device=hidden.device)
    by_hidden = torch.empty_like(hidden)
    by_weight = torch.zeros(weight.shape, dtype=torch.float32, device=hidden.device)
    by_bias = torch.zeros_like(bias)
    for start in range(0, len(hidden), piece):
        part = hidden[start : start + piece]  # [P, D]
        rows = columns[start : start + piece, None]  # [P, 1]
        loss, wrong = _softmax_less_target((part @ weight.t()).float().add_(bias), rows)
        total += loss
        by_bias += wrong.sum(0)
        wrong = wrong.to(hidden.dtype)  # [P, V]
        by_hidden[start : start + piece] = wrong @ weight
        by_weight += wrong.t() @ part
    return total, by_hidden, by_weight, by_bias


def _softmax_less_target(logits: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the losses of logits [P, V], and softmax minus one-hot, which overwrites them."""
    logits.sub_(logits.amax(1, keepdim=True))
    right = logits.gather(1, columns)
    sums = logits.exp_().sum(1, keepdim=True)
    logits.div_(sums).scatter_add_(1, columns, -torch.ones_like(right))
    return (sums.log() - right).sum(), logits
