"""How long a command takes before it does anything: in turns, each in a process of its own.

`kedro registry list`, a `kedro run` of a stage that is done already (split of the generated sample,
with and without MLflow), and beside them what they stand on: Python alone, and Kedro's command line
imported. Processor time is that of the child and of its children; then the imports of both
commands by their own processor time.

    python benchmarks/bench_startup.py [--times 5]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from _harness import ROOT, Report, Timing, show

KEDRO = (sys.executable, "-m", "kedro")
RUN = (*KEDRO, "run", "--pipelines", "split", "--env", "sample")
WITHOUT_MLFLOW = ("--params", "tracking.mlflow=false")
COMMANDS: dict[str, Sequence[str]] = {
    "Python alone": (sys.executable, "-c", "pass"),
    "import kedro.framework.cli": (sys.executable, "-c", "import kedro.framework.cli"),
    "kedro registry list": (*KEDRO, "registry", "list"),
    "kedro run, a stage that is done": RUN,
    "the same, tracking.mlflow=false": (*RUN, *WITHOUT_MLFLOW),
}
TRACED = ("kedro registry list", "kedro run, a stage that is done")
TRACER = Path(__file__).with_name("_imports.py")
TRACES = 3
TOP = 10


class Cost(NamedTuple):
    processor: float
    wall: float


def main() -> None:
    times = parse_arguments().times
    report = Report("startup", title="What a command takes before it does anything")
    report.text(
        "Seconds: the median ± half of the distance from the fastest to the slowest. Each command "
        "ran once unmeasured, then in turns with the others."
    )
    with sandbox() as project:
        costs = in_turns(project, times=times)
        report.table(("command", "processor time", "wall clock"), rows_of(costs))
        for name in TRACED:
            report.text(f"## Imports of `{name}` by their own processor time")
            imports = imports_of(name, project)
            report.table(("module", "own ms", "with what it imports, ms"), slowest(imports))
            report.text(by_package(imports))
    report.write()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--times", type=int, default=5)
    return parser.parse_args()


@contextmanager
def sandbox() -> Iterator[Path]:
    """A copy of ours without its data, in which the stage was run once."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for name in ("conf/base", "conf/sample", "src"):
            shutil.copytree(ROOT / name, project / name)
        for name in ("conf/logging.yml", "pyproject.toml"):
            shutil.copy(ROOT / name, project / name)
        (project / "conf/local").mkdir()
        for pipelines in ("sample", "ingest,split"):
            call((*KEDRO, "run", "--pipelines", pipelines, "--env", "sample"), project)
        yield project


def in_turns(project: Path, *, times: int) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {name: [] for name in COMMANDS}
    for turn in range(times + 1):
        for name, command in COMMANDS.items():
            cost = call(command, project)
            if turn:  # the first finds cold files
                costs[name].append(cost)
    return costs


def call(command: Sequence[str], project: Path) -> Cost:
    """What a child and its children took."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(project / "src")}
    subprocess.run(command, check=True, cwd=project, env=environment, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(processor, wall)


def rows_of(costs: dict[str, list[Cost]]) -> list[list[str]]:
    return [
        [
            name,
            str(Timing(tuple(cost.processor for cost in found))),
            str(Timing(tuple(cost.wall for cost in found))),
        ]
        for name, found in costs.items()
    ]


# ---- imports -----------------------------------------------------------------------------------


Imports = dict[str, tuple[float, float]]
"""By module: its own seconds, and those with what it imports."""


def imports_of(name: str, project: Path) -> Imports:
    """The least of several runs: garbage collection and other programs fall on now one module and
    now another."""
    runs = [traced(COMMANDS[name][len(KEDRO) :], project) for _ in range(TRACES)]
    return {module: min(run[module] for run in runs if module in run) for module in runs[0]}


def slowest(imports: Imports) -> list[list[str]]:
    found = sorted(imports.items(), key=lambda item: item[1], reverse=True)[:TOP]
    return [
        [f"`{module}`", milliseconds(own), milliseconds(whole)] for module, (own, whole) in found
    ]


def by_package(imports: Imports) -> str:
    packages: Counter[str] = Counter()
    for module, (own, _) in imports.items():
        packages[module.partition(".")[0]] += own  # type: ignore[assignment]  # seconds
    listed = ", ".join(f"{name} {milliseconds(own)}" for name, own in packages.most_common(TOP))
    return f"All of a package together, ms: {listed}; all of them {milliseconds(packages.total())}."


def traced(arguments: Sequence[str], project: Path) -> Imports:
    file = project / "imports.json"
    call((sys.executable, str(TRACER), str(file), *arguments), project)
    return {module: (own, whole) for module, own, whole in json.loads(file.read_text())}


def milliseconds(seconds: float) -> str:
    return show(seconds * 1000)


if __name__ == "__main__":
    main()
