"""Give odd inputs to everything that reads what a user wrote: none may end in a traceback.

Configuration, raw files, artefacts, arguments of the Python API and command lines are drawn by
hypothesis. Each must be accepted, or refused by one message; a traceback, a hang, a death or an
unbounded need of memory is bad. Inputs are tried in forks of this process, which has imported
everything; bad ones are grouped by their cause, each with its smallest input.

    python benchmarks/fuzz.py [--inputs 10000] [--only raw] [--finished build/kills/predict]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/contract"))

from hypothesis import HealthCheck, Phase, given, seed, settings

import kedro_forks
from _fuzz_targets import BadOutcome, Ready, Target, all_targets
from _harness import Report
from _killed_projects import new_project
from seqtune.commands.run import explain
from seqtune.pipeline_registry import TASKS

CPU_SECONDS, SECONDS = 60, 600.0
"""The most that one input may take of a core, and on the wall of a busy machine."""
MAX_GIB = 10
MAX_MESSAGE = 4000
ACCEPTED, REFUSED = "accepted", "refused"


def main() -> int:
    arguments = parse_arguments()
    warnings.simplefilter("ignore")
    for name in kedro_forks.PRELOADED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), finished=arguments.finished)
        bad = fuzz(Path(folder), arguments)
    return int(bool(bad))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="then no more inputs")
    parser.add_argument("--only", default="", help="targets whose names begin so")
    parser.add_argument("--finished", type=Path, help="a finished project of kill_runs.py")
    parser.add_argument("--keep", action="store_true", help="write the report too")
    return parser.parse_args()


def prepare(folder: Path, *, finished: Path | None) -> None:
    for task in TASKS:
        (folder / task.name).mkdir()
        _in_fork(Ready(task.name, folder / task.name).make)
    if finished is None:
        new_project(folder / "project")


def fuzz(folder: Path, arguments: argparse.Namespace) -> dict[str, str]:
    """Try all targets; return the smallest bad input by cause."""
    report = Report("fuzz", title="Odd inputs")
    report.text(" ".join((__doc__ or "").split("\n\n")[1].split()))
    end = time.monotonic() + arguments.seconds
    rows, bad = [], dict[str, tuple[int, str]]()
    for target in all_targets(folder, finished=arguments.finished):
        if not target.name.startswith(arguments.only):
            continue
        drawn = draw_inputs(target, max(1, round(target.share * arguments.inputs)), arguments.seed)
        counts, started = Counter[str](), time.monotonic()
        for value, outcome in try_all(target, drawn, end=end):
            counts[outcome if outcome in (ACCEPTED, REFUSED) else "bad"] += 1
            if outcome not in (ACCEPTED, REFUSED):
                key, shown = f"{target.name}: {outcome}", repr(value)
                times, smallest = bad.get(key, (0, shown))
                bad[key] = times + 1, min(smallest, shown, key=len)
        seconds = round(time.monotonic() - started)
        rows.append([target.name, *(counts[key] for key in (ACCEPTED, REFUSED, "bad")), seconds])
        print(*rows[-1], flush=True)
    report.table(["target", ACCEPTED, REFUSED, "bad", "seconds"], rows)
    if bad:
        cells = [(key, times, _cell(shown)) for key, (times, shown) in sorted(bad.items())]
        report.table(["cause", "times", "smallest input"], cells)
    report.show(keep=arguments.keep)
    return {key: shown for key, (_, shown) in bad.items()}


def draw_inputs(target: Target, number: int, seed_number: int) -> list[Any]:
    drawn: list[Any] = []

    @seed(seed_number)
    @settings(
        max_examples=number,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(target.inputs)
    def collect(value: Any) -> None:
        drawn.append(value)

    collect()
    return drawn


def try_all(target: Target, inputs: Sequence[Any], *, end: float) -> Iterator[tuple[Any, str]]:
    """Try inputs in forks; yield each with its outcome, or with the cause of a bad one."""
    start = 0
    while start < len(inputs) and time.monotonic() < end:
        batch = inputs[start : start + target.batch]
        outcomes = _try_in_fork(target, batch)
        yield from zip(batch, outcomes, strict=False)
        start += len(outcomes)


def _try_in_fork(target: Target, batch: Sequence[Any]) -> list[str]:
    """Return an outcome for each input that was tried: all of them unless one hangs or kills."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _try_batch(target, batch, writer)
    os.close(writer)
    outcomes: list[str] = []
    with os.fdopen(reader, "rb", buffering=0) as lines:
        while len(outcomes) < len(batch):
            if not select.select([lines], [], [], SECONDS)[0]:
                os.kill(child, signal.SIGKILL)
                outcomes.append(f"no end after {SECONDS} s")
                break
            if not (line := lines.readline()):
                break
            outcomes.append(json.loads(line))
    _, status = os.waitpid(child, 0)
    if len(outcomes) < len(batch) and not (outcomes and outcomes[-1].startswith("no end")):
        outcomes.append(f"died: {os.waitstatus_to_exitcode(status)}")
    return outcomes


def _try_batch(target: Target, batch: Sequence[Any], writer: int) -> None:
    """In a child: never returns."""
    limit = MAX_GIB << 30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS * len(batch), CPU_SECONDS * len(batch)))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    for value in batch:
        os.write(writer, (json.dumps(outcome_of(target, value)) + "\n").encode())
    os._exit(0)


def outcome_of(target: Target, value: Any) -> str:
    try:
        target.attempt(value)
    except BadOutcome as error:
        return str(error)
    except BaseException as error:  # noqa: BLE001  # that is the question
        known = explain(error)
        if known is None:
            return _cause(error)
        message = str(known)
        if not message.strip():
            return f"no message: {_cause(error)}"
        return REFUSED if len(message) <= MAX_MESSAGE else f"long message: {_cause(known)}"
    return ACCEPTED


def _cause(error: BaseException) -> str:
    """Return the type of an error and the innermost line of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/seqtune/" in frame.filename]
    frame = (ours or frames)[-1]
    place = frame.filename.rpartition("/seqtune/")[2]
    return f"{type(error).__name__} in {place}:{frame.lineno} {frame.name}"


def _cell(text: str) -> str:
    return "`" + text[:300].replace("|", "¦").replace("`", "'") + "`"


def _in_fork(function: Any) -> None:
    child = os.fork()
    if not child:
        try:
            function()
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("a task could not be prepared")


if __name__ == "__main__":
    sys.exit(main())
