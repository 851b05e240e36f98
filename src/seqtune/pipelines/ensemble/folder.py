"""The ensemble folder: members that count, then the manifest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from seqtune.core.ensemble import MANIFEST, MEMBERS, EnsembleManifest


def write_ensemble(
    folder: Path, manifest: EnsembleManifest, checkpoints: Mapping[str, Path]
) -> Path:
    """Fill a new folder; the manifest comes last. `checkpoints` are folders by member."""
    from seqtune.core.files import write_json

    (folder / MEMBERS).mkdir(parents=True)
    for member in manifest.used:
        shutil.copytree(
            checkpoints[member.name], folder / MEMBERS / member.name, copy_function=_link
        )
    write_json(folder / MANIFEST, json.loads(manifest.model_dump_json()))
    return folder


def _link(source: str, target: str) -> str:
    """The same file under a second name; a copy where the file system has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
