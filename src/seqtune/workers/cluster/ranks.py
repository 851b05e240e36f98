"""Share one training among processes on the nodes of a Ray cluster, through Ray Train.

Ray Train starts the processes together, connects them, and restarts all of them when one is lost:
the work then continues from the state that it saved in the shared folder. For `workers.pool` they
are one worker together, so signals, log lines and errors are those of any other work.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from logging.handlers import QueueHandler
from pathlib import Path
from typing import Any

import ray
from typing_extensions import override

from seqtune.core.errors import ConfigurationError, Interrupted, SeqtuneError, TrainingError
from seqtune.core.execution import MonitorDecision, Process, RankInfo, RankWork

from ..child import WorkResult
from ..pool import WorkerBackend, WorkerHandle, WorkerPool
from .connection import Connection
from .file_shipping import ShippedFiles, ShippedPayload
from .ray_errors import unwrap_ray_error
from .supervisor import seqtune_environment

logger = logging.getLogger(__name__)

ROOM_FAILURES = 5
"""Attempts to find room again after a lost rank; each takes up to a minute."""
WATCH_SECONDS = 1.0


def run_ranks(
    work: RankWork,
    *,
    num_ranks: int,
    connection: Connection,
    shipped: ShippedFiles,
    directory: Path,
    retries: int = 3,
    grace_seconds: float = 30.0,
) -> None:
    """Run `work`, whose paths are absolute, in `num_ranks` processes until it has ended in all.

    `retries`: how often all are restarted because one was lost. `directory`: a folder that all
    nodes see, for the files of Ray Train while it runs.
    """
    if shipped.copy:
        raise ConfigurationError(
            f"cluster.data=copy with cluster.training_workers={num_ranks}: processes that share a "
            "training go on from one another's state, which they must all see; put the data folder "
            "on storage that every node sees and set cluster.data=shared, or train in one process "
            "(cluster.training_workers=1)"
        )
    connection.require_place(num_ranks)
    _require_free_room(connection, num_ranks)
    folder = Path(tempfile.mkdtemp(prefix="ranks-", dir=directory))
    backend = _TrainBackend(shipped.pack(work), connection, num_ranks, folder, retries)
    try:
        with _silence_ray():
            WorkerPool(backend, _NoMonitor(), num_workers=1, grace_seconds=grace_seconds).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _silence_ray() -> Iterator[None]:
    """Hide deprecation warnings between parts of Ray, which no user can fix."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\.")
        yield


def _require_free_room(connection: Connection, num_ranks: int) -> None:
    """Refuse to wait for ever, as Ray Train would, for room for all ranks at once."""
    from ray.util.placement_group import placement_group, remove_placement_group

    group = placement_group([_resources(connection)] * num_ranks, strategy="PACK")
    patience = connection.config.wait_seconds
    try:
        if group.wait(patience):
            return
    finally:
        remove_placement_group(group)
    what = f"cluster.training_workers={num_ranks} did not find room"
    raise connection.no_room_error(what, patience)


def _resources(connection: Connection) -> dict[str, float]:
    """Return the resources of one rank for Ray Train; ranks cannot share a GPU."""
    gpus = connection.gpus_per_worker
    needed = {"CPU": float(connection.config.cpus_per_worker)}
    return {**needed, "GPU": max(gpus, 1.0)} if gpus else needed


class _NoMonitor:
    """Never stops the ranks: Ray Train replaces lost ones."""

    def look(self) -> MonitorDecision:
        return MonitorDecision()

    def lost(self, process: Process, exit_code: int, *, reason: str) -> None:
        """Never called: the ranks have no single process."""


