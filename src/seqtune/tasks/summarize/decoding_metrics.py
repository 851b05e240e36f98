"""Measure decoding settings on a checkpoint that is trained once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.errors import DataError

from .data import SummarizeData
from .decoder import CAUSAL, DecoderBatch, encode
from .params import EvaluationConfig, SummarizeConfig
from .rouge import named, rouge
from .scorer import NetworkSummarizer, load_network

DECODING_SECONDS = "decoding_seconds_per_row"
MOST_ENCODED = 1 << 30
"""Bytes of encoder outputs that are kept while decoding is searched; the rest is encoded again."""


def measure(checkpoint: Path, data: SummarizeData, config: SummarizeConfig) -> dict[str, float]:
    """Return ROUGE on the validation sample and decoding seconds per row, without the encoder.

    The checkpoint and its encoder outputs stay open between calls.
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

    summarizer: NetworkSummarizer
    batches: list[DecoderBatch]
    references: list[list[str]]


_opened: dict[Any, _DecodingSample] = {}
"""Holds the last sample only."""


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
        _opened.clear()  # free its memory before the next one is loaded
        summarizer = load_network(checkpoint)
        dialogues, references = data.dialogues("valid"), data.references("valid")
        rows = data.sample("valid", settings.max_rows, seed=seed)
        batches = summarizer.batches([dialogues[row] for row in rows], size=settings.batch_size)
        _opened[key] = _DecodingSample(
            summarizer, _encode_batches(summarizer, batches), [references[row] for row in rows]
        )
    return _opened[key]


def _encode_batches(
    summarizer: NetworkSummarizer, batches: list[DecoderBatch]
) -> list[DecoderBatch]:
    """Add encoder outputs to batches, up to MOST_ENCODED bytes."""
    if summarizer.kind == CAUSAL:
        return batches
    found, bytes_left = [], MOST_ENCODED
    with summarizer.autocast():
        for batch in batches:
            if bytes_left > 0:
                encoded = encode(summarizer.model, batch)
                bytes_left -= encoded.nbytes
                found.append(replace(batch, encoded=encoded))
            else:
                found.append(batch)
    return found
