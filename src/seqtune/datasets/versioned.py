"""The base of datasets whose versions are complete."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from pathlib import PurePosixPath
from typing import Any, Generic, TypeVar

from kedro.io.core import (
    AbstractVersionedDataset,
    Version,
    VersionNotFoundError,
    generate_timestamp,
)

from seqtune.core.errors import ArtifactError, SeqtuneError
from seqtune.core.files import is_version

from .object_storage import RemotePath, is_remote
from .version_store import DiskStore, VersionStore

logger = logging.getLogger(__name__)
InT = TypeVar("InT")
OutT = TypeVar("OutT")
RemoteT = TypeVar("RemoteT", bound=VersionStore)


class Versioned(AbstractVersionedDataset[InT, OutT], Generic[InT, OutT, RemoteT]):
    """Loads the version that is asked for, the one that this run made, or else the newest.

    Args:
        filepath: Where it lives, on this machine or in object storage (s3://, gs://, abfs://); with
            `versioned: true`, Kedro puts the version below it.
        made_by: The pipeline that makes it, for the error when it does not exist.
        optional: Load `None` instead of failing when it does not exist.
        credentials: For the object storage, by the names of its fsspec backend (`key`, `secret`).
        fs_args: Further arguments of the backend (`endpoint_url`).
    """

    def __init__(
        self,
        *,
        filepath: str,
        remote: Callable[[RemotePath], RemoteT],
        made_by: str = "",
        optional: bool = False,
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._place: DiskStore | RemoteT = DiskStore()
        if is_remote(filepath):
            root = RemotePath.at(filepath, credentials=credentials, fs_args=fs_args)
            self._place, filepath = remote(root), root.path
        super().__init__(
            filepath=PurePosixPath(filepath),
            version=version,
            exists_function=self._place.exists,
            glob_function=self._versions,
        )
        self._made_by = made_by
        self._optional = optional
        self.metadata = metadata

    def resolve_load_version(self) -> str | None:
        newest = super().resolve_load_version()
        if not self._version or self._version.load or newest is None:
            return newest
        if newest > generate_timestamp():
            warn_once(
                f"{self._place.spelled(str(self._filepath))} has a version from the future, "
                f"{newest}: until then, later runs take it for the newest. If a clock was wrong, "
                "rename its folder"
            )
        own = self._version.save
        return own if own and self._place.exists(str(self._get_versioned_path(own))) else newest

    def _versions(self, pattern: str) -> list[str]:
        versions = []
        for path in self._place.glob(pattern):
            if is_version(name := PurePosixPath(path).parent.name):
                versions.append(path)
            else:
                warn_once(
                    f"{self._place.spelled(path)} is ignored: {name!r} is not a version like "
                    "2026-01-31T12.00.00.000Z; --load-versions can name it"
                )
        return versions

    def _find(self) -> str | None:
        """Return the path to load; None if it is optional and absent."""
        path = str(self._filepath)
        try:
            path = str(self._get_load_path())
            if self._place.exists(path):
                return path
        except VersionNotFoundError as error:
            if isinstance(error.__cause__, SeqtuneError):  # the storage does not answer
                raise error.__cause__ from None
        if self._optional and not (self._version and self._version.load):
            return None
        hint = f"; run `{self._command}` first" if self._made_by else ""
        raise ArtifactError(f"there is no {self._place.spelled(path)}{hint}")

    @property
    def _command(self) -> str:
        return f"kedro run --pipelines {self._made_by}"

    def _exists(self) -> bool:
        return self._place.exists(str(self._get_load_path()))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._place.spelled(str(self._filepath)), "version": self._version}


@cache
def warn_once(message: str) -> None:
    """Log a warning, once in each process."""
    logger.warning("%s", message)
