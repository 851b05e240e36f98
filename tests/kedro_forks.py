"""Many `kedro run` one after another: a program that imports everything once and forks for each.

A run does what its command line does in a process of its own, which it is, but for seconds of
imports; so does the fork server that its workers come from. All workers of pytest share the
program: the first of them starts it, and it ends with the process that they belong to. Over a
socket it is sent one line of JSON, {cwd, arguments, environment, timeout}, and answers
{code, stdout, stderr}; a code of None: killed after the timeout.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import util
from pathlib import Path
from typing import Any, BinaryIO

SOURCE = Path(__file__).resolve().parents[1] / "src"
NOT_PRELOADED = (
    "__main__.py",
    "commands/dashboard.py",
    "commands/mlflow.py",
    "tracking/served_model.py",
    "workers/cluster/*",
)
"""Servers, Ray, and what MLflow warns of."""
PRELOADED = (
    "duckdb",
    "kedro.framework.cli.project",
    "kedro.framework.session.store",
    "kedro_datasets.json",
    "kedro_datasets.pandas",
    "kedro_datasets.plotly",
    "kedro_datasets.text",
    "kedro_viz.integrations.kedro.run_hooks",
    "kedro_viz.launchers.cli.main",
    "lightning.pytorch",
    "mlflow.store.tracking.sqlalchemy_store",
    "optuna",
    "plotly.graph_objects",
    "pyarrow.dataset",
    "sklearn.linear_model",
    "transformers.models.bart.modeling_bart",
    "transformers.models.electra.modeling_electra",
)
"""Beside all of seqtune: what it imports where it is used."""
WITH_WORKERS = ("tune", "verify_env", "ensemble", "validate", "dry_run")
"""Stages whose runs are given a fork server; others would start their own."""
START_SECONDS = 600.0
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
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "COLUMNS": "200"}
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


def preload() -> None:
    """Import everything, and do what each fork would do again because of so many modules."""
    package = SOURCE / "seqtune"
    left_out = {path for pattern in NOT_PRELOADED for path in package.glob(pattern)}
    ours = (path.relative_to(SOURCE) for path in package.rglob("*.py") if path not in left_out)
    for name in (*PRELOADED, *(".".join(path.with_suffix("").parts) for path in sorted(ours))):
        importlib.import_module(name.removesuffix(".__init__"))
    sys.modules.setdefault("ibis", None)  # type: ignore[arg-type]  # Kedro looks for it once for each parameter
    inspect.stack()  # Dynaconf asks for it: notes the file of every module
    gc.collect()
    gc.freeze()


def main(address: str, owner: str) -> None:
    preload()
    from kedro.framework.cli import main as kedro

    Path(address).unlink(missing_ok=True)
    runs: list[Run] = []
    with socket.create_server(address, family=socket.AF_UNIX) as server:
        while Path("/proc", owner).exists():
            server.settimeout(0.02 if runs else 1.0)
            with suppress(TimeoutError, json.JSONDecodeError):  # the latter: gone already
                runs.append(start(kedro, server.accept()[0]))
            runs = [each for each in runs if not each.is_over()]
    for path in (Path(address), Path(address).with_suffix(".lock")):
        path.unlink(missing_ok=True)
    os._exit(0)  # without taking apart all that is imported


@dataclass(frozen=True)
class Run:
    """A child that runs Kedro, and who waits for it."""

    child: int
    connection: socket.socket
    said: dict[str, BinaryIO]
    end: float

    def is_over(self) -> bool:
        """Whether it has ended; if so, it has been answered."""
        ended, status = os.waitpid(self.child, os.WNOHANG)
        if not ended:
            if time.monotonic() < self.end:
                return False
            os.kill(self.child, signal.SIGKILL)
            os.waitpid(self.child, 0)
        self._answer(os.waitstatus_to_exitcode(status) if ended else None)
        return True

    def _answer(self, code: int | None) -> None:
        found: dict[str, Any] = {"code": code}
        for name, file in self.said.items():
            with file:
                file.seek(0)
                found[name] = file.read().decode(errors="replace")
        with self.connection, suppress(OSError):  # whoever asked may be gone
            self.connection.sendall(json.dumps(found).encode() + b"\n")


def start(kedro: Any, connection: socket.socket) -> Run:
    connection.settimeout(None)
    with connection.makefile("r", encoding="utf-8") as file:
        asked = json.loads(file.readline())
    end = time.monotonic() + asked.pop("timeout")
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  # until answered
    child = os.fork()
    if not child:
        run(kedro, stdout=out.fileno(), stderr=err.fileno(), **asked)
    return Run(child, connection, {"stdout": out, "stderr": err}, end)


def run(
    kedro: Any,
    *,
    cwd: str,
    arguments: list[str],
    environment: dict[str, str],
    stdout: int,
    stderr: int,
) -> None:
    """In the child: never returns."""
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.chdir(cwd)
        os.environ.update(environment)
        sys.argv = ["kedro", *arguments]
        if any(stage in word for stage in WITH_WORKERS for word in arguments):
            prepare_fork_server()
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


def prepare_fork_server() -> None:
    """Fork what becomes the fork server of this process if it asks for one, instead of a new Python
    that imports everything again; otherwise the fork ends with this process."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        ours.close()
        become_fork_server(theirs)
    theirs.close()
    start = util.spawnv_passfds

    def spawn(path: bytes, args: Any, passfds: Any) -> int:
        code = args[-1]
        if "multiprocessing.forkserver" not in code:
            return start(path, args, passfds)
        util.spawnv_passfds = start
        blocked = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])]
        asked = json.dumps({"code": code, "descriptors": list(passfds), "blocked": blocked})
        socket.send_fds(ours, [asked.encode()], list(passfds))
        return pid

    util.spawnv_passfds = spawn


def become_fork_server(connection: socket.socket) -> None:
    """Run the code that a new Python would, with the same files open. Never returns."""
    asked, received, *_ = socket.recv_fds(connection, 1 << 16, 8)
    if asked:
        found = json.loads(asked)
        signal.pthread_sigmask(signal.SIG_SETMASK, found["blocked"])
        connection.close()
        out_of_the_way = [fcntl.fcntl(each, fcntl.F_DUPFD, 1000) for each in received]
        for source, target in zip(out_of_the_way, found["descriptors"], strict=True):
            os.dup2(source, target, inheritable=False)
        for each in {*received, *out_of_the_way} - {*found["descriptors"]}:
            os.close(each)
        exec(found["code"], {})  # noqa: S102
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
