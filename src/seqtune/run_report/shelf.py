"""Where a run's results stand: this run's own version, a pinned one, or the newest.

Entries are read through datasets of the catalog's own classes, made anew for one version. The
catalog of the run stays as it was, and nothing that was not asked for is imported.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kedro.io import AbstractDataset, DataCatalog

from seqtune.datasets.remote_path import AnyPath, path_of

from .record import RunRecord


class Found(NamedTuple):
    """One version of one dataset."""

    path: AnyPath
    version: str | None
    """None: the dataset keeps no versions."""
    here: bool
    """Whether this run made it."""

    def said(self) -> dict[str, Any]:
        return {"version": self.version, "here": self.here}


@dataclass(frozen=True)
class Shelf:
    """The datasets of one task."""

    task: str
    catalog: DataCatalog
    run: RunRecord

    def entry(self, name: str) -> Mapping[str, Any]:
        """Its entry in the catalog; empty where there is none, or where it is not a file."""
        resolver = self.catalog.config_resolver
        whole = f"{self.task}.{name}"
        if whole not in resolver.config and resolver.match_dataset_pattern(whole) is None:
            return {}
        entry: Mapping[str, Any] = resolver.resolve_pattern(whole)
        return entry if path_of(entry) else {}

    def find(self, name: str) -> Found | None:
        """Where it is, if there is one."""
        entry = self.entry(name)
        path = path_of(entry)
        if path is None:
            return None
        here = f"{self.task}.{name}" in self.run.saved
        if not entry.get("versioned"):
            return Found(path, None, here) if path.exists() else None
        version = self._version(path, f"{self.task}.{name}", here=here)
        if version is None:
            return None
        return Found(path / version / path.name, version, here)

    def _version(self, path: AnyPath, whole: str, *, here: bool) -> str | None:
        if here:
            return self.run.version
        if pinned := (self.run.params.get("load_versions") or {}).get(whole):
            return str(pinned)
        versions = sorted(each.parent.name for each in path.glob(f"*/{path.name}"))
        return versions[-1] if versions else None

    def document(self, name: str) -> dict[str, Any] | None:
        """`{"value": .., "version": .., "here": ..}`; None where there is none."""
        found = self.find(name)
        if found is None or not found.path.exists():
            return None
        dataset = AbstractDataset.from_config(
            f"{self.task}.{name}", dict(self.entry(name)), load_version=found.version
        )
        value = dataset.load()
        return None if value is None else {"value": value, **found.said()}

    def files_like(self, name: str) -> Iterator[str]:
        """Names of the datasets that stand beside this one and end as it does (`x_figure`)."""
        entry, ending = self.entry(name), name.partition("_")[2]
        if path := path_of(entry):
            found = path.parent.glob(f"*_{ending}{path.suffix}")
            yield from sorted(each.name.removesuffix(path.suffix) for each in found)


MOST_ROWS = 200
"""Of a table; the file has them all."""


def read_table(path: AnyPath) -> dict[str, Any]:
    """The content of a CSV: `columns`, the first of its `rows`, and how many are left out."""
    text = io.StringIO(path.read_text(encoding="utf-8"), newline="")
    columns, *rows = list(csv.reader(text)) or [[]]
    numeric = [all(_is_number(row[place]) for row in rows) for place in range(len(columns))]
    read = [
        [_number(cell) if is_number else cell for cell, is_number in zip(row, numeric, strict=True)]
        for row in rows[:MOST_ROWS]
    ]
    return {"columns": columns, "rows": read, "left_out": max(0, len(rows) - MOST_ROWS)}


def _is_number(cell: str) -> bool:
    try:
        return cell == "" or math.isfinite(float(cell))
    except ValueError:
        return False


def _number(cell: str) -> float | int | None:
    """A float is one by how it is written: 12 stays 12."""
    if cell == "":
        return None
    return int(cell) if cell.lstrip("-").isdecimal() else float(cell)


def read_json(path: AnyPath) -> Any:
    """The content of a JSON file; None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
