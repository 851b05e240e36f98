"""The last lines of a run: where the report is, what was found, what was made, what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seqtune.datasets.remote_path import AnyPath

PAGE = "run_report"
OPENED_BY_HAND = (
    "verify_page",
    "narrowed_space",
    "best_config",
    "checkpoint",
    "ensemble",
    "predictions",
    "submission",
)
"""What people go on with; everything else is counted."""
HEADLINED = (".metrics", "_metrics", "_report", "_analysis")
PREFIXES = ("tune_", "analyse_", "draw_", "evaluate_", "weigh_", "choose_", "resolve_")
SAMPLE = "sample_"
RUN = "kedro run"
NEXT_STEPS = {
    "ingest_report": "{stage}split",
    "dry_run_report": "{chain}",
    "split_report": "{stage}tune, or train without it: {stage}train",
    "verify_report": "{stage}tune",
    "tune_quick_report": "{stage}tune",
    "best_config": "{stage}train",
    "validate_report": "{stage}predict",
    "checkpoint": "{stage}ensemble, or without one: {stage}predict",
    "ensemble": "{stage}predict",
    "predictions": (
        "put your own data in data/01_raw/{task} and give `{chain}`; "
        "parameters: conf/base/parameters_{task}.yml"
    ),
}
"""By what a run made last: how to go on from it, in commands of the task."""
DEFAULT_TASK = "recommend"
"""Its pipelines have no prefix."""
RAW = "01_raw"


@dataclass(frozen=True)
class Made:
    """What one node of a run made."""

    node: str
    outputs: Sequence[str]

    @property
    def label(self) -> str:
        """The part of the method that the node belongs to."""
        name = self.node.rpartition(".")[2]
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        return name


def print_summary(
    made: Sequence[Made],
    places: Mapping[str, AnyPath],
    *,
    load: Callable[[str], Any],
    env: str | None = None,
    seconds: float | None = None,
    page: AnyPath | None = None,
) -> None:
    """Print what a run found and wrote (`made`, in order), and the next step.

    `places` are those of the datasets that were saved, `page` is the report as HTML.
    """
    saved = [name for one in made for name in one.outputs if name in places]
    if not saved:
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    if console.is_terminal:
        console.rule()
    took = "" if seconds is None else f" in {_duration(seconds)}"
    console.print(f"Done{took}.", style="bold")
    if page is not None:
        _print_lines(console, [("report", f"{_short(page)} ({_how_to_open(page)})")])
    _print_rows(console, *_findings(made, places, load))
    console.print("\nMade", style="bold")
    _print_lines(console, _files(saved, places))
    if step := _next_step(saved, env, task=_task(saved, places)):
        console.print(Text.assemble(("\nNext: ", "bold"), step))


def _print_rows(console: Console, *groups: Sequence[tuple[str, str]]) -> None:
    """Two columns; long texts are wrapped within theirs, in a terminal."""
    rows = [row for group in groups for row in group]
    if not console.is_terminal or not rows:
        return _print_lines(console, rows)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", min_width=_width(rows), no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(label, Text(text))
    return console.print(table, soft_wrap=False)


def _print_lines(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Each in one line, so that a path can be copied in one piece."""
    width = _width(rows)
    for label, text in rows:
        console.print(Text.assemble((f"{label:<{width}}", "cyan"), "  ", text))


def _width(rows: Sequence[tuple[str, str]]) -> int:
    return max((len(label) for label, _ in rows), default=0)


def _findings(
    made: Sequence[Made], places: Mapping[str, AnyPath], load: Callable[[str], Any]
) -> Iterator[list[tuple[str, str]]]:
    """What each part of the method wants said: the `headline` of its reports."""
    lines: dict[str, list[str]] = {}
    for one in made:
        for name in one.outputs:
            if name in places:
                lines.setdefault(one.label, []).extend(_headline(name, load))
    for label, told in lines.items():
        labels = [label, *[""] * len(told)]
        yield [
            (shown, line.removeprefix(f"{label}: "))
            for shown, line in zip(labels, told, strict=False)
        ]


def _headline(name: str, load: Callable[[str], Any]) -> Sequence[str]:
    if not name.endswith(HEADLINED):
        return ()
    lines: Sequence[str] = load(name).get("headline", ())
    return lines


def _files(saved: Sequence[str], places: Mapping[str, AnyPath]) -> list[tuple[str, str]]:
    """The few files that people go on with, and how many others there are."""
    opened = [name for name in saved if _last(name) in OPENED_BY_HAND]
    opened = opened or [name for name in saved if not name.endswith("_figure")]
    rows = [(_last(name), _short(places[name])) for name in opened]
    if others := len(saved) - len(opened):
        folder = _short(_common_folder([places[name] for name in saved]))
        rows.append((f"{others} more", f"reports, tables and figures in {folder}; `make viz`"))
    return rows


def _next_step(made: Sequence[str], env: str | None, *, task: str) -> str | None:
    names = [_last(name) for name in made]
    is_default = task == DEFAULT_TASK
    chain = RUN if is_default else f"{RUN} --pipelines {task}"
    stage = f"{RUN} --pipelines " + ("" if is_default else f"{task}.")
    steps = (text for name, text in reversed(NEXT_STEPS.items()) if name in names)
    text = next(steps, "{chain}" if any(name.startswith(SAMPLE) for name in names) else None)
    if text is None:
        return None
    step = text.format(chain=chain, stage=stage, task=task)
    has_own_data = env not in (None, "local", "base")
    return (
        step.replace(RUN, f"{RUN} --env {env}") if has_own_data and step.startswith(RUN) else step
    )


def _task(saved: Sequence[str], places: Mapping[str, AnyPath]) -> str:
    """Whose results these are: by their names, and for a sample by the folder it is put in."""
    named = [name.partition(".")[0] for name in saved if "." in name]
    parts = [str(places[name]).split("/") for name in saved]
    named += [one[one.index(RAW) + 1] for one in parts if RAW in one[:-1]]
    return next(iter(named), DEFAULT_TASK)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _common_folder(places: Sequence[AnyPath]) -> AnyPath:
    folder = places[0].parent
    while not all(str(place).startswith(f"{folder}/") for place in places):
        folder = folder.parent
    return folder


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _short(path: AnyPath) -> str:
    return str(path).removeprefix(f"{Path.cwd()}/")


def _how_to_open(page: AnyPath) -> str:
    return "open it in a browser" if isinstance(page, Path) else "fetch it, open it in a browser"
