"""`Scratch`: a folder for what is not finished yet, on the file system of what is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io.core import AbstractDataset, DatasetError

from .object_storage import SCRATCH, require_local


class Scratch(AbstractDataset[None, Path]):
    """Loading creates the folder and gives its path."""

    _what = "a scratch folder"
    _instead = SCRATCH

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> Path:
        folder = require_local(self._filepath, what=self._what, instead=self._instead)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save(self, _data: None) -> None:
        raise DatasetError("scratch is a folder to write below, not a dataset to save")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": Path(self._filepath)}
