"""Processes of this machine that share a training, for benchmarks."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

from seqtune.core.execution import RankInfo


def first_rank_says(work: Callable[..., Any], num_ranks: int, **arguments: Any) -> Any:
    """What `work(place, **arguments)` returns to the first of so many processes that call it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    places = [RankInfo(rank, num_ranks, gpu=rank) for rank in range(num_ranks)]
    ranks = [
        context.Process(target=_rank, args=(work, place, port, arguments, answers))
        for place in places
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"one of {num_ranks} ranks ended with {process.exitcode}")
    return answers.get()


def _rank(
    work: Callable[..., Any], place: RankInfo, port: int, arguments: dict[str, Any], answers: Any
) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    answer = work(place, **arguments)
    if place.rank == 0:
        answers.put(answer)
