"""Make numbered parts on all nodes of a Ray cluster, and yield them in order.

Ray Data sends the numbers to processes that open the work once, repeats the parts that a dead
process or a lost node was making, and makes no new ones while many have not been taken.
"""

from __future__ import annotations

import logging
import pickle
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import ray

from seqtune.core.config import ClusterConfig
from seqtune.core.errors import SeqtuneError
from seqtune.core.execution import ParallelMap, PartFactory

from ..child import WorkResult
from ..pool import worker_error
from .connection import Connection, connect
from .file_shipping import ShippedFiles, ShippedPayload

if TYPE_CHECKING:
    from ray.data import DataContext

PartT = TypeVar("PartT")

NUMBER, ANSWER = "number", "answer"
BYTES_AHEAD = 64 * 2**20
"""Limit for each process of parts that have not been taken yet."""
PARTS_IN_HAND = 2
"""Of each process: the current one, and the next."""
MAX_DEATHS = 8
"""Restarts of one process: more of them will not help."""
LOGGER_OF_RAY = "ray.data"
CONSOLE = "console"
"""Its handler for the terminal; another one writes to a file of Ray's."""


def parallel_map_over(config: ClusterConfig, shipped: ShippedFiles) -> ParallelMap:
    """Return the `ParallelMap` of a cluster, with as many processes as `config` says."""

    def map_parts(opener: PartFactory[PartT], num_parts: int) -> Iterator[PartT]:
        with connect(config, shipped=shipped) as connection:
            wanted = config.prediction_workers
            yield from map_over_cluster(
                opener,
                num_parts,
                connection=connection,
                shipped=shipped,
                num_workers=connection.num_places() if wanted == "auto" else wanted,
            )

    return map_parts


def map_over_cluster(
    opener: PartFactory[PartT],
    num_parts: int,
    *,
    connection: Connection,
    shipped: ShippedFiles,
    num_workers: int,
) -> Iterator[PartT]:
    """Yield all parts in order, each exactly once, made by up to `num_workers` processes.

    Closing the iterator ends the processes.
    """
    if num_parts == 0:
        return
    connection.require_place()
    _require_free_place(connection)
    payload = shipped.pack(opener)
    num_workers = min(num_workers, num_parts)
    with _silence_ray(), closing(_parts(payload, num_parts, connection, num_workers)) as parts:
        for expected in range(num_parts):
            number, answer = next(parts, (None, b""))
            if number != expected:
                raise RuntimeError(f"Ray Data gave part {number} instead of {expected}")
            result, part = pickle.loads(answer)  # noqa: S301 - from our own processes
            if result.status != "done":
                raise worker_error(result, f"the process that made part {number} of {num_parts}")
            yield part


class _PartMaker:
    """Makes parts in a process of the cluster."""

    def __init__(self, payload: ShippedPayload) -> None:
        self._payload = payload
        self._make: Callable[[int], Any] | None = None

    def __call__(self, asked: pa.Table) -> pa.Table:
        number = asked[NUMBER][0].as_py()
        answer = pickle.dumps(self._attempt(number), protocol=pickle.HIGHEST_PROTOCOL)
        return pa.table({NUMBER: [number], ANSWER: pa.array([answer], pa.large_binary())})

    def _attempt(self, number: int) -> tuple[WorkResult, Any]:
        """Return a part, or its error: Ray would bury an exception in pages of its own text."""
        try:
            if self._make is None:
                self._make = self._payload.open()()
            return WorkResult("done"), self._make(number)
        except SeqtuneError as error:
            return WorkResult("refused", error), None
        except Exception:  # noqa: BLE001 - reported to the driver, which raises it
            return WorkResult("failed", traceback=traceback.format_exc()), None


def _parts(
    payload: ShippedPayload, num_parts: int, connection: Connection, num_workers: int
) -> Generator[tuple[int, pa.Buffer]]:
    """Yield numbers and answers as Ray Data returns them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # between parts of Ray
        blocks = _blocks(payload, num_parts, connection, num_workers)
    fault: Exception | None = None
    try:
        with closing(blocks):
            for block in blocks:
                yield block[NUMBER][0].as_py(), block[ANSWER][0].as_buffer()
    except ray.exceptions.RayError as error:
        fault = _explain(error, connection)
    if fault is not None:  # raised here, it holds no reference to the processes that failed
        raise fault


def _blocks(
    payload: ShippedPayload, num_parts: int, connection: Connection, num_workers: int
) -> Any:
    """Return a generator of tables with one row each."""
    from ray.data import ActorPoolStrategy, DataContext, from_items

    numbers = [{NUMBER: number} for number in range(num_parts)]
    resources: dict[str, Any] = connection.resources
    with DataContext.current(_context(num_workers)):
        parts = from_items(numbers, override_num_blocks=num_parts).map_batches(
            _PartMaker,
            fn_constructor_args=(payload,),
            batch_size=1,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(
                size=num_workers, max_tasks_in_flight_per_actor=PARTS_IN_HAND
            ),
            max_restarts=MAX_DEATHS,
            max_task_retries=-1,  # Ray may take long to notice that a node is gone
            **resources,
        )
    return iter(parts.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))


def _context(num_workers: int) -> DataContext:
    """Return the settings of Ray Data."""
    from ray.data import DataContext, ExecutionOptions, ExecutionResources

    context = DataContext.get_current().copy()
    context.execution_options = ExecutionOptions(
        preserve_order=True,
        resource_limits=ExecutionResources.for_limits(
            object_store_memory=BYTES_AHEAD * num_workers
        ),
    )
    context.execution_no_progress_timeout_s = -1  # making or taking a part may last
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return context


def _require_free_place(connection: Connection) -> None:
    """Refuse to wait for ever for resources that others hold."""
    seconds = connection.config.wait_seconds
    resources: dict[str, Any] = connection.resources
    place = ray.remote(**resources, max_retries=-1)(_hold_resources).remote()
    try:
        ray.get(place, timeout=seconds)
    except ray.exceptions.GetTimeoutError:
        ray.cancel(place)
        raise connection.no_room_error("no process found a place", seconds) from None


def _hold_resources() -> None:
    """Return at once: only its resources matter."""


def _explain(error: Exception, connection: Connection) -> Exception:
    """Explain an error of Ray's."""
    if isinstance(error, ray.exceptions.RayActorError):
        return SeqtuneError(
            f"{MAX_DEATHS + 1} processes died one after another, each in the place of the one "
            f"before; of the last one, Ray says: {str(error).splitlines()[0]}. If memory ran out "
            "(dmesg, ray status), lower predict.batch_size, or give each process more (it has "
            f"{connection.describe_needs()})"
        )
    return RuntimeError(f"Ray failed\n{error}")


@contextmanager
def _silence_ray() -> Iterator[None]:
    """Let Ray Data log to its own file (ray-data.log) only."""
    import ray.data  # noqa: F401 - adds the handlers

    log = logging.getLogger(LOGGER_OF_RAY)
    console = [handler for handler in log.handlers if handler.name == CONSOLE]
    for handler in console:
        log.removeHandler(handler)
    try:
        yield
    finally:
        for handler in console:
            log.addHandler(handler)
