"""Worker processes, on this machine or on the nodes of a cluster.

Stages ask an `ExecutionBackend` and do not know which (`cluster` in parameters_cluster.yml).
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from seqtune.core.config import ClusterConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.execution import (
    Executor,
    ParallelMap,
    RankWork,
    StudyMonitor,
    Work,
    map_serially,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from seqtune.workers.cluster.connection import Connection
    from seqtune.workers.cluster.file_shipping import ShippedFiles

logger = logging.getLogger(__name__)

PRELOAD = ("seqtune.training", "optuna")
"""Imported once for all workers of a run, because each import takes seconds."""
MAX_CPU_WORKERS = 8


@dataclass(frozen=True)
class ExecutionBackend:
    """Where work runs that reads the folders `reads` and writes below `scratch`."""

    cluster: ClusterConfig
    reads: tuple[Path, ...]
    scratch: Path

    def executor(self, *, elastic: bool = False) -> Executor:
        """Run work in several workers; `elastic`: more of them may join while it runs."""
        if self.is_local:
            from seqtune.workers.local import run_local

            return partial(run_local, preload=PRELOAD)
        require_ray()
        return partial(_on_cluster, cluster=self.cluster, shipped=self.shipped, elastic=elastic)

    def spread(self) -> ParallelMap:
        """Map over parts in several processes on a cluster, and serially here."""
        if self.is_local:
            return map_serially
        require_ray()
        from seqtune.workers.cluster.parallel_map import parallel_map_over

        return parallel_map_over(self.cluster, self.shipped)

    @property
    def shares_trainings(self) -> bool:
        """Whether several processes share one training."""
        return not self.is_local and self.cluster.training_workers > 1

    def run_ranks(self, work: RankWork) -> None:
        """Run one training in `cluster.training_workers` processes."""
        from seqtune.workers.cluster.ranks import run_ranks

        with self._connect() as connection:
            run_ranks(
                work,
                num_ranks=self.cluster.training_workers,
                connection=connection,
                shipped=self.shipped,
                directory=self.scratch,
            )

    def num_workers(self, wanted: int | Literal["auto"], *, num_threads: int = 1) -> int:
        """Return how many trainings run at once (tuning.workers), each with `num_threads`."""
        if wanted != "auto":
            return wanted
        if self.is_local:
            return num_local_workers(num_threads)
        with self._connect() as connection:
            connection.require_place()
            return connection.num_places()

    def spans_machines(self) -> bool:
        """Whether work may run on another machine."""
        if self.is_local:
            return False
        with self._connect() as connection:
            return connection.spans_machines()

    def with_shared_results(self) -> ExecutionBackend:
        """Fall back to this machine if the nodes do not see the data folder, for its results."""
        if self.is_local or self.cluster.data == "shared":
            return self
        logger.info(
            "cluster.data=copy: the cluster does not see the data folder, so this runs on this "
            "machine"
        )
        return replace(self, cluster=ClusterConfig())

    @property
    def is_local(self) -> bool:
        return self.cluster.engine == "local"

    @property
    def shipped(self) -> ShippedFiles:
        from seqtune.workers.cluster.file_shipping import ShippedFiles

        return ShippedFiles(self.reads, self.scratch, copy=self.cluster.data == "copy")

    def _connect(self) -> AbstractContextManager[Connection]:
        require_ray()
        from seqtune.workers.cluster.connection import connect

        return connect(self.cluster, shipped=self.shipped)


def num_local_workers(num_threads: int = 1) -> int:
    """Return how many trainings this machine runs at once."""
    from seqtune.workers.gpus import visible_gpus

    cores = min(os.cpu_count() or 1, MAX_CPU_WORKERS)
    return len(visible_gpus()) or max(1, cores // num_threads)


def require_ray() -> None:
    """Refuse to use a cluster if Ray is not installed."""
    if find_spec("ray") is None:
        raise ConfigurationError(
            "cluster.engine=ray, but Ray is not installed. Run: pip install 'seqtune[cluster]' on "
            "every node, or use only this machine with cluster.engine=local"
        )


def _on_cluster(
    work: Work,
    monitor: StudyMonitor,
    *,
    num_workers: int,
    most: int | None = None,
    cluster: ClusterConfig,
    shipped: ShippedFiles,
    elastic: bool,
) -> None:
    from seqtune.workers.cluster.connection import connect
    from seqtune.workers.cluster.executor import run_on_cluster

    with connect(cluster, shipped=shipped) as connection:
        run_on_cluster(
            work,
            monitor,
            num_workers=num_workers,
            connection=connection,
            shipped=shipped,
            most=most if elastic else None,
            preload=PRELOAD,
        )
