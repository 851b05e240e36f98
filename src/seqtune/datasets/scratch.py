"""Folders on this machine: `Scratch` for unfinished artifacts, `Store` for complete ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io.core import AbstractDataset, DatasetError

from seqtune.core.files import make_folder, remove_abandoned

from .object_storage import SCRATCH, require_local


class Scratch(AbstractDataset[None, Path]):
    """A folder on the file system of the artifacts. Loading creates it, removes what
    killed runs have left, and returns its path."""

    _what = "a scratch folder"
    _instead = SCRATCH
    _unsaved = "scratch is a folder to write below, not a dataset to save"

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> Path:
        folder = require_local(self._filepath, what=self._what, instead=self._instead)
        make_folder(folder)
        remove_abandoned(folder)
        return folder

    def save(self, _data: None) -> None:
        raise DatasetError(self._unsaved)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": Path(self._filepath)}


class Store(Scratch):
    """A folder that complete artifacts are added to by name, and never changed."""

    _what = "a store, to which things are added one by one,"
    _instead = (
        "give it a folder that all machines share: repeat its entry in conf/local/catalog.yml"
    )
    _unsaved = "a store is a folder to add to, not a dataset to save"
