"""Log a line every 20 seconds during a long transfer."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from fsspec import Callback

from seqtune.core.format import format_size

EVERY_SECONDS = 20.0

logger = logging.getLogger(__name__)


class Progress(Callback):  # type: ignore[misc]  # fsspec has no types
    """Logs the size of a transfer of several files, and how much of it is done."""

    def __init__(self, doing: str, sizes: Iterable[int]) -> None:
        sizes = list(sizes)
        super().__init__(size=sum(sizes))
        self._doing = doing
        self._before = 0
        self._reported = time.monotonic()
        files = "1 file" if len(sizes) == 1 else f"{len(sizes)} files"
        logger.info("%s: %s, %s", doing, files, format_size(self.size))

    def set_size(self, size: int) -> None:  # noqa: ARG002
        """Start the next file; fsspec does not know that there are others."""
        self._before = self.value

    def absolute_update(self, value: int) -> None:
        super().absolute_update(self._before + value)

    def call(self, *_: Any, **__: Any) -> None:
        if time.monotonic() - self._reported >= EVERY_SECONDS:
            self._reported = time.monotonic()
            logger.info(
                "%s: %s of %s", self._doing, format_size(self.value), format_size(self.size)
            )
