"""Nothing of ours uses a private name of the frameworks that it builds on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
LIBRARIES = ("kedro", "kedro_viz", "kedro_datasets", "kedro_mlflow", "mlflow", "optuna")
LIBRARIES += ("lightning", "ray")
ALLOWED: dict[tuple[str, str], str] = {}
"""Reasons of exceptions, by file (below src) and private name."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def is_of_library(module: str | None) -> bool:
    return (module or "").split(".")[0] in LIBRARIES


def find_imported(tree: ast.AST) -> tuple[set[str], list[str]]:
    """Names that stand for a library or something of it, and the private names among imports."""
    names, private = set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in filter(lambda alias: is_of_library(alias.name), node.names):
                names.add(alias.asname or alias.name.split(".")[0])
                private += [alias.name] if any(map(is_private, alias.name.split("."))) else []
        elif isinstance(node, ast.ImportFrom) and not node.level and is_of_library(node.module):
            for alias in node.names:
                names.add(alias.asname or alias.name)
                full = f"{node.module}.{alias.name}"
                private += [full] if any(map(is_private, full.split("."))) else []
    return names, private


def find_read(tree: ast.AST, names: set[str]) -> Iterator[str]:
    """Private attributes at the end of a chain that starts with one of these names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            start: ast.expr = node
            while not isinstance(start, ast.Name):
                if isinstance(start, ast.Attribute | ast.Subscript):
                    start = start.value
                elif isinstance(start, ast.Call):
                    start = start.func
                else:
                    break
            if isinstance(start, ast.Name) and start.id in names:
                yield ast.unparse(node)


def find_private(source: str) -> list[str]:
    tree = ast.parse(source)
    names, private = find_imported(tree)
    return [*private, *find_read(tree, names)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import optuna._private", ["optuna._private"]),
        ("from lightning.pytorch._x import y", ["lightning.pytorch._x.y"]),
        ("from mlflow.server import _x", ["mlflow.server._x"]),
        ("def f():\n    import ray\n    ray.x._y", ["ray.x._y"]),
        ("import optuna as o\no.create_study()._storage", ["o.create_study()._storage"]),
        ("from kedro.io import DataCatalog\nDataCatalog._load()", ["DataCatalog._load"]),
        ("import kedro\nkedro.__version__", []),
        ("import torch._dynamo\nfrom . import _own\nself._x", []),
    ],
)
def test_private_names_are_found(source: str, found: list[str]) -> None:
    assert find_private(source) == found


def test_no_module_uses_private_names_of_the_frameworks() -> None:
    used = {
        (str(path.relative_to(SOURCE)), name)
        for path in sorted(SOURCE.rglob("*.py"))
        for name in find_private(path.read_text(encoding="utf-8"))
    }
    assert used == set(ALLOWED)
    assert all(ALLOWED.values())
