"""Kill every stage at random moments, and check what the guide promises.

A prepared project (the sample data of a few users, budgets of seconds) is copied; its run is killed
several times in a row (its main process alone, all of its processes as in a loss of power, by
SIGTERM, or by Ctrl-C) at moments drawn evenly from its duration, then it may finish. After each
kill and at the end:

    left          no process of the run lives some seconds later
    half written  every version that exists opens, and its hashes are right
    lost          the same command succeeds in the end; finished trials stay as they were
    doubled       there are as many finished trials as asked for, none running or waiting
    different     weights, values, metrics and predictions equal those of a run that was never
                  killed, bit for bit (a search: with one worker)
    scratch       what is in scratch in the end is what a run leaves that was never killed

Results are kept one by one, so that the script can be stopped and goes on. A run is a fork of this
process, which has imported everything; the first of every fifth row is a command of its own.

    python benchmarks/kill_runs.py [--kills 50] [--stages tune,train] [--folder build/kills]
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import random
import re
import shutil
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import compare_runs
import kedro_forks
import published_versions
from _harness import ROOT, Report, append_line, read_lines
from _killed_projects import (
    DATA,
    Trial,
    copy_project,
    cut_sample,
    new_project,
    scratch_of,
    trials_of,
)
from _killed_runs import WAYS, Moment, draw_moment, start_command, start_forked

BEFORE = {
    "verify_env": "ingest,split",
    "tune": "ingest,split",
    "train": "tune",
    "ensemble": "train",
    "predict": "ensemble",
}
"""The project in which each stage is killed: one in which these have run."""
PROMISES = ("left", "half written", "lost", "doubled", "different", "scratch")
NUMBERED = re.compile(r"_trials\.parquet|_config\.yml")
"""Names of files that number trials."""
FINISHED = ("COMPLETE", "PRUNED")
ENDED_BEFORE = "ended before"
TWO_WORKERS = ("--params", "tuning.workers=2")
SECONDS_TO_LEAVE = 120.0
"""A process that imports cannot look whether its parent lives, and is slow on a busy machine."""
SECONDS_TO_STOP = 60.0
SEED = 17


@dataclass
class Kill:
    """One kill, or the end of a row of them, and what was not as promised."""

    stage: str
    row: int
    way: str
    node: str = ""
    moment: float = 0.0
    code: int | None = None
    found: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, promise: str, faults: Sequence[str]) -> None:
        if faults:
            self.found[promise] = [*self.found.get(promise, []), *faults]


def main() -> None:
    arguments = parse_arguments()
    # a background job of a shell ignores Ctrl-C, and so would all commands that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in kedro_forks.PRELOADED:
        importlib.import_module(name)
    folder = arguments.folder.resolve()
    nodes = prepare(folder, num_users=arguments.users)
    lines = folder / "kills.jsonl"
    stages = {stage: rows_of(stage, arguments) for stage in arguments.stages.split(",")}
    done = {(line["stage"], line["row"]) for line in read_lines(lines)}
    for row in range(max(map(len, stages.values()))):
        for stage, rows in stages.items():
            if row < len(rows) and (stage, row) not in done:
                kills = list(kill_in_a_row(folder, stage, row, rows[row], nodes[stage]))
                for kill in kills:
                    append_line(lines, asdict(kill))
                    print(describe(kill), flush=True)
    write_report([Kill(**line) for line in read_lines(lines)], keep=arguments.keep)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of each stage")
    parser.add_argument("--in-a-row", type=int, default=3, help="before a run may finish")
    parser.add_argument("--all", type=int, default=10, help="of these, SIGKILL of all processes")
    parser.add_argument("--term", type=int, default=5, help="of these, SIGTERM")
    parser.add_argument("--interrupt", type=int, default=5, help="of these, Ctrl-C")
    parser.add_argument("--stages", default=",".join(BEFORE), help="separated by commas")
    parser.add_argument("--users", type=int, default=200, help="of the sample data")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "kills")
    parser.add_argument("--keep", action="store_true", help="write the report too")
    return parser.parse_args()


def rows_of(stage: str, arguments: argparse.Namespace) -> list[list[str]]:
    """Return how each kill happens, row by row, in an order of their own for each stage."""
    rare = {way: getattr(arguments, way) for way in WAYS if way != "main"}
    ways = [way for way, times in rare.items() for _ in range(times)]
    ways += ["main"] * (arguments.kills - len(ways))
    random.Random(f"{SEED} {stage}").shuffle(ways)  # noqa: S311  # no secret
    step = arguments.in_a_row
    return [ways[start : start + step] for start in range(0, len(ways), step)]


def prepare(folder: Path, *, num_users: int) -> dict[str, list[Moment]]:
    """Run each stage once without a kill; return how long each of its nodes takes."""
    file = folder / "nodes.jsonl"
    known = {line["stage"] for line in read_lines(file)}
    for stage, before in {"ingest,split": "", **BEFORE}.items():
        if stage in known:
            continue
        if before:
            copy_project(folder / before, folder / stage)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            new_project(folder / stage)
            _finish(folder / stage, "sample")
            cut_sample(folder / stage, num_users=num_users)
        append_line(file, {"stage": stage, "nodes": _finish(folder / stage, stage)})
    return {line["stage"]: [Moment(*node) for node in line["nodes"]] for line in read_lines(file)}


def _finish(project: Path, stage: str) -> list[Moment]:
    return start_forked(project, stage).finish()


def kill_in_a_row(
    folder: Path, stage: str, row: int, ways: Sequence[str], nodes: Sequence[Moment]
) -> Iterator[Kill]:
    """Kill the runs of one project one after another, let the last finish, and compare."""
    project = folder / f"{stage}-{row:02}"
    copy_project(folder / BEFORE[stage], project)
    options = TWO_WORKERS if stage == "tune" and row % 2 else ()
    draw = random.Random(f"{SEED} {stage} {row}")  # noqa: S311
    finished: set[Trial] = set()
    is_clean = True
    for number, way in enumerate(ways):
        kill = Kill(stage, row, way)
        start = start_command if not number and row % 5 == 4 else start_forked
        _kill_once(start(project, stage, *options), kill, draw_moment(nodes, draw))
        trials, damaged = in_fork(_look_at, project)
        kill.add("half written", damaged)
        finished |= _note_trials(trials, finished, kill)
        is_clean &= not kill.found
        yield kill
        if kill.way == ENDED_BEFORE:
            break
    end = Kill(stage, row, "the end")
    started = time.monotonic()
    run = start_forked(project, stage, *options)
    try:
        run.finish()
    except RuntimeError as error:
        end.add("lost", [str(error)])
    else:
        end.add("left", run.left_after(SECONDS_TO_LEAVE))
        _note_trials(in_fork(trials_of, project), finished, end)
        compared = in_fork(_compare, project, folder / stage, not options)
        for promise, faults in compared.items():
            end.add(promise, faults)
    end.seconds = round(time.monotonic() - started, 1)
    yield end
    if is_clean and not end.found:
        shutil.rmtree(project)


def _kill_once(run: Any, kill: Kill, moment: Moment) -> None:
    """Kill a run at a moment, and note how it ended and who is left."""
    started = time.monotonic()
    code = run.wait(SECONDS_TO_STOP * 5, node=moment.node) if moment.node else None
    if code is None:
        code = run.wait(moment.seconds)
    if code is None:
        run.kill(kill.way)
        code = run.wait(SECONDS_TO_STOP)
    else:
        kill.way = ENDED_BEFORE
    began = run.nodes()
    kill.node = began[-1][0] if began else "before the first node"
    kill.moment, kill.code = round(moment.seconds, 2), code
    kill.add("left", run.left_after(SECONDS_TO_LEAVE))
    if code is None:
        run.wait(SECONDS_TO_STOP)
    kill.seconds = round(time.monotonic() - started, 1)


def _look_at(project: Path) -> tuple[list[Trial], list[str]]:
    return trials_of(project), published_versions.damaged(project / DATA)


def _note_trials(trials: Sequence[Trial], finished: set[Trial], kill: Kill) -> set[Trial]:
    """Note finished trials that are gone or changed; return those that are finished now."""
    now = {trial for trial in trials if trial.state in FINISHED}
    kill.add("lost", [f"{trial}" for trial in sorted(finished - now)])
    return now


def _compare(project: Path, reference: Path, is_equal: bool) -> dict[str, list[str]]:
    """Compare a project whose runs were killed with one where none was."""
    now, wanted = trials_of(project), trials_of(reference)
    return {
        "half written": published_versions.damaged(project / DATA),
        "doubled": _count(now, wanted),
        "different": _differences(project, reference, now, wanted) if is_equal else [],
        "scratch": sorted(set(scratch_of(project)) - set(scratch_of(reference))),
    }


def _differences(
    project: Path, reference: Path, now: Sequence[Trial], wanted: Sequence[Trial]
) -> list[str]:
    """Compare what was made. Numbers of trials differ: one that died keeps its own.

    So does their order: what was waiting goes before the second attempt of a trial that died.
    """
    rows = compare_runs.compare(reference / DATA, project / DATA, tolerance=0.0)
    different = [
        f"{row.what}: {row.detail}"
        for row in rows
        if row.verdict != "equal" and not (now != wanted and NUMBERED.search(row.what))
    ]
    values = [
        Counter((trial.study, trial.value) for trial in trials if trial.state in FINISHED)
        for trials in (now, wanted)
    ]
    return different + (["values of trials"] if values[0] != values[1] else [])


def _count(now: Sequence[Trial], wanted: Sequence[Trial]) -> list[str]:
    """Name the studies with another number of finished trials, and trials that never ended."""
    ours, theirs = (
        Counter(trial.study for trial in trials if trial.state in FINISHED)
        for trials in (now, wanted)
    )
    faults = [
        f"{study}: {ours[study]} finished trials, not {theirs[study]}"
        for study in sorted(ours | theirs)
        if ours[study] != theirs[study]
    ]
    return faults + [str(trial) for trial in now if trial.state in ("RUNNING", "WAITING")]


def in_fork(function: Callable[..., Any], *given: Any) -> Any:
    """Call it in a fork: threads that it starts must not be in forks to come."""
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=lambda: answers.put(function(*given)))
    child.start()
    answer = answers.get()
    child.join()
    return answer


def describe(kill: Kill) -> str:
    said = "as promised" if not kill.found else str(kill.found)
    return f"{kill.stage} {kill.row}, {kill.way}, {kill.node}: {said} ({kill.seconds} s)"


def write_report(kills: Sequence[Kill], *, keep: bool) -> None:
    report = Report("kills", title="Runs that were killed at random moments")
    _, said, promises, *_ = (__doc__ or "").split("\n\n")
    report.text(said)
    report.text(promises)
    columns = ["stage", "kills", *WAYS.values(), ENDED_BEFORE, *PROMISES, "seconds each"]
    report.table(columns, [_line(stage, kills) for stage in BEFORE])
    report.text("The node that was running:")
    hits = Counter((kill.stage, kill.node) for kill in kills if kill.way in WAYS)
    report.table(["stage", "node", "kills"], [[*hit, times] for hit, times in sorted(hits.items())])
    faults = [
        [kill.stage, kill.row, kill.way, kill.node, promise, "; ".join(found)[:400]]
        for kill in kills
        for promise, found in kill.found.items()
    ]
    report.text("What was not as promised:" if faults else "Everything was as promised.")
    if faults:
        report.table(["stage", "row", "way", "node", "promise", "found"], faults)
    report.show(keep=keep)


def _line(stage: str, kills: Sequence[Kill]) -> list[object]:
    ours = [kill for kill in kills if kill.stage == stage]
    ways = Counter(kill.way for kill in ours)
    found = Counter(promise for kill in ours for promise in kill.found)
    counts = [ways[way] for way in (*WAYS, ENDED_BEFORE)]
    median = round(statistics.median(kill.seconds for kill in ours)) if ours else "-"
    return [stage, sum(counts[:-1]), *counts, *(found[promise] for promise in PROMISES), median]


if __name__ == "__main__":
    main()
