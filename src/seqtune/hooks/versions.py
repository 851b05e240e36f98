"""Checks of the versions asked for with `--load-versions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog

from seqtune.core.errors import ConfigurationError, did_you_mean
from seqtune.datasets.remote_path import path_of


class VersionHooks:
    """Refuses a version that does not exist, or of a dataset that has none, before any node."""

    @hook_impl
    def after_catalog_created(
        self, catalog: DataCatalog, load_versions: dict[str, str] | None
    ) -> None:
        faults = [
            f"--load-versions {name}:{version}: {fault}"
            for name, version in (load_versions or {}).items()
            if (fault := _fault(catalog.config_resolver.resolve_pattern(name), version))
        ]
        if faults:
            raise ConfigurationError(faults)


def _fault(entry: Mapping[str, Any], version: str) -> str:
    if not entry.get("versioned"):
        return "this dataset has no versions; leave it out"
    path = path_of(entry, version)
    if path is None or path.exists():
        return ""
    others = sorted(other.parent.name for other in path.parent.parent.glob(f"*/{path.name}"))
    if not others:
        return "it has no version yet"
    return f"there is no such version; {did_you_mean(version, others)} (the newest: {others[-1]})"
