"""Many `kedro run` one after another: a program that imports everything once and forks for each.

A run does what its command line does in a process of its own, which it is, but for seconds of
imports. Requests and answers are lines of JSON: {cwd, arguments, environment, timeout} and
{code, stdout, stderr}; a code of None: killed after the timeout.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

PRELOADED = (
    "seqtune.cli",
    "seqtune.settings",
    "seqtune.pipeline_registry",
    "seqtune.datasets",
    "seqtune.training",
    "kedro.framework.cli.project",
    "kedro_datasets.json",
    "kedro_datasets.pandas",
    "kedro_datasets.plotly",
    "lightning.pytorch",
    "optuna",
    "plotly.graph_objects",
    "sklearn.linear_model",
    "transformers.models.bart.modeling_bart",
    "transformers.models.electra.modeling_electra",
)


class KedroForks:
    """The program from outside: `forks(folder, "run", "--pipeline", "ingest")`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(
        self, folder: Path, *arguments: str, environment: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        sent, answered = self._process.stdin, self._process.stdout
        assert sent is not None
        assert answered is not None
        asked = {"cwd": str(folder), "arguments": arguments, "environment": environment}
        sent.write(json.dumps({**asked, "timeout": timeout}) + "\n")
        sent.flush()
        answer = json.loads(answered.readline())
        if answer["code"] is None:
            raise subprocess.TimeoutExpired(arguments, timeout, answer["stdout"], answer["stderr"])
        return subprocess.CompletedProcess(
            list(arguments), answer["code"], answer["stdout"], answer["stderr"]
        )

    def close(self) -> None:
        with self._process:
            self._process.kill()  # to wait for its end would take seconds


@cache
def shared_forks(source: Path) -> KedroForks:
    """One program for all tests of this process; the package is imported from `source`."""
    forks = KedroForks({**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200"})
    atexit.register(forks.close)
    return forks


def main() -> None:
    import importlib

    for name in PRELOADED:
        importlib.import_module(name)
    from kedro.framework.cli import main as kedro

    for line in sys.stdin:
        print(json.dumps(answer(kedro, **json.loads(line))), flush=True)


def answer(kedro: Any, *, timeout: float, **asked: Any) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            run(kedro, out=out.fileno(), err=err.fileno(), **asked)
        found: dict[str, Any] = {"code": wait(child, timeout)}
        for name, file in (("stdout", out), ("stderr", err)):
            file.seek(0)
            found[name] = file.read().decode(errors="replace")
    return found


def wait(child: int, timeout: float) -> int | None:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def run(
    kedro: Any, *, cwd: str, arguments: list[str], environment: dict[str, str], out: int, err: int
) -> None:
    """In the child: never returns."""
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(cwd)
        os.environ.update(environment)
        sys.argv = ["kedro", *arguments]
        kedro()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  # told as Python would at the end of a program
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
