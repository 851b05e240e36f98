"""Batches of texts: tokens, padded to the longest text in each, or vectors.

Shapes: B batch, T time, D hidden, L labels, R rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from seqtune.batching import Rows
from seqtune.text.tokens import Tokens

from .data import Targets


class TextBatch(NamedTuple):
    """A batch of texts with their labels."""

    rows: Tensor  # int64 [B], numbers among the rows of the loader
    ids: Tensor  # int64 [B, T], padded on the right
    real: Tensor  # bool [B, T], False for padding
    targets: Tensor  # fp32 [B, L]


class VectorBatch(NamedTuple):
    """A batch of texts of which a frozen encoder has made vectors."""

    rows: Tensor  # int64 [B], numbers among the rows of the loader
    vectors: Tensor  # fp32 [B, D]
    targets: Tensor  # fp32 [B, L]


AnyBatch = TextBatch | VectorBatch


class TextBatches(Dataset[TextBatch]):
    """The texts of a part with their labels; all, or the rows `chosen`."""

    def __init__(
        self,
        tokens: Tokens,
        targets: Targets,
        *,
        pad: int,
        chosen: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self._tokens = tokens
        self._targets = targets
        self._pad = pad
        self._chosen = np.arange(len(tokens)) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self._chosen)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each text [R]."""
        return self._tokens.lengths[self._chosen]

    def __getitem__(self, rows: Rows) -> TextBatch:
        texts = self._chosen[rows]
        ids, real = self._tokens.padded(texts, pad=self._pad)
        return TextBatch(
            rows=torch.from_numpy(rows),
            ids=torch.from_numpy(ids),
            real=torch.from_numpy(real),
            targets=torch.from_numpy(self._targets[texts].astype(np.float32)),
        )


class VectorBatches(Dataset[VectorBatch]):
    """The vectors of a part with their labels; all, or the rows `chosen`."""

    def __init__(
        self,
        vectors: npt.NDArray[np.float32],
        targets: Targets,
        *,
        chosen: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self._vectors = vectors
        self._targets = targets
        self._chosen = np.arange(len(vectors)) if chosen is None else chosen

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """1 for each text [R]: all cost the same."""
        return np.ones(len(self._chosen), np.int64)

    def __getitem__(self, rows: Rows) -> VectorBatch:
        texts = self._chosen[rows]
        return VectorBatch(
            rows=torch.from_numpy(rows),
            vectors=torch.from_numpy(self._vectors[texts]),
            targets=torch.from_numpy(self._targets[texts].astype(np.float32)),
        )
