"""Works of several ranks, which leave traces in a folder."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seqtune.core.errors import InfeasibleError, Interrupted
from seqtune.core.execution import RankInfo

logger = logging.getLogger("seqtune.toy")

Act = Callable[[Path, RankInfo], None]
MOST_SECONDS = 300.0
"""Two cores run all of this beside other tests."""


@dataclass(frozen=True)
class Toy:
    """Notes that it has begun, acts, and notes that it is done."""

    folder: Path
    act: Act

    def __call__(self, place: RankInfo) -> None:
        (self.folder / f"begun-{place.rank}-{os.getpid()}").touch()
        self.act(self.folder, place)
        (self.folder / f"done-{place.rank}-of-{place.world_size}").touch()


def names(folder: Path, what: str) -> list[str]:
    return sorted(path.name for path in folder.glob(f"{what}-*"))


def speak(_folder: Path, place: RankInfo) -> None:
    logger.info("rank %d of %d says hello", place.rank, place.world_size)


def wait_for(folder: Path, what: str, number: int) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while len(names(folder, what)) < number:
        assert time.monotonic() < deadline, f"{what}: {names(folder, what)}"
        time.sleep(0.05)


def die_once(folder: Path, place: RankInfo) -> None:
    wait_for(folder, "begun", 2)
    if place.rank == 1 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    wait_for(folder, "begun", 4)


def lose_the_other(folder: Path, place: RankInfo) -> None:
    """As torch says it, before Ray has noticed."""
    if not (folder / "lost").exists():
        wait_for(folder, "begun", 2)
        (folder / "lost").touch()
        raise RuntimeError("connection closed by peer")


def always_die(_folder: Path, place: RankInfo) -> None:
    if place.rank:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(MOST_SECONDS)


def refuse(folder: Path, place: RankInfo) -> None:
    wait_for(folder, "begun", 2)
    if place.rank == 1:
        raise InfeasibleError("batch_size=8 is too much", constraint="out of memory")
    time.sleep(MOST_SECONDS)


def stumble(_folder: Path, place: RankInfo) -> None:
    if place.rank == 0:
        raise KeyError("a bug")
    time.sleep(MOST_SECONDS)


def until_asked(folder: Path, place: RankInfo) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while not place.asked():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (folder / f"saved-{place.rank}").touch()
    raise Interrupted("the state is saved", signal_number=place.asked())


def never_mind(folder: Path, _place: RankInfo) -> None:
    time.sleep(MOST_SECONDS)
