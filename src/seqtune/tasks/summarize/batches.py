"""Batches of tokenised dialogues, for training and for generation.

Padding is on the right in training, and on the left when a causal model generates.

Shapes: B batch, T time (of the input; of both for a causal model), U time of the target.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from seqtune.batching import Rows
from seqtune.text.tokens import Tokens

from .encoding import Pairs
from .model import Kind

IGNORED = -100
"""Label that the loss ignores."""
LOGITS_AT_ONCE = 1 << 27
"""Logits of a batch of the validation loss: 512 MiB, and as much for each copy of them."""


def rows_at_once(batch_size: int, *, longest: int, num_tokens: int) -> int:
    """Return the rows whose loss to compute together: `batch_size`, or fewer if the vocabulary is
    large; `longest` is the length of the longest target."""
    return min(batch_size, max(LOGITS_AT_ONCE // (longest * num_tokens), 1))


class TrainBatch(NamedTuple):
    """Inputs and labels of a loss."""

    ids: Tensor  # int64 [B, T]
    mask: Tensor  # bool [B, T]
    labels: Tensor  # int64 [B, U] for an encoder-decoder, [B, T] for a causal model
    first: int
    """causal: position of the first label of any row."""


class WriteBatch(NamedTuple):
    """Inputs to summarise."""

    rows: Tensor  # int64 [B], positions in their part
    ids: Tensor  # int64 [B, T]
    mask: Tensor  # bool [B, T]


def stand_in(batch: TrainBatch | WriteBatch) -> TrainBatch | WriteBatch:
    """Return a placeholder row for an empty batch; excluded from loss and metrics."""
    ids = batch.ids.new_zeros((1, 2))
    mask = batch.mask.new_ones((1, 2))
    if isinstance(batch, WriteBatch):
        return WriteBatch(batch.rows, ids, mask)
    return TrainBatch(ids, mask, torch.full_like(ids, IGNORED), first=1)


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
        """Join prompt and answer; only the answer has labels."""
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


def _text(tokens: Tokens, row: int) -> npt.NDArray[np.int32]:
    found: npt.NDArray[np.int32] = tokens.ids[tokens.offsets[row] : tokens.offsets[row + 1]]
    return found
