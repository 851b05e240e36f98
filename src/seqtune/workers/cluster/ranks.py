"""`run_ranks`: one training shared by processes on the nodes of a Ray cluster, through Ray Train.

Ray Train starts the processes together, connects them, and starts all of them again where one is
lost: the work then goes on from the state that it has saved in the shared folder. To the crew
(`workers.pool`) all of them together are one hand: signals, log lines and errors are those of any
other work.
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

from typing_extensions import override

from seqtune.core.errors import (
    ConfigurationError,
    Interrupted,
    SeqtuneError,
    TrainingError,
)
from seqtune.core.execution import MonitorDecision, Process, RankInfo, RankWork

from ..child import WorkResult
from ..pool import WorkerBackend, WorkerHandle, WorkerPool
from .connection import Connection
from .file_shipping import ShippedFiles, ShippedPayload
from .ray_errors import unwrap_ray_error
from .supervisor import worth_sending

logger = logging.getLogger(__name__)

ROOM_FAILURES = 5
"""Attempts to find room again after a loss; each takes up to a minute."""
WATCH_SECONDS = 1.0


def run_ranks(
    work: RankWork,
    *,
    num_ranks: int,
    connection: Connection,
    carried: ShippedFiles,
    directory: Path,
    retries: int = 3,
    grace_seconds: float = 30.0,
) -> None:
    """Run `work`, whose paths are absolute, in `num_ranks` processes at once, until it has ended
    in all of them.

    `retries`: how often all of them are started again because one was lost. `directory` is a
    folder that all nodes see, for what Ray Train keeps while it runs.
    """
    if carried.copy:
        raise ConfigurationError(
            f"cluster.data=copy with cluster.training_workers={num_ranks}: processes that share a "
            "training go on from one another's state, which they must all see; put the data folder "
            "on storage that every node sees and set cluster.data=shared, or train in one process "
            "(cluster.training_workers=1)"
        )
    connection.require_place(num_ranks)
    _require_free_room(connection, num_ranks)
    folder = Path(tempfile.mkdtemp(prefix="ranks-", dir=directory))
    yard = _RayTrain(
        carried.pack(work), connection, num_ranks=num_ranks, folder=folder, retries=retries
    )
    try:
        with _quiet():
            WorkerPool(yard, _NoMonitor(), num_workers=1, grace_seconds=grace_seconds).work()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """What Ray's parts find out of date in one another is nothing that a user can mend."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\.")
        yield


def _require_free_room(connection: Connection, num_ranks: int) -> None:
    """All ranks begin together or not at all; Ray Train itself would wait for ever."""
    from ray.util.placement_group import placement_group, remove_placement_group

    group = placement_group([_resources(connection)] * num_ranks, strategy="PACK")
    patience = connection.config.wait_seconds
    try:
        if group.wait(patience):
            return
    finally:
        remove_placement_group(group)
    raise connection.no_room(f"cluster.training_workers={num_ranks} did not find room", patience)


def _resources(connection: Connection) -> dict[str, float]:
    """Of one rank, in Ray Train's words; ranks cannot share a GPU."""
    gpus = connection.gpus_per_worker
    needed = {"CPU": float(connection.config.cpus_per_worker)}
    return {**needed, "GPU": max(gpus, 1.0)} if gpus else needed


class _NoMonitor:
    """A foreman with nothing to look after: Ray Train sees to lost ranks."""

    def look(self) -> MonitorDecision:
        return MonitorDecision()

    def lost(self, process: Process, exit_code: int, *, reason: str) -> None:
        """There is no process of its own."""


class MailboxActor:
    """An actor beside the driver: what ranks say to it, and whether it wants an end."""

    def __init__(self) -> None:
        self._words: list[logging.LogRecord | WorkResult] = []
        self._asked = 0
        self._is_over = False

    def say(self, word: logging.LogRecord) -> None:
        self._words.append(word)

    def end(self, ended: WorkResult) -> None:
        """The training is over, and not because a rank was lost; the first to say so is right."""
        if not self._is_over:
            self._words.append(ended)
        self._is_over = True

    def is_over(self) -> bool:
        return self._is_over

    def hear(self) -> list[logging.LogRecord | WorkResult]:
        words, self._words = self._words, []
        return words

    def ask_to_end(self, number: int) -> None:
        self._asked = number

    def asked(self) -> int:
        """The signal to end by; 0: nobody wants that."""
        return self._asked


