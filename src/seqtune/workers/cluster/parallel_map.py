"""`map_over_cluster`: the parts of something, made all over a Ray cluster, one by one and in
order.

Ray Data hands out the numbers of parts to processes that open the work once, makes again what a
dead process or a lost node had in hand, and waits with new parts while many lie ready.
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

from seqtune.core.config import ClusterConfig
from seqtune.core.errors import SeqtuneError
from seqtune.core.execution import ParallelMap, PartFactory

from ..child import WorkResult
from ..pool import error_of
from .connection import Connection, connected
from .file_shipping import ShippedFiles, ShippedPayload

if TYPE_CHECKING:
    from ray.data import DataContext

PartT = TypeVar("PartT")

NUMBER, ANSWER = "number", "answer"
BYTES_AHEAD = 64 * 2**20
"""Of parts that lie ready to be taken, for each process: with more, they wait."""
PARTS_IN_HAND = 2
"""Of each process: the one that it makes, and the next."""
MAX_DEATHS = 8
"""Of the processes in one place: more of them will not help."""
LOGGER_OF_RAY = "ray.data"
CONSOLE = "console"
"""The name of its handler that writes to the terminal; another one writes to a file of Ray's."""


def parallel_map_over(config: ClusterConfig, carried: ShippedFiles) -> ParallelMap:
    """The `ParallelMap` of a cluster, with as many processes as `config` says."""

    def spread(opener: PartFactory[PartT], num_parts: int) -> Iterator[PartT]:
        with connected(config, carried=carried) as connection:
            wanted = config.prediction_workers
            yield from map_over_cluster(
                opener,
                num_parts,
                connection=connection,
                carried=carried,
                num_workers=connection.num_places() if wanted == "auto" else wanted,
            )

    return spread


def map_over_cluster(
    opener: PartFactory[PartT],
    num_parts: int,
    *,
    connection: Connection,
    carried: ShippedFiles,
    num_workers: int,
) -> Iterator[PartT]:
    """All parts in order, each exactly once, made by up to `num_workers` processes.

    Closing the iterator ends the processes.
    """
    if num_parts == 0:
        return
    connection.require_place()
    _require_free_place(connection)
    packed = carried.pack(opener)
    num_workers = min(num_workers, num_parts)
    with _quiet(), closing(_made(packed, num_parts, connection, num_workers)) as made:
        for expected in range(num_parts):
            number, answer = next(made, (None, b""))
            if number != expected:
                raise RuntimeError(f"Ray Data gave part {number} instead of {expected}")
            ended, part = pickle.loads(answer)  # noqa: S301 - from our own processes
            if ended.how != "done":
                raise error_of(ended, f"the process that made part {number} of {num_parts}")
            yield part


class _Maker:
    """What a process of the cluster does."""

    def __init__(self, packed: ShippedPayload) -> None:
        self._packed = packed
        self._make: Callable[[int], Any] | None = None

    def __call__(self, asked: pa.Table) -> pa.Table:
        number = asked[NUMBER][0].as_py()
        answer = pickle.dumps(self._attempt(number), protocol=pickle.HIGHEST_PROTOCOL)
        return pa.table({NUMBER: [number], ANSWER: pa.array([answer], pa.large_binary())})

    def _attempt(self, number: int) -> tuple[WorkResult, Any]:
        """A part, or the error instead of it: Ray would wrap one that is raised in pages."""
        try:
            if self._make is None:
                self._make = self._packed.open()()
            return WorkResult("done"), self._make(number)
        except SeqtuneError as error:
            return WorkResult("refused", error), None
        except Exception:  # noqa: BLE001 - reported to the driver, which raises it
            return WorkResult("failed", traceback=traceback.format_exc()), None


def _made(
    packed: ShippedPayload, num_parts: int, connection: Connection, num_workers: int
) -> Generator[tuple[int, pa.Buffer]]:
    """Numbers and answers as Ray Data gives them."""
    import ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what Ray Data says to itself
        blocks = _blocks(packed, num_parts, connection, num_workers)
    fault: Exception | None = None
    try:
        with closing(blocks):
            for block in blocks:
                yield block[NUMBER][0].as_py(), block[ANSWER][0].as_buffer()
    except ray.exceptions.RayError as error:
        fault = _explained(error, connection)
    if fault is not None:  # raised here, it keeps nothing alive of what went wrong, processes least
        raise fault


def _blocks(
    packed: ShippedPayload, num_parts: int, connection: Connection, num_workers: int
) -> Any:
    """A generator of tables of one row, which begins with the first one."""
    from ray.data import ActorPoolStrategy, DataContext, from_items

    numbers = [{NUMBER: number} for number in range(num_parts)]
    resources: dict[str, Any] = connection.resources
    with DataContext.current(_context(num_workers)):
        parts = from_items(numbers, override_num_blocks=num_parts).map_batches(
            _Maker,
            fn_constructor_args=(packed,),
            batch_size=1,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(
                size=num_workers, max_tasks_in_flight_per_actor=PARTS_IN_HAND
            ),
            max_restarts=MAX_DEATHS,
            max_task_retries=-1,  # a node that is gone may be asked often before that is known
            **resources,
        )
    return iter(parts.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))


def _context(num_workers: int) -> DataContext:
    """How Ray Data is to go about it."""
    from ray.data import DataContext, ExecutionOptions, ExecutionResources

    context = DataContext.get_current().copy()
    context.execution_options = ExecutionOptions(
        preserve_order=True,
        resource_limits=ExecutionResources.for_limits(
            object_store_memory=BYTES_AHEAD * num_workers
        ),
    )
    context.execution_no_progress_timeout_s = -1  # a part may take its time, as may who takes it
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return context


def _require_free_place(connection: Connection) -> None:
    """Refuse to wait for ever where others hold what a process needs."""
    import ray

    seconds = connection.config.wait_seconds
    resources: dict[str, Any] = connection.resources
    place = ray.remote(**resources, max_retries=-1)(_nothing).remote()
    try:
        ray.get(place, timeout=seconds)
    except ray.exceptions.GetTimeoutError:
        ray.cancel(place)
        raise connection.no_room("no process found a place", seconds) from None


def _nothing() -> None:
    """Takes a place and gives it back."""


def _explained(error: Exception, connection: Connection) -> Exception:
    """What Ray says of a part that could not be made, as ours."""
    import ray

    if isinstance(error, ray.exceptions.RayActorError):
        return SeqtuneError(
            f"{MAX_DEATHS + 1} processes died one after another, each in the place of the one "
            f"before; of the last one, Ray says: {str(error).splitlines()[0]}. If memory ran out "
            "(dmesg, ray status), lower predict.batch_size, or give each process more (it has "
            f"{connection.needs()})"
        )
    return RuntimeError(f"Ray failed\n{error}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray Data says what it says in its own file (ray-data.log) alone."""
    import ray.data  # noqa: F401 - which gives its logger the handlers

    log = logging.getLogger(LOGGER_OF_RAY)
    loud = [handler for handler in log.handlers if handler.name == CONSOLE]
    for handler in loud:
        log.removeHandler(handler)
    try:
        yield
    finally:
        for handler in loud:
            log.addHandler(handler)
