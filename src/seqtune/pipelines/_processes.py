"""The processes that trainings run in, and whoever wants to be in the same position."""

from __future__ import annotations

import os
from functools import partial
from typing import Literal

from seqtune.contracts.work import Executor

PRELOAD = ("seqtune.training", "optuna")
"""Imported once for all workers of a run, which takes seconds."""
MAX_CPU_WORKERS = 8


def local_executor() -> Executor:
    """Worker processes on this machine."""
    from seqtune.workers.local import run_local

    return partial(run_local, preload=PRELOAD)


def num_workers(wanted: int | Literal["auto"], *, num_threads: int = 1) -> int:
    """How many trainings run at once (tuning.workers), each with so many threads of the CPU."""
    if wanted != "auto":
        return wanted
    from seqtune.workers.gpus import visible_gpus

    cores = min(os.cpu_count() or 1, MAX_CPU_WORKERS)
    return len(visible_gpus()) or max(1, cores // num_threads)
