"""Web pages that are served to this machine only."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable
from socketserver import BaseServer

from seqtune.core.errors import ConfigurationError

HOST = "127.0.0.1"


def address(port: int, path: str = "") -> str:
    return f"http://{HOST}:{port}/{path}"


def serve(make: Callable[[tuple[str, int]], BaseServer], port: int, *, started: str) -> None:
    """Serve until Ctrl+C; print `started` once the server accepts requests."""
    try:
        server = make((HOST, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise ConfigurationError(
            f"port {port} is in use, perhaps by this command in another terminal; choose another "
            f"with --port {port + 1}"
        ) from error
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # runs the cleanup of temporary files
    with server:
        print(f"{started}\nCtrl+C stops it.", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Stopped.")
