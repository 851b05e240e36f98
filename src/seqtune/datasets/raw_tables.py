"""`RawTables`: the user's own files of several tables, by the names of the tables."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from kedro.io.core import AbstractDataset, DatasetError

from seqtune.core.errors import DataError, did_you_mean
from seqtune.core.secrets import mask

from .raw_files import RawFiles

FindTables = Callable[[Collection[str]], dict[str, tuple[Path, ...]]]
NAME = "{name}"


class RawTables(AbstractDataset[None, FindTables]):
    """Loads a function from names of tables, which are parameters, to the files of each.

    Args:
        filepath: The path of a table, with `{name}` for its name; the file may be absent.
        tables: Tables in other places, each with the arguments of its `RawFiles`.
        metadata: For Kedro-Viz.
        arguments: Further arguments of `RawFiles`, for every table.
    """

    def __init__(
        self,
        *,
        filepath: str,
        tables: dict[str, dict[str, Any]] | None = None,
        metadata: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        if NAME not in filepath:
            raise DatasetError(f"filepath {mask(filepath)} does not contain {NAME}")
        self._filepath = filepath
        self._tables = tables or {}
        self._arguments = arguments
        self.metadata = metadata

    def load(self) -> FindTables:
        return self._find

    def save(self, _data: None) -> None:
        raise DatasetError("raw files are never written by seqtune")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": mask(self._filepath), "tables": sorted(self._tables)}

    def _find(self, names: Collection[str]) -> dict[str, tuple[Path, ...]]:
        for name in self._tables:
            if name not in names:
                raise DataError(
                    f"the catalog gives files of a table {name!r}, which is not declared: "
                    f"{did_you_mean(name, list(names))}"
                )
        return {name: self._files(name).load() for name in names}

    def _files(self, name: str) -> RawFiles:
        arguments: dict[str, Any] = {
            "filepath": self._filepath.replace(NAME, name),
            "optional": name not in self._tables,
            **self._arguments,
            **self._tables.get(name, {}),
        }
        arguments["looks_like"] = arguments.get("looks_like", "").replace(NAME, name)
        return RawFiles(**arguments)
