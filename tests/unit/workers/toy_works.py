"""Works that leave traces in a folder, and a process that runs them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from seqtune.core.errors import ConfigurationError, InfeasibleError, Interrupted
from seqtune.core.execution import MonitorDecision, Process, WorkerInfo
from seqtune.workers.local import run_local

Act = Callable[[Path, WorkerInfo], None]


@dataclass(frozen=True)
class Toy:
    """Writes down that it started and how it ended; acts in between."""

    folder: Path
    act: Act

    def __call__(self, place: WorkerInfo) -> None:
        (self.folder / f"started-{place.index}-{os.getpid()}").write_text(place.name)
        try:
            self.act(self.folder, place)
        except Interrupted:
            (self.folder / f"interrupted-{place.index}-{os.getpid()}").touch()
            raise
        (self.folder / f"done-{place.index}-{os.getpid()}").touch()


def nothing(folder: Path, place: WorkerInfo) -> None:
    """Ends at once."""


def wait_for_ever(folder: Path, place: WorkerInfo) -> None:
    time.sleep(600)


def ignore_requests(folder: Path, place: WorkerInfo) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (folder / "ignoring").touch()
    time.sleep(600)


def die_once(folder: Path, place: WorkerInfo) -> None:
    """The first worker of index 0 is killed, as if memory had run out."""
    if place.index == 0 and len(list(folder.glob("started-0-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def die(folder: Path, place: WorkerInfo) -> None:
    os._exit(7)


def hang_once(folder: Path, place: WorkerInfo) -> None:
    if len(list(folder.glob("started-*"))) == 1:
        time.sleep(600)


def refuse(folder: Path, place: WorkerInfo) -> None:
    """Worker 0 refuses while worker 1 works."""
    if place.index == 1:
        time.sleep(600)
    wait_until(lambda: list(folder.glob("started-1-*")))
    raise ConfigurationError(["lr=2 is too high", "epochs=0 is too few"])


def refuse_with_details(folder: Path, place: WorkerInfo) -> None:
    raise InfeasibleError("too large", constraint="memory")


def fail(folder: Path, place: WorkerInfo) -> None:
    {}["missing"]


def talk(folder: Path, place: WorkerInfo) -> None:
    logging.getLogger("seqtune.toy").info("at %s%%", 50)
    logging.getLogger("seqtune.toy").debug("not wanted")
    logging.getLogger("other").info("not ours")
    logging.getLogger("other").warning("of others")


def tell_environment(folder: Path, place: WorkerInfo) -> None:
    names = ("CUDA_VISIBLE_DEVICES", "SEQTUNE_TOY")
    text = "|".join(os.environ.get(name, "unset") for name in names)
    (folder / f"environment-{place.index}").write_text(f"{text}|{os.getpid()}")


def tell_modules(folder: Path, place: WorkerInfo) -> None:
    (folder / f"preloaded-{'colorsys' in sys.modules}").touch()


def have_child(folder: Path, place: WorkerInfo) -> None:
    """Starts a process of its own, like a loader."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (folder / "child.tmp").write_text(str(child.pid))
    (folder / "child.tmp").rename(folder / "child")
    time.sleep(600)


def fork_loader(folder: Path, place: WorkerInfo) -> None:
    import multiprocessing

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside the watching thread
        child = multiprocessing.Process(target=time.sleep, args=(600,))
        child.start()
    (folder / f"loader-{multiprocessing.get_start_method()}").touch()
    (folder / "child.tmp").write_text(str(child.pid))
    (folder / "child.tmp").rename(folder / "child")
    time.sleep(600)


@dataclass
class Watcher:
    """A monitor that remembers, and does as told."""

    decide: Callable[[], MonitorDecision] = MonitorDecision
    losses: list[tuple[Process, int, str]] = field(default_factory=list)
    num_looks: int = 0

    def look(self) -> MonitorDecision:
        self.num_looks += 1
        return self.decide()

    def lost(self, process: Process, exit_code: int, *, reason: str) -> None:
        self.losses.append((process, exit_code, reason))


def wait_until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("waited in vain")
        time.sleep(0.02)


def is_alive(process: int) -> bool:
    """Runs and is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def main(folder: str, act: str, grace_seconds: str) -> None:
    """A parent for tests that signal it."""
    executor = partial(
        run_local, preload=("colorsys", "no_such_module"), grace_seconds=float(grace_seconds)
    )
    try:
        executor(Toy(Path(folder), globals()[act]), Watcher(), num_workers=2)
    except Interrupted as error:
        print(error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    import toy_works  # so that workers find the works by their name

    toy_works.main(*sys.argv[1:])
