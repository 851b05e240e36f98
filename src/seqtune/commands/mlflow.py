"""`kedro mlflow ui`: MLflow's own server with the runs of an environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from kedro.framework.startup import ProjectMetadata

from seqtune.core.errors import ConfigurationError
from seqtune.core.secrets import mask
from seqtune.tracking.database import SQLITE, require_writable, under

from .run import ProjectCommand
from .serving import HOST, address

PORT = 5000
COMMAND = (sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--workers", "1")
SETTINGS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # no jobs are needed here


@click.group("mlflow")
def mlflow() -> None:
    """Runs, their curves and models (MLflow)."""


@mlflow.command("ui", cls=ProjectCommand)
@click.option("-e", "--env", envvar="KEDRO_ENV", help="Environment whose runs are shown.")
@click.option("-p", "--port", default=PORT, show_default=True, help="Port on 127.0.0.1.")
@click.pass_obj
def ui(project: ProjectMetadata, env: str | None, port: int) -> None:
    """Show the runs of an environment."""
    from kedro.framework.session import KedroSession

    session = KedroSession.create(project.project_path, env=env)
    server = session.load_context().config_loader["mlflow"]["server"]
    uri = under(project.project_path, str(server["mlflow_tracking_uri"]))
    if uri.startswith("http"):
        click.echo(f"The runs are on the server {mask(uri)}")
        return
    _require_runs(uri)
    click.echo(f"Runs in {mask(uri.removeprefix(SQLITE))}: {address(port)}\nCtrl+C stops it.")
    sys.stdout.flush()
    # not as an option, because the list of processes would show a password in it
    environment = {**SETTINGS, **os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
    os.execve(COMMAND[0], [*COMMAND, "--port", str(port)], environment)  # noqa: S606


def _require_runs(uri: str) -> None:
    if not uri.startswith(SQLITE):
        return
    file = Path(uri.removeprefix(SQLITE))
    if not file.exists():
        raise ConfigurationError(
            f"there are no runs yet in {file}: `kedro run` writes them there, unless "
            "tracking.mlflow is false (conf/base/parameters_tracking.yml). Another environment: "
            "--env sample"
        )
    require_writable(uri)
