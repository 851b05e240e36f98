"""A task is listed without being imported."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib import import_module
from operator import attrgetter

import pytest

from seqtune.core.task import Lazy, TaskSpec
from seqtune.pipeline_registry import TASKS


def test_function_is_imported_when_it_is_called() -> None:
    code = (
        "import sys; from seqtune.core.task import Lazy; f = Lazy('fractions:Fraction');"
        "before = 'fractions' in sys.modules; print(before, f(1, 2))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout.split() == ["False", "1/2"]


def test_attribute_of_a_class_is_found() -> None:
    assert Lazy("datetime:date.fromisoformat")("2026-11-21").year == 2026


def test_wrong_name_fails_loudly() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        Lazy("datetime:no_such_name")()


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_tasks_can_be_sent_to_other_processes(task: TaskSpec) -> None:
    assert pickle.loads(pickle.dumps(task)) == task


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_function_of_a_task_exists(task: TaskSpec) -> None:
    for function in vars(task).values():
        if isinstance(function, Lazy):
            module, _, attribute = function.target.partition(":")
            assert callable(attrgetter(attribute)(import_module(module))), function.target
