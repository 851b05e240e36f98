"""Attention for training on the CPU, in chunks whose weights stay in the cache.

torch's fused kernel is slow on the CPU with attention dropout and in bf16 training, and unfused
steps write and read all weights of a batch some ten times. Here a chunk is one head of some
sequences. The softmax is computed in fp32 with `exp2`, which is several times faster than `exp`.
The half that a causal mask hides is computed too: smaller blocks of queries were slower overall.
Benchmark: benchmarks/bench_parts.py.

Shapes: B batch, T time, Q queries of a sequence, H heads, E hidden per head, C sequences of a
chunk.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ...losses.cross_entropy import LOG2_E
from .dropout import BitmaskGenerator, where_kept

_ELEMENTS_OF_A_PIECE = 1 << 19


def attend_in_pieces(
    packed: Tensor,
    query: Tensor | None,
    visible: Tensor | None,
    coin: BitmaskGenerator | None,
    *,
    bias: Tensor | None = None,
) -> Tensor:
    """Attend: [B, H, Q, E] of `packed`, which holds queries, keys and values [3, B, H, T, E], or
    only keys and values if `query` [B, H, Q, E] is given.

    visible: bool [B, 1, Q, T] (B and Q may be 1), at least one key per query; None for all keys.
    bias: [H, Q, T], added to the scores.
    """
    mixed: Tensor = _Attention.apply(  # type: ignore[no-untyped-call]
        packed, query, visible, coin, bias
    )
    return mixed


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        packed: Tensor,
        query: Tensor | None,
        visible: Tensor | None,
        coin: BitmaskGenerator | None,
        bias: Tensor | None,
    ) -> Tensor:
        queries, keys, values = _apart(packed, query)
        mixed = torch.empty_like(queries.transpose(1, 2), memory_format=torch.contiguous_format)
        mixed = mixed.transpose(1, 2)  # heads of a position lie side by side, for what follows
        mask = None if visible is None else torch.where(visible[:, 0], 0.0, -torch.inf)
        factor = LOG2_E / math.sqrt(queries.shape[-1])
        bias2 = None if bias is None else bias.float() * LOG2_E
        scale = coin.scale if coin else 1.0
        saved: list[Tensor | None] = []
        for piece in _pieces(queries, keys):
            scores = queries[piece] @ (keys[piece] * factor).mT
            rows, head = piece
            own_mask = mask if mask is None or len(mask) == 1 else mask[rows]
            own_bias = None if bias2 is None else bias2[head]
            weights = _softmax2(scores, own_mask, own_bias)  # [C, Q, T]
            kept = coin.kept(weights.shape) if coin else None
            mixed[piece].baddbmm_(_dropped(weights, kept), values[piece], beta=0.0, alpha=scale)
            saved += [weights, kept]
        ctx.save_for_backward(packed, query, bias, *saved)
        ctx.scale = scale
        return mixed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        packed, query, bias, *saved = ctx.saved_tensors
        by_packed = torch.empty_like(packed)
        by_query = None if query is None else torch.empty_like(query)
        by_bias = None if bias is None else torch.zeros_like(bias)
        queries, keys, values = _apart(packed, query)
        by_queries, by_keys, by_values = _apart(by_packed, by_query)
        factor = ctx.scale / math.sqrt(queries.shape[-1])
        for number, piece in enumerate(_pieces(queries, keys)):
            weights, kept = saved[2 * number : 2 * number + 2]
            out = gradients[0][piece]  # [C, Q, E]
            left = _dropped(weights, kept)
            by_values[piece].baddbmm_(left.mT, out, beta=0.0, alpha=ctx.scale)
            by_weights = _dropped(out @ values[piece].contiguous().mT, kept)
            by_scores = torch._softmax_backward_data(by_weights, weights, -1, weights.dtype)
            by_queries[piece].baddbmm_(by_scores, keys[piece], beta=0.0, alpha=factor)
            by_keys[piece].baddbmm_(by_scores.mT, queries[piece], beta=0.0, alpha=factor)
            if by_bias is not None:
                by_bias[piece[1]].add_(by_scores.sum(0, dtype=by_bias.dtype), alpha=ctx.scale)
        return by_packed, by_query, None, None, by_bias


def _apart(packed: Tensor, query: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values, [B, H, ., E] each."""
    return packed[0] if query is None else query, packed[-2], packed[-1]


def _pieces(queries: Tensor, keys: Tensor) -> Iterator[tuple[slice, int]]:
    """Yield the sequences and the head of each chunk."""
    batch, heads, num_queries, _ = queries.shape
    size = max(_ELEMENTS_OF_A_PIECE // (num_queries * keys.shape[2]), 1)
    for start in range(0, batch, size):
        for head in range(heads):
            yield slice(start, start + size), head


def _softmax2(scores: Tensor, mask: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return the base-2 softmax of scores [C, Q, T], computed in fp32.

    mask [C or 1, Q or 1, T]: 0 where visible, -inf elsewhere; bias [Q, T].
    """
    wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if mask is not None:
        wide.add_(mask)
    if bias is not None:
        wide.add_(bias)
    wide.sub_(wide.amax(-1, keepdim=True)).exp2_()
    return wide.mul_(wide.sum(-1, keepdim=True).reciprocal_()).to(scores.dtype)


def _dropped(weights: Tensor, kept: Tensor | None) -> Tensor:
    return weights if kept is None else where_kept(weights, kept)
