"""Take up another version while the server runs.

The new version is opened, checked and tried beside the old one; requests of a batch that has begun
get the old one's answers. A version that cannot be opened is logged and left alone.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from .batcher import Batcher
from .exports import ExportError, newest_export, read_export
from .models import Model, open_model
from .settings import ServeSettings
from .statistics import Statistics

logger = logging.getLogger(__name__)
SHORTEST_POLL = 0.01


def load(folder: Path, settings: ServeSettings) -> Model:
    """Open an export, or the newest below a folder, and answer a first request."""
    export = read_export(folder)
    model = open_model(export, precision=settings.precision, num_threads=settings.threads)
    model.answer([model.example()])
    return model


async def follow_versions(
    batcher: Batcher, settings: ServeSettings, statistics: Statistics
) -> None:
    """Serve the newest version of the folder, until cancelled."""
    refused: Path | None = None
    while True:
        await asyncio.sleep(max(settings.poll_s, SHORTEST_POLL))
        try:
            newest = newest_export(settings.folder)
        except (ExportError, OSError):
            continue  # nothing is left of the folder; what is in memory goes on
        served = batcher.model.export
        if newest in (served.path, refused):
            continue
        try:
            model = await asyncio.to_thread(load, newest, settings)
            if model.export.task != served.task:
                raise ExportError(f"it is of the task {model.export.task}, not of {served.task}")
        except Exception:  # also what the runtime raises: the old version goes on
            logger.exception("version %s cannot be served; %s goes on", newest, served.version)
            statistics.refused_versions.inc()
            refused = newest
        else:
            batcher.model = model
            statistics.serve(model.export.version)
            logger.info("serving version %s instead of %s", model.export.version, served.version)
