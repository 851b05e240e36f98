"""Parts that leave traces in a folder of whoever opened the work and made them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from seqtune.core.errors import DataError

Act = Callable[[Path, int], None]


@dataclass(frozen=True)
class ToyOpener:
    """Part n is n and some bytes; `act` comes before it."""

    folder: Path
    act: Act
    size: int = 0

    def __call__(self) -> Callable[[int], tuple[int, bytes]]:
        (self.folder / f"opened-{os.getpid()}").touch()
        return partial(_make, self)


def _make(toy: ToyOpener, number: int) -> tuple[int, bytes]:
    toy.act(toy.folder, number)
    (toy.folder / f"made-{number}-{os.getpid()}").touch()
    return number, os.urandom(toy.size)


@dataclass(frozen=True)
class ReadingOpener:
    """Part n is line n of a file, and the file that it was read from."""

    file: Path

    def __call__(self) -> Callable[[int], tuple[str, Path]]:
        lines = self.file.read_text(encoding="utf-8").splitlines()
        return lambda number: (lines[number], self.file)


@dataclass(frozen=True)
class ClosedOpener:
    """Cannot be opened."""

    folder: Path

    def __call__(self) -> Callable[[int], int]:
        raise DataError(f"{self.folder} is empty; it must hold a row for each text")


def at_once(_folder: Path, _number: int) -> None:
    """Nothing comes before a part."""


def slowly(_folder: Path, _number: int) -> None:
    time.sleep(0.2)


def die_once(folder: Path, number: int) -> None:
    """The first process that has the third part in hand is killed."""
    slowly(folder, number)
    if number == 3 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def always_die(_folder: Path, number: int) -> None:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def refuse(_folder: Path, number: int) -> None:
    if number == 2:
        raise DataError("new.csv, line 3: 2 fields, but the header names 1")


def fail(_folder: Path, number: int) -> None:
    if number == 2:
        raise ZeroDivisionError("a fault of ours")