class _RayTrain(WorkerBackend):
    def __init__(
        self,
        packed: ShippedPayload,
        connection: Connection,
        *,
        num_ranks: int,
        folder: Path,
        retries: int,
    ) -> None:
        self._packed = packed
        self._connection = connection
        self._num_ranks = num_ranks
        self._folder = folder
        self._retries = retries

    @override
    def start(self, index: int) -> WorkerHandle:
        post = _post_here()
        level = logging.getLogger("seqtune").getEffectiveLevel()
        trainer = self._trainer(_RankCommand(self._packed, post, level))
        return _Training(index, trainer, post)

    @override
    def wait(self, hands: Sequence[WorkerHandle], seconds: float) -> None:
        for hand in hands:
            if isinstance(hand, _Training):
                hand.thread.join(seconds)

    def _trainer(self, order: _RankCommand) -> Any:
        from ray import train
        from ray.train.torch import TorchTrainer

        of: Any = train  # its types are those of an older interface
        resources = _resources(self._connection)
        return TorchTrainer(
            _rank,
            train_loop_config={"order": order},
            scaling_config=of.ScalingConfig(
                num_workers=self._num_ranks,
                use_gpu="GPU" in resources,
                resources_per_worker=resources,
            ),
            run_config=of.RunConfig(
                name=self._folder.name,
                storage_path=str(self._folder),
                failure_config=of.FailureConfig(
                    max_failures=self._retries, controller_failure_limit=ROOM_FAILURES
                ),
                worker_runtime_env={"env_vars": worth_sending()},
                logging_config=of.LoggingConfig(log_level="ERROR"),
            ),
        )


