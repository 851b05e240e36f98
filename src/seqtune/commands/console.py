"""Console output: coloured and wrapped in a terminal, one plain line per message elsewhere."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

from typing_extensions import override

PLAIN = "%(asctime)s %(levelname)-7s %(message)s"
LOGGERS = (None, "kedro")
"""The loggers that have handlers; None is the root."""


def use_plain_logs_outside_terminal() -> None:
    """Replace Rich outside a terminal: it would wrap and pad the lines of a log file."""
    if sys.stdout.isatty():
        return
    from rich.logging import RichHandler

    for logger in map(logging.getLogger, LOGGERS):
        for handler in logger.handlers:
            if isinstance(handler, RichHandler):
                logger.removeHandler(handler)
                plain = logging.StreamHandler(sys.stdout)
                formatter = MarkupRemover if handler.markup else logging.Formatter
                plain.setFormatter(formatter(PLAIN))
                logger.addHandler(plain)


class MarkupRemover(logging.Formatter):
    """Remove Rich's markup for colours from Kedro's messages."""

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        from rich.errors import MarkupError
        from rich.text import Text

        with suppress(MarkupError):  # the brackets of a path or a list
            record.message = Text.from_markup(record.message).plain
        return super().formatMessage(record)
