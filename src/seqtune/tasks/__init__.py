"""One folder per task. Tasks know nothing of one another, of tuning or of training."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from seqtune.core.task import TaskSpec

DEFAULT_TASK = "recommend"
"""Its pipelines have names without a prefix too."""


def find_tasks() -> tuple[TaskSpec, ...]:
    """The `TASK` of every folder here: the default one first, then by name."""
    names = sorted((module.name for module in iter_modules(__path__)), key=_place)
    return tuple(import_module(f"{__name__}.{name}").TASK for name in names)


def _place(name: str) -> tuple[bool, str]:
    return name != DEFAULT_TASK, name
