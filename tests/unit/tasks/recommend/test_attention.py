"""Attention in pieces: the same as spelled out, whatever the pieces."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seqtune.tasks.recommend.models.layers import attention
from seqtune.tasks.recommend.models.layers.attention import attend_in_pieces
from seqtune.tasks.recommend.models.layers.dropout import BitmaskGenerator, FastDropout
from seqtune.tasks.recommend.models.layers.transformer_block import by_distance, causal_mask

BATCH, TIME, HEADS, EACH = 5, 70, 2, 4
PIECES = pytest.mark.parametrize("elements", [1, 4_000, 1 << 20])


def spelled_out(
    packed: Tensor,
    query: Tensor | None = None,
    visible: Tensor | None = None,
    factors: Tensor | None = None,
    bias: Tensor | float = 0.0,
) -> Tensor:
    """Every step of it; `factors` [B, H, Q, T] stand for dropout."""
    queries, keys, values = packed if query is None else (query, *packed)
    scores = queries @ keys.mT / math.sqrt(queries.shape[-1]) + bias
    if visible is not None:
        scores = scores.masked_fill(~visible, -torch.inf)
    weights = scores.softmax(dim=-1)
    if factors is not None:
        weights = weights * factors
    return weights @ values


def numbers(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def projected(parts: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """[parts, B, H, T, E], laid out as a projection leaves it."""
    return numbers(BATCH, TIME, parts, HEADS, EACH, dtype=dtype).permute(2, 0, 3, 1, 4)


def masks() -> dict[str, Tensor | None]:
    keys = torch.rand(BATCH, 1, 1, TIME, generator=torch.Generator().manual_seed(1)) > 0.3
    keys[..., -1] = True
    here = torch.device("cpu")
    return {
        "none": None,
        "padding": keys,
        "causal": causal_mask(None, time=TIME, device=here),
        "causal and padding": causal_mask(keys, time=TIME, device=here),
    }


def same(ours: Tensor, expected: Tensor, leaves: list[Tensor], **tolerance: float) -> None:
    """Both and their gradients by all leaves."""
    towards = numbers(*ours.shape, dtype=ours.dtype)
    torch.testing.assert_close(ours, expected, **tolerance)
    for got, right in zip(
        torch.autograd.grad(ours, leaves, towards),
        torch.autograd.grad(expected, leaves, towards),
        strict=True,
    ):
        torch.testing.assert_close(got, right, **tolerance)


@PIECES
@pytest.mark.parametrize("name", list(masks()))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_attention_spelled_out(
    name: str, dtype: torch.dtype, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_ELEMENTS_OF_A_PIECE", elements)
    packed = projected(3, dtype=dtype).requires_grad_()
    visible = masks()[name]
    close = 2e-6 if dtype == torch.float32 else 1e-6  # the softmax is in fp32 at least
    same(
        attend_in_pieces(packed, None, visible, None),
        spelled_out(packed, visible=visible),
        [packed],
        atol=close,
        rtol=1e-4,
    )


@PIECES
def test_queries_of_their_own(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_ELEMENTS_OF_A_PIECE", elements)
    packed = projected(2).requires_grad_()
    query = numbers(BATCH, HEADS, 3, EACH).requires_grad_()
    visible = masks()["padding"]
    same(
        attend_in_pieces(packed, query, visible, None),
        spelled_out(packed, query, visible),
        [packed, query],
        atol=2e-6,
        rtol=1e-4,
    )


@PIECES
@pytest.mark.parametrize("name", ["none", "causal and padding"])
def test_a_bias_is_added_to_the_scores_and_learns(
    name: str, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_ELEMENTS_OF_A_PIECE", elements)
    packed, visible = projected(3).requires_grad_(), masks()[name]
    bias = numbers(HEADS, TIME, TIME).requires_grad_()
    same(
        attend_in_pieces(packed, None, visible, None, bias=bias),
        spelled_out(packed, visible=visible, bias=bias),
        [packed, bias],
        atol=5e-6,
        rtol=1e-4,
    )


@pytest.mark.parametrize("time", [1, 2, 7, 12])
def test_each_distance_has_its_bias(time: int) -> None:
    behind = numbers(HEADS, 12).requires_grad_()
    query, key = torch.arange(time)[:, None], torch.arange(time)
    expected = behind[:, (query - key).clamp(min=0)].masked_fill(key > query, 0.0)
    found = by_distance(behind, behind[:, :0], time)
    same(found, expected, [behind], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("time", [1, 2, 7, 12])
def test_each_distance_on_both_sides_has_its_bias(time: int) -> None:
    behind, ahead = numbers(HEADS, 12).requires_grad_(), numbers(HEADS, 11).requires_grad_()
    query, key = torch.arange(time)[:, None], torch.arange(time)
    later = ahead[:, (key - query - 1).clamp(min=0, max=10)]
    expected = torch.where(key > query, later, behind[:, (query - key).clamp(min=0)])
    found = by_distance(behind, ahead, time)
    same(found, expected, [behind, ahead], atol=1e-5, rtol=1e-5)


def test_bf16_is_close_to_what_torch_does_in_bf16() -> None:
    packed = projected(3, dtype=torch.bfloat16).requires_grad_()
    torchs = functional.scaled_dot_product_attention(*packed)
    same(attend_in_pieces(packed, None, None, None), torchs, [packed], atol=0.02, rtol=0.05)


def test_large_scores_do_not_overflow() -> None:
    packed = (1000.0 * numbers(3, 2, 1, 8, EACH)).requires_grad_()
    same(
        attend_in_pieces(packed, None, None, None),
        spelled_out(packed),
        [packed],
        atol=1e-2,
        rtol=1e-3,
    )


@pytest.mark.parametrize("visible", [None, masks()["padding"]])
def test_dropout_is_on_the_weights(visible: Tensor | None) -> None:
    packed = projected(3).requires_grad_()
    dropout = FastDropout(0.4)
    torch.manual_seed(3)
    ours = attend_in_pieces(packed, None, visible, dropout.coin())
    torch.manual_seed(3)
    coin = dropout.coin()
    assert isinstance(coin, BitmaskGenerator)
    of_a_head = torch.Size([BATCH, TIME, TIME])  # one piece is one head here
    kept = torch.stack([coin.kept(of_a_head) != 0 for _ in range(HEADS)], dim=1)
    assert kept.float().mean() == pytest.approx(0.6, abs=0.01)
    expected = spelled_out(packed, visible=visible, factors=kept * coin.scale)
    same(ours, expected, [packed], atol=5e-6, rtol=1e-4)


def test_the_seed_repeats_it_bit_for_bit() -> None:
    packed = projected(3, dtype=torch.bfloat16)
    dropout, results = FastDropout(0.2), []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(attend_in_pieces(packed, None, None, dropout.coin()))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
