"""A sink that fails is left out with one warning, and the others go on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from seqtune.tracking import Record, Tracker


@dataclass
class Notebook:
    """A sink that remembers, and fails when it is told to."""

    name: str
    fails: bool = False
    told: list[str] = field(default_factory=list)
    switch: str = "tracking.notebook=false"

    def log(self, records: Sequence[Record]) -> None:
        if self.fails:
            raise OSError("cannot write to postgresql://eve:hunter2@db/x\nand a second line")
        warnings.warn("a library complains", FutureWarning, stacklevel=1)
        self.told += [record.name for record in records]

    def close(self, end: str, reason: str) -> None:
        self.told.append(f"{end} {reason}")

    def abandon(self) -> None:
        self.told.append("abandoned")
        raise OSError("not even this")


def test_every_sink_hears_and_their_libraries_are_not_heard() -> None:
    sinks = [Notebook("one"), Notebook("two")]
    tracker = Tracker(sinks)

    tracker.log(Record("run", name="a"), Record("run", name="b"))
    tracker.close("FAILED", "it broke")

    assert [sink.told for sink in sinks] == [["a", "b", "FAILED it broke"]] * 2
    assert not tracker.is_on


def test_one_that_fails_is_left_out_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Notebook("The broken one", fails=True), Notebook("sound")
    tracker = Tracker([broken, sound])

    with caplog.at_level(logging.WARNING):
        for name in "abc":
            tracker.log(Record("run", name=name))
        tracker.close("FINISHED")

    assert sound.told == ["a", "b", "c", "FINISHED "]
    assert broken.told == ["abandoned"]
    (warning,) = caplog.messages
    assert "The broken one is left out for the rest of this run: OSError" in warning
    assert "--params tracking.notebook=false" in warning
    assert "hunter2" not in warning
    assert "second line" not in warning


def test_nothing_is_tracked_after_giving_up(caplog: pytest.LogCaptureFixture) -> None:
    sink = Notebook("one")
    tracker = Tracker([sink])

    with caplog.at_level(logging.WARNING):
        tracker.give_up(ValueError("no such column"))
        tracker.log(Record("run", name="a"))

    assert sink.told == ["abandoned"]
    assert len(caplog.messages) == 1
