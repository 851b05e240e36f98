"""`manifest.json` of an interactions folder: what `split` needs to know about it.

interactions.parquet   user int32 from 0, item int32 from 1, time int64; by user, time, file
users.parquet          user, user_id      items.parquet      item, item_id, count
side_<name>.parquet    item, value        manifest.json      written last
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seqtune.contracts.config import Section
from seqtune.contracts.errors import ArtifactError

from .ids import IdType
from .times import TimeKind

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
INTERACTIONS = "interactions.parquet"
USERS = "users.parquet"
ITEMS = "items.parquet"

_NEXT_STEP = "run `kedro run --pipelines ingest` again"


class InteractionsManifest(Section):
    """What `manifest.json` says."""

    format_version: int = FORMAT_VERSION
    num_users: int
    num_items: int
    num_interactions: int
    user_id_type: IdType
    item_id_type: IdType
    time: TimeKind
    sides: dict[str, int]
    """Side tables, each with its number of rows."""
    made_with: dict[str, dict[str, Any]]
    """The sections of the configuration that shaped it."""

    def write(self, folder: Path) -> None:
        (folder / MANIFEST).write_text(self.model_dump_json(indent=2), encoding="utf-8")


def read_manifest(folder: Path) -> InteractionsManifest:
    path = folder / MANIFEST
    try:
        manifest = InteractionsManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{folder} holds no complete interactions: no {MANIFEST} in it; {_NEXT_STEP}"
        ) from error
    except ValidationError as error:
        raise ArtifactError(
            f"{path} is damaged: {error.errors()[0]['msg']}; {_NEXT_STEP}"
        ) from error
    if manifest.format_version != FORMAT_VERSION:
        raise ArtifactError(
            f"{folder} has interactions format {manifest.format_version}, this version of seqtune "
            f"reads {FORMAT_VERSION}; {_NEXT_STEP}"
        )
    return manifest


def side_file(name: str) -> str:
    return f"side_{name}.parquet"
