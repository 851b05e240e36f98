"""A node's own folder below the scratch folder, removed if the node fails or is killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqtune.core.errors import storage_error
from seqtune.core.files import claim_folder


@contextmanager
def scratch_folder(scratch: Path, stage: str) -> Iterator[Path]:
    """Make a fresh folder; remove it on any error."""
    with storage_errors(scratch):
        folder = claim_folder(scratch, stage)
    try:
        with storage_errors(scratch):
            yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Turn the error of a full or read-only disk into one that says so."""
    try:
        yield
    except OSError as error:
        if explained := storage_error(error, place):
            raise explained from error
        raise
