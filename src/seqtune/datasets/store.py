"""`Store`: a folder that complete things are added to, each under a name that says what it is."""

from __future__ import annotations

from kedro.io.core import DatasetError
from typing_extensions import override

from .scratch import Scratch


class Store(Scratch):
    """Loading creates the folder and gives its path. What is in it is never changed."""

    _what = "a store, to which things are added one by one,"
    _instead = (
        "give it a folder that all machines share: repeat its entry in conf/local/catalog.yml"
    )

    @override
    def save(self, _data: None) -> None:
        raise DatasetError("a store is a folder to add to, not a dataset to save")