class MailboxActor:
    """An actor beside the driver: holds messages of the ranks, and a request to stop."""

    def __init__(self) -> None:
        self._messages: list[logging.LogRecord | WorkResult] = []
        self._stop_signal = 0
        self._is_over = False

    def put(self, message: logging.LogRecord) -> None:
        self._messages.append(message)

    def end(self, result: WorkResult) -> None:
        """Keep the first result: the training is over, and not because a rank was lost."""
        if not self._is_over:
            self._messages.append(result)
        self._is_over = True

    def is_over(self) -> bool:
        return self._is_over

    def take(self) -> list[logging.LogRecord | WorkResult]:
        messages, self._messages = self._messages, []
        return messages

    def request_stop(self, number: int) -> None:
        self._stop_signal = number

    def stop_signal(self) -> int:
        """Return the signal that was requested; 0 for none."""
        return self._stop_signal


@dataclass(frozen=True)
class _TrainBackend(WorkerBackend):
    payload: ShippedPayload
    connection: Connection
    num_ranks: int
    folder: Path
    retries: int

    @override
    def start(self, index: int) -> WorkerHandle:
        mailbox = _create_mailbox()
        level = logging.getLogger("seqtune").getEffectiveLevel()
        trainer = self._trainer(_RankCommand(self.payload, mailbox, level))
        return _TrainHandle(index, trainer, mailbox)

    @override
    def wait(self, workers: Sequence[WorkerHandle], seconds: float) -> None:
        for worker in workers:
            if isinstance(worker, _TrainHandle):
                worker.thread.join(seconds)

    def _trainer(self, command: _RankCommand) -> Any:
        from ray import train
        from ray.train.torch import TorchTrainer

        of: Any = train  # its types are those of an older interface
        resources = _resources(self.connection)
        return TorchTrainer(
            _rank,
            train_loop_config={"command": command},
            scaling_config=of.ScalingConfig(
                num_workers=self.num_ranks,
                use_gpu="GPU" in resources,
                resources_per_worker=resources,
            ),
            run_config=of.RunConfig(
                name=self.folder.name,
                storage_path=str(self.folder),
                failure_config=of.FailureConfig(
                    max_failures=self.retries, controller_failure_limit=ROOM_FAILURES
                ),
                worker_runtime_env={"env_vars": seqtune_environment()},
                logging_config=of.LoggingConfig(log_level="ERROR"),
            ),
        )


