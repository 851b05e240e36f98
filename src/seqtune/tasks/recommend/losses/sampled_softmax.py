"""Sampled softmax: cross entropy over a few drawn items instead of the whole catalogue.

The catalogue is cut into N slices of nearly equal length, and one item is drawn from each. It
represents its slice, so the log of the slice's length is added to its logit. The denominator of
the softmax is then unbiased, and with slices of one item the loss is the full cross entropy. All
positions of a step share the draw; a position whose own target was drawn leaves it out. Slices
may have equal weights instead of lengths: frequent items then represent themselves more often, in
proportion to a power of how often they occur, and the shift is what keeps the denominator unbiased.

Time and memory of a step grow with N instead of V. As in `cross_entropy`, positions are processed
in chunks, and the gradients are computed in the same pass.

Shapes: M masked positions, P positions of a chunk, D hidden, V items, N drawn items.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .cross_entropy import LOG2_E, positions_at_once, softmax2_less_target

_MANY = 1 << 48


class SampledItems(NamedTuple):
    """One item from each slice of the catalogue."""

    columns: Tensor  # int64 [N], item - 1, ascending, each once; fewer if some represent several
    shifts: Tensor  # fp32 [N], log of the number of items that each one represents


def draw_items(num_items: int, num_drawn: int, *, generator: torch.Generator) -> SampledItems:
    """Draw `num_drawn` items, at most `num_items`."""
    device = generator.device
    edges = torch.arange(num_drawn + 1, device=device) * num_items // num_drawn
    lengths = edges.diff()
    numbers = torch.randint(_MANY, (num_drawn,), generator=generator, device=device)
    return SampledItems(edges[:-1] + numbers % lengths, lengths.float().log())


def cumulated_shares(counts: Tensor, *, power: float) -> Tensor:
    """Return fp64 [V + 1], from 0 to 1: between its place and the next lies the share of an item,
    which is proportional to (count + 1) ** power."""
    weights = (counts.double() + 1.0).pow(power)
    return functional.pad(weights.cumsum(0).div_(weights.sum()), (1, 0))


def draw_by_weight(
    cumulated: Tensor, num_drawn: int, *, generator: torch.Generator
) -> SampledItems:
    """Draw `num_drawn` times, once from each slice of equal weight."""
    device = generator.device
    draws = torch.rand(num_drawn, generator=generator, device=device, dtype=torch.float64)
    points = (torch.arange(num_drawn, device=device) + draws) / num_drawn
    places = (torch.searchsorted(cumulated, points, right=True) - 1).clamp_(max=len(cumulated) - 2)
    columns, times = places.unique_consecutive(return_counts=True)  # type: ignore[no-untyped-call]
    shares = cumulated[columns + 1] - cumulated[columns]
    return SampledItems(columns, (times / (num_drawn * shares)).log().float())


class OutputRows(NamedTuple):
    """Output weights and biases of some items."""

    weight: Tensor  # [., D]
    bias: Tensor  # [.]


def sampled_cross_entropy(
    hidden: Tensor, right: OutputRows, others: OutputRows, *, columns: Tensor, drawn: SampledItems
) -> Tensor:
    """Return the mean cross entropy, fp32, of each position's target against the drawn items.

    hidden [M, D]; `right` are the rows of the targets, whose `columns` are int64 [M]; `others` are
    the rows of `drawn`. Products are computed in the dtype of `hidden`, the rest in fp32.
    """
    places = torch.searchsorted(drawn.columns, columns).clamp_(max=len(drawn.columns) - 1)
    is_hit = drawn.columns[places] == columns
    loss: Tensor = _SampledCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, *right, *others, drawn.shifts, places, is_hit
    )
    return loss


class _SampledCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, *rest: Tensor) -> Tensor:
        *rows, shifts, places, is_hit = rest
        with torch.autocast(hidden.device.type, enabled=False):
            right, others = (
                OutputRows(weight.detach().to(hidden.dtype), bias.detach().float())
                for weight, bias in (rows[:2], rows[2:])
            )
            total, *gradients = _loss_and_gradients(
                hidden, right, others._replace(bias=others.bias + shifts), places, is_hit
            )
        ctx.save_for_backward(*gradients)
        ctx.dtypes = hidden.dtype, *(row.dtype for row in rows)
        ctx.count = max(len(hidden), 1)
        mean: Tensor = total / ctx.count
        return mean

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        factor = gradients[0] / ctx.count
        scaled = (g * factor for g in ctx.saved_tensors)
        return (*(g.to(d) for g, d in zip(scaled, ctx.dtypes, strict=True)), None, None, None)


def _loss_and_gradients(
    hidden: Tensor, right: OutputRows, others: OutputRows, places: Tensor, is_hit: Tensor
) -> tuple[Tensor, ...]:
    """Return the summed loss and its gradients with respect to hidden and both kinds of rows."""
    num_drawn = len(others.bias)
    piece = positions_at_once(num_drawn + 1, hidden.device)
    total = torch.zeros((), dtype=torch.float32, device=hidden.device)
    by_hidden, by_right = torch.empty_like(hidden), torch.empty_like(right.weight)
    by_right_bias = torch.empty_like(right.bias)
    by_others = torch.zeros(others.weight.shape, dtype=torch.float32, device=hidden.device)
    by_others_bias = torch.zeros_like(others.bias)
    for start in range(0, len(hidden), piece):
        of = slice(start, start + piece)
        part, own = hidden[of], right.weight[of]  # [P, D]
        logits = _logits(part, OutputRows(own, right.bias[of]), others, places[of], is_hit[of])
        last = torch.full_like(places[of], num_drawn)[:, None]
        loss, wrong = softmax2_less_target(logits.mul_(LOG2_E), last)  # [P, N + 1]
        total += loss
        by_others_bias += wrong[:, :num_drawn].sum(0)
        by_right_bias[of] = wrong[:, num_drawn]
        wrong = wrong.to(hidden.dtype)
        wrong, wrong_own = wrong[:, :num_drawn], wrong[:, num_drawn:]
        by_hidden[of] = torch.addmm(wrong_own * own, wrong, others.weight)
        by_right[of] = wrong_own * part
        by_others += wrong.t() @ part
    return total, by_hidden, by_right, by_right_bias, by_others, by_others_bias


def _logits(
    part: Tensor, right: OutputRows, others: OutputRows, places: Tensor, is_hit: Tensor
) -> Tensor:
    """Return fp32 [P, N + 1]: drawn items (-inf where an item is the target), then the target."""
    num_drawn = len(others.bias)
    logits = torch.empty(len(part), num_drawn + 1, dtype=torch.float32, device=part.device)
    among = logits[:, :num_drawn]
    torch.add(part @ others.weight.t(), others.bias, out=among)
    hits = places[:, None]
    among.scatter_(1, hits, among.gather(1, hits).masked_fill_(is_hit[:, None], -torch.inf))
    logits[:, num_drawn] = (part.float() * right.weight.float()).sum(1).add_(right.bias)
    return logits
