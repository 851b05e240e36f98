"""Dialogues and summaries as tokens, and batches of them for training and for writing.

Tokenised once for a model, a part and a way of preprocessing. Of several references the first one
is the target. Padding is on the right in training, and for a causal model that writes on the left.

Shapes: B batch, T time (of the input; of both for a causal model), U time of the target.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from seqtune.batching import Rows
from seqtune.contracts.errors import InfeasibleError
from seqtune.text.pretrained import identity, load_config
from seqtune.text.split import Part
from seqtune.text.tokens import Tokens, audit, encoder_of, write_tokens

from .data import SummarizeData
from .model import Kind, kind_of, open_speech, source
from .params import PreprocessConfig, SummarizeConfig
from .preprocess import clean, clean_summary
from .prompts import Prompt, prompt_of

if TYPE_CHECKING:
    from .datamodule import DialogueLoaders

logger = logging.getLogger(__name__)

IGNORED = -100
"""A label that no loss is taken of."""
INPUTS, TARGETS = "inputs", "targets"
TRUNCATION = "truncation"
"""Name of the constraint."""


class TrainBatch(NamedTuple):
    """What a loss is taken of."""

    ids: Tensor  # int64 [B, T]
    mask: Tensor  # bool [B, T]
    labels: Tensor  # int64 [B, U] for an encoder-decoder, [B, T] for a causal model
    first: int
    """causal: the first place that any label of the batch stands at."""


class WriteBatch(NamedTuple):
    """Inputs to summarise."""

    rows: Tensor  # int64 [B], places in their part
    ids: Tensor  # int64 [B, T]
    mask: Tensor  # bool [B, T]


@dataclass(frozen=True)
class Encoder:
    """From texts to the tokens that a model reads, and to those that it should write."""

    tokenizer: Any
    kind: Kind
    preprocess: PreprocessConfig
    instruction: str

    @property
    def prompt(self) -> Prompt:
        return prompt_of(self.tokenizer, self.instruction)

    def inputs(self, dialogues: Sequence[str]) -> tuple[list[list[int]], int]:
        """Tokens of dialogues, however long, and how many of the last are never cut."""
        texts = [clean(dialogue, self.preprocess) for dialogue in dialogues]
        if self.kind == "causal":
            prompt = self.prompt
            plain = encoder_of(self.tokenizer, add_special_tokens=False)(texts) if texts else []
            return [prompt.around(ids) for ids in plain], len(prompt.after)
        found = encoder_of(self.tokenizer)(texts) if texts else []
        # where a tokeniser adds nothing, no dialogue may be left without any token
        return [
            list(ids) or [self.tokenizer.eos_token_id] for ids in found
        ], self._specials_behind()

    def fitting(self, dialogues: Sequence[str]) -> list[list[int]]:
        """The same, cut to `max_input_length`."""
        limit = self.preprocess.max_input_length
        full, last = self.inputs(dialogues)
        return [
            ids if len(ids) <= limit else [*ids[: limit - last], *ids[len(ids) - last :]]
            for ids in full
        ]

    def targets(self, summaries: Sequence[str]) -> list[list[int]]:
        """Tokens of summaries, each with its end."""
        texts = [clean_summary(summary, self.preprocess) for summary in summaries]
        if not texts:
            return []
        end = self.tokenizer.eos_token_id
        found = encoder_of(self.tokenizer, add_special_tokens=self.kind == "seq2seq")(texts)
        return [[*ids] if ids and ids[-1] == end else [*ids, end] for ids in found]

    def _specials_behind(self) -> int:
        """Special tokens that the tokeniser puts behind a text."""
        own = len(self.tokenizer.encode("a", add_special_tokens=False))
        ids = self.tokenizer.encode("a")
        first = next(
            place
            for place in range(len(ids))
            if ids[place : place + own] == self.tokenizer.encode("a", add_special_tokens=False)
        )
        return len(ids) - first - own


def encoder(config: SummarizeConfig, tokenizer: Any, kind: Kind) -> Encoder:
    return Encoder(tokenizer, kind, config.preprocess, config.model.instruction)


class Pairs(NamedTuple):
    """A part, tokenised."""

    inputs: Tokens
    targets: Tokens

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of both together [R]."""
        return self.inputs.lengths + self.targets.lengths


def pairs(config: SummarizeConfig, data: SummarizeData, part: Part) -> Pairs:
    """The tokens of a part, made where nobody has asked for them before."""
    folder = data.made(
        "tokens",
        _key(config, part),
        lambda out: _write_pairs(out, config, data, part),
    )
    return Pairs(*(Tokens.open(folder / name) for name in (INPUTS, TARGETS)))


def truncation(config: SummarizeConfig, data: SummarizeData) -> dict[str, dict[str, Any]]:
    """How many dialogues do not fit, by part; JSON-ready."""
    limit = config.preprocess.max_input_length
    parts: tuple[Part, ...] = ("train", "valid")
    return {
        part: audit(np.asarray(pairs(config, data, part).inputs.full_lengths), limit)
        for part in parts
        if data.num_rows(part)
    }


