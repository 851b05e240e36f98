"""Take the pictures that the README shows, from a run of this project: `make pictures`.

`make run` first: the pictures are of the sample data. Needs playwright and Chromium (Debian:
`apt-get install chromium`). Every page is a file or is served to this machine alone, and the
browser may ask nobody else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Route, sync_playwright

REPOSITORY = Path(__file__).resolve().parents[1]
PICTURES = REPOSITORY / "docs" / "pictures"
TASK = "recommend"
FIGURE = "quick_curves"
STAGE = "train"
WIDTH = 1200
LARGEST = 250_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 60_000


def newest(reporting: Path, file: str) -> Path:
    """The newest version of a dataset of a run."""
    versions = sorted(reporting.glob(f"{file}/*/{file}"))
    if not versions:
        raise SystemExit(
            f"there is no {reporting / file}; run `make run` first, or name another --env"
        )
    return versions[-1]


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium, Debian's if there is one."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield running
        finally:
            running.close()


@contextmanager
def page_of(running: Browser, height: int) -> Iterator[Page]:
    """A page that reaches this machine only."""
    page = running.new_page(viewport={"width": WIDTH, "height": height}, reduced_motion="reduce")
    page.set_default_timeout(PATIENCE_MS)
    page.route("**/*", _stay_here)
    try:
        yield page
    finally:
        page.close()


def _stay_here(route: Route) -> None:
    parts = urlsplit(route.request.url)
    is_here = parts.scheme in ("file", "data", "blob") or parts.hostname == "127.0.0.1"
    route.continue_() if is_here else route.abort()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """A line for every file of the page helps nobody."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder as a site, on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def keep(page: Page, name: str) -> None:
    """The picture of what is seen; too large a one is an error and not a surprise in git."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    size = path.stat().st_size
    if size > LARGEST:
        path.unlink()
        raise SystemExit(f"{name}.png has {size} bytes, {LARGEST} are allowed: show less in it")
    print(f"docs/pictures/{path.name}  {size / 1000:.0f} kB")


# ---- the pictures --------------------------------------------------------------------------------


def take_report(running: Browser, reporting: Path) -> None:
    """The head of the report."""
    with page_of(running, 900) as page:
        page.goto(newest(reporting, "run_report.html").as_uri(), wait_until="load")
        page.wait_for_timeout(1000)
        keep(page, "report")


def take_graph(running: Browser, env: str) -> None:
    """One stage of the graph, as Kedro-Viz draws it: the whole would be too small to read."""
    with tempfile.TemporaryDirectory(prefix="seqtune-graph-") as folder:
        build = [sys.executable, "-m", "kedro", "viz", "build"]
        subprocess.run(build, cwd=REPOSITORY, env={**os.environ, "KEDRO_ENV": env}, check=True)
        shutil.move(REPOSITORY / "build", folder)
        with served(Path(folder) / "build") as address, page_of(running, 900) as page:
            page.goto(f"{address}?pid={STAGE}", wait_until="load")
            page.locator(".feature-hints__close").first.click()
            for _ in range(2):  # the task, then the stage in it
                page.locator(".pipeline-node--modularPipeline").first.click()
                page.wait_for_timeout(1500)
            page.wait_for_selector(".pipeline-node")
            for label in ("Turn minimap off", "Hide menu"):  # the graph alone
                page.get_by_label(label).first.click()
            page.wait_for_timeout(1500)
            page.get_by_label("Reset zoom").first.click()
            page.mouse.move(WIDTH - 10, 10)  # off the button and its hint
            page.wait_for_timeout(1500)  # the graph moves to its place
            keep(page, "graph")


def take_search(running: Browser, reporting: Path) -> None:
    """A figure of the search, as it was saved."""
    import plotly.io

    figure = plotly.io.from_json(newest(reporting, f"{FIGURE}_figure.json").read_text("utf-8"))
    figure.update_layout(width=WIDTH, height=520)
    with tempfile.TemporaryDirectory() as folder, page_of(running, 520) as page:
        file = Path(folder) / "figure.html"
        settings = {"displayModeBar": False}
        file.write_text(
            plotly.io.to_html(figure, include_plotlyjs=True, config=settings), encoding="utf-8"
        )
        page.goto(file.as_uri(), wait_until="load")
        page.wait_for_selector(".main-svg")
        page.add_style_tag(content="body { margin: 0 }")
        keep(page, "search")


def data_folder(env: str) -> Path:
    """Where the environment keeps its data."""
    import yaml

    values: dict[str, str] = {}
    for name in ("base", env):
        file = REPOSITORY / "conf" / name / "globals.yml"
        values |= yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return REPOSITORY / values["data"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="sample", help="environment whose newest run is shown")
    parser.add_argument("--data", type=Path, help="its data folder, where it is another one")
    parser.add_argument("--only", nargs="*", choices=("report", "graph", "search"), default=None)
    chosen = parser.parse_args()
    reporting = (chosen.data or data_folder(chosen.env)) / "08_reporting" / TASK
    wanted = chosen.only or ["report", "graph", "search"]
    with browser() as running:
        if "report" in wanted:
            take_report(running, reporting)
        if "graph" in wanted:
            take_graph(running, chosen.env)
        if "search" in wanted:
            take_search(running, reporting)


if __name__ == "__main__":
    main()
