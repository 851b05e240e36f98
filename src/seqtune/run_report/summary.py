"""Print the summary of a run: its report, its findings, its files, and the next step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from os.path import commonpath
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seqtune.core.format import format_duration
from seqtune.datasets.remote_path import AnyPath
from seqtune.tasks import DEFAULT_TASK

from .facts import RunFacts

MAIN_FILES = (
    "verify_page",
    "narrowed_space",
    "best_config",
    "checkpoint",
    "ensemble",
    "predictions",
    "submission",
)
"""Listed one by one; the other files are counted."""
PREFIXES = ("tune_", "analyse_", "draw_", "evaluate_", "weigh_", "choose_", "resolve_")
NEXT_STEPS = {
    "ingest_report": "{stage}split",
    "dry_run_report": "{run}",
    "split_report": "{stage}tune, or train without tuning: {stage}train",
    "verify_report": "{stage}tune",
    "tune_quick_report": "{stage}tune",
    "best_config": "{stage}train",
    "validate_report": "{stage}predict",
    "checkpoint": "{stage}ensemble, or without one: {stage}predict",
    "ensemble": "{stage}predict",
    "export": "seqtune-serve {exports}",
    "predictions": "change parameters in conf/local, as conf/README.md says, and run `{run}` again",
}
"""By the last of these datasets that a run made."""
SAMPLE_ENV = "sample"
AFTER_SAMPLE = "put your own data in data/01_raw/{task} and run `{own}`"
"""After the whole chain on the sample data, which its environment keeps apart."""
RAW = "01_raw"
Rows = list[tuple[str, str]]


def print_summary(facts: RunFacts, *, pages: Collection[AnyPath] = ()) -> None:
    """Print the summary of a run; `pages` are its reports as HTML."""
    places = facts.saved_places()
    if not places:
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    if console.is_terminal:
        console.rule()
    console.print(f"Done in {format_duration(facts.run.seconds)}.", style="bold")
    _print_lines(console, [("report", f"{_relative(one)} ({_how_to_open(one)})") for one in pages])
    _print_findings(console, _findings(facts, places))
    console.print("\nFiles", style="bold")
    _print_lines(console, _files(places))
    if step := _next_step(places, facts.run.params.get("env")):
        console.print(Text.assemble(("\nNext: ", "bold"), step))


def _print_findings(console: Console, rows: Rows) -> None:
    """Print two columns; in a terminal, wrap long texts within theirs."""
    if not console.is_terminal or not rows:
        return _print_lines(console, rows)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(label, Text(text))
    return console.print(table, soft_wrap=False)


def _print_lines(console: Console, rows: Rows) -> None:
    """Print each row in one line, so that a path can be copied."""
    width = max((len(label) for label, _ in rows), default=0)
    for label, text in rows:
        console.print(Text.assemble((f"{label:<{width}}", "cyan"), "  ", text))


def _findings(facts: RunFacts, places: Collection[str]) -> Rows:
    """Return the headlines of all reports; a part of the method is named once."""
    lines: dict[str, list[str]] = {}
    for node in facts.run.nodes:
        for name in node.outputs:
            if name in places:
                lines.setdefault(_label(node.name), []).extend(facts.headline(name))
    return [
        ("" if number else label, line.removeprefix(f"{label}: "))
        for label, found in lines.items()
        for number, line in enumerate(found)
    ]


def _label(node: str) -> str:
    """Return the part of the method that a node belongs to."""
    name = _last(node)
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _files(places: Mapping[str, AnyPath]) -> Rows:
    """Return the main files, and the number of the others."""
    main = [name for name in places if _last(name) in MAIN_FILES]
    main = main or [name for name in places if not name.endswith("_figure")]
    rows = [(_last(name), _relative(places[name])) for name in main]
    if others := len(places) - len(main):
        folder = commonpath([_relative(place.parent) for place in places.values()])
        rows.append((f"{others} more", f"reports, tables and figures in {folder}; `make viz`"))
    return rows


def _next_step(places: Mapping[str, AnyPath], env: str | None) -> str | None:
    task = _task(places)
    at = "" if env in (None, "local", "base") else f" --env {env}"
    run, stage = f"kedro run{at}", f"kedro run{at} --pipelines "
    if task not in ("", DEFAULT_TASK):
        run, stage = f"{stage}{task}", f"{stage}{task}."
    own = run.replace(at, "", 1)
    made = [_last(name) for name in places]
    is_sample = any(name.startswith("sample_") for name in made)
    steps = (text for name, text in reversed(NEXT_STEPS.items()) if name in made)
    step = next(steps, "{run}" if is_sample else None)
    if env == SAMPLE_ENV and "predictions" in made:
        step = AFTER_SAMPLE
    exports = [place.parents[1] for name, place in places.items() if _last(name) == "export"]
    served = _relative(exports[0]) if exports else ""
    return step and step.format(run=run, own=own, stage=stage, task=task, exports=served)


def _task(places: Mapping[str, AnyPath]) -> str:
    """Return the task by the names of the datasets, and for a sample by its folder."""
    named = [name.partition(".")[0] for name in places if "." in name]
    parts: list[Sequence[str]] = [str(place).split("/") for place in places.values()]
    named += [one[one.index(RAW) + 1] for one in parts if RAW in one[:-1]]
    return next(iter(named), "")


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _relative(path: AnyPath) -> str:
    return str(path).removeprefix(f"{Path.cwd()}/")


def _how_to_open(page: AnyPath) -> str:
    return "open it in a browser" if isinstance(page, Path) else "fetch it, open it in a browser"
