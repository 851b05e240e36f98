"""Many `kedro run` one after another: a program that imports everything once and forks for each.

A run does what its command line does in a process of its own, which it is, but for seconds of
imports. All workers of pytest share the program: the first of them starts it, and it ends with the
process that they belong to. Over a socket it is sent one line of JSON, {cwd, arguments,
environment, timeout}, and answers {code, stdout, stderr}; a code of None: killed after the timeout.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
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
    "mlflow.store.tracking.sqlalchemy_store",
    "optuna",
    "plotly.graph_objects",
    "sklearn.linear_model",
    "transformers.models.bart.modeling_bart",
    "transformers.models.electra.modeling_electra",
)
START_SECONDS = 300.0
"""Imports, on a machine that others use as well."""


def run_kedro(
    folder: Path, *arguments: str, environment: dict[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """`kedro` with these arguments, in this folder."""
    asked = {"cwd": str(folder), "arguments": arguments, "environment": environment}
    with _connected() as connection, connection.makefile("rw", encoding="utf-8") as file:
        file.write(json.dumps({**asked, "timeout": timeout}) + "\n")
        file.flush()
        answer = json.loads(file.readline())
    if answer["code"] is None:
        raise subprocess.TimeoutExpired(arguments, timeout, answer["stdout"], answer["stderr"])
    return subprocess.CompletedProcess(
        list(arguments), answer["code"], answer["stdout"], answer["stderr"]
    )


def _connected() -> socket.socket:
    """A connection to the program, which is started if nobody has."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    owner = os.getppid() if is_worker else os.getpid()
    address = Path(tempfile.gettempdir()) / f"seqtune-kedro-{owner}.socket"
    with address.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with suppress(OSError):
            return _connect(address)
        source = Path(__file__).resolve().parents[1] / "src"
        environment = {**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200"}
        command = [sys.executable, __file__, str(address), str(owner)]
        os.posix_spawn(sys.executable, command, environment)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with suppress(OSError):
                return _connect(address)
            time.sleep(0.05)
    raise TimeoutError("the program that forks Kedro did not start")


def _connect(address: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(address))
    except OSError:
        connection.close()
        raise
    return connection


def main(address: str, owner: str) -> None:
    import importlib

    for name in PRELOADED:
        importlib.import_module(name)
    from kedro.framework.cli import main as kedro

    Path(address).unlink(missing_ok=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who answer
    with socket.create_server(address, family=socket.AF_UNIX) as server:
        server.settimeout(1.0)
        while Path("/proc", owner).exists():
            with suppress(TimeoutError):
                connection, _ = server.accept()
                if not os.fork():
                    answer(kedro, connection)
                connection.close()
    for path in (Path(address), Path(address).with_suffix(".lock")):
        path.unlink(missing_ok=True)


def answer(kedro: Any, connection: socket.socket) -> None:
    """In a child: never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    connection.settimeout(None)
    with connection.makefile("rw", encoding="utf-8") as file:
        file.write(json.dumps(answer_of(kedro, **json.loads(file.readline()))) + "\n")
    os._exit(0)


def answer_of(kedro: Any, *, timeout: float, **asked: Any) -> dict[str, Any]:
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
    """In the child of a child: never returns."""
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
    main(*sys.argv[1:])
