"""What many workers cost the database of their study: directly, and through the proxy.

First whole searches (`run_study`: TPE, a pruner that judges, ten epochs, the monitor) whose trials
sleep where a training would be. Then single calls at many running trials, which say where it ends.
Only processor time is told of calls: a few cores carry workers, proxy and server here.

    python benchmarks/bench_studies.py [--times 3] [--most 32]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import linear_regression
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/unit/tuning"))

from sqlalchemy import make_url
from toy_servers import MariaDB, PostgreSQL

from _harness import Report, show
from _relay import relay
from seqtune.core.execution import StudyMonitor, Work, WorkerInfo
from seqtune.core.trials import Params
from seqtune.tuning.config import PrunerConfig, SamplerConfig
from seqtune.tuning.objectives.scoring import Scoring
from seqtune.tuning.plan import ReportEpoch, StudyPlan
from seqtune.tuning.search.stage import run_study
from seqtune.tuning.spaces.space import parse_space
from seqtune.tuning.studies.processes import worker_identity
from seqtune.tuning.studies.records import WORKER
from seqtune.tuning.studies.storage import quiet_optuna
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.study import load_study, open_study
from seqtune.workers.local import run_local
from toy_processes import free_port

if TYPE_CHECKING:
    import optuna

NUM_EPOCHS = 10
TRIALS_PER_WORKER = 4
LEAST_TRIALS = 8
LEAST_SECONDS, SECONDS_PER_WORKER = 2.0, 0.75
"""A trial sleeps so long that the workers' own processor time fits on a core or two."""
DIRECTLY, BY_PROXY = "directly", "through the proxy"
RUNS: dict[str, dict[str, tuple[int, ...]]] = {
    "PostgreSQL": {DIRECTLY: (1, 4, 8, 32), BY_PROXY: (1, 4, 8, 32)},
    "MariaDB": {DIRECTLY: (1, 8)},
    "SQLite": {DIRECTLY: (1, 4, 8), BY_PROXY: (8,)},
}
"""Numbers of workers, by database and way."""
NUM_RUNNING = (1, 4, 16, 64, 128)
"""Running trials, which every look at a study reads again."""
EPOCHS_SO_FAR = 5
LOOKS = 10
"""In which a trial of so many epochs reads all running trials; counted, beside 26 other calls."""
CALLS = 60
TRIAL_SECONDS = (30, 120, 600)
SLOTS = 97
"""Connections that PostgreSQL gives to ordinary users by default."""
TICKS = os.sysconf("SC_CLK_TCK")
LATENCIES_MS = (0.0, 1.0, 10.0)
PRELOAD = ("optuna", "sqlalchemy.orm", "psycopg", "pymysql", "seqtune.tuning.search.loop")
SPACE = {
    **{name: {"type": "float", "low": 0.0, "high": 1.0} for name in ("a", "b", "c", "d")},
    "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    "layers": {"type": "int", "low": 1, "high": 8},
}


