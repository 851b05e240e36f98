"""Dropout that is cheap on the CPU.

torch's dropout spends its time there on one random number per element. Here an element takes 16
bits of a word from a fast generator that is seeded from torch's global one, so that re-seeding
torch repeats the mask. 16 bits resolve the rate to 1/65536; kept elements are scaled by the rate
that is applied, so expectations are exact. Other devices use torch's kernel. Benchmark:
benchmarks/bench_parts.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 1 << 16
_NUMBERS_PER_WORD = 4
_BITS_OF_ELEMENT = {2: torch.int16, 4: torch.int32, 8: torch.int64}


class BitmaskGenerator:
    """Draws which elements are kept; seeded from torch's global generator."""

    def __init__(self, dropped_levels: int) -> None:
        self._words = np.random.SFC64(int(torch.randint(2**62, ())))
        self._threshold = dropped_levels - _LEVELS // 2
        self.scale = 1.0 / (1.0 - dropped_levels / _LEVELS)

    def kept(self, shape: torch.Size) -> Tensor:
        """Return int16: all bits set where an element is kept, none where it is dropped."""
        words = self._words.random_raw(-(-shape.numel() // _NUMBERS_PER_WORD))
        numbers = torch.from_numpy(words.view(np.int16))[: shape.numel()]  # -32768..32767
        return numbers.ge_(self._threshold).neg_().view(shape)


class FastDropout(nn.Module):
    """Dropout with probability `rate`; does nothing in evaluation."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self._dropped_levels = min(round(rate * _LEVELS), _LEVELS - 1)

    @property
    def applied_rate(self) -> float:
        """The rate that the CPU applies, `rate` rounded to 1/65536."""
        return self._dropped_levels / _LEVELS

    def coin(self) -> BitmaskGenerator | None:
        """Return the generator of this step on the CPU; None if nothing is dropped."""
        return BitmaskGenerator(self._dropped_levels) if self.training and self.rate > 0.0 else None

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return functional.dropout(x, self.rate, training=self.training)
        coin = self.coin()
        if coin is None:
            return x
        result: Tensor = _Masked.apply(  # type: ignore[no-untyped-call]
            x, coin.kept(x.shape), coin.scale
        )
        return result


def where_kept(x: Tensor, kept: Tensor) -> Tensor:
    """Return x where kept, else 0; a bitwise AND is vectorised, a select is not."""
    bits = _BITS_OF_ELEMENT[x.element_size()]
    return (x.contiguous().view(bits) & kept).view(x.dtype)


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return where_kept(x, kept).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return where_kept(gradients[0], kept).mul_(ctx.scale), None, None
