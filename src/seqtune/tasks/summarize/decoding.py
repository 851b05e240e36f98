"""From a trained model to summaries, and what decoding under other settings is worth.

With `do_sample`, draws follow from the seed and the batch: the same rows in the same batches give
the same texts; a dialogue among others, or in batches of another size, gets another draw.

Shapes: B batch, T time (of the input).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from seqtune.contracts.checkpoint import open_checkpoint
from seqtune.contracts.errors import DataError
from seqtune.contracts.seeds import derive_seed

from .data import SummarizeData
from .decoder import CAUSAL, Batch, Decoder, encode, make_batches, pad_of
from .lora import quiet_quantisation
from .params import EvaluationConfig, GenerationConfig, SummarizeConfig
from .preprocess import restore
from .rouge import named, rouge
from .scorer import Summarizer, load_summarizer

Int64 = npt.NDArray[np.int64]

MOST_ENCODED = 1 << 30
"""Bytes of encoder outputs that are kept while decoding is searched; the rest is encoded again."""


@dataclass(frozen=True)
class Written:
    """Texts, and how they came to be."""

    texts: list[str]
    is_cut: npt.NDArray[np.bool_]
    """Which of them had not ended at the limit of new tokens."""
    seconds_per_row: float
    """Median over batches; what was encoded before is not in it."""


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
) -> Written:
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
    return Written(texts, is_cut, float(np.median(seconds)) if seconds else 0.0)


def summarise(
    summarizer: Summarizer,
    dialogues: Sequence[str],
    settings: GenerationConfig,
    *,
    batch_size: int,
    seed: int,
) -> Written:
    """A summary of each dialogue, in the form of the data."""
    return write_batches(
        summarizer, batches_of(summarizer, dialogues, size=batch_size), settings, seed=seed
    )


def batches_of(summarizer: Summarizer, dialogues: Sequence[str], *, size: int) -> list[Batch]:
    return make_batches(
        summarizer.inputs(dialogues),
        pad=pad_of(summarizer.tokenizer),
        size=size,
        kind=summarizer.kind,
        device=summarizer.device,
    )


def write_batches(
    summarizer: Summarizer, batches: Sequence[Batch], settings: GenerationConfig, *, seed: int
) -> Written:
    """What a checkpoint writes of inputs, in the precision that it was validated in."""
    with summarizer.autocast(), quiet_quantisation():
        written = write_all(
            summarizer.model,
            summarizer.tokenizer,
            batches,
            settings,
            kind=summarizer.kind,
            seed=seed,
        )
    preprocess = summarizer.config.preprocess
    return replace(written, texts=[restore(text, preprocess) for text in written.texts])


def fixed_sample(num_rows: int, most: int, *, seed: int) -> Int64:
    """Rows that are summarised wherever a few must do, sorted: the same at every validation."""
    random = np.random.default_rng(derive_seed(seed, "summarised"))
    return np.sort(random.permutation(num_rows)[:most])


def measure(checkpoint: Path, data: SummarizeData, config: SummarizeConfig) -> dict[str, float]:
    """ROUGE under `config.generation` on the sample of valid that training looked at too, and the
    seconds that a dialogue takes.

    The checkpoint is opened, and its encoder run, once for all that is asked in a row of it.
    """
    opened = _open(checkpoint, data, config.evaluation, seed=config.seed)
    written = write_batches(opened.summarizer, opened.batches, config.generation, seed=config.seed)
    scores = rouge(
        written.texts,
        opened.references,
        tokenizer=config.evaluation.tokenizer,
        combine=config.evaluation.references,
    )
    return {**named(scores, prefix="decoded_"), "seconds_per_row": written.seconds_per_row}


@dataclass(frozen=True)
class _Opened:
    """A checkpoint with the inputs of the sample, encoded where it has an encoder."""

    summarizer: Summarizer
    batches: list[Batch]
    references: list[list[str]]


_opened: dict[Any, _Opened] = {}
"""The last one alone."""


def _open(
    checkpoint: Path, data: SummarizeData, settings: EvaluationConfig, *, seed: int
) -> _Opened:
    if not data.has_validation:
        raise DataError(
            f"{data.path} has no valid part to search decoding on: everything in it is trained "
            "on. Search on a split made with summarize.split.use_full_data=false"
        )
    weights = open_checkpoint(checkpoint).manifest.best.sha256
    looked_at = (settings.max_rows, settings.batch_size, seed)
    key = (checkpoint, weights, data.path, data.content_hash, *looked_at)
    if key not in _opened:
        _opened.clear()  # before the next one takes its room
        rows = fixed_sample(data.num_rows("valid"), settings.max_rows, seed=seed)
        _opened[key] = _made(checkpoint, data, rows, batch_size=settings.batch_size)
    return _opened[key]


def _made(checkpoint: Path, data: SummarizeData, rows: Int64, *, batch_size: int) -> _Opened:
    summarizer = load_summarizer(checkpoint)
    dialogues, references = data.dialogues("valid"), data.references("valid")
    batches = batches_of(summarizer, [dialogues[row] for row in rows], size=batch_size)
    return _Opened(summarizer, _encoded(summarizer, batches), [references[row] for row in rows])


def _encoded(summarizer: Summarizer, batches: list[Batch]) -> list[Batch]:
    """The same with encoder outputs, as many as there is room for."""
    if summarizer.kind == CAUSAL:
        return batches
    found, room = [], MOST_ENCODED
    with summarizer.autocast():
        for batch in batches:
            if room > 0:
                encoded = encode(summarizer.model, batch)
                room -= encoded.nbytes
                found.append(replace(batch, encoded=encoded))
            else:
                found.append(batch)
    return found
