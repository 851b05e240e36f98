"""What every request passes: the token, the size of its body, and the counters."""

from __future__ import annotations

import hmac
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .settings import ServeSettings
from .statistics import Statistics

OPEN_PATHS = ("/health",)
"""Answered without a token, for probes."""
OTHER = "other"


class Gate:
    """ASGI middleware around the application."""

    def __init__(
        self, app: ASGIApp, *, settings: ServeSettings, statistics: Statistics, paths: list[str]
    ) -> None:
        self._app = app
        self._settings = settings
        self._statistics = statistics
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def note(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        headers = dict(scope["headers"])
        refused = self._refusal(scope["path"], headers)
        try:
            await (refused or self._app)(scope, self._bounded(receive), note)
        finally:
            path = scope["path"] if scope["path"] in self._paths else OTHER
            seconds = time.perf_counter() - start
            self._statistics.requests.labels(path, status).observe(seconds)

    def _refusal(self, path: str, headers: dict[bytes, bytes]) -> ASGIApp | None:
        """Return the response to a request that goes no further."""
        if path not in OPEN_PATHS and not self._has_token(headers):
            return JSONResponse(
                {"error": "a token is needed: the header `Authorization: Bearer <token>`"},
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_bytes:
            return JSONResponse({"error": self._too_large}, status_code=413)
        return None

    def _has_token(self, headers: dict[bytes, bytes]) -> bool:
        wanted = f"Bearer {self._settings.token}".encode()
        given = headers.get(b"authorization", b"")
        return not self._settings.token or hmac.compare_digest(given, wanted)

    def _bounded(self, receive: Receive) -> Receive:
        """Count the bytes of a body whose length was not announced."""
        num_bytes = 0

        async def bounded() -> MutableMapping[str, Any]:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self._max_bytes:
                raise HTTPException(413, self._too_large)
            return message

        return bounded

    @property
    def _max_bytes(self) -> int:
        return self._settings.max_body_kib * 1024

    @property
    def _too_large(self) -> str:
        return f"the body is larger than {self._settings.max_body_kib} KiB, which this server takes"
