"""`kedro run`, with one clear message instead of a traceback for what a user can mend."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import click
from kedro import KedroDeprecationWarning
from kedro.framework.cli.project import run as kedro_run
from kedro.io.core import DatasetError
from kedro.validation.exceptions import ParameterValidationError

from seqtune.contracts.errors import SeqtuneError, storage_error

from .console import plain_outside_a_terminal

logger = logging.getLogger(__name__)


def friendly(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that says in one message what a user can mend."""

    @wraps(command)
    def call(*args: Any, **kwargs: Any) -> Any:
        plain_outside_a_terminal()
        # `--pipeline NAME` is how seqtune is used and documented.
        warnings.filterwarnings("ignore", "Option '--pipeline'", KedroDeprecationWarning)
        # Kedro 1.7 calls it so; omegaconf 2.4 has renamed it.
        warnings.filterwarnings("ignore", "register_new_resolver", UserWarning)
        logging.getLogger("kedro.pipeline.node").addFilter(_is_not_a_repetition)
        try:
            return command(*args, **kwargs)
        except Exception as error:
            explained = explain(error)
            if explained is None:
                raise
            logger.debug("the error in full", exc_info=error)
            click.secho("\nError: ", fg="red", bold=True, nl=False, err=True)
            click.echo(str(explained), err=True)
            sys.exit(getattr(explained, "exit_code", 1))

    return call


def explain(error: BaseException) -> BaseException | None:
    """The error to show for an exception: ours, wherever Kedro wrapped it; None for a bug."""
    for cause in _chain(error):
        if isinstance(cause, SeqtuneError):
            return cause
        if isinstance(cause, OSError) and (known := storage_error(cause, cause.filename or "data")):
            return known
    if isinstance(error, DatasetError | ParameterValidationError):
        return error
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_not_a_repetition(record: logging.LogRecord) -> bool:
    """Kedro's node logs the text of the error that is shown at the end anyway."""
    return not str(record.msg).startswith("Node %s failed with error")


run = click.Command(
    "run",
    params=kedro_run.params,
    callback=friendly(kedro_run.callback),  # type: ignore[arg-type]
    help=kedro_run.help,
    short_help="Run a pipeline.",
    context_settings=kedro_run.context_settings,
)
