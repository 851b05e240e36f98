"""Answer simultaneous requests in batches, one batch at a time.

While a batch is computed, requests wait; the next batch takes all that wait, up to a limit. So a
single request never waits for others, and many at once share the network's run.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from .models import Model
from .settings import ServeSettings
from .statistics import Statistics

logger = logging.getLogger(__name__)


class QueueFullError(Exception):
    """As many requests wait as may."""


class Batcher:
    """The queue of requests, and the model that answers them."""

    def __init__(self, model: Model, settings: ServeSettings, statistics: Statistics) -> None:
        self.model = model
        self._settings = settings
        self._statistics = statistics
        self._waiting: deque[tuple[Any, asyncio.Future[dict[str, Any]]]] = deque()
        self._some, self._enough = asyncio.Event(), asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batch")

    async def submit(self, request: Any) -> dict[str, Any]:
        """Return the answer; raise QueueFullError, or TimeoutError after the time limit."""
        if len(self._waiting) >= self._settings.max_waiting:
            raise QueueFullError
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        waiting = (request, answer)
        self._waiting.append(waiting)
        self._signal()
        try:
            return await asyncio.wait_for(answer, self._settings.timeout_s)
        except (TimeoutError, asyncio.CancelledError):
            with suppress(ValueError):  # given up, it would hold a place of the queue
                self._waiting.remove(waiting)
                self._signal()
            raise

    async def run(self) -> None:
        """Answer requests until cancelled."""
        while True:
            await self._some.wait()
            if wait := self._settings.batch_wait_ms / 1000.0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._enough.wait(), wait)
            if batch := self._take():
                await self._answer(batch)

    def _take(self) -> list[tuple[Any, asyncio.Future[dict[str, Any]]]]:
        """Take the requests of a batch, without those that were given up."""
        batch: list[tuple[Any, asyncio.Future[dict[str, Any]]]] = []
        while self._waiting and len(batch) < self._settings.max_batch:
            request, answer = self._waiting.popleft()
            if not answer.done():
                batch.append((request, answer))
        self._signal()
        return batch

    async def _answer(self, batch: list[tuple[Any, asyncio.Future[dict[str, Any]]]]) -> None:
        model, requests = self.model, [request for request, _ in batch]
        self._statistics.batch_sizes.observe(len(batch))
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._thread, model.answer, requests)
        except Exception as error:  # whatever it is, other batches go on
            logger.exception("a batch of %d requests failed", len(batch))
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), made in zip(batch, found, strict=True):
            if not answer.done():
                answer.set_result({**made, "version": model.export.version})

    def _signal(self) -> None:
        """Set the events by how many requests wait."""
        self._statistics.waiting.set(len(self._waiting))
        for event, least in ((self._some, 1), (self._enough, self._settings.max_batch)):
            if len(self._waiting) >= least:
                event.set()
            else:
                event.clear()
