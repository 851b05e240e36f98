"""The rows of each batch: similar lengths together, for little padding.

The training order is a pure function of (seed, epoch): rows at random, sorted by length (with a
little noise, so that neighbours change) within large pieces, cut into batches in random order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from seqtune.core.errors import ConfigurationError
from seqtune.core.seeds import derive_seed

Rows = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int64]

BATCHES_PER_PIECE = 64
LENGTH_BLUR = 0.05


class Order(Protocol):
    """The rows of each batch of an epoch."""

    def set_epoch(self, epoch: int) -> None: ...

    def batches(self) -> Sequence[Rows]: ...

    def __len__(self) -> int: ...


class TrainOrder:
    """Batches in random order, of rows at random or of similar lengths, each row once in an epoch.

    All ranks share a batch of `batch_size` rows, the same for any number of ranks. Each rank takes
    every `world_size`-th row, so that all compute for the same time.
    """

    def __init__(
        self,
        lengths: Lengths,
        *,
        batch_size: int,
        seed: int,
        group_by_length: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._lengths = lengths
        self._group_by_length = group_by_length
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._steps = -(-len(lengths) // batch_size)
        self._epoch = 0
        self._require_enough_rows(batch_size)

    def __len__(self) -> int:
        return self._steps

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def batches(self) -> list[Rows]:
        """Return this rank's rows of each batch; sizes of batches differ by at most one."""
        random = np.random.default_rng(derive_seed(self._seed, "order", self._epoch))
        rows = random.permutation(len(self._lengths))
        cuts = np.arange(self._steps + 1) * len(rows) // max(self._steps, 1)
        if self._group_by_length:
            rows = self._sorted_in_pieces(rows, cuts, random)
        steps = random.permutation(self._steps)
        whole = (rows[cuts[step] : cuts[step + 1]] for step in steps)
        return [batch[self._rank :: self._world_size] for batch in whole]

    def _sorted_in_pieces(self, rows: Rows, cuts: Rows, random: np.random.Generator) -> Rows:
        blurred = self._lengths[rows] * (1 + LENGTH_BLUR * random.random(len(rows)))
        piece_cuts = cuts[::BATCHES_PER_PIECE]
        piece = np.searchsorted(piece_cuts, np.arange(len(rows)), side="right")
        ordered: Rows = rows[np.lexsort((blurred, piece))]
        return ordered

    def _require_enough_rows(self, batch_size: int) -> None:
        smallest = len(self._lengths) // max(self._steps, 1)
        if self._steps and smallest < self._world_size:
            raise ConfigurationError(
                f"{self._world_size} processes share a training whose smallest batch has "
                f"{smallest} rows ({len(self._lengths)} rows, training.batch_size={batch_size}, "
                "which counts the rows of all processes together); choose fewer processes "
                "(cluster.training_workers, training.devices) or a larger training.batch_size"
            )


class EvalOrder:
    """Batches by length, the longest first, so that memory runs out at once or never."""

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
        """Do nothing: the order is the same in every epoch."""

    def batches(self) -> list[Rows]:
        total = self._steps * self._world_size
        cuts = np.arange(total + 1) * len(self._rows) // max(total, 1)
        batches = np.arange(self._steps) * self._world_size + self._rank
        return [self._rows[cuts[batch] : cuts[batch + 1]] for batch in batches]
