"""`kedro graph`: the pipelines in a browser, by Kedro-Viz, opening at the method."""

from __future__ import annotations

import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
from kedro.framework.startup import ProjectMetadata

from .run import friendly
from .serving import address, serve

PORT = 4141


@click.command("graph")
@click.option("-e", "--env", envvar="KEDRO_ENV", help="Environment whose data is previewed.")
@click.option("--port", default=PORT, show_default=True, help="Port on 127.0.0.1.")
@click.option(
    "--build",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the site to this folder, for any web server, instead of showing it.",
)
@click.pass_obj
@friendly
def graph(project: ProjectMetadata, env: str | None, port: int, folder: Path | None) -> None:
    """Show the pipelines, with previews of what they made."""
    from seqtune.graph import build_site
    from seqtune.pipeline_registry import DEFAULT_TASK

    build = partial(build_site, project.project_path, default_task=DEFAULT_TASK.name, env=env)

    if folder is not None:
        build(folder=folder.resolve())
        print(f"The site is in {folder}; open it through a web server, not as a file.")
        return
    with tempfile.TemporaryDirectory(prefix="seqtune-graph-") as temporary:
        build(folder=Path(temporary))
        handler = partial(_Quiet, directory=temporary)
        serve(
            lambda place: ThreadingHTTPServer(place, handler),
            port,
            started=f"The graph: {address(port)} (as the data is now; start it again after a run)",
        )


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """A line for every file of the page helps nobody."""
