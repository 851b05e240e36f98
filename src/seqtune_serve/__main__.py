"""`seqtune-serve FOLDER`: serve an exported model over HTTP."""

from __future__ import annotations

import logging
import sys

import uvicorn

from .app import create_app
from .exports import ExportError
from .settings import TOKEN_VARIABLE, ServeSettings, parse_settings
from .swap import load

logger = logging.getLogger(__name__)
LOCAL = ("127.0.0.1", "localhost", "::1")


def main(arguments: list[str] | None = None) -> None:
    """Open the newest version, then serve until interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = parse_settings(arguments)
    try:
        model = load(settings.folder, settings)
    except ExportError as error:
        sys.exit(f"seqtune-serve: {error}")
    _announce(settings, model.export.version)
    uvicorn.run(
        create_app(model, settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
    )


def _announce(settings: ServeSettings, version: str) -> None:
    logger.info("serving version %s on http://%s:%d", version, settings.host, settings.port)
    if settings.host not in LOCAL and not settings.token:
        logger.warning(
            "other machines can reach %s, and no token is asked for: set %s",
            settings.host,
            TOKEN_VARIABLE,
        )


if __name__ == "__main__":
    main()
