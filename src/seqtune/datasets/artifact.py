"""`Artifact`: a file or folder that a node wrote in scratch, published whole or not at all.

Large results (interactions, arrays, checkpoints, predictions) are never one object in memory: a
node writes them below `Scratch` and returns the path; saving moves it to its version. A version
that exists is therefore complete.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NewType

from kedro.io.core import AbstractVersionedDataset, Version, VersionNotFoundError

from seqtune.core.errors import ArtifactError, SeqtuneError

from .cache import Cache
from .object_storage import RemotePath, is_remote
from .version_store import BucketStore, DiskStore

PREVIEW_ROWS = 20
TablePreview = NewType("TablePreview", dict[str, Any])
"""Kedro-Viz recognises a preview by the name of its type."""


class Artifact(AbstractVersionedDataset[Path, Path]):
    """A path to something complete. Loading returns the path; the reader opens it.

    Args:
        filepath: Where it lives, on this machine or in object storage (s3://, gs://, abfs://); with
            `versioned: true`, Kedro puts the version below it.
        made_by: The pipeline that makes it, for the error when it does not exist.
        optional: Load `None` instead of failing when it does not exist.
        credentials: For the object storage, by the names of its fsspec backend (`key`, `secret`).
        fs_args: Further arguments of the backend (`endpoint_url`).
        cache: The folder that object storage is fetched to, once for each version.
    """

    def __init__(
        self,
        *,
        filepath: str,
        made_by: str = "",
        optional: bool = False,
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        cache: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._place: DiskStore | BucketStore = DiskStore()
        if is_remote(filepath):
            root = RemotePath.at(filepath, credentials=credentials, fs_args=fs_args)
            fetched = Cache.named(cache, address=str(root))
            self._place = BucketStore(root, fetched, versioned=version is not None)
            filepath = root.path
        super().__init__(
            filepath=PurePosixPath(filepath),
            version=version,
            exists_function=self._place.exists,
            glob_function=self._place.glob,
        )
        self._made_by = made_by
        self._optional = optional
        self.metadata = metadata

    def load(self) -> Path:
        path = self._newest()
        if self._place.exists(path):
            return self._place.open(path)
        wanted = self._version.load if self._version else None
        if self._optional and not wanted:
            return None  # type: ignore[return-value]
        hint = f"; run `kedro run --pipelines {self._made_by}` first" if self._made_by else ""
        raise ArtifactError(f"there is no {self._place.spelled(path)}{hint}")

    def _newest(self) -> str:
        """Return the pinned or the newest version; the plain path if there is none."""
        try:
            return str(self._get_load_path())
        except VersionNotFoundError as error:
            if isinstance(error.__cause__, SeqtuneError):  # the storage does not answer
                raise error.__cause__ from None
            return str(self._filepath)

    def _exists(self) -> bool:
        return self._place.exists(self._newest())

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

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._place.spelled(str(self._filepath)), "version": self._version}
