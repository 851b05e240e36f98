"""Everything that seqtune raises on purpose.

    SeqtuneError
    ├── ConfigurationError   a parameter, preset or catalog entry is wrong
    ├── DataError            a file of the user's is missing or its content is wrong
    ├── ArtifactError        something seqtune wrote is damaged or belongs elsewhere
    ├── StorageError         the disk is full, or may not be written to
    ├── TrainingError        the training itself went wrong (a loss that is not a number)
    ├── InfeasibleError      a configuration that cannot be run here (shapes, memory, forbidden)
    ├── TuningError          a search cannot go on (too many failures, a study that does not fit)
    └── Interrupted          somebody asked to stop; the state to go on from is on disk

A message says what was received, what is allowed, and the next step. `kedro run` prints it
without a traceback and exits with `exit_code`.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from typing_extensions import override

PLAIN = (str, int, float, list, tuple, type(None))
"""Attributes of these types go from one process to another."""


class SeqtuneError(Exception):
    """Base of all errors that a user can act on. Other processes get it whole, as plain values."""

    exit_code = 1

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return from_dict, (to_dict(self),)


def to_dict(error: SeqtuneError) -> dict[str, Any]:
    """An error as plain values: the nearest class of this module, the message, the attributes."""
    kind = next(kind for kind in type(error).__mro__ if globals().get(kind.__name__) is kind)
    attributes = {name: value for name, value in vars(error).items() if isinstance(value, PLAIN)}
    return {"class": kind.__name__, "message": str(error), "attributes": attributes}


def from_dict(values: Mapping[str, Any]) -> SeqtuneError:
    """The error that `to_dict` described, in this process."""
    kind: type[SeqtuneError] = globals()[values["class"]]
    error = kind.__new__(kind, values["message"])
    for name, value in values["attributes"].items():
        setattr(error, name, tuple(value) if isinstance(value, list) else value)
    return error


class ConfigurationError(SeqtuneError):
    """One or more faults of the configuration, collected and raised once."""

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))


class DataError(SeqtuneError):
    """A file of the user's is missing or its content is wrong."""


class ArtifactError(SeqtuneError):
    """A split, a checkpoint or another artefact is damaged or belongs to other data."""


class StorageError(SeqtuneError):
    """A disk is full or may not be written to; a database or a bucket does not answer."""


class TrainingError(SeqtuneError):
    """Training went wrong in a way that its configuration explains."""


class InfeasibleError(SeqtuneError):
    """A configuration that cannot be run here: a constraint that a search should learn from."""

    def __init__(self, message: str, *, constraint: str, violation: float = 1.0) -> None:
        super().__init__(message)
        self.constraint = constraint
        """Its name: shapes, memory, forbidden, out of memory."""
        self.violation = violation
        """By how much it is violated, above 0; in the same unit for the same constraint."""


class TuningError(SeqtuneError):
    """A search cannot go on."""


class Interrupted(SeqtuneError):
    """A signal asked to stop; what was done is kept and the next run goes on from it."""

    def __init__(self, message: str, *, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number


def did_you_mean(name: str, allowed: Sequence[str]) -> str:
    """The tail of a message about an unknown name: the nearest one, or all that exist."""
    close = get_close_matches(name, allowed, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"choose one of {', '.join(sorted(allowed))}"


_STORAGE_REASONS = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
}


def storage_error(error: OSError, place: Path | str) -> StorageError | None:
    """What a full or read-only disk means for the user; None for any other error."""
    reason = _STORAGE_REASONS.get(error.errno or 0)
    if reason is None:
        return None
    return StorageError(
        f"cannot write below {place}: {reason} ({error}). Nothing was published; free space, or "
        "set `data` in conf/local/globals.yml to another disk, and run again"
    )