def _post_here() -> Any:
    """On this node: while the driver lives, it does."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actors: Any = ray.remote(MailboxActor)
    return actors.options(num_cpus=0, scheduling_strategy=here).remote()


class _Training(WorkerHandle):
    """All ranks together."""

    def __init__(self, index: int, trainer: Any, post: Any) -> None:
        super().__init__(index)
        self._trainer = trainer
        self._post = post
        self._failure: Exception | None = None
        # in a thread: the main one hears signals
        self.thread = threading.Thread(target=self._fit, name="ranks", daemon=True)
        self.thread.start()

    def _fit(self) -> None:
        try:
            self._trainer.fit()
        except SystemExit:
            return  # Ray was left while this waited: nobody asks any more
        except Exception as error:  # noqa: BLE001 - told by `listen`
            self._failure = error

    @property
    @override
    def process(self) -> Process | None:
        return None

    @property
    @override
    def exit_code(self) -> int:
        return 0

    @override
    def is_alive(self) -> bool:
        return self.thread.is_alive()

    @override
    def listen(self) -> None:
        import ray

        is_over = not self.is_alive()  # asked first: whoever is gone has said all
        for word in ray.get(self._post.hear.remote()):
            self.hear(word)
        if is_over and self.ended is None:
            self.ended = _verdict(self._failure)

    @override
    def hear(self, message: WorkResult | logging.LogRecord) -> None:
        if isinstance(message, WorkResult):
            self.ended = message
        elif (target := logging.getLogger(message.name)).isEnabledFor(message.levelno):
            target.handle(message)

    @override
    def ask_to_end(self) -> None:
        self._post.ask_to_end.remote(signal.SIGTERM)

    @override
    def kill(self, reason: str = "") -> None:
        """Ranks end with their post."""
        self.close()

    @override
    def close(self) -> None:
        import ray

        ray.kill(self._post)

    @override
    def describe_death(self) -> str:
        return self.killed_for or str(self._failure)


def _verdict(failure: Exception | None) -> WorkResult:
    """What the end of Ray Train means, where no rank has said why it ended."""
    if failure is None:
        return WorkResult("done")
    ours = unwrap_ray_error(failure)
    if isinstance(ours, SeqtuneError):
        return WorkResult("refused", ours)
    if (loss := _loss(failure)) is None:
        return WorkResult("failed", traceback="".join(traceback.format_exception(failure)))
    error = TrainingError(
        "processes of the training were lost, or found no room, more often than it is started "
        f"again ({loss}). The system kills them where memory runs out: take a smaller "
        "training.batch_size, or fewer workers on a node. What was trained is kept, and the same "
        "command goes on from there"
    )
    return WorkResult("refused", error)


def _loss(failure: Exception) -> str | None:
    """How a rank was lost, or missed; None where all of them lived, and one raised something."""
    of_ranks = getattr(failure, "worker_failures", None) or {}
    found = [getattr(one, "health_check_failure", None) for one in of_ranks.values()]
    found.append(getattr(failure, "controller_failure", None))
    return next((str(one).partition("\n")[0] for one in found if one is not None), None)


# in a rank


@dataclass(frozen=True)
class _RankCommand:
    """What every rank is started with."""

    packed: ShippedPayload
    post: Any
    log_level: int


def _rank(config: dict[str, Any]) -> None:
    """Do the work; what it raises goes to the post, except what the loss of a rank looks like.

    Ray Train starts all ranks again after any error: those that find the training over return.
    """
    import ray

    order: _RankCommand = config["order"]
    if ray.get(order.post.is_over.remote()):
        return
    watch = _MailboxReader(order.post)
    place = _place(watch)
    with _lines_to_post(order, speaks=place.rank == 0):
        ended = _attempt(order.packed, place)
    if ended is not None:
        ray.get(order.post.end.remote(ended))
        raise RuntimeError(
            ended.traceback or str(ended.error)
        )  # so that nobody waits for this rank
    ray.get(order.post.asked.remote())  # whatever was said before has arrived


def _place(watch: _MailboxReader) -> RankInfo:
    import ray.train
    import ray.train.torch

    context = ray.train.get_context()
    return RankInfo(
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        gpu=ray.train.torch.get_device().index or 0,
        asked=watch.asked,
    )


def _attempt(packed: ShippedPayload, place: RankInfo) -> WorkResult | None:
    try:
        work: RankWork = packed.open()
        work(place)
    except Interrupted as error:
        return WorkResult("interrupted", error)
    except SeqtuneError as error:
        return WorkResult("refused", error)
    except RuntimeError:
        raise  # another rank was lost, as torch says it
    except Exception:  # noqa: BLE001 - reported to the driver, which raises it
        return WorkResult("failed", traceback=traceback.format_exc())
    return None


class _MailboxReader:
    """Asks the post whether somebody wants an end; ends the process where it is gone."""

    def __init__(self, post: Any) -> None:
        self._post = post
        self._number = 0
        threading.Thread(target=self._look, name="watch", daemon=True).start()

    def asked(self) -> int:
        return self._number

    def _look(self) -> None:
        import ray

        while not self._number:
            time.sleep(WATCH_SECONDS)
            try:
                self._number = ray.get(self._post.asked.remote())
            except ray.exceptions.RayError:
                os._exit(1)


class _MailboxLogHandler(QueueHandler):
    def __init__(self, post: Any) -> None:
        super().__init__(post)
        self._post = post

    @override
    def enqueue(self, record: logging.LogRecord) -> None:
        self._post.say.remote(record)


@contextmanager
def _lines_to_post(order: _RankCommand, *, speaks: bool) -> Iterator[None]:
    """Our log lines go to the driver, if this rank speaks for all."""
    ours = logging.getLogger("seqtune")
    handler = _MailboxLogHandler(order.post) if speaks else logging.NullHandler()
    ours.addHandler(handler)
    ours.setLevel(order.log_level)
    ours.propagate = False
    try:
        yield
    finally:
        ours.removeHandler(handler)