@dataclass(frozen=True)
class Sleeping:
    """A trial that takes so long, and no processor."""

    seconds: float

    def __call__(self, params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:  # noqa: ARG002
        STARTS.append((time.monotonic(), time.process_time()))
        value = -((float(str(params["a"])) - 0.3) ** 2)
        for epoch in range(1, NUM_EPOCHS + 1):
            time.sleep(self.seconds / NUM_EPOCHS)
            report(epoch, {"val_score": value - 1 / epoch})
        return {"val_score": value}


STARTS: list[tuple[float, float]] = []
"""When the trials of this process began: by the clock, and by its processor time."""


@dataclass(frozen=True)
class Timed:
    """Work that notes in a file when its trials began."""

    work: Work
    folder: Path

    def __call__(self, place: WorkerInfo) -> None:
        self.work(place)
        (self.folder / f"{place.index}.json").write_text(json.dumps(STARTS))


class Cost(NamedTuple):
    """Of one run."""

    per_second: float
    """Trials."""
    beyond: float
    """Seconds of a trial beyond its sleep, those until the next one begins included."""
    worker: float
    """Processor seconds of a worker from one trial to the next."""
    proxy: float
    """For each trial, as the next two; what opening took is shared among all."""
    database: float
    transactions: float
    connections: Sequence[int]
    """Open ones, twice a second."""
    monitor: float
    """Processor seconds of the parent for each second of the search."""


def plan_of(total: int) -> StudyPlan:
    return StudyPlan(
        task="bench",
        stage="quick",
        space=parse_space(SPACE, root="bench.space"),
        total=total,
        epochs=NUM_EPOCHS,
        scoring=Scoring(metric="val_score", mode="max"),
        seed=1,
        sampler=SamplerConfig(kind="tpe"),
        pruner=PrunerConfig(kind="patience", patience=100),  # looks at every epoch, stops nothing
        environment={},
    )


# ---- one run -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Database:
    """An empty one, and how to ask its server what it has done."""

    url: str
    processor: Callable[[], float] = float
    connections: Callable[[], int] = int
    transactions: Callable[[], int] = int


@dataclass(frozen=True)
class Proxy:
    address: str
    processor: Callable[[], float] = float


DIRECT = Proxy("")


def measure(database: Database, proxy: Proxy, *, num_workers: int, seconds: float) -> Cost:
    total = max(LEAST_TRIALS, TRIALS_PER_WORKER * num_workers)
    clocks = (proxy.processor, database.processor, time.process_time)
    with tempfile.TemporaryDirectory() as folder, sampled(database.connections) as connections:
        before, num_before = [read() for read in clocks], database.transactions()
        result = run_study(
            plan_of(total),
            Sleeping(seconds),
            ref=StorageUrl(database.url, proxy=proxy.address),
            executor=partial(_timed, Path(folder)),
            num_workers=num_workers,
            progress=False,
        )
        took = [read() - start for read, start in zip(clocks, before, strict=True)]
        num_transactions = database.transactions() - num_before
        noted = [json.loads(file.read_text()) for file in Path(folder).iterdir()]
    assert sum(trial.is_finished for trial in result.trials) == total
    cycles = [cycle(starts) for starts in noted if len(starts) > 1]
    return Cost(
        per_second=sum(1 / wall for wall, _ in cycles),
        beyond=statistics.median(wall for wall, _ in cycles) - seconds,
        worker=statistics.median(processor for _, processor in cycles),
        proxy=took[0] / total,
        database=took[1] / total,
        transactions=num_transactions / total,
        connections=connections,
        monitor=took[2] / result.seconds,
    )


def _timed(
    folder: Path, work: Work, monitor: StudyMonitor, *, num_workers: int, most: int | None = None
) -> None:
    run_local(Timed(work, folder), monitor, num_workers=num_workers, most=most, preload=PRELOAD)


def cycle(starts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Seconds from the start of a trial to the start of the next: wall clock, and processor."""
    (wall, processor), (last_wall, last_processor) = starts[0], starts[-1]
    steps = len(starts) - 1
    return (last_wall - wall) / steps, (last_processor - processor) / steps


@contextmanager
def sampled(read: Callable[[], int]) -> Iterator[list[int]]:
    """What it says, twice a second."""
    found, stop = [read()], threading.Event()

    def sample() -> None:
        while not stop.wait(0.5):
            found.append(read())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


# ---- servers -----------------------------------------------------------------------------------


def processor_of(pid: int) -> float:
    """Seconds of a process and of all its children, the dead ones included."""
    parents: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(file.parent.name))
        ticks[int(file.parent.name)] = sum(map(int, fields[11:15]))
    family = [pid]
    for member in family:
        family += parents.get(member, [])
    return sum(ticks.get(member, 0) for member in family) / TICKS


@contextmanager
def postgresql() -> Iterator[Callable[[], Database]]:
    import psycopg

    server = PostgreSQL()
    with running(server), closing(psycopg.connect(_admin(server), autocommit=True)) as admin:
        lock = threading.Lock()

        def ask(query: str, name: str) -> int:
            with lock:
                return int(admin.execute(query.encode(), (name,)).fetchone()[0])  # type: ignore[index]

        def new() -> Database:
            url = server.new_database()
            name = str(make_url(url).database)
            assert server.process is not None
            return Database(
                url,
                partial(processor_of, server.process.pid),
                partial(ask, "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", name),
                partial(ask, "SELECT xact_commit FROM pg_stat_database WHERE datname = %s", name),
            )

        yield new


def _admin(server: PostgreSQL) -> str:
    url = make_url(server.new_database()).set(database="postgres")
    return url.render_as_string(hide_password=False)


@contextmanager
def mariadb() -> Iterator[Callable[[], Database]]:
    import pymysql
    from toy_servers import PASSWORD, USER

    server = MariaDB()
    with running(server):
        admin = pymysql.connect(host="127.0.0.1", port=server.port, user=USER, password=PASSWORD)
        lock = threading.Lock()

        def ask(query: str, column: int, *values: str) -> int:
            with lock, admin.cursor() as cursor:
                cursor.execute(query, values)
                return int(cursor.fetchone()[column])

        def new() -> Database:
            url = server.new_database()
            assert server.process is not None
            processes = "SELECT count(*) FROM information_schema.processlist WHERE db = %s"
            return Database(
                url,
                partial(processor_of, server.process.pid),
                partial(ask, processes, 0, str(make_url(url).database)),
                partial(ask, "SHOW GLOBAL STATUS LIKE 'Com_commit'", 1),
            )

        with closing(admin):
            yield new


@contextmanager
def sqlite() -> Iterator[Callable[[], Database]]:
    with tempfile.TemporaryDirectory() as folder:
        number = iter(range(1000))
        yield lambda: Database(f"sqlite:///{folder}/studies-{next(number)}.db")


@contextmanager
def running(server: PostgreSQL | MariaDB) -> Iterator[None]:
    try:
        server.create()
        server.start()
        yield
    finally:
        server.remove()


@contextmanager
def proxy_before(database: Database) -> Iterator[Proxy]:
    address = f"127.0.0.1:{free_port()}"
    command = (sys.executable, "-m", "seqtune.tuning.studies.proxy", "--bind", address)
    environment = {**os.environ, "SEQTUNE_STUDY_URL": database.url}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(address)
            yield Proxy(address, partial(processor_of, process.pid))
        finally:
            process.terminate()


def wait_for(address: str) -> None:
    from seqtune.tuning.studies.storage import reach
    from seqtune.tuning.studies.storage_errors import with_retries

    ref = StorageUrl("", proxy=address).for_workers()
    with_retries(lambda: reach(ref), ref, patience_seconds=30)


# ---- the report --------------------------------------------------------------------------------

COLUMNS = (
    "workers",
    "trials per second",
    "beyond the sleep, s",
    "worker, ms",
    "proxy, ms",
    "database, ms",
    "transactions",
    "connections",
    "monitor, % of a core",
)
SERVERS = {"PostgreSQL": postgresql, "MariaDB": mariadb, "SQLite": sqlite}


def main() -> None:
    options = parse_arguments()
    report = Report("studies", title="What workers cost the database of their study")
    report.text(
        f"## Whole searches\n\nTrials of {NUM_EPOCHS} epochs that sleep {LEAST_SECONDS:g} s, or "
        f"{SECONDS_PER_WORKER:g} s for each worker where that is more; TPE proposes, a pruner "
        "judges every epoch after the third. Milliseconds are processor time for each trial, the "
        'monitor\'s looks included at the database. "Beyond the sleep" is wall clock, on cores '
        "that all processes share. Connections: usually, and the most; the monitor's included."
    )
    whole: dict[tuple[str, str], dict[int, Cost]] = {}
    for name, ways in RUNS.items():
        with SERVERS[name]() as new:
            for way, numbers in ways.items():
                chosen = [number for number in numbers if number <= options.most]
                costs = {number: one_run(new(), way, number) for number in chosen}
                report.text(f"### {name}, {way}")
                report.table(COLUMNS, [row(number, cost) for number, cost in costs.items()])
                whole[name, way] = costs
            if name == "PostgreSQL":
                looks = tell_of_calls(report, new, options.times)
                tell_of_limits(
                    report,
                    {way: Model(whole[name, way], looks[way]) for way in (DIRECTLY, BY_PROXY)},
                )
                tell_of_distance(report, new)
    report.write()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--times", type=int, default=3, help="repeats of the calls")
    parser.add_argument("--most", type=int, default=32, help="workers of a whole search")
    return parser.parse_args()


def row(num_workers: int, cost: Cost) -> list[str]:
    return [
        str(num_workers),
        show(cost.per_second),
        show(cost.beyond),
        *(show(1000 * seconds) for seconds in (cost.worker, cost.proxy, cost.database)),
        show(cost.transactions),
        f"{statistics.median(cost.connections):g}, {max(cost.connections)}",
        show(100 * cost.monitor),
    ]


def one_run(database: Database, way: str, num_workers: int) -> Cost:
    seconds = max(LEAST_SECONDS, SECONDS_PER_WORKER * num_workers)
    print(f"{num_workers} workers, {way}", file=sys.stderr, flush=True)
    if way == DIRECTLY:
        return measure(database, DIRECT, num_workers=num_workers, seconds=seconds)
    with proxy_before(database) as proxy:
        return measure(database, proxy, num_workers=num_workers, seconds=seconds)


# ---- single calls ------------------------------------------------------------------------------


class Call(NamedTuple):
    """Processor seconds of one."""

    worker: float
    proxy: float
    database: float


Looks = Mapping[int, Sequence[Call]]


def tell_of_calls(report: Report, new: Callable[[], Database], times: int) -> dict[str, Looks]:
    """What looks cost by the number of running trials, by way."""
    report.text(
        "## What a look costs, and a write (PostgreSQL)\n\nA look reads the running trials again "
        f"(each with {EPOCHS_SO_FAR} epochs so far) and what has ended since. Milliseconds of "
        f"processor time: the median of {times} repeats ± half of the distance from the least to "
        "the most."
    )
    rows, looks = [], {}
    for way in (DIRECTLY, BY_PROXY):
        looks[way], write = calls(new(), way, times)
        rows += [[way, f"look at {n} running", *parts(found)] for n, found in looks[way].items()]
        rows.append([way, "write", *parts(write)])
    report.table(("way", "call", "worker", "proxy", "database"), rows)
    return looks


def calls(database: Database, way: str, times: int) -> tuple[Looks, list[Call]]:
    if way == DIRECTLY:
        return _calls(database, DIRECT, times)
    with proxy_before(database) as proxy:
        return _calls(database, proxy, times)


def _calls(database: Database, proxy: Proxy, times: int) -> tuple[Looks, list[Call]]:
    ref, plan = StorageUrl(database.url, proxy=proxy.address), plan_of(10_000)
    study = open_study(ref, plan).study
    worker = load_study(ref.for_workers(), study.study_name)
    clocks = (time.process_time, proxy.processor, database.processor)

    def cost(call: Callable[[], object]) -> Call:
        before = [read() for read in clocks]
        for _ in range(CALLS):
            call()
        return Call(*((read() - one) / CALLS for read, one in zip(clocks, before, strict=True)))

    looks = {}
    for num_running in NUM_RUNNING:
        while len(study.get_trials(deepcopy=False)) < num_running:
            begin(study, plan)
        look = partial(worker.get_trials, deepcopy=False)
        look()
        looks[num_running] = [cost(look) for _ in range(times)]
    trial, epoch = begin(worker, plan), iter(range(100, 100_000))
    return looks, [cost(lambda: trial.report(0.5, next(epoch))) for _ in range(times)]


def begin(study: optuna.Study, plan: StudyPlan) -> optuna.Trial:
    trial = study.ask()
    trial.set_user_attr(WORKER, worker_identity("bench"))
    with quiet_optuna():
        plan.space.suggest(trial)
    for number in range(1, EPOCHS_SO_FAR + 1):
        trial.report(0.5, number)
    return trial


def parts(found: Sequence[Call]) -> list[str]:
    return [spread([1000 * getattr(one, name) for one in found]) for name in Call._fields]


def spread(values: Sequence[float]) -> str:
    return f"{show(statistics.median(values))} ± {show((max(values) - min(values)) / 2)}"


# ---- where it ends -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Model:
    """Seconds of a trial, by the number of workers: as in the largest search, and what its looks
    cost more or less at another number."""

    whole: Mapping[int, Cost]
    looks: Looks

    def __call__(self, part: str, num_workers: int) -> float:
        largest = max(self.whole)
        medians = [
            statistics.median(getattr(one, part) for one in found) for found in self.looks.values()
        ]
        slope, _ = linear_regression(list(self.looks), medians)
        measured = float(getattr(self.whole[largest], part))
        return measured + LOOKS * slope * (num_workers - largest)


def tell_of_limits(report: Report, models: Mapping[str, Model]) -> None:
    report.text(
        f"## Where it ends (PostgreSQL)\n\nA trial of {NUM_EPOCHS} epochs looks {LOOKS} times. "
        "From the largest search above and what a look costs more at more running trials: the "
        "number of workers at which the trials of one such time keep a core of the database, a "
        "proxy (a Python process, which has one core) busy without a pause, and at which a worker "
        "spends 5 % of its time on the study. Computed, not run."
    )
    columns = ("a trial takes, s", f"connections, of {SLOTS}", "database", "proxy", "worker")
    report.table(columns, [limits(seconds, models) for seconds in TRIAL_SECONDS])


def limits(seconds: float, models: Mapping[str, Model]) -> list[str]:
    direct, proxied = models[DIRECTLY], models[BY_PROXY]
    return [
        show(seconds),
        str(SLOTS),
        str(most(lambda number: number * direct("database", number) <= seconds)),
        str(most(lambda number: number * proxied("proxy", number) <= seconds)),
        str(most(lambda number: direct("worker", number) <= seconds / 20)),
    ]


def most(holds: Callable[[int], bool]) -> int:
    number = 0
    while number < 10_000 and holds(number + 1):
        number += 1
    return number


# ---- a database far away -----------------------------------------------------------------------


def tell_of_distance(report: Report, new: Callable[[], Database]) -> None:
    report.text(
        "## A database far away (PostgreSQL)\n\nOne worker, trials that do not sleep; a relay "
        "hands every piece on later. Through the proxy, which stands beside the database, a call "
        "is one round trip. Seconds of a trial."
    )
    report.table(("round trip, ms", DIRECTLY, BY_PROXY), list(far_away(new)))


def far_away(new: Callable[[], Database]) -> Iterator[list[str]]:
    for milliseconds in LATENCIES_MS:
        late = milliseconds / 2000
        url = make_url(new().url)
        with relay(int(url.port or 0), one_way=late) as port:
            far = Database(url.set(port=port).render_as_string(hide_password=False))
            directly = measure(far, DIRECT, num_workers=1, seconds=0.0)
        near = new()
        with proxy_before(near) as proxy:
            near_port = int(proxy.address.rpartition(":")[2])
            with relay(near_port, one_way=late) as port:
                proxied = measure(near, Proxy(f"127.0.0.1:{port}"), num_workers=1, seconds=0.0)
        yield [show(milliseconds), show(directly.beyond), show(proxied.beyond)]


if __name__ == "__main__":
    main()
