"""The last lines of a run: what was made, where it is, what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

FIGURE = "_figure"
NEXT_STEPS = {
    "sample_interactions": "kedro run --env sample",
    "ingest_report": "kedro run --pipeline split",
    "split_report": "kedro run --pipeline tune, or train without it: kedro run --pipeline train",
    "verify_report": "kedro run --pipeline tune",
    "tune_quick_report": "kedro run --pipeline tune",
    "best_config": "kedro run --pipeline train",
    "validate_report": "kedro run --pipeline predict",
    "checkpoint": "kedro run --pipeline predict",
    "predictions": (
        "put your own data in data/01_raw/recommend and give `kedro run`; "
        "parameters: conf/base/parameters_recommend.yml"
    ),
}
"""By what a run made last: how to go on from it."""


def saved_place(entry: Mapping[str, Any], save_version: str) -> Path | None:
    """Where a run saves a dataset, from its entry in the catalog; None for one in memory."""
    if not isinstance(entry.get("filepath"), str):
        return None
    path = Path(entry["filepath"])
    return path / save_version / path.name if entry.get("versioned") else path


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
    named = [name for name in made if not name.endswith(FIGURE)]
    width = max(map(len, named), default=0)
    console.print("\n[bold]Made by this run[/bold]")
    for name in named:  # no table: it would cut paths to the width of the terminal
        console.print(f"{name:<{width}}  {_short(places[name])}", markup=False)
    for folder, number in Counter(_folder(places[n]) for n in made if n.endswith(FIGURE)).items():
        console.print(f"{number} figures, shown by `make viz`: {_short(folder)}", markup=False)
    for line in _headlines(made, load):
        console.print(line, markup=False)
    if step := _next_step(made, env):
        console.print(f"[bold]Next:[/bold] {step}")


def _headlines(made: Sequence[str], load: Callable[[str], Any]) -> Iterator[str]:
    """What a stage wants said of its result: the `headline` of its report."""
    for name in made:
        if name.endswith((".metrics", "_report", "_analysis")):
            yield from load(name).get("headline", [])


def _next_step(made: Sequence[str], env: str | None) -> str | None:
    names = {name.rpartition(".")[2] for name in made}
    step = next((text for name, text in reversed(NEXT_STEPS.items()) if name in names), None)
    has_own_data = env not in (None, "local", "base")
    if step and has_own_data and step.startswith("kedro run") and "--env" not in step:
        return f"{step} --env {env}"
    return step


def _folder(place: Path) -> Path:
    """The folder that holds all versions of all figures."""
    return place.parents[2]


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
