"""Dropout that is cheap on the CPU.

Drawing one random number an element is what torch's dropout spends its time on there. Here a
number is 16 bits of a word from a fast generator that is seeded from torch's global one, so that
re-seeding torch repeats the choice. 16 bits resolve the rate to 1/65536; what is kept is scaled
by the rate that is really applied, so expectations are exact. Other devices use torch's kernel.
What it saves is measured in benchmarks/bench_parts.py.
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


class CheapDropout(nn.Module):
    """Sets elements to zero with probability `rate`; nothing in evaluation."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self._dropped_levels = min(round(rate * _LEVELS), _LEVELS - 1)

    @property
    def applied_rate(self) -> float:
        """What the CPU applies for `rate`."""
        return self._dropped_levels / _LEVELS

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.rate)
        kept = _kept(x.shape, dropped_levels=self._dropped_levels)
        scale = 1.0 / (1.0 - self.applied_rate)
        result: Tensor = _Masked.apply(x, kept, scale)  # type: ignore[no-untyped-call]
        return result

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def _kept(shape: torch.Size, *, dropped_levels: int) -> Tensor:
    """int16: all bits set where an element is kept, none where it is dropped."""
    seed = int(torch.randint(2**62, ()))
    words = np.random.SFC64(seed).random_raw(-(-shape.numel() // _NUMBERS_PER_WORD))
    numbers = torch.from_numpy(words.view(np.int16))[: shape.numel()]  # uniform, -32768..32767
    return numbers.ge_(dropped_levels - _LEVELS // 2).neg_().view(shape)


def _masked(x: Tensor, kept: Tensor, scale: float) -> Tensor:
    """x * scale where kept, else 0: an AND on the bits is vectorised, a select is not."""
    bits = _BITS_OF_ELEMENT[x.element_size()]
    return (x.contiguous().view(bits) & kept).view(x.dtype).mul_(scale)


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return _masked(x, kept, scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return _masked(gradients[0], kept, ctx.scale), None, None
