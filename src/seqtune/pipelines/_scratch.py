"""A folder of a node's own below the scratch folder, gone again if the node fails."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqtune.core.errors import storage_error


@contextmanager
def scratch_folder(scratch: Path, stage: str) -> Iterator[Path]:
    """A fresh folder; on any error nothing of it stays."""
    with storage_errors(scratch):
        folder = Path(tempfile.mkdtemp(prefix=f"{stage}-", dir=scratch))
    try:
        with storage_errors(scratch):
            yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Say of a full or read-only disk what it is, instead of where in the code it showed."""
    try:
        yield
    except OSError as error:
        if explained := storage_error(error, place):
            raise explained from error
        raise
