"""`StudyStorage`: the database of a task's studies, which tuning opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io.core import AbstractDataset, DatasetError

from seqtune.core.files import make_folder

from .object_storage import require_local

_INSTEAD = (
    "name a database: SEQTUNE_STUDY_URL in the environment, or `url` of the credentials `study` in "
    "conf/local/credentials.yml"
)


class StudyStorage(AbstractDataset[None, str]):
    """The URL of a database. Loading returns it; nothing logs or describes it.

    Args:
        filepath: A SQLite file, used where no URL is given.
        credentials: `url`: a PostgreSQL or MySQL database instead (conf/local/credentials.yml, or
            the environment variable SEQTUNE_STUDY_URL).
    """

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._file = filepath
        self._url = str((credentials or {}).get("url") or "")
        self.metadata = metadata

    def load(self) -> str:
        if self._url:
            return self._url
        file = require_local(self._file, what="a SQLite file", instead=_INSTEAD)
        make_folder(file.parent)
        return f"sqlite:///{file.resolve()}"

    def save(self, _data: None) -> None:
        raise DatasetError("studies are written by tuning alone")

    def _exists(self) -> bool:
        return bool(self._url) or Path(self._file).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": "a database of credentials" if self._url else self._file}
