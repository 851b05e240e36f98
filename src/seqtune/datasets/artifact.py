"""`Artifact`: a file or folder that a node finished in scratch, published by one rename.

What is large (interactions, arrays, checkpoints, predictions) never passes through memory as
one object: a node writes it below `Scratch` and returns the path; saving moves it to its version.
A version that exists is therefore complete.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from glob import glob
from os.path import exists
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io.core import AbstractVersionedDataset, Version, VersionNotFoundError

from seqtune.contracts.errors import ArtifactError

if TYPE_CHECKING:
    from kedro_datasets._typing import TablePreview

PREVIEW_ROWS = 20


class Artifact(AbstractVersionedDataset[Path, Path]):
    """A path to something complete. Loading gives the path; opening it is the reader's affair.

    Args:
        filepath: Where it lives; with `versioned: true`, Kedro puts the version below it.
        made_by: The pipeline that makes it, named in the error when there is none yet.
        optional: Load `None` instead of failing where there is none yet.
    """

    def __init__(
        self,
        *,
        filepath: str,
        made_by: str = "",
        optional: bool = False,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            filepath=PurePosixPath(filepath),
            version=version,
            exists_function=exists,
            glob_function=_sorted_glob,
        )
        self._made_by = made_by
        self._optional = optional
        self.metadata = metadata

    def load(self) -> Path:
        path = self._newest()
        if path.exists():
            return path
        wanted = self._version.load if self._version else None
        if self._optional and not wanted:
            return None  # type: ignore[return-value]
        hint = f"; run `kedro run --pipeline {self._made_by}` first" if self._made_by else ""
        raise ArtifactError(f"there is no {path}{hint}")

    def _newest(self) -> Path:
        """The version asked for, or the newest; the plain path where there is none."""
        try:
            return Path(self._get_load_path())
        except VersionNotFoundError:
            return Path(self._filepath)

    def save(self, data: Path) -> None:
        target = Path(self._get_save_path())
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and self._version is None:
            _remove(target)
        staged = target.with_name(f".{target.name}.partial")
        _remove(staged)
        shutil.move(data, staged)  # a rename, or a copy where scratch is another file system
        staged.rename(target)
        with suppress(OSError):  # the node's folder in scratch, unless more is still in it
            Path(data).parent.rmdir()

    def preview(self) -> TablePreview:
        """The first rows of a Parquet or CSV file, for Kedro-Viz."""
        import pandas as pd
        from kedro_datasets._typing import TablePreview

        path = self.load()
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            batch = next(pq.ParquetFile(path).iter_batches(batch_size=PREVIEW_ROWS), None)
            frame = pd.DataFrame() if batch is None else batch.to_pandas()
        else:
            frame = pd.read_csv(path, nrows=PREVIEW_ROWS, dtype=str, keep_default_na=False)
        return TablePreview(frame.astype(str).to_dict(orient="split"))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}


def _sorted_glob(pattern: str) -> list[str]:
    return sorted(glob(pattern))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
