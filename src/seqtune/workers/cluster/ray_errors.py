"""Errors of other processes, dug out of what Ray wraps them in."""

from __future__ import annotations

from collections.abc import Iterator

from seqtune.core.errors import SeqtuneError


def unwrap_ray_error(error: BaseException) -> BaseException:
    """The error of ours that stands behind one of Ray's; the same error where there is none."""
    return next((one for one in _behind(error) if isinstance(one, SeqtuneError)), error)


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """What Ray says its cause is, the error, and what it was raised from.

    The cause comes first: Ray's own is of the class of ours too, with a traceback for a message.
    """
    if error is None:
        return
    yield from _behind(getattr(error, "cause", None))
    yield error
    failures = getattr(error, "worker_failures", None) or {}
    for failure in failures.values():
        yield from _behind(failure)
    yield from _behind(error.__cause__)
