"""`kedro run`, with one clear message instead of a traceback for errors that a user can fix."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import click
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import KedroCliError
from kedro.io.core import DatasetError
from kedro.validation.exceptions import ParameterValidationError
from omegaconf.errors import OmegaConfBaseException
from typing_extensions import override
from yaml import YAMLError

from seqtune.core.errors import ConfigurationError, SeqtuneError, storage_error

from .console import use_plain_logs_outside_terminal
from .options import check_options, check_pipelines, with_checks

logger = logging.getLogger(__name__)

KEDRO_ERRORS = (
    DatasetError,
    KedroCliError,
    MissingConfigException,
    OmegaConfBaseException,
    ParameterValidationError,
    YAMLError,
)
"""Errors of Kedro and OmegaConf whose messages say what to fix."""


def with_user_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that an error a user can fix is one message, not a traceback."""

    @wraps(command)
    def call(*args: Any, **kwargs: Any) -> Any:
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


class ProjectCommand(click.Command):
    """A command whose errors that a user can fix are one message each, those of options too."""

    make_context = with_user_errors(click.Command.make_context)

    @with_user_errors
    @override
    def invoke(self, ctx: click.Context) -> Any:
        use_plain_logs_outside_terminal()
        # Kedro 1.7 uses the old name; omegaconf 2.4 has a new one.
        warnings.filterwarnings("ignore", "register_new_resolver", UserWarning)
        for name in ("pipeline.node", "runner.sequential_runner", "runner.thread_runner"):
            logging.getLogger(f"kedro.{name}").addFilter(_is_useful)
        return super().invoke(ctx)


def explain(error: BaseException) -> BaseException | None:
    """Return the error to show, even if Kedro wrapped it; None for a bug."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SeqtuneError):
            return cause
        if isinstance(cause, OSError):
            place = cause.filename2 or cause.filename or "data"  # the second: what a move writes
            if known := storage_error(cause, place):
                return known
        cause = cause.__cause__ or cause.__context__
    is_duplicate = str(error).startswith("Duplicate keys found")
    return error if is_duplicate or isinstance(error, KEDRO_ERRORS) else None


def _is_useful(record: logging.LogRecord) -> bool:
    """Drop Kedro's lines that repeat the error shown at the end, or advise not to mend it."""
    return not str(record.msg).startswith(("Node %s failed with error", "No nodes ran. Repeat"))


def run_or_dry_run(**options: Any) -> Any:
    """Run `kedro run`, with dry runs in place of a task's pipelines if asked to."""
    names = check_pipelines(options)
    if asked := dry_runs(options.get("params") or {}, names):
        options |= {"pipeline": None, "pipelines": asked}
    check_options(options, asked or names)
    return kedro_run.callback(**options)  # type: ignore[misc]


def dry_runs(params: Mapping[str, Any], named: Sequence[str]) -> list[str]:
    """Return the pipelines of the dry runs that `--params <task>.dry_run=true` asks for.

    Refuse one of a task of which no pipeline runs: it would have no effect.
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


run = ProjectCommand(
    "run",
    params=[with_checks(option) for option in kedro_run.params],
    callback=run_or_dry_run,
    help=kedro_run.help,
    short_help="Run a pipeline.",
    context_settings=kedro_run.context_settings,
)
