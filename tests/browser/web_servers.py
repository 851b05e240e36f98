"""Web servers of a test: on loopback and nowhere else, and never left running."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
LISTENING = "0A"
LAST_WORDS = 2000
POLITE_SECONDS = 10


@dataclass(frozen=True)
class Server:
    url: str
    process: subprocess.Popen[bytes]
    log: Path
    """What it said, errors too."""

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def processes(self) -> list[Path]:
        """It and whatever it started, as folders of /proc."""
        parents = _parents()
        found = {self.process.pid}
        while more := {child for child, parent in parents.items() if parent in found} - found:
            found |= more
        return [Path("/proc", str(pid)) for pid in sorted(found)]

    def commands(self) -> str:
        """Its processes' command lines, as `ps` shows them to everybody."""
        lines = []
        for folder in self.processes():
            with contextlib.suppress(OSError):
                lines.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return "\n".join(lines)

    def stop(self) -> None:
        """End it and whatever it started, first politely."""
        everybody = [int(folder.name) for folder in self.processes()]
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(POLITE_SECONDS)
        for pid in everybody:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(POLITE_SECONDS)


@dataclass
class Servers:
    """All that a module of tests has started."""

    folder: Path
    started: list[Server] = field(default_factory=list)

    def start(
        self,
        command: Sequence[str],
        *,
        cwd: Path = REPOSITORY,
        env: Mapping[str, str] | None = None,
        path: str = "/",
        seconds: float = 90,
    ) -> Server:
        """Run a command, `{port}` in it replaced, until `path` answers; `kedro` is ours."""
        port = free_port()
        words = [word.replace("{port}", str(port)) for word in command]
        if words[0] in {"kedro", "mlflow"}:
            words = [sys.executable, "-m", *words]
        log = self.folder / f"{len(self.started)}-{Path(command[0]).name}.log"
        paths = os.pathsep.join(
            filter(None, [str(REPOSITORY / "src"), os.environ.get("PYTHONPATH")])
        )
        with log.open("wb") as said:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env={**os.environ, "PYTHONPATH": paths, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        server = Server(f"http://127.0.0.1:{port}", process, log)
        self.started.append(server)
        wait_for(server, server.url + path, seconds=seconds)
        open_to_others = listening_elsewhere(server)
        assert not open_to_others, f"{words} listens on {open_to_others}, not on loopback alone"
        return server

    def stop(self) -> None:
        for server in reversed(self.started):
            server.stop()


def free_port() -> int:
    """One that nobody uses; Kedro-Viz takes none above 49151, where the system's own begin."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311  # no secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(server: Server, url: str, *, seconds: float) -> None:
    """Until it answers; any answer but an error of its own will do."""
    deadline = time.monotonic() + seconds
    # a proxy of the machine must not be asked for loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            pytest.fail(f"{server.process.args} ended: {server.said()[-LAST_WORDS:]}")
        try:
            with opener.open(url, timeout=10):
                return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:
                return
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail(f"{url} does not answer after {seconds} s: {server.said()[-LAST_WORDS:]}")


def listening_elsewhere(server: Server) -> list[str]:
    """Addresses, as the kernel writes them, where the server listens for other machines."""
    own = _sockets(server.processes())
    addresses = []
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and fields[9] in own:
                    addresses.append(fields[1])
    assert addresses, "the server listens nowhere"
    return [address for address in addresses if address.partition(":")[0] not in LOOPBACK]


def _parents() -> dict[int, int]:
    """Of every process the one that started it."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
    return found


def _sockets(processes: Sequence[Path]) -> set[str]:
    """Numbers of the sockets that these processes have open."""
    found = set()
    for folder in processes:
        with contextlib.suppress(OSError):
            for opened in (folder / "fd").iterdir():
                with contextlib.suppress(OSError):
                    target = str(opened.readlink())
                    if target.startswith("socket:["):
                        found.add(target[len("socket:[") : -1])
    return found
