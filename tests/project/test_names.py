"""A class name has one meaning: no public class is defined twice, but for counterparts in tasks."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "seqtune"
OTHER_MODULES = {
    "ModelConfig": "recommend has a package of models, whose config is models/config.py",
}
"""Counterparts that do not lie in modules of the same name, each with the reason."""


def find_classes(source: Path) -> dict[str, list[Path]]:
    """Modules that define each public class, relative to `source`, nested classes included."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(source.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path.relative_to(source))
    return found


def are_counterparts(paths: Collection[Path], *, may_differ: bool = False) -> bool:
    """Whether each is of another task (`tasks/<task>/<module>`), in a module of the same name."""
    tasks = {path.parts[1] for path in paths if path.parts[0] == "tasks" and len(path.parts) > 2}
    modules = {path.parts[2:] for path in paths}
    return len(tasks) == len(paths) and (may_differ or len(modules) == 1)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["tasks/a/params.py", "tasks/b/params.py"], True),
        (["tasks/a/params.py", "tasks/b/config.py"], False),
        (["tasks/a/params.py", "tasks/a/params.py"], False),
        (["tasks/a/params.py", "core/params.py"], False),
        (["core/params.py", "tuning/params.py"], False),
    ],
)
def test_counterparts_are_modules_of_the_same_name(paths: list[str], expected: bool) -> None:
    assert are_counterparts([Path(path) for path in paths]) is expected


def test_each_class_name_has_one_meaning() -> None:
    repeated = {
        name: [str(path) for path in paths]
        for name, paths in find_classes(SOURCE).items()
        if len(paths) > 1 and not are_counterparts(paths, may_differ=name in OTHER_MODULES)
    }
    assert not repeated


def test_every_exception_is_still_needed() -> None:
    classes = find_classes(SOURCE)
    assert [name for name in OTHER_MODULES if are_counterparts(classes[name])] == []
    assert set(OTHER_MODULES) <= {name for name, paths in classes.items() if len(paths) > 1}