def require_fit(config: SummarizeConfig, data: SummarizeData) -> None:
    """Refuse to train on dialogues of which too many are cut."""
    allowed = config.preprocess.max_truncated_share
    for part, found in truncation(config, data).items():
        if found["share"] > allowed:
            lengths = np.asarray(pairs(config, data, _part(part)).inputs.full_lengths)
            fits = int(np.quantile(lengths, 1.0 - allowed, method="higher"))
            raise InfeasibleError(
                f"{found['share']:.1%} of the dialogues in {part} ({found['longer']} of "
                f"{found['texts']}) do not fit into summarize.preprocess.max_input_length="
                f"{found['limit']} tokens and would be cut; allowed are {allowed:.1%} "
                "(summarize.preprocess.max_truncated_share). Lengths: "
                f"p95 {found['lengths']['p95']:.0f}, p99 {found['lengths']['p99']:.0f}, longest "
                f"{found['lengths']['max']:.0f}. max_input_length={fits} would do",
                constraint=TRUNCATION,
                violation=found["share"] - allowed,
            )


def build_data(config: SummarizeConfig, data: SummarizeData) -> DialogueLoaders:
    """Loaders for training, once it is clear that the dialogues fit."""
    from .datamodule import DialogueLoaders

    require_fit(config, data)
    return DialogueLoaders(config, data)


class TrainBatches(Dataset[TrainBatch]):
    """Dialogues with their summaries."""

    def __init__(self, of: Pairs, *, kind: Kind, pad: int) -> None:
        self._of = of
        self._kind = kind
        self._pad = pad

    def __getitem__(self, rows: Rows) -> TrainBatch:
        if self._kind == "causal":
            return self._one_sequence(rows)
        ids, mask = self._of.inputs.padded(rows, pad=self._pad)
        labels, _ = self._of.targets.padded(rows, pad=IGNORED)
        return _batch(ids, mask, labels, first=0)

    def _one_sequence(self, rows: Rows) -> TrainBatch:
        """Prompt and answer one after the other; labels on the answer alone."""
        asked, answered = self._of.inputs.lengths[rows], self._of.targets.lengths[rows]
        shape = len(rows), int((asked + answered).max(initial=1))
        ids, labels = np.full(shape, self._pad), np.full(shape, IGNORED)
        for place, row in enumerate(rows):
            end = asked[place] + answered[place]
            ids[place, : asked[place]] = _text(self._of.inputs, row)
            ids[place, asked[place] : end] = labels[place, asked[place] : end] = _text(
                self._of.targets, row
            )
        mask = np.arange(shape[1])[None, :] < (asked + answered)[:, None]
        first = int(asked.min(initial=shape[1]))
        return _batch(ids, mask, labels, first=first)


class WriteBatches(Dataset[WriteBatch]):
    """Dialogues of some rows of a part."""

    def __init__(self, inputs: Tokens, rows: Rows, *, kind: Kind, pad: int) -> None:
        self._inputs = inputs
        self._rows = rows
        self._left = kind == "causal"
        self._pad = pad

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        return self._inputs.lengths[self._rows]

    def __getitem__(self, places: Rows) -> WriteBatch:
        rows = self._rows[places]
        ids, mask = self._inputs.padded(rows, pad=self._pad, left=self._left)
        return WriteBatch(*map(torch.from_numpy, (rows, ids, mask)))


def _batch(ids: Any, mask: Any, labels: Any, *, first: int) -> TrainBatch:
    ids, mask, labels = map(torch.from_numpy, (ids, mask, labels))
    return TrainBatch(ids, mask, labels, first)


def _write_pairs(out: Path, config: SummarizeConfig, data: SummarizeData, part: Part) -> None:
    kind = kind_of(config, load_config(source(config)))
    speech = encoder(config, open_speech(config, data).tokenizer, kind)
    preprocess = config.preprocess
    for name in (INPUTS, TARGETS):
        (out / name).mkdir()
    write_tokens(
        out / INPUTS,
        data.dialogues(part),
        lambda texts: speech.inputs(texts)[0],
        limit=preprocess.max_input_length,
        keep_last=speech.inputs([])[1],
    )
    write_tokens(
        out / TARGETS,
        [references[0] for references in data.references(part)],
        speech.targets,
        limit=preprocess.max_target_length,
    )


def _key(config: SummarizeConfig, part: Part) -> Mapping[str, Any]:
    folder = source(config)
    kind = kind_of(config, load_config(folder))
    preprocess = config.preprocess
    return {
        "model": config.model.revision or identity(folder),
        "part": part,
        "kind": kind,
        "instruction": config.model.instruction if kind == "causal" else None,
        "max_input_length": preprocess.max_input_length,
        "max_target_length": preprocess.max_target_length,
        "noise_removal": preprocess.noise_removal,
        "person_tokens": preprocess.person_tokens,
        "special_tokens": preprocess.special_tokens,
    }


def _text(tokens: Tokens, row: int) -> npt.NDArray[np.int32]:
    found: npt.NDArray[np.int32] = tokens.ids[tokens.offsets[row] : tokens.offsets[row + 1]]
    return found


def _part(name: str) -> Part:
    return "train" if name == "train" else "valid"
