"""What decoding under other settings is worth, on a checkpoint that is trained once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.errors import DataError

from .data import SummarizeData
from .decoder import CAUSAL, DecoderBatch, encode
from .params import EvaluationConfig, SummarizeConfig
from .rouge import named, rouge
from .scorer import Summarizer, load_summarizer

Int64 = npt.NDArray[np.int64]

DECODING_SECONDS = "decoding_seconds_per_row"
MOST_ENCODED = 1 << 30
"""Bytes of encoder outputs that are kept while decoding is searched; the rest is encoded again."""


def measure(checkpoint: Path, data: SummarizeData, config: SummarizeConfig) -> dict[str, float]:
    """ROUGE under `config.generation` on the validation sample, and decoding seconds per dialogue
    (without the encoder). The checkpoint and its encoder outputs stay open between calls.
    """
    opened = _open(checkpoint, data, config.evaluation, seed=config.seed)
    written = opened.summarizer.write(opened.batches, config.generation, seed=config.seed)
    scores = rouge(
        written.texts,
        opened.references,
        tokenizer=config.evaluation.tokenizer,
        combine=config.evaluation.references,
    )
    return {**named(scores, prefix="decoded_"), DECODING_SECONDS: written.seconds_per_row}


@dataclass(frozen=True)
class _DecodingSample:
    """A checkpoint with the inputs of the sample, encoded where it has an encoder."""

    summarizer: Summarizer
    batches: list[DecoderBatch]
    references: list[list[str]]


_opened: dict[Any, _DecodingSample] = {}
"""The last one alone."""


def _open(
    checkpoint: Path, data: SummarizeData, settings: EvaluationConfig, *, seed: int
) -> _DecodingSample:
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
        rows = data.sample("valid", settings.max_rows, seed=seed)
        _opened[key] = _made(checkpoint, data, rows, batch_size=settings.batch_size)
    return _opened[key]


def _made(
    checkpoint: Path, data: SummarizeData, rows: Int64, *, batch_size: int
) -> _DecodingSample:
    summarizer = load_summarizer(checkpoint)
    dialogues, references = data.dialogues("valid"), data.references("valid")
    batches = summarizer.batches([dialogues[row] for row in rows], size=batch_size)
    return _DecodingSample(
        summarizer, _encoded(summarizer, batches), [references[row] for row in rows]
    )


def _encoded(summarizer: Summarizer, batches: list[DecoderBatch]) -> list[DecoderBatch]:
    """Batches with encoder outputs, up to MOST_ENCODED bytes."""
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
