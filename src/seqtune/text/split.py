"""A split of texts as a folder: written once by `split`, memory-mapped by readers.

train.arrow, valid.arrow, test.arrow    rows of each part, in columns of the task, Arrow IPC
split.json                              the manifest, written last
made/<name>-<key>/                      a cache of derived files (tokens, baselines)
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Self
from uuid import uuid4

import pyarrow as pa
from pydantic import Field

from seqtune.core.config import canonical_json
from seqtune.core.errors import ArtifactError
from seqtune.core.manifests import Manifest, read_manifest, sum_files

FORMAT_VERSION = 1
MANIFEST = "split.json"
MADE = "made"
_AGAIN = "run `kedro run` with the stage split of its task again"
Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")


class RowsManifest(Manifest):
    """Common fields of manifests of texts."""

    task: str
    rows: dict[str, int]
    """Number of rows by role or part."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """Facts of the task: labels, positives of each, ..."""
    made_with: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """The configuration sections it was made with."""


class TextManifest(RowsManifest):
    """Contents of `split.json`; rows by part."""

    format_version: int = FORMAT_VERSION
    content_hash: str
    test_hash: str
    assets_hash: str
    """Hash of what the model's outputs mean (the labels and their order)."""


@dataclass(frozen=True)
class TextSplit:
    """An opened split; tasks derive their own from it."""

    path: Path
    manifest: TextManifest

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the manifest; tables are memory-mapped on first use."""
        manifest = read_manifest(
            path, MANIFEST, TextManifest, what="split", version=FORMAT_VERSION, hint=_AGAIN
        )
        return cls(path, manifest)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the path."""
        return type(self).open, (self.path,)

    def table(self, part: Part) -> pa.Table:
        """Return the rows of a part, memory-mapped."""
        file = self.path / f"{part}.arrow"
        try:
            with pa.memory_map(str(file)) as source:
                return pa.ipc.open_file(source).read_all()
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(f"{file} is missing or damaged ({error}); {_AGAIN}") from error

    def num_rows(self, part: Part) -> int:
        return self.manifest.rows.get(part, 0)

    @property
    def content_hash(self) -> str:
        return self.manifest.content_hash

    @property
    def test_hash(self) -> str:
        return self.manifest.test_hash

    @property
    def assets_hash(self) -> str:
        return self.manifest.assets_hash

    @property
    def made_with(self) -> Mapping[str, Mapping[str, Any]]:
        return self.manifest.made_with

    @property
    def has_validation(self) -> bool:
        return self.num_rows("valid") > 0

    @property
    def has_test(self) -> bool:
        return self.num_rows("test") > 0

    def made(self, name: str, key: Mapping[str, Any], write: Callable[[Path], None]) -> Path:
        """Return the folder of files derived from this split and `key`; `write` fills a new one.

        Safe for concurrent processes: each writes its own folder, and the first one is kept.
        """
        digest = sha256(canonical_json(key).encode()).hexdigest()[:16]
        folder = self.path / MADE / f"{name}-{digest}"
        if folder.is_dir():
            return folder
        partial = folder.parent / f".{folder.name}-{uuid4().hex}"
        partial.mkdir(parents=True)
        try:
            write(partial)
            os.rename(partial, folder)  # noqa: PTH104 - fails on a folder with content
        except OSError:
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return folder


def write_split(
    out: Path,
    parts: Mapping[Part, pa.Table],
    *,
    task: str,
    assets_hash: str,
    facts: Mapping[str, Any],
    made_with: Mapping[str, Mapping[str, Any]],
) -> TextManifest:
    """Write a split folder; missing parts are empty."""
    empty = next(iter(parts.values())).slice(0, 0)
    hashes = {}
    for part in PARTS:
        table = parts.get(part, empty).combine_chunks()
        path = str(out / f"{part}.arrow")
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        hashes[part] = table_hash(table)
    manifest = TextManifest(
        task=task,
        files=sum_files(out),
        rows={part: parts[part].num_rows if part in parts else 0 for part in PARTS},
        content_hash=sha256(canonical_json([hashes, assets_hash]).encode()).hexdigest(),
        test_hash=hashes["test"],
        assets_hash=assets_hash,
        facts=dict(facts),
        made_with={name: dict(values) for name, values in made_with.items()},
    )
    (out / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def table_hash(table: pa.Table) -> str:
    """Return the sha256 of the values of a table, independent of its chunks."""
    digest = sha256()
    for name in table.column_names:
        digest.update(f"{name}:{table.schema.field(name).type};".encode())
        for value in table[name].to_pylist():
            digest.update(f"{value!r};".encode())
    return digest.hexdigest()
