"""`kedro mlflow ui`: runs in a browser; `init` and `modelify` are kedro-mlflow's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import click
from kedro.framework.cli.utils import LazyGroup
from kedro.framework.startup import ProjectMetadata

from seqtune.contracts.errors import ConfigurationError
from seqtune.contracts.secrets import mask
from seqtune.tracking.database import SQLITE, require_writable, under
from seqtune.tracking.quiet import quietly, set_up_quietly

from .run import friendly
from .serving import address, serve

PORT = 5000
KEDRO_MLFLOW = "kedro_mlflow.framework.cli.cli"
STORE = "_MLFLOW_SERVER_FILE_STORE"
"""MLflow's application reads it when it is imported."""
PAGE_BEGINS = "<title>MLflow</title>"
PREFERENCES = """<script>
for (const [key, value] of [
  ["mlflow.workflowType_v1", '"machine_learning"'],
  ["mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true"],
]) localStorage.getItem(key) ?? localStorage.setItem(key, value);
</script>"""
"""What its page remembers of a visitor, as if one had chosen so before."""
NOT_HERE: dict[str, dict[str, Any]] = {
    "/ajax-api/2.0/mlflow/users/current": {},
    "/ajax-api/3.0/mlflow/assistant/config": {"providers": {}, "projects": {}},
    "/ajax-api/3.0/mlflow/assistant/providers": {"providers": [], "resolved": None},
}
"""What the page asks of every server: nobody is logged in, and there is no assistant."""


@click.group(
    "mlflow",
    cls=LazyGroup,
    lazy_subcommands={name: f"{KEDRO_MLFLOW}.{name}" for name in ("init", "modelify")},
)
def mlflow() -> None:
    """Runs, their curves and models (MLflow)."""


@mlflow.command("ui")
@click.option("-e", "--env", envvar="KEDRO_ENV", help="Environment whose runs are shown.")
@click.option("-p", "--port", default=PORT, show_default=True, help="Port on 127.0.0.1.")
@click.pass_obj
@friendly
def ui(project: ProjectMetadata, env: str | None, port: int) -> None:
    """Show the runs of an environment."""
    conf = _settings(project, env)
    uri = under(project.project_path, str(conf["server"]["mlflow_tracking_uri"]))
    if uri.startswith("http"):
        click.echo(f"Runs are kept by the server {mask(uri)}")
        return
    _require_runs(uri)
    with quietly():
        app, page = _application(uri, str(conf["tracking"]["experiment"]["name"]))
        serve(
            lambda place: make_server(*place, app, server_class=_Server, handler_class=_Quiet),
            port,
            started=f"Runs in {mask(uri.removeprefix(SQLITE))}: {address(port, page)}",
        )


def _application(uri: str, experiment: str) -> tuple[Callable[..., Any], str]:
    """MLflow's pages and their API, and where to begin.

    In this process, and without what `mlflow server` adds: workers, jobs, a gateway, and an
    assistant that runs commands on this machine.
    """
    set_up_quietly()
    os.environ[STORE] = uri
    from mlflow import MlflowClient
    from mlflow.server import app

    app.after_request(_about_trainings)
    for number, (question, answer) in enumerate(NOT_HERE.items()):
        app.add_url_rule(question, f"not_here_{number}", lambda answer=answer: answer)
    found = MlflowClient(tracking_uri=uri).get_experiment_by_name(experiment)
    return app, f"#/experiments/{found.experiment_id}/runs" if found else ""


def _about_trainings(response: Any) -> Any:
    """MLflow's page begins with what it has for chats, and with its assistant opened."""
    if response.mimetype == "text/html" and response.status_code == 200:
        response.direct_passthrough = False
        page = response.get_data(as_text=True)
        if PAGE_BEGINS in page:
            response.set_data(page.replace(PAGE_BEGINS, f"{PAGE_BEGINS}{PREFERENCES}", 1))
    return response


def _settings(project: ProjectMetadata, env: str | None) -> dict[str, Any]:
    from kedro.framework.session import KedroSession

    session = KedroSession.create(project.project_path, env=env)
    conf: dict[str, Any] = session.load_context().config_loader["mlflow"]
    return conf


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


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The page asks again every few seconds."""
