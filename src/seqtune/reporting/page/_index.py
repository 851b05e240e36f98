"""The page of all runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._environment import asset, environment, policy


def index_page(entries: Iterable[Mapping[str, Any]]) -> str:
    """List runs, newest first. An entry: task, version, started, seconds, status, pipelines, env,
    metric, parts {part: {model, ensemble}}, made, link."""
    newest = sorted(entries, key=lambda entry: str(entry.get("started") or ""), reverse=True)
    script = asset("page.js")
    template = environment().get_template("index.html")
    return template.render(
        entries=newest, style=asset("page.css"), script=script, policy=policy(script.encode())
    )
