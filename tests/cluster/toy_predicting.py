"""Whoever makes parts here dies once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtune.core.execution import ParallelMap, PartFactory


@dataclass(frozen=True)
class Mortal:
    """Makes the parts of another; the first process with the third part in hand is killed."""

    opener: PartFactory[Any]
    folder: Path

    def __call__(self) -> Callable[[int], Any]:
        make = self.opener()

        def make_or_die(number: int) -> Any:
            found, mark = make(number), self.folder / "died"
            if number == 2 and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        return make_or_die


@dataclass(frozen=True)
class MortalSpread:
    """A spread over processes of which one is killed."""

    spread: ParallelMap
    folder: Path

    def __call__(self, opener: PartFactory[Any], num_parts: int) -> Iterator[Any]:
        return self.spread(Mortal(opener, self.folder), num_parts)
