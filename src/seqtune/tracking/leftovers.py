"""Runs that nobody ends any more: their process was killed, or the machine went down."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from .mlflow_sink import PARENT

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROCESS = "process"
"""Tag of a run: `host:pid` of who writes it."""


def own_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def end_leftovers(client: MlflowClient, experiment_id: str) -> int:
    """End as KILLED what dead processes of this machine left RUNNING; returns how many runs."""
    running = client.search_runs([experiment_id], "attributes.status = 'RUNNING'")
    dead = {run.info.run_id for run in running if _is_dead(run.data.tags.get(PROCESS, ""))}
    stages = {run.info.run_id for run in running if run.data.tags.get(PARENT) in dead}
    for run_id in dead | stages:
        client.set_terminated(run_id, "KILLED")
    return len(dead)


def _is_dead(process: str) -> bool:
    host, _, number = process.rpartition(":")
    if host != socket.gethostname() or not number.isdecimal():
        return False  # of another machine, or of somebody else's making
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
