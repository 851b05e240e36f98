"""One server from the driver's side: a process that is told what to do."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from ._serving import Settings
from .errors import PeerError
from .roster import OURS, Entrant

BENCHMARKS = Path(__file__).resolve().parents[1]
QUIET = {
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",  # RecBole opens its own files without it no more
    "TOKENIZERS_PARALLELISM": "false",
    "MPLBACKEND": "agg",
}


class Client:
    """Works in a folder of its own; whatever the library leaves behind stays there."""

    def __init__(self, entrant: Entrant, python: Path, folder: Path, *, threads: int) -> None:
        folder.mkdir(parents=True)
        self._log = folder / "log.txt"
        environment = {**os.environ, **QUIET}
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            environment[name] = str(threads)
        # ours reads what it shares with other benchmarks; no peer may see our modules
        environment.pop("PYTHONPATH", None)
        if entrant.library == OURS:
            environment["PYTHONPATH"] = str(BENCHMARKS)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, str(entrant.server)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=folder,
                env=environment,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self, data: Path, settings: Settings) -> dict[str, Any]:
        return self.ask("prepare", data=str(data), settings=asdict(settings))

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The answer; raises PeerError with the server's reason."""
        request = json.dumps({"command": command, **arguments})
        try:
            print(request, file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()  # type: ignore[union-attr]
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(f"ended at {command}: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{command}: {answer['error']}")
        return answer

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            stream.close()  # type: ignore[union-attr]
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        code = self._process.wait()
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return f"exit code {code}; {lines[-1] if lines else 'nothing was said'}"
