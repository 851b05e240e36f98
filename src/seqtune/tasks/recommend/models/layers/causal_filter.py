"""A learned filter over the last items, the same for every sequence.

Attention decides anew in each sequence how much each item counts; on short, sparse histories it
learns that by heart. A filter only learns how much the item k positions back counts in each
dimension, and starts as a decaying mean. It has no projections, so that what passes it stays
comparable with the item embeddings.

Shapes: B batch, T time, D hidden, K taps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_TAPS = 12
DECAY = 0.8


class CausalFilter(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        taps = DECAY ** torch.arange(NUM_TAPS).flip(0)  # the last one is the position itself
        self.taps = nn.Parameter((taps / taps.sum()).repeat(hidden, 1)[:, None])  # [D, 1, K]

    def forward(self, x: Tensor, keys: Tensor | None) -> Tensor:
        """x [B, T, D]; keys bool [B, 1, 1, T], False at padding, or None -> [B, T, D]."""
        if keys is not None:
            x = x * keys[:, 0, 0, :, None]
        before = functional.pad(x.transpose(1, 2), (NUM_TAPS - 1, 0))
        filtered = functional.conv1d(before, self.taps.to(x.dtype), groups=x.shape[-1])
        return filtered.transpose(1, 2)
