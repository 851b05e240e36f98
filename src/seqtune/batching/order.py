"""Which rows make up which batch: like lengths together, so that little is padding.

The order of training is a pure function of (seed, epoch): rows at random, sorted by length (blurred
a little, so that neighbours change) within large pieces, cut into batches, whose order is random
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from seqtune.contracts.seeds import derive_seed

Rows = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int64]

BATCHES_PER_PIECE = 64
LENGTH_BLUR = 0.05


class Order(Protocol):
    """Says which rows make up which batch of an epoch."""

    def set_epoch(self, epoch: int) -> None: ...

    def batches(self) -> Sequence[Rows]: ...

    def __len__(self) -> int: ...


class TrainOrder:
    """Length-bucketed batches in a random order, each row once an epoch.

    Every rank gets equally many batches, and at one step batches of like length.
    """

    def __init__(
        self, lengths: Lengths, *, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._steps = -(-len(lengths) // (batch_size * world_size))
        self._epoch = 0

    def __len__(self) -> int:
        return self._steps

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def batches(self) -> list[Rows]:
        """This rank's batches of the epoch; sizes differ by at most one row."""
        random = np.random.default_rng(derive_seed(self._seed, "order", self._epoch))
        total = self._steps * self._world_size
        rows = random.permutation(len(self._lengths))
        if len(rows) < total:  # fewer rows than ranks: some are seen twice
            rows = np.resize(rows, total)
        cuts = np.arange(total + 1) * len(rows) // total
        rows = self._sorted_in_pieces(rows, cuts, random)
        steps = random.permutation(self._steps) * self._world_size + self._rank
        return [rows[cuts[batch] : cuts[batch + 1]] for batch in steps]

    def _sorted_in_pieces(self, rows: Rows, cuts: Rows, random: np.random.Generator) -> Rows:
        blurred = self._lengths[rows] * (1 + LENGTH_BLUR * random.random(len(rows)))
        piece_cuts = cuts[:: BATCHES_PER_PIECE * self._world_size]
        piece = np.searchsorted(piece_cuts, np.arange(len(rows)), side="right")
        ordered: Rows = rows[np.lexsort((blurred, piece))]
        return ordered


class EvalOrder:
    """Batches by length, longest first: if memory does not suffice, it shows at once."""

    def __init__(
        self, lengths: Lengths, *, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._rows = np.argsort(-lengths, kind="stable")
        self._steps = -(-len(lengths) // (batch_size * world_size))
        self._rank = rank
        self._world_size = world_size

    def __len__(self) -> int:
        return self._steps

    def set_epoch(self, epoch: int) -> None:
        """The same in every epoch."""

    def batches(self) -> list[Rows]:
        total = self._steps * self._world_size
        cuts = np.arange(total + 1) * len(self._rows) // max(total, 1)
        batches = np.arange(self._steps) * self._world_size + self._rank
        return [self._rows[cuts[batch] : cuts[batch + 1]] for batch in batches]
