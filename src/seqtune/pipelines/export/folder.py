"""Complete the folder of an export: the model card, then the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqtune.core.files import write_json
from seqtune.core.manifests import sum_files
from seqtune.core.task import Report
from seqtune_serve.exports import FORMAT_VERSION, MANIFEST

from .model_card import model_card

CARD = "model_card.md"


def finish(
    out: Path, task: str, manifest: Mapping[str, Any], report: Report, measured: Report | None
) -> None:
    """Write the model card, and last the manifest with the sum of every file."""
    is_of_model = measured is not None and measured.get("fingerprint") == manifest["fingerprint"]
    card = model_card(task, manifest, report, measured if measured and is_of_model else {})
    (out / CARD).write_text(card, encoding="utf-8")
    files = {name: found.model_dump() for name, found in sum_files(out).items()}
    write_json(
        out / MANIFEST,
        {"format_version": FORMAT_VERSION, "task": task, **manifest, "files": files},
    )
