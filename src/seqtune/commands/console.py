"""What a run says: coloured and wrapped in a terminal, one plain line a message elsewhere."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

from typing_extensions import override

PLAIN = "%(asctime)s %(levelname)-7s %(message)s"
LOGGERS = (None, "kedro")
"""Those that conf/logging.yml gives handlers; None is the root."""


def plain_outside_a_terminal() -> None:
    """Rich would cut the lines of a log file to 80 columns, and pad them."""
    if sys.stdout.isatty():
        return
    from rich.logging import RichHandler

    for logger in map(logging.getLogger, LOGGERS):
        for handler in logger.handlers:
            if isinstance(handler, RichHandler):
                logger.removeHandler(handler)
                logger.addHandler(_plain(markup=handler.markup))


def _plain(*, markup: bool) -> logging.Handler:
    plain = logging.StreamHandler(sys.stdout)
    plain.setFormatter(_WithoutMarkup(PLAIN) if markup else logging.Formatter(PLAIN))
    return plain


class _WithoutMarkup(logging.Formatter):
    """Kedro's messages carry Rich's markup for colours."""

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        from rich.errors import MarkupError
        from rich.text import Text

        with suppress(MarkupError):  # brackets of a path or a list
            record.message = Text.from_markup(record.message).plain
        return super().formatMessage(record)
