"""The datasets that a run saved or found: for the page, the terminal and the loggers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from kedro.io import DataCatalog
from kedro.io.core import DatasetError, Version

from seqtune.core.files import is_version
from seqtune.datasets.remote_path import AnyPath, path_of
from seqtune.datasets.versioned import warn_once

REPORT = "run_report"
"""The dataset of the page, for every task."""
KINDS = {
    "_report": "reports",
    "_analysis": "reports",
    "metrics": "reports",
    "_figure": "figures",
    "_table": "tables",
    "_page": "pages",
    "_config": "configuration",
    "config": "configuration",
    "_configs": "configuration",
    "_space": "configuration",
    "_trials": "trials",
}
"""The kind of a dataset by the end of its name; other datasets are not reported."""


def kind_of(name: str) -> str | None:
    return next((kind for ending, kind in KINDS.items() if name.endswith(ending)), None)


class NodeTime(NamedTuple):
    """The time of a node, including its inputs and outputs, and what it made."""

    name: str
    seconds: float
    outputs: Sequence[str] = ()


class Failure(NamedTuple):
    """The error that ended a run."""

    kind: str
    message: str
    node: str = ""


@dataclass(frozen=True)
class RunRecord:
    """One `kedro run`, as its hooks saw it."""

    version: str
    """The version under which it saved."""
    started: datetime
    seconds: float
    params: Mapping[str, Any]
    """Kedro's `run_params`."""
    nodes: Sequence[NodeTime] = ()
    loaded: Collection[str] = ()
    saved: Collection[str] = ()
    failure: Failure | None = None


class FoundDataset(NamedTuple):
    """One version of one dataset."""

    path: AnyPath
    version: str | None
    """None: the dataset keeps no versions."""
    here: bool
    """Whether this run made it."""

    def origin(self) -> dict[str, Any]:
        return {"version": self.version, "here": self.here}


def entry_of(catalog: DataCatalog, name: str) -> Mapping[str, Any]:
    """Return the catalog entry of a file or folder; empty for any other dataset."""
    resolver = catalog.config_resolver
    if name not in resolver.config and resolver.match_dataset_pattern(name) is None:
        return {}
    entry: Mapping[str, Any] = resolver.resolve_pattern(name)
    return entry if path_of(entry) else {}


def place_of(catalog: DataCatalog, name: str, version: str) -> AnyPath | None:
    """Return the path of one version of a dataset; None for one in memory."""
    return path_of(entry_of(catalog, name), version)


@dataclass(frozen=True)
class RunFacts:
    """The datasets of the catalog in the version of a run: its own, the pinned, or the newest.

    Versions are looked up by path: a dataset object would import its class, and perhaps Plotly.
    """

    catalog: DataCatalog
    run: RunRecord
    tasks: Collection[str] = ()
    """All tasks of the project."""

    def find(self, name: str) -> FoundDataset | None:
        """Find a dataset; return None if it does not exist."""
        entry, here = entry_of(self.catalog, name), name in self.run.saved
        path = path_of(entry)
        if path is None:
            return None
        version = self._version(name, path, here=here) if entry.get("versioned") else None
        found = path_of(entry, version)
        return FoundDataset(found, version, here) if found and found.exists() else None

    def _version(self, name: str, path: AnyPath, *, here: bool) -> str:
        if here:
            return self.run.version
        if pinned := (self.run.params.get("load_versions") or {}).get(name):
            return str(pinned)
        names = (each.parent.name for each in path.glob(f"*/{path.name}"))
        return max(filter(is_version, names), default="none")

    def document(self, name: str) -> dict[str, Any] | None:
        """Load `{"value": .., "version": .., "here": ..}`; return None if there is no value.

        A damaged file is named and left out.
        """
        found = self.find(name)
        if found is None:
            return None
        version = Version(found.version, None) if found.version else None
        dataset = self.catalog.get(name, version=version)
        try:
            value = dataset.load() if dataset else None
        except DatasetError as error:
            warn_once(f"the report leaves out {name}: {error.__cause__ or error}")
            return None
        return None if value is None else {"value": value, **found.origin()}

    def saved_places(self) -> dict[str, AnyPath]:
        """Return the paths that the nodes of this run saved, in their order."""
        names = [name for node in self.run.nodes for name in node.outputs]
        places = {name: place_of(self.catalog, name, self.run.version) for name in names}
        return {name: place for name, place in places.items() if place}

    def headline(self, name: str) -> Sequence[str]:
        """Return the summary lines of a report."""
        value = (self.document(name) or {}).get("value") if kind_of(name) == "reports" else None
        return value.get("headline", ()) if isinstance(value, Mapping) else ()

    def names_like(self, name: str) -> Iterator[str]:
        """Yield the datasets of a task in the same folder with the same ending (`x_figure`)."""
        task, _, last = name.rpartition(".")
        if path := path_of(entry_of(self.catalog, name)):
            pattern = f"*_{last.partition('_')[2]}{path.suffix}"
            for found in sorted(file.name for file in path.parent.glob(pattern)):
                yield f"{task}.{found.removesuffix(path.suffix)}"
