"""Everything that seqtune raises on purpose.

    SeqtuneError
    ├── ConfigurationError   a parameter, preset or catalog entry is wrong
    ├── DataError            a user's file is missing or its content is wrong
    ├── ArtifactError        a file that seqtune wrote is damaged or belongs to other data
    ├── StorageError         a disk is full or read-only; a database or bucket does not answer
    ├── TrainingError        the training itself failed (a loss that is not a number)
    ├── InfeasibleError      this configuration cannot run here (shapes, memory, forbidden)
    ├── TuningError          a search cannot continue (too many failures, another study's data)
    └── Interrupted          a signal asked to stop; the next run resumes from the saved state

A message says what was received, what is allowed, and the next step. `kedro run` prints it
without a traceback and exits with `exit_code`.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from typing_extensions import override

from .format import cut_middle

LONGEST_FAULT = 2000
"""Characters; a fault may quote a key or a value of any length."""
PLAIN = (str, int, float, list, tuple, type(None))
"""Attributes of these types go from one process to another."""


class SeqtuneError(Exception):
    """Base of all errors that a user can act on. Pickled as plain values, for other processes."""

    exit_code = 1

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return from_dict, (to_dict(self),)


def to_dict(error: SeqtuneError) -> dict[str, Any]:
    """Convert an error to plain values: nearest class of this module, message and attributes."""
    kind = next(kind for kind in type(error).__mro__ if globals().get(kind.__name__) is kind)
    attributes = {name: value for name, value in vars(error).items() if isinstance(value, PLAIN)}
    return {"class": kind.__name__, "message": str(error), "attributes": attributes}


def from_dict(values: Mapping[str, Any]) -> SeqtuneError:
    """Rebuild the error from `to_dict`."""
    kind: type[SeqtuneError] = globals()[values["class"]]
    error = kind.__new__(kind, values["message"])
    for name, value in values["attributes"].items():
        setattr(error, name, tuple(value) if isinstance(value, list) else value)
    return error


class ConfigurationError(SeqtuneError):
    """One or more faults of the configuration, raised together."""

    def __init__(self, faults: str | Sequence[str]) -> None:
        each = (faults,) if isinstance(faults, str) else faults
        self.faults = tuple(cut_middle(fault, LONGEST_FAULT) for fault in each)
        super().__init__("\n".join(self.faults))


class DataError(SeqtuneError):
    """A user's file is missing or its content is wrong."""


class ArtifactError(SeqtuneError):
    """A split, a checkpoint or another artefact is damaged or belongs to other data."""


class StorageError(SeqtuneError):
    """A disk is full or read-only; a database or a bucket does not answer."""


class TrainingError(SeqtuneError):
    """Training failed because of its configuration."""


class InfeasibleError(SeqtuneError):
    """A configuration that cannot run here: a violated constraint that a search learns from."""

    def __init__(self, message: str, *, constraint: str, violation: float = 1.0) -> None:
        super().__init__(message)
        self.constraint = constraint
        """Its name: shapes, memory, forbidden, out of memory."""
        self.violation = violation
        """By how much, above 0; in the same unit for the same constraint."""


class TuningError(SeqtuneError):
    """A search cannot continue."""


class Interrupted(SeqtuneError):
    """A signal asked to stop; the next run resumes from the saved state."""

    def __init__(self, message: str, *, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number


MAX_LISTED = 20


def did_you_mean(name: str, allowed: Collection[str]) -> str:
    """Return the end of a message about an unknown name: the nearest name, or all of them."""
    if close := close_name(name, allowed):
        return f"did you mean {close!r}?"
    if len(allowed) > MAX_LISTED:
        allowed = get_close_matches(name, allowed, n=MAX_LISTED, cutoff=0.0)
        return f"choose one of {', '.join(allowed)}, ..."
    return f"choose one of {', '.join(sorted(allowed))}"


def close_name(name: str, allowed: Collection[str], *, cutoff: float = 0.6) -> str:
    """Return the most similar name; empty if none is similar."""
    return next(iter(get_close_matches(name, allowed, n=1, cutoff=cutoff)), "")


_STORAGE_REASONS = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
}


def storage_error(error: OSError, place: Path | str) -> StorageError | None:
    """Convert the error of a full or read-only disk; None for any other error."""
    reason = _STORAGE_REASONS.get(error.errno or 0)
    if reason is None:
        return None
    if error.errno in (errno.EACCES, errno.EPERM):
        return StorageError(
            f"{error.filename or place}: {reason}. Nothing was published; let the user of this "
            "process read and write there, and run again"
        )
    return StorageError(
        f"cannot write below {place}: {reason} ({error}). Nothing was published; free space, or "
        "set `data` in conf/local/globals.yml to another disk, and run again"
    )
