"""Writing the site: that of Kedro-Viz, made to open at the method and to need no network."""

from __future__ import annotations

import json
import logging
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

from seqtune.contracts.errors import ConfigurationError

from .overview import tidied
from .tables import readable

TABLE, FIGURE = "TablePreview", "PlotlyPreview"
PACKAGES = {
    "has_missing_dependencies": False,
    "package_compatibilities": [
        {"package_name": "fsspec", "package_version": "", "is_compatible": True}
    ],
}
SETTINGS = """<script>
  if (!localStorage.getItem("KedroViz")) localStorage.setItem("KedroViz", JSON.stringify({
    theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
    isPrettyName: true, showFeatureHints: false}));
</script>
<style>
  @media (max-width: 600px) {
    body:has(.pipeline-metadata--visible) .pipeline-global-toolbar,
    .pipeline-minimap-container, .pipeline-layer-name { display: none }
    .pipeline-metadata-modal { left: 0 }
    .pipeline-metadata-modal .pipeline-plotly-chart { width: 100% }
    .pipeline-metadata-modal__preview, .pipeline-metadata-modal__preview-json {
      max-width: 100%; width: 100%;
    }
  }
</style>
"""
"""Names as people write them, no tour of what is new; on a phone nothing covers anything."""


def build_site(project: Path, folder: Path, *, default_task: str, env: str | None = None) -> None:
    """Write the site, with previews of the newest data; an older site in the folder goes."""
    _clear(folder)
    _write_plain(project, folder, env)
    api = folder / "api"
    for path in (api / "main", *(api / "pipelines").iterdir()):
        shown = tidied(json.loads(path.read_text()), default_task=default_task)
        path.write_text(json.dumps(shown))
    for path in (api / "nodes").iterdir():
        path.write_text(json.dumps(_tidied_node(path.read_text(), project)))
    # the page asks for it on this machine, and complains in the console where it is missing
    (api / "metadata").write_text(json.dumps(PACKAGES))
    index = folder / "index.html"
    index.write_text(tidied_page(index.read_text()))


def tidied_page(html: str) -> str:
    """The page without its web fonts, and with our settings until the reader has chosen others.

    At the end of the head: styles win over those before, and modules run after all scripts.
    """
    html = re.sub(r"<link[^>]*https://fonts\.[^>]*>\s*", "", html)
    return html.replace("</head>", f"{SETTINGS}</head>", 1)


def _tidied_node(text: str, project: Path) -> Any:
    """What is said of a node, without where this project lies on this machine."""
    node = json.loads(text.replace(f"{project}/", ""))
    preview = node.get("preview")
    if preview and node["preview_type"] == TABLE:
        node["preview"] = readable(preview)
    if preview and node["preview_type"] == FIGURE:
        # Kedro-Viz measures by the plot what we measured by the paper: the title would be in it
        for key in ("y", "yref", "yanchor"):
            preview["layout"].get("title", {}).pop(key, None)
    return node


def _clear(folder: Path) -> None:
    is_site = (folder / "api" / "main").is_file()
    if folder.exists() and not is_site and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(
            f"{folder} holds something else than a graph written before, which is not thrown "
            "away; choose an empty or a new folder with --build"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _write_plain(project: Path, folder: Path, env: str | None) -> None:
    import fsspec

    warnings.simplefilter("ignore")  # of Kedro-Viz about its own libraries, in a command of its own
    from kedro_viz.integrations.deployment.base_deployer import BaseDeployer
    from kedro_viz.server import load_and_populate_data

    class Deployer(BaseDeployer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._path, self._fs = folder, fsspec.filesystem("file")

    # of every dataset that is not made yet it would say that it cannot be previewed
    logging.getLogger("kedro_viz").setLevel(logging.ERROR)
    load_and_populate_data(project, env, package_name="seqtune")
    Deployer().deploy(is_all_previews_enabled=True)
