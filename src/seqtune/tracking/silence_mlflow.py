"""Keep the banners, hints and migration logs of MLflow out of the terminal."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

SETTINGS = {
    "MLFLOW_CONFIGURE_LOGGING": "false",  # it would add handlers to its loggers
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # an unreachable server must not delay a run
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "GIT_PYTHON_REFRESH": "quiet",
    "WANDB_SILENT": "true",
}
"""Read when the libraries are imported; existing values are kept."""
CHATTY = ("mlflow", "alembic", "wandb")


def set_up_quietly() -> None:
    """Apply the settings; call this before any of the libraries is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    quiet_loggers()


def quiet_loggers() -> None:
    """Allow errors only; some libraries set their own level when they are imported."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def quietly() -> Iterator[None]:
    """Suppress their warnings about deprecations in their own code, and their advice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.showwarning = lambda *_, **__: None  # their own filters precede this one
        yield
