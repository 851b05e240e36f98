"""The harness itself: a page that misbehaves is caught, and so is a server open to others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NOISY = """<h1>hi</h1><link rel="icon" href="data:,"><img src="https://example.org/x.png">
<script>console.error("boo")</script><script>throw Error("uncaught")</script>"""


def test_error_and_request_to_the_network_are_caught(
    page_at: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "noisy.html").write_text(NOISY)
    visit = page_at((tmp_path / "noisy.html").as_uri())

    with pytest.raises(AssertionError, match=r"asked the network for .*example\.org"):
        visit.assert_quiet()
    with pytest.raises(AssertionError, match=r"boo.*uncaught"):
        visit.assert_quiet(may_ask=("example.org",))


def test_server_that_is_open_to_other_machines_is_refused(serve: Callable[..., Any]) -> None:
    command = [sys.executable, "-m", "http.server", "{port}", "--bind"]

    with pytest.raises(AssertionError, match="not on loopback alone"):
        serve([*command, "0.0.0.0"])  # noqa: S104
    assert serve([*command, "127.0.0.1"]).url
