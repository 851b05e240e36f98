"""The `manifest.json` of a folder of interactions.

interactions.parquet   user int32 from 0, item int32 from 1, time int64; by user, time, file
users.parquet          user, user_id      items.parquet      item, item_id, count
side_<name>.parquet    item, value        manifest.json      written last
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqtune.core import manifests

from .ids import IdType
from .times import TimeKind

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
INTERACTIONS = "interactions.parquet"
USERS = "users.parquet"
ITEMS = "items.parquet"


class InteractionsManifest(manifests.Manifest):
    """The content of `manifest.json`."""

    format_version: int = FORMAT_VERSION
    num_users: int
    num_items: int
    num_interactions: int
    user_id_type: IdType
    item_id_type: IdType
    time: TimeKind
    sides: dict[str, int]
    """Number of rows of each side table."""
    made_with: dict[str, dict[str, Any]]
    """The sections of the configuration that determined it."""

    def write(self, folder: Path) -> None:
        (folder / MANIFEST).write_text(self.model_dump_json(indent=2), encoding="utf-8")


def read_manifest(folder: Path) -> InteractionsManifest:
    """Return the manifest of a folder that `ingest` wrote."""
    return manifests.read_manifest(
        folder,
        MANIFEST,
        InteractionsManifest,
        what="folder of interactions",
        version=FORMAT_VERSION,
        hint="run `kedro run --pipelines ingest` again",
    )


def side_file(name: str) -> str:
    return f"side_{name}.parquet"
