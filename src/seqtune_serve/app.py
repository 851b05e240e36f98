"""The application: routes, and errors as JSON with one key, `error`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from .batcher import Batcher, QueueFullError
from .gate import Gate
from .models import MODELS, Model
from .requests import ClassifyBody, LimitError, RecommendBody
from .settings import ServeSettings
from .statistics import Statistics
from .swap import follow_versions

RETRY_AFTER = {"Retry-After": "1"}


def create_app(model: Model, settings: ServeSettings) -> FastAPI:
    """Return the application that serves a model, and those that follow it."""
    statistics = Statistics()
    batcher = Batcher(model, settings, statistics)
    statistics.serve(model.export.version)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(batcher.run()),
            asyncio.create_task(follow_versions(batcher, settings, statistics)),
        ]
        yield
        for task in tasks:
            task.cancel()

    app = FastAPI(title="seqtune-serve", lifespan=lifespan, docs_url=None, redoc_url=None)
    _add_answers(app, batcher, settings, statistics)
    _add_pages(app, batcher, statistics)
    _add_errors(app)
    paths = [getattr(route, "path", "") for route in app.routes]
    app.add_middleware(Gate, settings=settings, statistics=statistics, paths=paths)
    return app


def _add_answers(
    app: FastAPI, batcher: Batcher, settings: ServeSettings, statistics: Statistics
) -> None:
    def require_task(task: str) -> None:
        if task != (served := batcher.model.export.task):
            raise HTTPException(
                404, f"this server answers {MODELS[served].path}: its model is of the task {served}"
            )

    @app.post("/recommend")
    async def recommend(body: RecommendBody) -> Response:
        require_task("recommend")
        answer = await batcher.submit(body.request(settings))
        statistics.unknown_items.inc(len(answer["unknown"]))
        return JSONResponse(answer)

    @app.post("/classify")
    async def classify(body: ClassifyBody) -> Response:
        require_task("classify")
        return JSONResponse(await batcher.submit(body.request(settings)))


def _add_pages(app: FastAPI, batcher: Batcher, statistics: Statistics) -> None:
    @app.get("/health")
    async def health() -> dict[str, Any]:
        export = batcher.model.export
        return {
            "status": "ok",
            "task": export.task,
            "version": export.version,
            "fingerprint": export.manifest["fingerprint"],
        }

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(statistics.text(), media_type="text/plain; version=0.0.4")


def _add_errors(app: FastAPI) -> None:
    async def refuse(_: Request, error: Exception) -> Response:
        status, message, headers = _describe(error)
        return JSONResponse({"error": message}, status_code=status, headers=headers)

    kinds = (RequestValidationError, HTTPException, LimitError, QueueFullError, TimeoutError)
    for kind in (*kinds, Exception):
        app.add_exception_handler(kind, refuse)


def _describe(error: Exception) -> tuple[int, str, dict[str, str] | None]:
    """Return status, message and headers for an error."""
    match error:
        case RequestValidationError():
            return 422, "; ".join(map(_fault, error.errors())), None
        case HTTPException():
            return error.status_code, str(error.detail), None
        case LimitError():
            return 422, str(error), None
        case QueueFullError():
            return 429, "too many requests wait; try again later", RETRY_AFTER
        case TimeoutError():
            return 503, "the time limit of a request has passed; try again later", RETRY_AFTER
    return 500, "the request failed; the server's log says why", None


def _fault(fault: dict[str, Any]) -> str:
    """Describe one fault of a body: where it is and what is allowed."""
    if fault["type"] == "json_invalid":
        return f"the body is not JSON: {fault['ctx']['error']}"
    place = ".".join(map(str, fault["loc"][1:])) or "the body"
    return f"{place}: {fault['msg']}"
