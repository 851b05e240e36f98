"""Attention with exact padding, and the transformer block around it.

The last block is asked for a few positions of each sequence only: the masked ones in training,
the last one in prediction. Everything that a position does for itself is then skipped for the
others, which changes no result.

Shapes: B batch, T time, Q queries of a sequence (T, or the most that any of them is asked for),
H heads, D hidden, M wanted positions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .dropout import CheapDropout


class Wanted(NamedTuple):
    """Positions that are asked for."""

    positions: Tensor  # int64 [M], ascending, into [B * T]
    slots: Tensor  # int64 [M], where they go in [B * Q]
    num_queries: int  # Q

    @classmethod
    def of(cls, positions: Tensor, *, batch: int, time: int) -> Wanted:
        rows = positions // time
        counts = torch.bincount(rows, minlength=batch)  # [B]
        num_queries = int(counts.max()) or 1
        first = counts.cumsum(0) - counts
        ranks = torch.arange(len(positions), device=positions.device) - first[rows]
        return cls(positions, rows * num_queries + ranks, num_queries)


def causal_mask(keys: Tensor | None, *, time: int, device: torch.device) -> Tensor:
    """Each position sees itself and what stands before it and is a key: bool [B, 1, T, T].

    `keys` is bool [B, 1, 1, T], None where all are; B is 1 then. Itself is always among them: a
    softmax over nothing would be NaN, and nobody asks a position of padding.
    """
    before = torch.ones(time, time, dtype=torch.bool, device=device).tril_()
    if keys is None:
        return before[None, None]
    return (before & keys) | torch.eye(time, dtype=torch.bool, device=device)


class SelfAttention(nn.Module):
    """Multi-head attention; padding is no key to anybody."""

    def __init__(self, hidden: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(hidden, 3 * hidden)
        self.output = nn.Linear(hidden, hidden)
        self.dropout = CheapDropout(dropout)

    def forward(self, x: Tensor, visible: Tensor | None, wanted: Wanted | None) -> Tensor:
        """x [B, T, D], visible bool [B, 1, Q, T] (B and Q may be 1) or None for all
        -> [B * T, D] or [M, D]."""
        batch, hidden = len(x), x.shape[-1]
        if wanted is None:
            query, key, value = self._split(self.inputs(x), 3)
        else:
            weight, bias = self.inputs.weight, self.inputs.bias
            key, value = self._split(functional.linear(x, weight[hidden:], bias[hidden:]), 2)
            chosen = x.flatten(0, 1).index_select(0, wanted.positions)  # [M, D]
            asked = functional.linear(chosen, weight[:hidden], bias[:hidden])
            spread = asked.new_zeros(batch * wanted.num_queries, hidden)
            spread = spread.index_copy(0, wanted.slots, asked)
            (query,) = self._split(spread.view(batch, wanted.num_queries, hidden), 1)
        mixed = self._attend(query, key, value, visible)  # [B, H, Q, D/H]
        mixed = mixed.transpose(1, 2).reshape(-1, hidden)
        if wanted is not None:
            mixed = mixed.index_select(0, wanted.slots)
        output: Tensor = self.output(mixed)
        return output

    def _split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """[B, T, parts * D] -> that many times [B, H, T, D/H]."""
        batch, time, _ = x.shape
        return x.view(batch, time, parts, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None) -> Tensor:
        """[B, H, Q, D/H]. SDPA, but on the CPU it is the slow way to drop and to learn in bf16.

        benchmarks/bench_parts.py measures both.
        """
        rate = self.dropout.rate if self.training else 0.0
        learns_in_bf16 = query.requires_grad and query.dtype == torch.bfloat16
        if query.device.type == "cpu" and (rate > 0.0 or learns_in_bf16):
            return self.spelled_out(query, key, value, visible)
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=visible, dropout_p=rate
        )

    def spelled_out(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None
    ) -> Tensor:
        """The same as SDPA, step by step, with our own dropout."""
        scores = (query * (1.0 / math.sqrt(query.shape[-1]))) @ key.transpose(-2, -1)
        if visible is not None:
            scores = scores + torch.where(visible, 0.0, -torch.inf).to(scores.dtype)
        weights = self.dropout(scores.softmax(dim=-1))  # [B, H, Q, T]
        mixed: Tensor = weights.to(value.dtype) @ value
        return mixed


class Block(nn.Module):
    """Attention and a 4x GELU feed-forward, each with dropout, residual and LayerNorm after."""

    def __init__(
        self, hidden: int, heads: int, *, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(hidden, heads, dropout=attention_dropout)
        self.norm_attention = nn.LayerNorm(hidden)
        self.widen = nn.Linear(hidden, 4 * hidden)
        self.narrow = nn.Linear(4 * hidden, hidden)
        self.norm_feed_forward = nn.LayerNorm(hidden)
        self.dropout = CheapDropout(dropout)

    def forward(self, x: Tensor, visible: Tensor | None, wanted: Wanted | None = None) -> Tensor:
        """x [B, T, D] -> [B * T, D], or [M, D] where only some positions are wanted."""
        attended = self.attention(x, visible, wanted)
        x = x.flatten(0, 1)
        if wanted is not None:
            x = x.index_select(0, wanted.positions)
        x = self.norm_attention(x + self.dropout(attended))
        fed = self.narrow(functional.gelu(self.widen(x)))
        result: Tensor = self.norm_feed_forward(x + self.dropout(fed))
        return result
