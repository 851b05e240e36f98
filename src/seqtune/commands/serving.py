"""Pages that are served to this machine alone."""

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
    """Serve until Ctrl+C; `started` is said when there is something to see."""
    try:
        server = make((HOST, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise ConfigurationError(
            f"port {port} is taken by another program, perhaps this one, already running; choose "
            f"another with --port {port + 1}"
        ) from error
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what is temporary is cleared away
    with server:
        print(f"{started}\nCtrl+C ends it.", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Ended.")
