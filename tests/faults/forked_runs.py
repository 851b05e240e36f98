"""Many `kedro run` one after another: a program that imports everything once and forks for each.

What a run does is what its command line does in a process of its own, three seconds of imports
apart. Requests and answers are lines of JSON: {cwd, arguments} and {code, stdout, stderr}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PRELOADED = (
    "kedro_datasets.json",
    "kedro_datasets.plotly",
    "lightning.pytorch",
    "seqtune.cli",
    "seqtune.datasets",
    "seqtune.pipeline_registry",
    "seqtune.settings",
    "seqtune.training",
    "sklearn.linear_model",
    "transformers.models.bart.modeling_bart",
    "transformers.models.electra.modeling_electra",
)


class Forks:
    """The program from outside: `forks(folder, "run", "--pipelines", "ingest")`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        sent, answered = self._process.stdin, self._process.stdout
        assert sent is not None
        assert answered is not None
        sent.write(json.dumps({"cwd": str(folder), "arguments": arguments}) + "\n")
        sent.flush()
        answer = json.loads(answered.readline())
        return subprocess.CompletedProcess(
            list(arguments), answer["code"], answer["stdout"], answer["stderr"]
        )

    def close(self) -> None:
        with self._process:
            self._process.kill()  # to wait for its end would take seconds


def main() -> None:
    import importlib

    from kedro.framework.cli import main as kedro

    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(answer(kedro, asked["cwd"], asked["arguments"])), flush=True)


def answer(kedro: Any, cwd: str, arguments: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            run(kedro, cwd, arguments, out.fileno(), err.fileno())
        _, status = os.waitpid(child, 0)
        found: dict[str, Any] = {"code": os.waitstatus_to_exitcode(status)}
        for name, file in (("stdout", out), ("stderr", err)):
            file.seek(0)
            found[name] = file.read().decode(errors="replace")
    return found


def run(kedro: Any, cwd: str, arguments: list[str], out: int, err: int) -> None:
    """In the child: never returns."""
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(cwd)
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
