"""The processes that trials run in, and whoever wants to be in the same position."""

from __future__ import annotations

from functools import partial

from seqtune.contracts.work import Executor

PRELOAD = ("seqtune.training", "optuna")
"""Imported once for all workers of a run, which takes seconds."""


def local_executor() -> Executor:
    """Worker processes on this machine."""
    from seqtune.workers.local import run_local

    return partial(run_local, preload=PRELOAD)
