"""Measure the load and the memory of the GPUs during a run."""

from __future__ import annotations

import threading
import time
from statistics import mean

from seqtune.core.gpus import GpuUse, list_gpus, measure_gpus

SECONDS_TO_ANSWER = 20


class GpuMonitor:
    """A thread that asks the driver; does nothing without a GPU."""

    def __init__(self, every_seconds: float) -> None:
        self._every = every_seconds
        self._begun = time.time()
        self._samples: list[tuple[float, GpuUse]] = []
        """With the time of each, in seconds since 1970."""
        self._num_reported = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._every > 0 and list_gpus():
            self._thread = threading.Thread(target=self._measure, name="gpu-watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=SECONDS_TO_ANSWER)
            self._thread = None

    def news(self) -> dict[str, dict[int, float]]:
        """Return the measurements since the last call, by second of the run."""
        curves: dict[str, dict[int, float]] = {}
        samples = self._samples[self._num_reported :]
        self._num_reported += len(samples)
        for at, use in samples:
            second = max(int(at - self._begun), 0)
            curves.setdefault(f"gpu_{use.index}/busy_percent", {})[second] = use.busy_percent
            curves.setdefault(f"gpu_{use.index}/used_mib", {})[second] = use.used_mib
        return curves

    def during(self, worker: str, started: float | None, seconds: float | None) -> dict[str, float]:
        """Summarise the GPU of a worker (`host/1234/gpu 0`) over a span of time."""
        device = worker.rpartition("/gpu ")[2]
        if started is None or seconds is None or device == worker:
            return {}
        span = [use for at, use in list(self._samples) if started <= at <= started + seconds]
        seen = [use for use in span if device in (use.index, use.uuid)]
        if not seen:
            return {}
        return {
            "gpu_busy_percent": mean(use.busy_percent for use in seen),
            "gpu_used_mib": max(use.used_mib for use in seen),
        }

    def _measure(self) -> None:
        while True:
            now = time.time()
            self._samples += [(now, use) for use in measure_gpus()]
            if self._stop.wait(self._every):
                return
