"""Give odd inputs to everything that reads what a user wrote: none may end in a traceback.

Configuration, raw files, artefacts, arguments of the Python API and command lines are drawn by
hypothesis. Each must be accepted, or refused by one message; a traceback, a hang, a death or an
unbounded need of memory is bad. Inputs are tried in forks of this process, which has imported
everything; bad ones are grouped by their cause, each with its smallest input. Rounds of inputs are
kept one by one, so that the script can be stopped and goes on.

    python benchmarks/fuzz.py [--inputs 10000] [--only raw] [--finished build/kills/predict]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/contract"))

from hypothesis import HealthCheck, Phase, given, seed, settings

import kedro_forks
from _fuzz_targets import BadOutcome, Ready, Target, all_targets
from _harness import ROOT, Report, append_line, read_lines
from _killed_projects import new_project
from seqtune.commands.run import explain
from seqtune.pipeline_registry import TASKS

CPU_SECONDS, SECONDS = 60, 600.0
"""The most that one input may take of a core, and on the wall of a busy machine."""
MAX_GIB = 10
MAX_MESSAGE = 4000
ROUND = 500
ACCEPTED, REFUSED = "accepted", "refused"


def main() -> int:
    arguments = parse_arguments()
    warnings.simplefilter("ignore")
    for name in kedro_forks.PRELOADED:
        importlib.import_module(name)
    folder = arguments.folder.resolve()
    prepare(folder, finished=arguments.finished)
    fuzz(folder, arguments)
    rounds = read_lines(folder / "rounds.jsonl")
    write_report(rounds, keep=arguments.keep)
    return int(any(one["bad"] for one in rounds))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="then no more rounds")
    parser.add_argument("--only", default="", help="targets whose names begin so")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--finished", type=Path, help="a finished project of kill_runs.py")
    parser.add_argument("--keep", action="store_true", help="write the report too")
    return parser.parse_args()


def prepare(folder: Path, *, finished: Path | None) -> None:
    for task in TASKS:
        if not (folder / task.name / "checkpoint").exists():
            shutil.rmtree(folder / task.name, ignore_errors=True)
            (folder / task.name).mkdir(parents=True)
            _in_fork(Ready(task.name, folder / task.name).make)
    if finished is None and not (folder / "project").exists():
        new_project(folder / "project")


def fuzz(folder: Path, arguments: argparse.Namespace) -> None:
    """Try all targets in rounds, each with inputs of its own; note what each round found."""
    end, lines = time.monotonic() + arguments.seconds, folder / "rounds.jsonl"
    done = {(line["round"], line["target"]) for line in read_lines(lines)}
    targets = list(all_targets(folder, finished=arguments.finished))
    for number in range(-(-arguments.inputs // ROUND)):
        size = min(ROUND, arguments.inputs - number * ROUND)
        for target in targets:
            if (number, target.name) in done or not target.name.startswith(arguments.only):
                continue
            if time.monotonic() > end:
                return
            row = try_round(target, draw_inputs(target, max(1, round(target.share * size)), number))
            append_line(lines, {"round": number, "target": target.name, **row})
            print(number, target.name, row, flush=True)


def try_round(target: Target, drawn: Sequence[Any]) -> dict[str, Any]:
    """Return how many were accepted and refused, and the bad by cause, each with its smallest."""
    counts = {ACCEPTED: 0, REFUSED: 0}
    bad: dict[str, tuple[int, str]] = {}
    started = time.monotonic()
    for value, outcome in try_all(target, drawn):
        if outcome in counts:
            counts[outcome] += 1
        else:
            bad = _with_bad(bad, outcome, 1, repr(value))
    return {**counts, "bad": bad, "seconds": round(time.monotonic() - started, 1)}


def _with_bad(
    bad: dict[str, tuple[int, str]], cause: str, times: int, shown: str
) -> dict[str, tuple[int, str]]:
    before, smallest = bad.get(cause, (0, shown))
    return {**bad, cause: (before + times, min(smallest, shown, key=len))}


def write_report(rounds: Sequence[dict[str, Any]], *, keep: bool) -> None:
    report = Report("fuzz", title="Odd inputs")
    report.text((__doc__ or "").split("\n\n")[1])
    rows = []
    causes: dict[str, tuple[int, str]] = {}
    for name in dict.fromkeys(one["target"] for one in rounds):
        ours = [one for one in rounds if one["target"] == name]
        bad = [(cause, *found) for one in ours for cause, found in one["bad"].items()]
        counts = [sum(one[key] for one in ours) for key in (ACCEPTED, REFUSED)]
        rows.append([name, *counts, sum(times for _, times, _ in bad)])
        for cause, times, shown in bad:
            causes = _with_bad(causes, f"{name}: {cause}", times, shown)
    total = ["all", *(sum(row[column] for row in rows) for column in (1, 2, 3))]
    report.table(["target", ACCEPTED, REFUSED, "bad"], [*rows, total])
    if causes:
        cells = [(key, times, _cell(shown)) for key, (times, shown) in sorted(causes.items())]
        report.table(["cause", "times", "smallest input"], cells)
    report.show(keep=keep)


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


def try_all(target: Target, inputs: Sequence[Any]) -> Iterator[tuple[Any, str]]:
    """Try inputs in forks; yield each with its outcome, or with the cause of a bad one."""
    start = 0
    while start < len(inputs):
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
