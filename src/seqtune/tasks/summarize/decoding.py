"""From batches of inputs to summaries.

With `do_sample`, draws follow from the seed and the batch: the same rows in the same batches give
the same texts; a dialogue among others, or in batches of another size, gets another draw.

Shapes: B batch, T time (of the input).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from seqtune.contracts.seeds import derive_seed

from .decoder import Batch, Decoder
from .params import GenerationConfig


@dataclass(frozen=True)
class GeneratedTexts:
    """Texts, and how they came to be."""

    texts: list[str]
    is_cut: npt.NDArray[np.bool_]
    """Which of them had not ended at the limit of new tokens."""
    seconds_per_row: float
    """Median over batches; of an encoder that ran before, it is not in it."""


def greedy(max_new_tokens: int) -> GenerationConfig:
    """The plainest way: what validations during training use."""
    return GenerationConfig(beams=1, max_new_tokens=max_new_tokens, no_repeat_ngram_size=0)


def write(
    model: Any,
    tokenizer: Any,
    ids: Tensor,  # [B, T]
    mask: Tensor,  # [B, T]
    settings: GenerationConfig,
    *,
    kind: str,
    encoder_outputs: Any = None,
    seed: int = 0,
    num: int = 1,
) -> list[str]:
    """`num` summaries of each input, those of one input together [B * num]."""
    hidden = None if encoder_outputs is None else encoder_outputs[0]
    batch = Batch(np.arange(len(ids)), ids, mask, hidden)
    decoder = Decoder.of(model, tokenizer, kind)
    return decoder.texts(decoder.tokens(batch, settings, seed=seed, num=num))


def write_all(
    model: Any,
    tokenizer: Any,
    batches: Sequence[Batch],
    settings: GenerationConfig,
    *,
    kind: str,
    seed: int = 0,
) -> GeneratedTexts:
    """One summary for each row of the batches, in the order of rows."""
    decoder = Decoder.of(model, tokenizer, kind)
    num_rows = sum(len(batch.rows) for batch in batches)
    texts, is_cut, seconds = [""] * num_rows, np.zeros(num_rows, np.bool_), []
    for number, batch in enumerate(batches):
        start = time.perf_counter()
        place = derive_seed(seed, "write", number)
        tokens = decoder.tokens(batch, settings, seed=place).cpu()
        seconds.append((time.perf_counter() - start) / len(batch.rows))
        is_cut[batch.rows] = decoder.is_cut(tokens)
        for row, text in zip(batch.rows, decoder.texts(tokens), strict=True):
            texts[row] = text
    return GeneratedTexts(texts, is_cut, float(np.median(seconds)) if seconds else 0.0)
