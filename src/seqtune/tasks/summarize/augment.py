"""Augment the fit part with dialogues that encoder-decoders paraphrase or translate back.

Utterances are rewritten one by one, as these models were trained on sentences; speakers stay.
Dialogues that do not change are left out.
Shapes: B lines of a batch, T tokens.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from seqtune.core.errors import ConfigurationError
from seqtune.core.seeds import derive_seed
from seqtune.text.pretrained import identity, load_config, load_model, load_tokenizer, locate
from seqtune.text.rows import has_content, plain

from .params import KINDS, REWRITERS, SummarizeConfig

logger = logging.getLogger(__name__)

BATCH = 32
BEAMS = 4
SECONDS_BETWEEN_LINES = 10.0
_TURN = re.compile(
    r"(?P<speaker>\s*(?:#[^#\s]{1,30}#|[^\W\d_][\w .'-]{0,29})\s*:\s*)?(?P<text>.*)", re.S
)


@dataclass(frozen=True)
class Augmenter:
    """A chain of models on disk."""

    kind: str
    names: tuple[str, ...]
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class AugmentedRows:
    """The dialogues that one chain of models rewrote."""

    kind: str
    models: dict[str, str]
    """Identity of each model's content, by name."""
    rows: list[int] = field(default_factory=list)
    """Positions of the original dialogues in the fit part."""
    dialogues: list[str] = field(default_factory=list)
    num_unchanged: int = 0

    def facts(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "models": self.models,
            "rows": len(self.rows),
            "unchanged": self.num_unchanged,
        }

    def line(self) -> str:
        same = f", {self.num_unchanged} came back as they were" if self.num_unchanged else ""
        return f"{self.kind}: {len(self.rows)} dialogues made up for train{same}"


def open_augmenters(config: SummarizeConfig) -> list[Augmenter]:
    """Find the models of the configured chains; refuse missing models and other kinds."""
    found = []
    for kind in KINDS[config.split.augmentation]:
        names = tuple(getattr(config.split, step) for step in REWRITERS[kind])
        folders = tuple(
            _locate(name, f"summarize.split.{step}", allow_pickle=config.split.allow_pickle)
            for name, step in zip(names, REWRITERS[kind], strict=True)
        )
        found.append(Augmenter(kind, names, folders))
    return found


def augment(
    dialogues: Sequence[str], rewriters: Sequence[Augmenter], config: SummarizeConfig
) -> list[AugmentedRows]:
    """Rewrite a share of the dialogues by each chain; the same seed gives the same texts."""
    num = math.ceil(config.split.augment_share * len(dialogues))
    made = []
    for one in rewriters:
        random = np.random.default_rng(derive_seed(config.seed, "augment", one.kind))
        rows = sorted(random.permutation(len(dialogues))[:num].tolist())
        texts = rewrite([dialogues[row] for row in rows], one, config)
        changed = [
            (row, text)
            for row, text in zip(rows, texts, strict=True)
            if plain(text) != plain(dialogues[row])
        ]
        made.append(
            AugmentedRows(
                kind=one.kind,
                models=dict(zip(one.names, map(identity, one.folders), strict=True)),
                rows=[row for row, _ in changed],
                dialogues=[text for _, text in changed],
                num_unchanged=len(rows) - len(changed),
            )
        )
    return made


def rewrite(dialogues: Sequence[str], by: Augmenter, config: SummarizeConfig) -> list[str]:
    """Return each dialogue with its utterances rewritten."""
    turns = [[_split_turn(line) for line in text.split("\n")] for text in dialogues]
    originals = sorted({text for lines in turns for _, text in lines if has_content(text)})
    rewritten = originals
    for name, folder in zip(by.names, by.folders, strict=True):
        rewritten = _generate(rewritten, folder, label=f"{by.kind} by {name}", config=config)
    pairs = zip(originals, rewritten, strict=True)
    words = {before: after for before, after in pairs if has_content(after)}
    return ["\n".join(f"{who}{words.get(text, text)}" for who, text in lines) for lines in turns]


def _split_turn(line: str) -> tuple[str, str]:
    """Return the speaker with the colon, and the utterance."""
    found = _TURN.fullmatch(line)
    return (found["speaker"] or "", found["text"]) if found else ("", line)


def _locate(name: str, key: str, *, allow_pickle: bool) -> Path:
    folder = locate(name, allow_pickle=allow_pickle, key=key)
    if not load_config(folder).is_encoder_decoder:
        raise ConfigurationError(
            f"{key}={name!r} is no encoder-decoder, which paraphrases and translates; give one, "
            "such as a BART, T5 or Marian model"
        )
    return folder


def _generate(
    lines: Sequence[str], folder: Path, *, label: str, config: SummarizeConfig
) -> list[str]:
    """Generate a text for each line; lines of similar length share a batch."""
    import torch

    tokenizer = load_tokenizer(folder)
    model = load_model(
        "AutoModelForSeq2SeqLM", folder, allow_pickle=config.split.allow_pickle
    ).eval()
    wants_gpu = config.training.accelerator in ("auto", "cuda")
    device = "cuda" if wants_gpu and torch.cuda.is_available() else "cpu"
    model.to(device)
    order = sorted(range(len(lines)), key=lambda number: (len(lines[number]), number))
    made = [""] * len(lines)
    begun = logged = time.monotonic()
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        with torch.random.fork_rng(), torch.inference_mode():  # its settings may ask for draws
            torch.manual_seed(derive_seed(config.seed, "rewrite", label, start))
            texts = _batch([lines[number] for number in batch], model, tokenizer, device)
        for number, text in zip(batch, texts, strict=True):
            made[number] = " ".join(text.split())
        done, now = start + len(batch), time.monotonic()
        if now - logged > SECONDS_BETWEEN_LINES or done == len(order):
            logger.info("%s: %d of %d lines, %.0f s", label, done, len(order), now - begun)
            logged = now
    return made


def _batch(lines: list[str], model: Any, tokenizer: Any, device: str) -> list[str]:
    limit = getattr(model.config, "max_position_embeddings", None) or 512
    read = tokenizer(
        lines, padding=True, truncation=True, max_length=limit - 2, return_tensors="pt"
    ).to(device)
    ids = read["input_ids"]  # [B, T]
    written = model.generate(
        input_ids=ids,
        attention_mask=read["attention_mask"],
        num_beams=BEAMS,
        max_new_tokens=min(limit - 2, 2 * ids.shape[1] + 16),
    )
    found: list[str] = tokenizer.batch_decode(written, skip_special_tokens=True)
    return found
