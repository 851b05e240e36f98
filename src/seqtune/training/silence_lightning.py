"""Keep Lightning's tips out of the log and standard error."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.fabric.utilities.warnings import PossibleUserWarning

_CHATTY = ("lightning.pytorch", "lightning.fabric")


def silence_warnings() -> None:
    """Ignore Lightning's warnings and tips from now on."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # numbers of workers, modules in eval mode, sums over devices: chosen on purpose, or tested
    warnings.filterwarnings("ignore", category=PossibleUserWarning)
    warnings.filterwarnings("ignore", module=r"lightning\.")


@contextmanager
def silence_lightning() -> Iterator[None]:
    """Silence Lightning inside the context only."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            silence_warnings()
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
