"""A real browser that sees this machine only, and servers that are always ended again.

    def test_page(serve, page_at, screen):
        server = serve(["kedro", "viz", "run", "--port", "{port}"], cwd=project)
        visit = page_at(server.url, screen)      # or (url, 1280, 900), dark=True
        visit.page.get_by_text("split").click()  # `page` is playwright's
        visit.shot("graph")                      # in SEQTUNE_SHOTS, else in a temporary folder
        visit.assert_quiet()                     # no errors, and nothing asked of the network

`make test` gives all tests of a file to one worker of pytest, so that a server is started once.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from screens import DESKTOP, PHONE, Screen
from web_servers import Server, Servers

if TYPE_CHECKING:  # takes half a second, and is not needed where no page is looked at
    from playwright.sync_api import Browser, ConsoleMessage, Page, Route

NAMES = ("chromium", "chromium-browser", "google-chrome")
HERE = {"127.0.0.1", "localhost"}
WITHOUT_NETWORK = {"file", "data", "blob", "about"}
PATIENCE_MS = 60_000
"""Two cores run all of this beside other tests."""


@dataclass
class Visit:
    """A page, and what went wrong on it."""

    page: Page
    name: str
    folder: Path
    refused: list[str] = field(default_factory=list)
    """Requests that would have left this machine; none of them did."""
    errors: list[str] = field(default_factory=list)
    """What the console complained of, and what its scripts did not catch."""

    def assert_quiet(self, *, may_ask: tuple[str, ...] = ()) -> None:
        """No errors, and no request to another host but those named."""
        asked = [url for url in self.refused if urlsplit(url).hostname not in may_ask]
        assert not asked, f"the page asked the network for {asked}"
        assert not self.errors, f"the page complained: {self.errors}"

    def shot(self, name: str, *, whole: bool = False) -> Path:
        """A picture of what is seen, or of the whole page."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}-{self.name}.png"
        self.page.screenshot(path=path, full_page=whole)
        return path


PageAt = Callable[..., Visit]


@pytest.fixture(params=[DESKTOP, PHONE], ids=lambda screen: screen.name)
def screen(request: pytest.FixtureRequest) -> Screen:
    """The sizes at which everything must be readable."""
    return request.param


# Not for the session: playwright's event loop runs in this thread as long as it lives, and no
# other test of the same process could run one of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} (apt install chromium)")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=program, args=[*options, "--disable-dev-shm-usage"]
        )
        yield opened
        opened.close()


@pytest.fixture
def page_at(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageAt]:
    """`page_at(url, screen)` or `page_at(url, width, height)`, `dark=True`: a `Visit`."""
    given = os.environ.get("SEQTUNE_SHOTS")
    folder = Path(given) if given else tmp_path_factory.getbasetemp() / "shots"
    opened = []

    def visit(
        url: str, width: Screen | int = DESKTOP, height: int = 0, *, dark: bool = False
    ) -> Visit:
        size = width if isinstance(width, Screen) else Screen(f"{width}x{height}", width, height)
        context = browser.new_context(
            viewport={"width": size.width, "height": size.height},
            color_scheme="dark" if dark else "light",
            has_touch=size.width < 600,
            locale="en-GB",
        )
        opened.append(context)
        context.set_default_timeout(PATIENCE_MS)
        visited = Visit(context.new_page(), size.name + ("-dark" if dark else ""), folder)
        _watch(visited)
        visited.page.goto(url)
        return visited

    yield visit
    for context in opened:
        context.close()


def _watch(visit: Visit) -> None:
    def let_through(route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in WITHOUT_NETWORK or address.hostname in HERE:
            route.continue_()
        else:
            visit.refused.append(route.request.url)
            route.abort()

    def note(message: ConsoleMessage) -> None:
        # of a refused request the console complains too, which `refused` has already
        if message.type == "error" and message.location["url"] not in visit.refused:
            visit.errors.append(f"{message.text} ({message.location['url']})")

    visit.page.context.route("**/*", let_through)
    visit.page.on("console", note)
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """`serve(command, cwd=..., env=...)`: a server that answers; it ends with the module.

    `{port}` in the command is a free port. It may listen on loopback only.
    """
    servers = Servers(tmp_path_factory.mktemp("servers"))
    try:
        yield servers.start
    finally:
        servers.stop()
