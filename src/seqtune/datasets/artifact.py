"""`Artifact`: a file or folder that a node wrote in scratch, published whole or not at all.

Large results (interactions, arrays, checkpoints, predictions) are never one object in memory: a
node writes them below `Scratch` and returns the path; saving moves it to its version. A version
that exists is therefore complete.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, NewType

from kedro.io.core import Version

from .cache import Cache
from .object_storage import RemotePath
from .version_store import BucketStore
from .versioned import Versioned

PREVIEW_ROWS = 20
TablePreview = NewType("TablePreview", dict[str, Any])
"""Kedro-Viz recognises a preview by the name of its type."""


class Artifact(Versioned[Path, Path, BucketStore]):
    """A path to something complete. Loading returns the path; the reader opens it.

    Args:
        cache: The folder that object storage is fetched to, once for each version.
    """

    def __init__(
        self,
        *,
        filepath: str,
        cache: str | None = None,
        version: Version | None = None,
        **arguments: Any,
    ) -> None:
        def remote(root: RemotePath) -> BucketStore:
            fetched = Cache.named(cache, address=str(root))
            return BucketStore(root, fetched, versioned=version is not None)

        super().__init__(filepath=filepath, remote=remote, version=version, **arguments)

    def load(self) -> Path:
        path = self._find()
        return self._place.open(path) if path else None  # type: ignore[return-value]  # optional

    def save(self, data: Path) -> None:
        target = str(self._get_save_path())
        self._place.publish(Path(data), target, replace=self._version is None)
        with suppress(OSError):  # the node's folder in scratch, if it is empty now
            Path(data).parent.rmdir()

    def preview(self) -> TablePreview:
        """Return the first rows of a Parquet or CSV file, for Kedro-Viz."""
        import pandas as pd

        path = self.load()
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            batch = next(pq.ParquetFile(path).iter_batches(batch_size=PREVIEW_ROWS), None)
            frame = pd.DataFrame() if batch is None else batch.to_pandas()
        else:
            frame = pd.read_csv(path, nrows=PREVIEW_ROWS, dtype=str, keep_default_na=False)
        return TablePreview(frame.astype(str).to_dict(orient="split"))
