"""Find the errors of other processes inside those that Ray raises."""

from __future__ import annotations

from collections.abc import Iterator

from seqtune.core.errors import SeqtuneError


def unwrap_ray_error(error: BaseException) -> BaseException:
    """Return the SeqtuneError that caused an error of Ray's; without one, the error itself."""
    return next((one for one in _causes(error) if isinstance(one, SeqtuneError)), error)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield Ray's `cause`, the error, and the errors that it was raised from.

    `cause` comes first: Ray's own error has its class too, but a traceback as its message.
    """
    if error is None:
        return
    yield from _causes(getattr(error, "cause", None))
    yield error
    failures = getattr(error, "worker_failures", None) or {}
    for failure in failures.values():
        yield from _causes(failure)
    yield from _causes(error.__cause__)
