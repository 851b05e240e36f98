"""Models that parameters name: a folder, or a version of a dataset in the catalog."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path


def versions_folder(model: Path) -> Path:
    """Return the folder with all versions of the dataset that this model is one of."""
    return model.parents[1]


def find_model(name: str, places: Sequence[Path], manifests: Collection[str]) -> Path | None:
    """Return the folder of a name that holds one of the manifests: a path, or a version below one
    of the places (`versions_folder`); None if there is none."""
    folders = [Path(name), *(place / name / place.name for place in places)]
    return next((f for f in folders if any((f / each).is_file() for each in manifests)), None)


def known_versions(places: Sequence[Path]) -> str:
    """List the versions below the places, for a message."""
    return ", ".join(
        sorted(one.name for place in places for one in place.iterdir() if one.is_dir())
    )
