"""`RawFiles`: the user's own files, found but not read."""

from __future__ import annotations

from glob import glob, has_magic
from pathlib import Path
from typing import Any

from kedro.io.core import AbstractDataset, DatasetError

from seqtune.contracts.errors import DataError


class RawFiles(AbstractDataset[None, tuple[Path, ...]]):
    """Paths of one or several files, sorted by name; reading them is left to the task.

    Args:
        filepath: A file, a pattern (`data/01_raw/part-*.csv.gz`) or a list of them.
        optional: An absent file gives an empty tuple instead of an error.
        looks_like: What the file must look like, shown when it is missing.
        sample: The command that shows the task on generated data, shown then too.
    """

    def __init__(
        self,
        *,
        filepath: str | list[str],
        optional: bool = False,
        looks_like: str = "",
        sample: str = "make run",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._patterns = [filepath] if isinstance(filepath, str) else list(filepath)
        self._optional = optional
        self._looks_like = looks_like
        self._sample = sample
        self.metadata = metadata

    def load(self) -> tuple[Path, ...]:
        found: list[Path] = []
        for pattern in self._patterns:
            files = _matching(pattern)
            if not files and not self._optional:
                raise DataError(self._missing(pattern))
            found += files
        return tuple(found)

    def save(self, _data: None) -> None:
        raise DatasetError("raw files are never written by seqtune")

    def _exists(self) -> bool:
        return all(_matching(pattern) for pattern in self._patterns)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._patterns, "optional": self._optional}

    def _missing(self, pattern: str) -> str:
        kind = "no file matches" if has_magic(pattern) else "there is no file"
        looks = f" It must look like this: {self._looks_like}." if self._looks_like else ""
        return (
            f"{kind} {pattern}.{looks} Put your data there, or name another place in "
            f"conf/local/catalog.yml. `{self._sample}` shows the whole chain on generated sample "
            "data."
        )


def _matching(pattern: str) -> list[Path]:
    """The file of that very name, or else the files that the pattern matches."""
    names = [pattern] if Path(pattern).is_file() else sorted(glob(pattern))
    return [Path(name) for name in names if Path(name).is_file()]
