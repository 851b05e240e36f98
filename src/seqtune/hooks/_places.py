"""Where a run saves what."""

from __future__ import annotations

from pathlib import Path

from kedro.io import DataCatalog

from seqtune.datasets.remote_path import AnyPath, RemotePath
from seqtune.summary import saved_place


def place_of(catalog: DataCatalog, name: str, save_version: str) -> AnyPath | None:
    """The file or folder of a dataset in this run's version; None for one in memory."""
    entry = catalog.config_resolver.resolve_pattern(name)
    return saved_place(entry, save_version) if entry else None


def fetched(catalog: DataCatalog, name: str, save_version: str, *, folder: Path) -> Path | None:
    """The same on this machine: from object storage, a file is fetched to a folder."""
    place = place_of(catalog, name, save_version)
    if not isinstance(place, RemotePath):
        return place
    if place.is_artifact:
        return Path(catalog[name].load())  # which is in the cache
    return place.fetch(folder / name) if place.is_file() else None
