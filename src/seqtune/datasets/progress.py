"""A line every 20 seconds about a transfer that takes long."""

from __future__ import annotations

import logging
import time
from typing import Any

EVERY_SECONDS = 20.0

logger = logging.getLogger(__name__)


class Progress:
    """How much of how much has come through, over all files of one transfer."""

    def __init__(self, doing: str, *, num_files: int, num_bytes: int) -> None:
        self._doing = doing
        self._num_bytes = num_bytes
        self._done = 0
        self._told = time.monotonic()
        files = "1 file" if num_files == 1 else f"{num_files} files"
        logger.info("%s: %s, %s", doing, files, spelled(num_bytes))

    def callback(self) -> Any:
        """What fsspec tells of one file."""
        from fsspec import Callback

        before = self._done
        return Callback(hooks={"progress": lambda _size, value, **_: self._at(before + value)})

    def _at(self, done: int) -> None:
        self._done = done
        if time.monotonic() - self._told >= EVERY_SECONDS:
            self._told = time.monotonic()
            logger.info("%s: %s of %s", self._doing, spelled(done), spelled(self._num_bytes))


def spelled(num_bytes: int) -> str:
    """A size as people say it."""
    size, units = float(num_bytes), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.0f} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"
