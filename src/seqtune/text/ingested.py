"""The folder of ingested texts, which `ingest` writes and `split` reads.

<name>.parquet    the rows that were kept, in columns of the task and `role` (of the raw file)
manifest.json     written last
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seqtune.core.errors import ArtifactError, DataError
from seqtune.core.manifests import InnerPath, read_manifest, sum_files
from seqtune.core.task import Sources

from .split import RowsManifest

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ROLE = "role"
_AGAIN = "run `kedro run` with the stage ingest of its task again"


class IngestedManifest(RowsManifest):
    """Contents of `manifest.json`; rows by role."""

    format_version: int = FORMAT_VERSION
    file: InnerPath


@dataclass(frozen=True)
class Ingested:
    """Opened ingested texts."""

    manifest: IngestedManifest
    table: pa.Table

    def rows(self, role: str) -> pa.Table:
        """Return the rows of one role, in the order of their files."""
        return self.table.filter(pa.compute.equal(self.table[ROLE], role))


def write_ingested(
    out: Path,
    table: pa.Table,
    *,
    task: str,
    name: str,
    facts: Mapping[str, Any],
    made_with: Mapping[str, Mapping[str, Any]],
) -> IngestedManifest:
    """Write rows (with a column `role`) and the manifest."""
    file = f"{name}.parquet"
    pq.write_table(table, out / file)
    manifest = IngestedManifest(
        task=task,
        file=file,
        files=sum_files(out),
        rows={one["values"]: one["counts"] for one in table[ROLE].value_counts().to_pylist()},
        facts=dict(facts),
        made_with={section: dict(values) for section, values in made_with.items()},
    )
    (out / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def open_ingested(folder: Path, *, task: str) -> Ingested:
    """Read a folder of ingested texts; refuse a damaged one, or one of another task."""
    manifest = read_manifest(
        folder,
        MANIFEST,
        IngestedManifest,
        what="folder of ingested texts",
        version=FORMAT_VERSION,
        hint=_AGAIN,
    )
    if manifest.task != task:
        raise ArtifactError(f"{folder} was ingested by {manifest.task}, not by {task}; {_AGAIN}")
    try:
        table = pq.read_table(folder / manifest.file)
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(f"{folder / manifest.file} is damaged ({error}); {_AGAIN}") from error
    return Ingested(manifest, table)


def require_source(sources: Sources, role: str) -> None:
    """Require at least one file of the data to be split."""
    if not sources.get(role):
        raise DataError(f"there is no file of {role}; see raw_{role} in the catalog")
