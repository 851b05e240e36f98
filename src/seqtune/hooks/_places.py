"""Where a run saves what."""

from __future__ import annotations

from pathlib import Path

from kedro.io import DataCatalog

from seqtune.summary import saved_place


def place_of(catalog: DataCatalog, name: str, save_version: str) -> Path | None:
    """The file or folder of a dataset in this run's version; None for one in memory."""
    entry = catalog.config_resolver.resolve_pattern(name)
    return saved_place(entry, save_version) if entry else None
