"""Where a run saves what."""

from __future__ import annotations

from kedro.io import DataCatalog

from seqtune.datasets.remote_path import AnyPath, path_of


def place_of(catalog: DataCatalog, name: str, save_version: str) -> AnyPath | None:
    """The file or folder of a dataset in this run's version; None for one in memory."""
    entry = catalog.config_resolver.resolve_pattern(name)
    return path_of(entry, save_version) if entry else None
