"""All runs on one page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._environment import asset, environment, policy


def index_page(entries: Iterable[Mapping[str, Any]]) -> str:
    """Runs, newest first. An entry: task, version, started, seconds, status, pipelines, env,
    metric, parts {part: {model, ensemble}}, made, link."""
    newest = sorted(entries, key=lambda entry: str(entry.get("started") or ""), reverse=True)
    script = asset("page.js")
    return (
        environment()
        .get_template("index.html")
        .render(
            entries=newest, style=asset("page.css"), script=script, policy=policy(script.encode())
        )
    )
