"""Attention with exact padding, and the transformer block around it.

Only a few positions of the last block are needed: the masked ones in training, the last one in
prediction. Everything computed per position is skipped for the others, which changes no result.

Shapes: B batch, T time, Q queries of a sequence (T, or the most that any sequence needs), H heads,
D hidden, M wanted positions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import attend_in_pieces
from .causal_filter import CausalFilter
from .dropout import FastDropout


class QueryPositions(NamedTuple):
    """Positions whose output is needed."""

    positions: Tensor  # int64 [M], ascending, into [B * T]
    slots: Tensor  # int64 [M], where they go in [B * Q]
    num_queries: int  # Q

    @classmethod
    def of(cls, positions: Tensor, *, batch: int, time: int) -> QueryPositions:
        rows = positions // time
        counts = torch.bincount(rows, minlength=batch)  # [B]
        num_queries = int(counts.max()) or 1
        first = counts.cumsum(0) - counts
        ranks = torch.arange(len(positions), device=positions.device) - first[rows]
        return cls(positions, rows * num_queries + ranks, num_queries)


def causal_mask(keys: Tensor | None, *, time: int, device: torch.device) -> Tensor:
    """Return bool [B, 1, T, T]: each position sees itself and the keys before it.

    `keys` is bool [B, 1, 1, T], or None if all positions are keys (B is then 1). Padding sees
    itself because a softmax over nothing would be NaN; its output is never used.
    """
    before = torch.ones(time, time, dtype=torch.bool, device=device).tril_()
    if keys is None:
        return before[None, None]
    return (before & keys) | torch.eye(time, dtype=torch.bool, device=device)


def by_distance(behind: Tensor, ahead: Tensor, time: int) -> Tensor:
    """Expand biases by distance to [H, T, T] by query and key; T at most L.

    behind: [H, L], of keys 0 .. L - 1 positions before the query; ahead: [H, L - 1], of keys
    1 .. L - 1 after it, or [H, 0] for 0. Each row is a copy shifted by one, so that the gradient
    costs no more than copies.
    """
    heads = len(behind)
    after = functional.pad(ahead, (0, time))[:, :time]
    backwards = torch.cat([behind[:, :time].flip(1), after], dim=1)  # [H, 2T]
    copies = backwards[:, None].expand(-1, time, -1).reshape(heads, -1)[:, time - 1 :]
    skewed = functional.pad(copies, (0, time))[:, : time * (2 * time - 1)]
    return skewed.view(heads, time, 2 * time - 1)[:, :, :time]


class SelfAttention(nn.Module):
    """Multi-head attention with padding masked out.

    `distances` adds a learned bias for each head and distance of a key behind its query, and with
    `looks_ahead` of keys ahead too; the queries must then be all positions or the last ones.
    """

    def __init__(
        self,
        hidden: int,
        heads: int,
        *,
        dropout: float,
        distances: int = 0,
        looks_ahead: bool = False,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.num_behind = distances
        num_biases = 2 * distances - 1 if looks_ahead else distances
        self.distances = nn.Parameter(torch.zeros(heads, num_biases)) if distances else None
        self.inputs = nn.Linear(hidden, 3 * hidden)
        self.output = nn.Linear(hidden, hidden)
        self.dropout = FastDropout(dropout)

    def forward(self, x: Tensor, visible: Tensor | None, wanted: QueryPositions | None) -> Tensor:
        """x [B, T, D], visible bool [B, 1, Q, T] (B and Q may be 1) or None for all
        -> [B * T, D] or [M, D]."""
        batch, _, hidden = x.shape
        if wanted is None:
            query, packed = None, self._split(self.inputs(x), 3)
        else:
            weight, bias = self.inputs.weight, self.inputs.bias
            packed = self._split(functional.linear(x, weight[hidden:], bias[hidden:]), 2)
            chosen = x.flatten(0, 1).index_select(0, wanted.positions)  # [M, D]
            asked = functional.linear(chosen, weight[:hidden], bias[:hidden])
            spread = asked.new_zeros(batch * wanted.num_queries, hidden)
            spread = spread.index_copy(0, wanted.slots, asked)
            (query,) = self._split(spread.view(batch, wanted.num_queries, hidden), 1)
        mixed = self._attend(packed, query, visible)  # [B, H, Q, D/H]
        mixed = mixed.transpose(1, 2).reshape(-1, hidden)
        if wanted is not None:
            mixed = mixed.index_select(0, wanted.slots)
        output: Tensor = self.output(mixed)
        return output

    def _split(self, x: Tensor, parts: int) -> Tensor:
        """[B, T, parts * D] -> [parts, B, H, T, D/H]."""
        batch, time, _ = x.shape
        return x.view(batch, time, parts, self.heads, -1).permute(2, 0, 3, 1, 4)

    def bias(self, num_queries: int, time: int) -> Tensor | None:
        """Return [H, Q, T], added to the scores of the last Q queries."""
        if self.distances is None:
            return None
        behind, ahead = self.distances.tensor_split([self.num_behind], dim=1)
        return by_distance(behind, ahead, time)[:, time - num_queries :]

    def weights(self, x: Tensor, visible: Tensor | None) -> Tensor:
        """Return the weights fp32 [B, H, T, T], which fused attention does not expose."""
        hidden, time = x.shape[-1], x.shape[1]
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            weight, bias = self.inputs.weight.float(), self.inputs.bias.float()
            projected = functional.linear(x.float(), weight[: 2 * hidden], bias[: 2 * hidden])
            query, key = self._split(projected, 2)  # [B, H, T, D/H] each
            scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
            if (distances := self.bias(time, time)) is not None:
                scores = scores + distances
            if visible is not None:
                scores = scores.masked_fill(~visible, -torch.inf)
            shares: Tensor = scores.softmax(dim=-1)
            return shares

    def _attend(self, packed: Tensor, query: Tensor | None, visible: Tensor | None) -> Tensor:
        """Return [B, H, Q, D/H] from packed queries, keys and values, or from `query` and the rest.

        SDPA, except on the CPU with dropout or bf16 training, where it is slow
        (benchmarks/bench_parts.py).
        """
        bias = self.bias((packed[0] if query is None else query).shape[2], packed.shape[3])
        rate = self.dropout.rate if self.training else 0.0
        learns_in_bf16 = packed.requires_grad and packed.dtype == torch.bfloat16
        if packed.device.type == "cpu" and (rate > 0.0 or learns_in_bf16):
            return attend_in_pieces(packed, query, visible, self.dropout.coin(), bias=bias)
        return functional.scaled_dot_product_attention(
            packed[0] if query is None else query,
            packed[-2],
            packed[-1],
            attn_mask=_joined(visible, bias, packed.dtype),
            dropout_p=rate,
        )


def _joined(visible: Tensor | None, bias: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return the mask as SDPA takes it: bool, or a bias that is added to the scores."""
    if bias is None:
        return visible
    bias = bias.to(dtype)[None]
    return bias if visible is None else bias.masked_fill(~visible, -torch.inf)


