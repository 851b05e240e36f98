"""`Scratch`: a folder for what is not finished yet, on the file system of what is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io.core import AbstractDataset, DatasetError


class Scratch(AbstractDataset[None, Path]):
    """Loading creates the folder and gives its path."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        self._filepath.mkdir(parents=True, exist_ok=True)
        return self._filepath

    def save(self, _data: None) -> None:
        raise DatasetError("scratch is a folder to write below, not a dataset to save")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
