"""Processes that tests start: forked from one that has imported what they need.

There is one such fork server in a process, and whoever starts it decides what it has imported:
without this, a test that needs nothing left all those after it to import torch for themselves.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import socket
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from typing import Any

from seqtune.core.execution import RankInfo

PRELOAD = [
    "seqtune.training",
    "seqtune.tasks.recommend.module",
    "seqtune.tasks.summarize.module",
    "optuna",
]
SECONDS = 120


def preload_for_all() -> None:
    """Have every fork server of this process import the same, whatever it is asked for."""
    forkserver.set_forkserver_preload(PRELOAD)
    forkserver.set_forkserver_preload = lambda modules_names: None


def start(target: Callable[..., None], *given: Any) -> ForkServerProcess:
    """A process that runs `target(*given)`, which it imports by name."""
    process = multiprocessing.get_context("forkserver").Process(target=target, args=given)
    process.start()
    return process


def start_ranks(
    target: Callable[..., None], *given: Any, world_size: int = 2
) -> list[ForkServerProcess]:
    """Processes that run `target(*given, place)`, and know where to meet."""
    port = free_port()
    places = [RankInfo(rank, world_size) for rank in range(world_size)]
    return [start(_meet, port, target, *given, place) for place in places]


def free_port() -> int:
    """One that nobody uses; Kedro-Viz takes none above 49151, where the system's own begin."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311  # no secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def exit_codes(processes: Sequence[ForkServerProcess]) -> list[int | None]:
    """How they ended; None for one that has not."""
    for process in processes:
        process.join(SECONDS)
    return [process.exitcode for process in processes]


def _meet(port: int, target: Callable[..., None], *given: Any) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    target(*given)
