"""Trains the toy task in a process of its own, to be killed.

`python toy_run.py FOLDER '{"epochs": 3}'` starts anew; `start` forks one that has torch imported
already, so that a test does not wait for it, and `start_together` several that train together.
Beside FOLDER, `events` gets a line for every training step begun, `result.json` what it ended with,
`error.txt` why it did not (`error-1.txt`: that of the second rank).
"""

from __future__ import annotations

import json
import logging
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from toy_task import ToyData, toy_config, toy_spec

from seqtune.core.errors import SeqtuneError
from seqtune.core.execution import ALONE, RankInfo
from seqtune.training import fit
from toy_processes import start as start_process
from toy_processes import start_ranks


def main(folder: Path, options: dict[str, Any], place: RankInfo = ALONE) -> None:
    """Train with `options` of the configuration; `toy` among them are those of the data."""
    data = ToyData(**{**options.pop("toy", {}), "events": folder.parent / "events"})
    rank = f"-{place.rank}" if place.rank else ""
    try:
        result = fit(
            toy_spec(data),
            toy_config(**options),
            data,
            directory=folder,
            fingerprint="f" * 16,
            launched=place,
        )
    except SeqtuneError as error:
        text = f"{type(error).__name__}: {error}"
        (folder.parent / f"error{rank}.txt").write_text(text, encoding="utf-8")
        sys.exit(error.exit_code)
    said = {"resumed_from": result.resumed_from, "history": result.history}
    (folder.parent / f"result{rank}.json").write_text(json.dumps(said), encoding="utf-8")


def start(folder: Path, options: dict[str, Any]) -> ForkServerProcess:
    """A process that trains."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return start_process(main, folder, options)


def start_together(
    folder: Path, options: dict[str, Any], *, world_size: int
) -> list[ForkServerProcess]:
    """Processes that train together."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return start_ranks(main, folder, options, world_size=world_size)


def finish(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Train to the end in a process of its own; what it ended with."""
    process = start(folder, options)
    process.join(60)
    assert process.exitcode == 0
    said: dict[str, Any] = json.loads((folder.parent / "result.json").read_text())
    return said


def num_steps(folder: Path) -> int:
    """Training steps begun so far, in all sessions."""
    events = folder.parent / "events"
    return len(events.read_text().splitlines()) if events.exists() else 0


def wait_for_steps(folder: Path, number: int, process: ForkServerProcess) -> None:
    deadline = time.monotonic() + 60
    while num_steps(folder) < number:
        assert process.is_alive(), "it ended before that"
        assert time.monotonic() < deadline
        time.sleep(0.002)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
