"""No module of seqtune imports itself through others, wherever the imports stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
PACKAGE = "seqtune"


def modules() -> dict[str, Path]:
    """Files of the package by the name of their module."""
    found = {}
    for path in sorted((SOURCE / PACKAGE).rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(module: str, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Modules that one imports at its top, for types alone, or within functions.

    A package that is named only on the way to a module of its own does not count.
    """
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*up, node.module or ""]).rstrip(".") if node.level else node.module
            names = [f"{base}.{alias.name}" for alias in node.names]
            yield from (name for name in names if name in known)
            if base in known and any(name not in known for name in names):
                yield str(base)


def graph() -> dict[str, set[str]]:
    known = modules()
    return {module: {*imported(module, path, known)} - {module} for module, path in known.items()}


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "from . import two\n"
        "if TYPE_CHECKING:\n    from .three import Name\n"
        "def call():\n    import seqtune.four\n"
        "from .five.six import name\n",
        encoding="utf-8",
    )
    known = dict.fromkeys(f"seqtune.{name}" for name in ("two", "three", "four", "five.six"))
    found = {*imported("seqtune.one", file, known)}  # type: ignore[arg-type]
    assert found == set(known)
    assert {*imported("seqtune.five.one", file, {"seqtune.five.two": file})} == {"seqtune.five.two"}


def test_a_circle_is_found() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"c"}, "c": {"a"}}).prepare()


def test_no_module_imports_itself_through_others() -> None:
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(f"modules import one another in a circle: {' -> '.join(error.args[1])}")
