"""A split of texts as a folder: written once by `split`, memory-mapped by readers.

train.arrow, valid.arrow, test.arrow    rows of each part, in columns of the task, Arrow IPC
split.json                              the manifest, written last
made/<name>-<key>/                      a cache of what follows from it (tokens, baselines)
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

from seqtune.core.checkpoint import Manifest, read_manifest
from seqtune.core.config import canonical_json
from seqtune.core.errors import ArtifactError

FORMAT_VERSION = 1
MANIFEST = "split.json"
MADE = "made"
Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")


class RowsManifest(Manifest):
    """What manifests of rows of texts share."""

    task: str
    rows: dict[str, int]
    """Number of rows by role or part."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """The task's own: labels, positives of each, ..."""
    made_with: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """The sections of the configuration that shaped it."""


class TextManifest(RowsManifest):
    """Contents of `split.json`; rows by part."""

    format_version: int = FORMAT_VERSION
    content_hash: str
    test_hash: str
    assets_hash: str
    """Over what the model's outputs mean (the labels and their order)."""


@dataclass(frozen=True)
class TextSplit:
    """An opened split; a task derives its own from it."""

    path: Path
    manifest: TextManifest

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the manifest; tables are mapped when they are asked for."""
        manifest = read_manifest(
            path, MANIFEST, TextManifest, what="split", version=FORMAT_VERSION, hint=_AGAIN
        )
        return cls(path, manifest)

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process goes the path."""
        return type(self).open, (self.path,)

    def table(self, part: Part) -> pa.Table:
        """The rows of a part, memory-mapped."""
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
        """The folder of what follows from this split and `key`; `write` fills a new one.

        Safe for concurrent processes: each writes its own, and the first one stays.
        """
        digest = sha256(canonical_json(key).encode()).hexdigest()[:16]
        folder = self.path / MADE / f"{name}-{digest}"
        if not folder.is_dir():
            publish_folder(folder, write)
        return folder


def publish_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Fill a temporary folder and rename it; if another process was first, its folder stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.parent / f".{folder.name}-{uuid4().hex}"
    partial.mkdir()
    try:
        write(partial)
        os.rename(partial, folder)  # noqa: PTH104 - fails where a folder with content is
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_split(
    out: Path,
    parts: Mapping[Part, pa.Table],
    *,
    task: str,
    assets_hash: str,
    facts: Mapping[str, Any],
    made_with: Mapping[str, Mapping[str, Any]],
) -> TextManifest:
    """Write a split folder; parts that are left out are empty."""
    empty = next(iter(parts.values())).slice(0, 0)
    hashes = {}
    for part in PARTS:
        table = parts.get(part, empty).combine_chunks()
        _write_table(out / f"{part}.arrow", table)
        hashes[part] = table_hash(table)
    manifest = TextManifest(
        task=task,
        rows={part: parts[part].num_rows if part in parts else 0 for part in PARTS},
        content_hash=sha256(canonical_json([hashes, assets_hash]).encode()).hexdigest(),
        test_hash=hashes["test"],
        assets_hash=assets_hash,
        facts=dict(facts),
        made_with={name: dict(values) for name, values in made_with.items()},
    )
    text = manifest.model_dump_json(indent=2)
    (out / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def table_hash(table: pa.Table) -> str:
    """sha256 over the values of a table, whatever the chunks they lie in."""
    digest = sha256()
    for name in table.column_names:
        digest.update(f"{name}:{table.schema.field(name).type};".encode())
        for value in table[name].to_pylist():
            digest.update(f"{value!r};".encode())
    return digest.hexdigest()


def _write_table(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


_AGAIN = "run `kedro run` with the stage split of its task again"
