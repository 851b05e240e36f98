"""Summarise with one checkpoint."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seqtune.core.checkpoint import NEXT_STEP, Which
from seqtune.core.errors import ArtifactError
from seqtune.inference import (
    CheckpointInfo,
    LoadedCheckpoint,
    read_checkpoint_config,
    read_weights,
    select_device,
)

from .decoder import DecoderBatch, GeneratedTexts, make_batches, pad_of, write_all
from .encoding import encoder
from .lora import is_attached, merge_tokens, quiet_quantisation
from .model import Kind, restored_model
from .params import GenerationConfig, SummarizeConfig
from .preprocess import restore

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0


@dataclass(frozen=True)
class Summarizer(LoadedCheckpoint[SummarizeConfig]):
    """A checkpoint in memory."""

    @abstractmethod
    def summarise(self, dialogues: Sequence[str], *, batch_size: int) -> GeneratedTexts:
        """Return a summary of each dialogue."""

    def summarise_each(
        self, lists: Sequence[Sequence[str]], *, batch_size: int
    ) -> Iterator[GeneratedTexts]:
        """Summarise several lists, with progress in the log."""
        each = (self.summarise(dialogues, batch_size=batch_size) for dialogues in lists)
        return log_progress(each, sum(map(len, lists)))


@dataclass(frozen=True)
class NetworkSummarizer(Summarizer):
    """A trained network in memory."""

    tokenizer: Any
    kind: Kind
    model: Any

    def inputs(self, dialogues: Sequence[str]) -> list[list[int]]:
        """Return tokens of dialogues: preprocessed, in their prompt, cut to `max_input_length`."""
        return encoder(self.config, self.tokenizer, self.kind).fitting(dialogues)

    def batches(self, dialogues: Sequence[str], *, size: int) -> list[DecoderBatch]:
        """Return padded batches of dialogues of similar lengths."""
        return make_batches(
            self.inputs(dialogues),
            pad=pad_of(self.tokenizer),
            size=size,
            kind=self.kind,
            device=self.device,
        )

    def write(
        self, batches: Sequence[DecoderBatch], settings: GenerationConfig, *, seed: int
    ) -> GeneratedTexts:
        """Return a summary of each input, in the form of the data."""
        with self.autocast(), quiet_quantisation():
            written = write_all(
                self.model, self.tokenizer, batches, settings, kind=self.kind, seed=seed
            )
        preprocess = self.config.preprocess
        return replace(written, texts=[restore(text, preprocess) for text in written.texts])

    def summarise(self, dialogues: Sequence[str], *, batch_size: int) -> GeneratedTexts:
        """Return a summary of each dialogue, with the generation settings of the checkpoint."""
        batches = self.batches(dialogues, size=batch_size)
        return self.write(batches, self.config.generation, seed=self.config.seed)


def log_progress(each: Iterable[GeneratedTexts], total: int) -> Iterator[GeneratedTexts]:
    """Pass summaries through, and log progress."""
    done = 0
    started = logged = time.monotonic()
    for written in each:
        yield written
        done += len(written.texts)
        now = time.monotonic()
        if now - logged >= SECONDS_BETWEEN_LINES:
            left = (now - started) / done * (total - done)
            logger.info("%d of %d dialogues summarised, about %.0f s left", done, total, left)
            logged = now


def describe(path: Path, which: Which = "best") -> CheckpointInfo[SummarizeConfig]:
    """Read the manifest of a checkpoint; its model stays on disk."""
    checkpoint, config = read_checkpoint_config(path, SummarizeConfig, task="summarize")
    return CheckpointInfo(checkpoint, which, config)


def load_network(
    path: Path, which: Which = "best", *, device: str | None = None
) -> NetworkSummarizer:
    """Load the checkpoint of a network, on `device` or where it was trained."""
    info = describe(path, which)
    where = select_device(device, info.config.training.accelerator)
    weights = read_weights(info.checkpoint, which)
    try:
        model, tokenizer, kind = restored_model(
            info.assets, info.config, weights, device=str(where)
        )
    except ArtifactError as error:
        raise ArtifactError(f"checkpoint {path}: {error}; {NEXT_STEP}") from error
    if not getattr(model, "is_quantized", False):  # a quantised model cannot be moved
        model = model.to(where)
    model.eval().requires_grad_(False)
    if is_attached(model):
        merge_tokens(model)
    return NetworkSummarizer(
        **vars(info), device=where, tokenizer=tokenizer, kind=kind, model=model
    )
