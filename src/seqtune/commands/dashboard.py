"""`kedro dashboard`: the trials of a study in a browser, shown by the Optuna dashboard."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import click
from kedro.framework.startup import ProjectMetadata

from seqtune.tasks import DEFAULT_TASK

from .run import ProjectCommand
from .serving import address, serve

if TYPE_CHECKING:
    from seqtune.tuning.studies.storage_url import StorageUrl

PORT = 8080
READING = {"GET", "HEAD"}


@click.command("dashboard", cls=ProjectCommand)
@click.option("-e", "--env", envvar="KEDRO_ENV", help="Environment whose studies are shown.")
@click.option("--task", default=DEFAULT_TASK, show_default=True, help="Task that was tuned.")
@click.option("--study", help="Name of the study to link to; otherwise the newest search.")
@click.option("--port", default=PORT, show_default=True, help="Port on 127.0.0.1.")
@click.pass_obj
def dashboard(
    project: ProjectMetadata, env: str | None, task: str, study: str | None, port: int
) -> None:
    """Show the studies of tuning, read-only."""
    from optuna_dashboard import wsgi

    from seqtune.tuning.studies.dashboard_study import dashboard_study
    from seqtune.tuning.studies.storage import open_storage, quiet_optuna

    ref = _find_storage(project, env, task)
    shown = dashboard_study(ref, task=task, name=study)
    with quiet_optuna():
        app = _make_read_only(wsgi(open_storage(ref)))
        serve(
            lambda place: make_server(
                *place, app, server_class=_ThreadingServer, handler_class=_QuietHandler
            ),
            port,
            started=(
                f"Studies in {ref.place}\n"
                f"{shown.name} ({shown.num_finished} trials finished): "
                f"{address(port, f'dashboard/studies/{shown.number}')}"
            ),
        )


def _find_storage(project: ProjectMetadata, env: str | None, task: str) -> StorageUrl:
    from kedro.framework.session import KedroSession

    from seqtune.core.errors import ConfigurationError, did_you_mean
    from seqtune.pipeline_registry import TASKS
    from seqtune.tuning.studies.storage_url import StorageUrl

    known = [one.name for one in TASKS]
    if task not in known:
        raise ConfigurationError(f"there is no task {task!r}; {did_you_mean(task, known)} (--task)")
    session = KedroSession.create(project.project_path, env=env)
    return StorageUrl(session.load_context().catalog.load(f"{task}.study_storage"))


def _make_read_only(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Refuse to delete or rename a study from the page, because it is evidence."""

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in READING:
            return app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"reason": "seqtune shows studies read-only"}']

    return guarded


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: the page sends a request every few seconds."""
