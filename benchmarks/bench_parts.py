"""Parts of the model that we wrote because torch's own are slow on the CPU, each beside torch's.

Forward and backward at the sizes of bench_train (batch 128, length 200, hidden 64, 2 heads, 3,416
items). Where torch's is the faster one, the model uses it.

    python benchmarks/bench_parts.py [--clock cpu]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from _harness import CLOCKS, Report, Timing, interleaved, show
from seqtune.tasks.recommend.losses.cross_entropy import item_cross_entropy
from seqtune.tasks.recommend.models.layers.attention import attend_in_pieces
from seqtune.tasks.recommend.models.layers.dropout import FastDropout
from seqtune.tasks.recommend.models.layers.transformer_block import causal_mask

BATCH, TIME, HIDDEN, HEADS, ITEMS, MASKED, RATE = 128, 200, 64, 2, 3416, 3840, 0.2
Pair = dict[str, Callable[[], None]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: one thread's")
    parser.add_argument("--times", type=int, default=9, help="repeats")
    arguments = parser.parse_args()
    report = Report("parts", title="Parts of the model beside torch's own")
    rows = []
    for dtype in (torch.bfloat16, torch.float32):
        for name, pair in parts(dtype).items():
            timings = interleaved(pair, times=arguments.times, clock=CLOCKS[arguments.clock])
            rows.append([name, str(dtype).removeprefix("torch."), *cells(timings)])
    report.text(f"Seconds of the {arguments.clock} clock, forward and backward.")
    report.table(["part", "type", "ours", "torch's", "torch's over ours", "by torch's steps"], rows)
    report.write()


def cells(timings: dict[str, Timing]) -> list[str]:
    ours, torchs = timings["ours"], timings["torch"]
    steps = str(timings["steps"]) if "steps" in timings else ""
    return [str(ours), str(torchs), show(torchs.median / ours.median), steps]


def parts(dtype: torch.dtype) -> dict[str, Pair]:
    return {
        "dropout of hidden states": dropouts(torch.randn(BATCH, TIME, HIDDEN, dtype=dtype)),
        "dropout of attention weights": dropouts(torch.rand(BATCH, HEADS, TIME, TIME, dtype=dtype)),
        "cross entropy with its projection": losses(dtype),
        "attention": attentions(dtype, rate=0.0),
        "attention with dropout": attentions(dtype, rate=RATE),
        "causal attention": attentions(dtype, rate=0.0, causal=True),
        "causal attention with dropout": attentions(dtype, rate=RATE, causal=True),
    }


def dropouts(x: Tensor) -> Pair:
    ours = FastDropout(RATE)
    return {
        "ours": there_and_back(ours, x),
        "torch": there_and_back(lambda x: functional.dropout(x, RATE), x),
    }


def losses(dtype: torch.dtype) -> Pair:
    hidden = torch.randn(MASKED, HIDDEN, dtype=dtype)
    weight, bias = torch.randn(ITEMS, HIDDEN) * 0.02, torch.zeros(ITEMS)
    columns = torch.randint(ITEMS, (MASKED,))

    def torchs(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        logits = functional.linear(hidden, weight.to(dtype), bias.to(dtype))
        return functional.cross_entropy(logits.float(), columns)

    return {
        "ours": there_and_back(
            lambda h, w, b: item_cross_entropy(h, w, b, columns), hidden, weight, bias
        ),
        "torch": there_and_back(torchs, hidden, weight, bias),
    }


def attentions(dtype: torch.dtype, *, rate: float, causal: bool = False) -> Pair:
    """In pieces (which the model takes where that is the faster), SDPA, and step by step."""
    dropout = FastDropout(rate)
    visible = causal_mask(None, time=TIME, device=torch.device("cpu")) if causal else None
    packed = torch.randn(BATCH, TIME, 3, HEADS, HIDDEN // HEADS, dtype=dtype)
    packed = packed.permute(2, 0, 3, 1, 4)

    def torchs(packed: Tensor) -> Tensor:
        query, key, value = packed
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=visible, dropout_p=rate
        )

    def by_steps(packed: Tensor) -> Tensor:
        query, key, value = packed
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        if visible is not None:
            scores = scores.masked_fill(~visible, -torch.inf)
        mixed: Tensor = dropout(scores.softmax(dim=-1)) @ value
        return mixed

    return {
        "ours": there_and_back(
            lambda packed: attend_in_pieces(packed, None, visible, dropout.coin()), packed
        ),
        "torch": there_and_back(torchs, packed),
        "steps": there_and_back(by_steps, packed),
    }


def there_and_back(work: Callable[..., Tensor], *inputs: Tensor) -> Callable[[], None]:
    """The work and its gradients by all inputs."""
    leaves = [tensor.requires_grad_() for tensor in inputs]

    def run() -> None:
        result = work(*leaves)
        torch.autograd.grad(result, leaves, torch.ones_like(result))

    return run


if __name__ == "__main__":
    main()
