"""How busy the GPUs are, and how full: looked at now and then while a run goes on."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from statistics import mean

PROGRAM = "nvidia-smi"
QUERY = ("--query-gpu=index,uuid,utilization.gpu,memory.used", "--format=csv,noheader,nounits")
SECONDS_TO_ANSWER = 20


@dataclass(frozen=True)
class Sample:
    at: float
    """Seconds since 1970."""
    index: str
    uuid: str
    busy_percent: float
    used_mib: float


class GpuWatch:
    """A thread that asks nvidia-smi; nothing where there is none."""

    def __init__(self, every_seconds: float) -> None:
        self._every = every_seconds
        self._begun = time.time()
        self._samples: list[Sample] = []
        self._num_told = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._every > 0 and shutil.which(PROGRAM):
            self._thread = threading.Thread(target=self._look, name="gpu-watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=SECONDS_TO_ANSWER)
            self._thread = None

    def news(self) -> dict[str, dict[int, float]]:
        """What was seen since this was last asked, by second of the run."""
        curves: dict[str, dict[int, float]] = {}
        seen = self._samples[self._num_told :]
        self._num_told += len(seen)
        for sample in seen:
            second = max(int(sample.at - self._begun), 0)
            curves.setdefault(f"gpu_{sample.index}/busy_percent", {})[second] = sample.busy_percent
            curves.setdefault(f"gpu_{sample.index}/used_mib", {})[second] = sample.used_mib
        return curves

    def during(self, worker: str, started: float | None, seconds: float | None) -> dict[str, float]:
        """What the GPU of a worker (`host/1234/gpu 0`) did in a span of time."""
        device = worker.rpartition("/gpu ")[2]
        if started is None or seconds is None or device == worker:
            return {}
        span = [s for s in list(self._samples) if started <= s.at <= started + seconds]
        seen = [s for s in span if device in (s.index, s.uuid)]
        if not seen:
            return {}
        return {
            "gpu_busy_percent": mean(sample.busy_percent for sample in seen),
            "gpu_used_mib": max(sample.used_mib for sample in seen),
        }

    def _look(self) -> None:
        while True:
            self._samples += ask()
            if self._stop.wait(self._every):
                return


def ask() -> list[Sample]:
    """One sample a GPU; none where the driver does not answer."""
    try:
        told = subprocess.run(
            [PROGRAM, *QUERY], capture_output=True, text=True, check=True, timeout=SECONDS_TO_ANSWER
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [sample for line in told.splitlines() if (sample := _read(line)) is not None]


def _read(line: str) -> Sample | None:
    fields = [field.strip() for field in line.split(",")]
    try:
        index, uuid, busy, used = fields
        return Sample(time.time(), index, uuid, float(busy), float(used))
    except ValueError:  # "[N/A]" of a GPU that is cut into slices
        return None