class Block(nn.Module):
    """Attention and a 4x GELU feed-forward, each with dropout, residual and post-LayerNorm.

    `filter_share` mixes a causal filter into the output of attention.
    """

    def __init__(
        self,
        hidden: int,
        heads: int,
        *,
        dropout: float,
        attention_dropout: float,
        distances: int = 0,
        looks_ahead: bool = False,
        filter_share: float = 0.0,
    ) -> None:
        super().__init__()
        self.filter_share = filter_share
        self.filter = CausalFilter(hidden) if filter_share else None
        self.attention = SelfAttention(
            hidden,
            heads,
            dropout=attention_dropout,
            distances=distances,
            looks_ahead=looks_ahead,
        )
        self.norm_attention = nn.LayerNorm(hidden)
        self.widen = nn.Linear(hidden, 4 * hidden)
        self.narrow = nn.Linear(4 * hidden, hidden)
        self.norm_feed_forward = nn.LayerNorm(hidden)
        self.dropout = FastDropout(dropout)

    def forward(
        self,
        x: Tensor,
        visible: Tensor | None,
        keys: Tensor | None,
        wanted: QueryPositions | None = None,
    ) -> Tensor:
        """x [B, T, D] -> [B * T, D], or [M, D] for `wanted` positions.

        visible: bool [B, 1, Q, T] of each query; keys: bool [B, 1, 1, T], all but padding.
        """
        attended = self.attention(x, visible, wanted)
        if self.filter is not None:
            filtered = _at(self.filter(x, keys), wanted)
            attended = torch.lerp(attended, filtered.to(attended.dtype), self.filter_share)
        x = _at(x, wanted)
        x = self.norm_attention(x + self.dropout(attended))
        fed = self.narrow(functional.gelu(self.widen(x)))
        result: Tensor = self.norm_feed_forward(x + self.dropout(fed))
        return result


def _at(x: Tensor, wanted: QueryPositions | None) -> Tensor:
    """Return [B * T, D], or [M, D] at the positions that are needed."""
    x = x.flatten(0, 1)
    return x if wanted is None else x.index_select(0, wanted.positions)
