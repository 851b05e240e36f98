"""The last lines of a run: what was made, where it is, what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

NEXT_STEPS = {
    "sample_interactions": "kedro run --env sample",
    "ingest_report": "kedro run --pipeline split",
    "split_report": "kedro run --pipeline train",
    "checkpoint": "kedro run --pipeline predict",
    "predictions": (
        "put your own data in data/01_raw/recommend and give `kedro run`; "
        "parameters: conf/base/parameters_recommend.yml"
    ),
}
"""By what a run made last: how to go on from it."""


def saved_places(conf_catalog: Mapping[str, Any], save_version: str) -> dict[str, Path]:
    """Where this run saves each dataset of the catalog, from the catalog's configuration."""
    places: dict[str, Path] = {}
    for name, entry in conf_catalog.items():
        if isinstance(entry, dict) and isinstance(entry.get("filepath"), str):
            path = Path(entry["filepath"])
            places[name] = path / save_version / path.name if entry.get("versioned") else path
    return places


def print_summary(
    outputs: Sequence[str],
    places: Mapping[str, Path],
    *,
    load: Callable[[str], Any],
    env: str | None = None,
) -> None:
    """Print what a run wrote (`outputs`, in order), its headlines, and the next step."""
    made = [name for name in outputs if name in places]
    if not made:
        return
    console = Console(soft_wrap=True, highlight=False)
    width = max(map(len, made))
    console.print("\n[bold]Made by this run[/bold]")
    for name in made:  # no table: it would cut paths to the width of the terminal
        console.print(f"{name:<{width}}  {_short(places[name])}", markup=False)
    for line in _headlines(made, load):
        console.print(line, markup=False)
    if step := _next_step(made, env):
        console.print(f"[bold]Next:[/bold] {step}")


def _headlines(made: Sequence[str], load: Callable[[str], Any]) -> Iterator[str]:
    """What a stage wants said of its result: the `headline` of its report."""
    for name in made:
        if name.endswith((".metrics", "_report")):
            yield from load(name).get("headline", [])


def _next_step(made: Sequence[str], env: str | None) -> str | None:
    names = {name.rpartition(".")[2] for name in made}
    step = next((text for name, text in reversed(NEXT_STEPS.items()) if name in names), None)
    has_own_data = env not in (None, "local", "base")
    if step and has_own_data and step.startswith("kedro run") and "--env" not in step:
        return f"{step} --env {env}"
    return step


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
