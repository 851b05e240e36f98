"""What Ray takes for a trial beside processes of this machine, and what more nodes give.

The objective sleeps, so that a trial costs no processor: nodes that share two cores can then stand
for machines. First a search with as many workers on either side, in turns: from the call to the
first trial, between two trials of a worker, and the whole. Then searches on one to four nodes.

    python benchmarks/bench_ray.py [--seconds 30 --trials 8 --rounds 2] [--nodes 1 2 4]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from _harness import ROOT, Report, Timing, show
from seqtune.core.config import ClusterConfig
from seqtune.core.execution import Executor
from seqtune.core.trials import Params
from seqtune.pipelines._execution import ExecutionBackend
from seqtune.tuning.config import PrunerConfig, SamplerConfig
from seqtune.tuning.objectives.scoring import Scoring
from seqtune.tuning.plan import ReportEpoch, StudyPlan
from seqtune.tuning.search.stage import run_study
from seqtune.tuning.spaces.space import parse_space
from seqtune.tuning.studies.storage_url import StorageUrl

PLACES = 2
"""Workers on each node."""
EPOCHS = 5
AIM = 0.05


@dataclass(frozen=True)
class Sleeping:
    """Trains nothing, in so many seconds; writes down when it began and ended."""

    folder: Path
    seconds: float

    def __call__(
        self,
        params: Params,
        report: ReportEpoch,
        *,
        name: str,  # noqa: ARG002
    ) -> Mapping[str, float]:
        began = time.time()
        value = -((float(str(params["x"])) - 0.3) ** 2)
        for epoch in range(1, EPOCHS + 1):
            time.sleep(self.seconds / EPOCHS)
            report(epoch, {"val_score": value - 1 / epoch})
        with (self.folder / f"{os.getpid()}.jsonl").open("a") as file:
            file.write(json.dumps([began, time.time()]) + "\n")
        return {"val_score": value}


@dataclass(frozen=True)
class Searched:
    """One search: seconds until the first trial, between two of a worker, and of the whole."""

    first: float
    between: float
    whole: float


def main() -> None:
    arguments = parse_arguments()
    report = Report("ray", title="Ray beside processes of this machine")
    with ray_nodes() as nodes:
        compare(report, nodes, arguments)
        grow(report, nodes, arguments)
    report.write()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="of a trial")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--nodes", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--short-seconds", type=float, default=5.0, help="of a trial on the nodes")
    return parser.parse_args()


# ---- Ray and this machine ----------------------------------------------------------------------


def compare(report: Report, nodes: Nodes, arguments: argparse.Namespace) -> None:
    sides = {"processes of this machine": ClusterConfig(), "Ray, one node": nodes.at_least(1)}
    found: dict[str, list[Searched]] = {name: [] for name in sides}
    for _ in range(arguments.rounds):
        for name, cluster in sides.items():
            found[name].append(
                search(cluster, trials=arguments.trials, seconds=arguments.seconds, workers=PLACES)
            )
    report.text(
        f"{arguments.trials} trials of {arguments.seconds:g} s, {PLACES} workers, SQLite, in turns."
    )
    columns = ("", "call to first trial", "between two trials of a worker", "whole search")
    report.table(columns, [[name, *timings(results)] for name, results in found.items()])
    local, ray = (statistics.median(one.whole for one in results) for results in found.values())
    gaps = [statistics.median(one.between for one in results) for results in found.values()]
    report.text(
        f"Ray took {ray / local - 1:+.1%} of the whole search; for each trial beyond its start "
        f"{(gaps[1] - gaps[0]) / arguments.seconds:+.2%}. Aim: below {AIM:.0%}."
    )


def timings(results: Sequence[Searched]) -> list[str]:
    return [
        str(Timing(tuple(getattr(one, name) for one in results)))
        for name in ("first", "between", "whole")
    ]


def grow(report: Report, nodes: Nodes, arguments: argparse.Namespace) -> None:
    rows, alone = [], 0.0
    for number in sorted(arguments.nodes):
        workers, trials = number * PLACES, 8 * number * PLACES
        config = nodes.at_least(number)
        seconds = arguments.short_seconds
        found = search(config, trials=trials, seconds=seconds, workers=workers)
        rate = 60 * trials / (found.whole - found.first)
        alone = alone or rate / number
        rows.append(
            [
                *(number, workers, trials, show(found.first), show(found.between), show(rate)),
                f"{rate / number / alone:.0%}",
            ]
        )
    report.text(
        f"Trials of {arguments.short_seconds:g} s, {PLACES} workers a node, every node on this "
        "machine. The last column: trials a minute after the start, for each node, against one."
    )
    columns = ("nodes", "workers", "trials", "call to first trial, s", "between two, s")
    report.table([*columns, "trials a minute", "of one node"], rows)


# ---- one search --------------------------------------------------------------------------------


def search(cluster: ClusterConfig, *, trials: int, seconds: float, workers: int) -> Searched:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        executor = ExecutionBackend(cluster, reads=(), scratch=folder).executor()
        began = time.time()
        _run(executor, folder, trials=trials, seconds=seconds, workers=workers)
        whole = time.time() - began
        return read(folder, began=began, whole=whole)


def _run(executor: Executor, folder: Path, *, trials: int, seconds: float, workers: int) -> None:
    plan = StudyPlan(
        task="toy",
        stage="quick",
        space=parse_space({"x": {"type": "float", "low": 0.0, "high": 1.0}}, root="toy"),
        total=trials,
        epochs=EPOCHS,
        scoring=Scoring("val_score", "max"),
        seed=1,
        sampler=SamplerConfig(kind="tpe"),
        pruner=PrunerConfig(kind="none"),
        environment={},
    )
    result = run_study(
        plan,
        Sleeping(folder, seconds),
        ref=StorageUrl(f"sqlite:///{folder}/studies.db"),
        executor=executor,
        num_workers=workers,
        progress=False,
    )
    assert result.num_new == trials, result.stopped


def read(folder: Path, *, began: float, whole: float) -> Searched:
    logs = [
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in folder.glob("*.jsonl")
    ]
    first = min(log[0][0] for log in logs) - began
    gaps = [later[0] - earlier[1] for log in logs for earlier, later in pairwise(log)]
    return Searched(first, statistics.median(gaps), whole)


# ---- nodes -------------------------------------------------------------------------------------


class Nodes:
    """A cluster on this machine that grows when more is asked of it."""

    def __init__(self, add_node: Callable[[], Any], config: ClusterConfig) -> None:
        self._add_node, self._config, self._number = add_node, config, 1

    def at_least(self, number: int) -> ClusterConfig:
        while self._number < number:
            self._add_node()
            self._number += 1
        return self._config


@contextmanager
def ray_nodes() -> Iterator[Nodes]:
    from ray.cluster_utils import Cluster

    from seqtune.workers.cluster.connection import disconnect

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "benchmarks"), *filter(None, sys.path)])
    node: dict[str, Any] = {"num_cpus": PLACES, "num_gpus": 0}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    config = ClusterConfig(engine="ray", address=cluster.address, wait_seconds=100.0)
    try:
        yield Nodes(partial(cluster.add_node, **node), config)
    finally:
        disconnect()
        cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    from bench_ray import main as run  # nodes find what is here by the name of this module

    run()
