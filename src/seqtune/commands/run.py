"""`kedro run`, with one clear message instead of a traceback for what a user can mend."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

import click
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.io.core import DatasetError
from kedro.validation.exceptions import ParameterValidationError
from yaml import YAMLError

from seqtune.core.errors import ConfigurationError, SeqtuneError, storage_error

from .console import plain_outside_a_terminal

logger = logging.getLogger(__name__)

KEDROS = (DatasetError, MissingConfigException, ParameterValidationError)
"""Errors of Kedro whose messages say what to mend."""


def with_user_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that says in one message what a user can mend."""

    @wraps(command)
    def call(*args: Any, **kwargs: Any) -> Any:
        plain_outside_a_terminal()
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
    if isinstance(error, KEDROS) or _is_of_yaml(error):
        return error
    return None


def _is_of_yaml(error: BaseException) -> bool:
    """Files of conf that cannot be read; Kedro's messages name them."""
    text = str(error)
    return isinstance(error, YAMLError) or text.startswith("Duplicate keys found")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_not_a_repetition(record: logging.LogRecord) -> bool:
    """Kedro's node logs the text of the error that is shown at the end anyway."""
    return not str(record.msg).startswith("Node %s failed with error")


def run_or_rehearse(**options: Any) -> Any:
    """`kedro run`; where a task's dry run is asked for, that in the place of its pipelines."""
    asked = dry_runs(options.get("params") or {}, _named(options))
    if asked:
        options |= {"pipeline": None, "pipelines": asked}
    return kedro_run.callback(**options)  # type: ignore[misc]


def dry_runs(params: Mapping[str, Any], named: Sequence[str]) -> list[str]:
    """The dry runs that `--params <task>.dry_run=true` asks for, by the names of their pipelines.

    Refuses one of a task of which no pipeline is run: it would have no effect.
    """
    from seqtune.pipeline_registry import DEFAULT_TASK, DRY_RUN, TASKS

    tasks = [task.name for task in TASKS]
    given = {task: params[task] for task in tasks if isinstance(params.get(task), Mapping)}
    asked = [task for task, values in given.items() if values.get(DRY_RUN) is True]
    prefixes = [name.partition(".")[0] for name in named] or asked
    running = {prefix if prefix in tasks else DEFAULT_TASK.name for prefix in prefixes}
    faults = [
        f"{task}.{DRY_RUN}=true has no effect on {', '.join(named)}; run "
        f"`kedro run --pipelines {task} --params {task}.{DRY_RUN}=true`"
        for task in asked
        if task not in running
    ]
    if faults:
        raise ConfigurationError(faults)
    return [f"{task}.{DRY_RUN}" for task in asked]


def _named(options: Mapping[str, Any]) -> list[str]:
    """The pipelines that were asked for by name."""
    return (
        [options["pipeline"]] if options.get("pipeline") else list(options.get("pipelines") or ())
    )


run = click.Command(
    "run",
    params=kedro_run.params,
    callback=with_user_errors(run_or_rehearse),
    help=kedro_run.help,
    short_help="Run a pipeline.",
    context_settings=kedro_run.context_settings,
)