def _create_mailbox() -> Any:
    """Start the actor on this node, so that it lives as long as the driver."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actors: Any = ray.remote(MailboxActor)
    return actors.options(num_cpus=0, scheduling_strategy=here).remote()


class _TrainHandle(WorkerHandle):
    """All ranks together."""

    def __init__(self, index: int, trainer: Any, mailbox: Any) -> None:
        super().__init__(index)
        self.log_prefix = ""
        self._trainer = trainer
        self._mailbox = mailbox
        self._failure: Exception | None = None
        # in a thread: the main one receives signals
        self.thread = threading.Thread(target=self._fit, name="ranks", daemon=True)
        self.thread.start()

    def _fit(self) -> None:
        try:
            self._trainer.fit()
        except SystemExit:
            return  # this process has left the cluster meanwhile
        except Exception as error:  # noqa: BLE001 - reported by `poll`
            self._failure = error

    @override
    def is_alive(self) -> bool:
        return self.thread.is_alive()

    @override
    def poll(self) -> None:
        is_over = not self.is_alive()  # asked first: ranks that have ended have sent everything
        for message in ray.get(self._mailbox.take.remote()):
            self.receive(message)
        if is_over and self.result is None:
            self.result = _judge_failure(self._failure)

    @override
    def request_stop(self) -> None:
        self._mailbox.request_stop.remote(signal.SIGTERM)

    @override
    def kill(self, reason: str = "") -> None:
        """End the mailbox; the ranks end with it."""
        self.close()

    @override
    def close(self) -> None:
        ray.kill(self._mailbox)

    @override
    def describe_death(self) -> str:
        return str(self._failure)


def _judge_failure(failure: Exception | None) -> WorkResult:
    """Explain the end of Ray Train where no rank has reported a result."""
    if failure is None:
        return WorkResult("done")
    cause = unwrap_ray_error(failure)
    if isinstance(cause, SeqtuneError):
        return WorkResult("refused", cause)
    if (loss := _describe_loss(failure)) is None:
        return WorkResult("failed", traceback="".join(traceback.format_exception(failure)))
    error = TrainingError(
        "processes of the training were lost, or found no room, more often than it is restarted "
        f"({loss}). The system kills them when memory runs out: use a smaller "
        "training.batch_size, or fewer workers on a node. What was trained is kept, and the same "
        "command goes on from there"
    )
    return WorkResult("refused", error)


def _describe_loss(failure: Exception) -> str | None:
    """Describe how a rank was lost or not placed; return None if one raised an error instead."""
    by_rank = getattr(failure, "worker_failures", None) or {}
    found = [getattr(one, "health_check_failure", None) for one in by_rank.values()]
    found.append(getattr(failure, "controller_failure", None))
    return next((str(one).partition("\n")[0] for one in found if one is not None), None)


# ---- in a rank -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _RankCommand:
    """Everything that a rank is started with."""

    payload: ShippedPayload
    mailbox: Any
    log_level: int


def _rank(config: dict[str, Any]) -> None:
    """Do the work; report its errors to the mailbox, except those that a lost rank causes.

    Ray Train restarts all ranks after any error; if the training is over by then, they return.
    """
    command: _RankCommand = config["command"]
    if ray.get(command.mailbox.is_over.remote()):
        return
    info = _rank_info(_MailboxReader(command.mailbox))
    with _forward_logs(command, is_logged=info.rank == 0):
        result = _attempt(command.payload, info)
    if result is not None:
        ray.get(command.mailbox.end.remote(result))
        raise RuntimeError(result.traceback or str(result.error))  # so that no rank waits for this
    ray.get(command.mailbox.stop_signal.remote())  # all earlier messages have arrived


def _rank_info(reader: _MailboxReader) -> RankInfo:
    import ray.train
    import ray.train.torch

    context = ray.train.get_context()
    return RankInfo(
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        gpu=ray.train.torch.get_device().index or 0,
        asked=reader.stop_signal,
    )


def _attempt(payload: ShippedPayload, info: RankInfo) -> WorkResult | None:
    try:
        work: RankWork = payload.open()
        work(info)
    except Interrupted as error:
        return WorkResult("interrupted", error)
    except SeqtuneError as error:
        return WorkResult("refused", error)
    except RuntimeError:
        raise  # how torch reports that another rank was lost
    except Exception:  # noqa: BLE001 - reported to the driver, which raises it
        return WorkResult("failed", traceback=traceback.format_exc())
    return None


class _MailboxReader:
    """Asks the mailbox for a stop signal; ends the process if the mailbox is gone."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox
        self._number = 0
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def stop_signal(self) -> int:
        return self._number

    def _watch(self) -> None:
        while not self._number:
            time.sleep(WATCH_SECONDS)
            try:
                self._number = ray.get(self._mailbox.stop_signal.remote())
            except ray.exceptions.RayError:
                os._exit(1)


class _MailboxLogHandler(QueueHandler):
    def __init__(self, mailbox: Any) -> None:
        super().__init__(mailbox)
        self._mailbox = mailbox

    @override
    def enqueue(self, record: logging.LogRecord) -> None:
        self._mailbox.put.remote(record)


@contextmanager
def _forward_logs(command: _RankCommand, *, is_logged: bool) -> Iterator[None]:
    """Send seqtune's log records to the driver if this rank `is_logged`, else drop them."""
    package = logging.getLogger("seqtune")
    handler = _MailboxLogHandler(command.mailbox) if is_logged else logging.NullHandler()
    package.addHandler(handler)
    package.setLevel(command.log_level)
    package.propagate = False
    try:
        yield
    finally:
        package.removeHandler(handler)
