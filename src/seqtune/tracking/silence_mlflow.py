"""MLflow kept out of our terminal: its banners, its hints, and alembic's diary."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SETTINGS = {
    "MLFLOW_CONFIGURE_LOGGING": "false",  # it would give its loggers handlers of their own
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # a server that is away must not hold up a run
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "GIT_PYTHON_REFRESH": "quiet",
    "WANDB_SILENT": "true",
}
"""Read by the libraries when they are imported; what is set already stays."""
CHATTY = ("mlflow", "alembic", "wandb")


def set_up_quietly() -> None:
    """Before any of them is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    quiet_loggers()


def quiet_loggers() -> None:
    """Errors only; some set their own level when they are imported."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def quietly() -> Iterator[None]:
    """Without their warnings: of what is deprecated in their own code, and of what they advise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.showwarning = _say_nothing  # their own filters come before ours
        yield


def _say_nothing(*_args: Any, **_kwargs: Any) -> None:
    pass
