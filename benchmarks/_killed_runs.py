"""Runs of Kedro that are killed: started, followed by their log, killed, and who outlives them."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psutil

import kedro_forks
from _harness import ROOT
from _killed_projects import ENVIRONMENT

MARKER = "SEQTUNE_KILL_RUN"
NODE = re.compile(r"^([\d-]+ [\d:,]+) INFO +\[\d+/\d+\] recommend\.(\S+)", re.MULTILINE)
WAYS = {
    "main": "SIGKILL of the main process",
    "all": "SIGKILL of all processes",
    "term": "SIGTERM",
    "interrupt": "Ctrl-C",
}


class Moment(NamedTuple):
    """So many seconds after the start of a node; of the run, if it names none."""

    node: str
    seconds: float


@dataclass(frozen=True)
class Run:
    """A `kedro run` in a session of its own."""

    pid: int
    log: Path
    marker: str

    def nodes(self) -> list[tuple[str, datetime]]:
        """Return the nodes that began, and when."""
        found = NODE.findall(self.log.read_text(errors="replace"))
        return [(name, datetime.fromisoformat(when.replace(",", "."))) for when, name in found]

    def code(self) -> int | None:
        """Return how it ended: an exit code, or minus a signal; None while it runs."""
        ended, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if ended else None

    def wait(self, seconds: float, *, node: str = "") -> int | None:
        """Wait for its end, for so many seconds, or until a node begins."""
        end = time.monotonic() + seconds
        while (code := self.code()) is None and time.monotonic() < end:
            if node and any(name == node for name, _ in self.nodes()):
                break
            time.sleep(0.02)
        return code

    def finish(self, seconds: float = 600) -> list[Moment]:
        """Wait for its success; return the duration of each node. Raise if it fails."""
        started = datetime.now()  # of this place, as in the log
        if code := self.wait(seconds):
            said = self.log.read_text(errors="replace")
            raise RuntimeError(f"exit code {code}: ...{said[-2000:]}")
        if code is None:
            self.kill("all")
            raise RuntimeError(f"no end after {seconds} s")
        marks = [("", started), *self.nodes(), ("", datetime.now())]
        return [
            Moment(name, (end - start) / timedelta(seconds=1))
            for (name, start), (_, end) in pairwise(marks)
        ]

    def kill(self, way: str) -> None:
        if way == "interrupt":
            os.killpg(self.pid, signal.SIGINT)
        elif way == "all":
            for process in self.processes():
                with suppress(psutil.Error):
                    process.kill()
        else:
            os.kill(self.pid, signal.SIGKILL if way == "main" else signal.SIGTERM)

    def processes(self) -> list[psutil.Process]:
        """Return those in its session, and those that inherited its environment."""
        return [one for one in psutil.process_iter() if one.pid != os.getpid() and self._owns(one)]

    def _owns(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            is_inside = os.getsid(process.pid) == self.pid
            return is_inside or process.environ().get(MARKER) == self.marker
        return False

    def left_after(self, seconds: float) -> list[str]:
        """Return those still alive after so many seconds, and kill them."""
        end = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        named = []
        for process in left:
            with suppress(psutil.Error):
                mib = process.memory_info().rss >> 20
                named.append(f"{' '.join(process.cmdline())[:100]} ({mib} MiB)")
        self.kill("all")
        return named


def draw_moment(nodes: Sequence[Moment], draw: random.Random) -> Moment:
    """Draw a moment evenly from the duration of a run."""
    (node,) = draw.choices(nodes, [node.seconds for node in nodes])
    return Moment(node.node, draw.uniform(0, node.seconds))


def start_forked(project: Path, stage: str, *options: str) -> Run:
    """Start a run in a fork of this process, which has imported everything."""
    from kedro.framework.cli import main as kedro

    log, marker = project / f"{stage}.log", f"{project.name}-{time.monotonic_ns()}"
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    if child := os.fork():
        os.close(out)
        return Run(child, log, marker)
    os.setsid()
    kedro_forks.run(
        kedro,
        cwd=str(project),
        arguments=_arguments(stage, options),
        environment=_environment(marker),
        stdout=out,
        stderr=out,
    )
    raise AssertionError("never returns")


def start_command(project: Path, stage: str, *options: str) -> Run:
    """Start it as a user does, with seconds of imports."""
    log, marker = project / f"{stage}.log", f"{project.name}-{time.monotonic_ns()}"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "kedro", *_arguments(stage, options)],
            cwd=project,
            env={**os.environ, **_environment(marker)},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    process.returncode = 0  # `Run` waits for it
    return Run(process.pid, log, marker)


def _arguments(stage: str, options: Sequence[str]) -> list[str]:
    return ["run", "--env", ENVIRONMENT, "--pipelines", stage, *options]


def _environment(marker: str) -> dict[str, str]:
    return {
        MARKER: marker,
        "PYTHONPATH": str(ROOT / "src"),
        "SEQTUNE_TRACKING": "off",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }
