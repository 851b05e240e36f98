"""From what was found to tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from _harness import Report, Timing, show

from .race import Found
from .roster import ENTRANTS, OURS

NOTHING = "—"


def write_tables(
    report: Report, found: dict[str, Found], *, tokens: int, minutes: float, num_users: int
) -> None:
    all_of_ours = (one for one in found.values() if one.entrant.library == OURS and one.epochs)
    ours = next(all_of_ours, Found(ENTRANTS["ours"]))  # an empty one where none of ours took part
    report.text("## Speed and memory")
    speed_table(report, found, ours, tokens)
    report.text(f"## Were these the same works? ({num_users} users)")
    check_table(report, found)
    if any(one.equal_time for one in found.values()):
        report.text(
            f"## Quality after {minutes:g} minutes of training each\n\nA fresh start, one seed; "
            "time outside training does not count. Lists of ten for the valid item, seen items "
            "excluded, scored by one function."
        )
        quality_table(report, found)
    failures = [f"- {one.entrant.title}: {one.failure}" for one in found.values() if one.failure]
    if failures:
        report.text("\n".join(["## Out of the race", "", *failures]))


def speed_table(report: Report, found: dict[str, Found], ours: Found, tokens: int) -> None:
    columns = ["", "precision", "one epoch", "x", "real tokens a second", "validation", "x"]
    columns += ["top-10 for all", "x", "peak MiB", "x", "of it before training"]
    on_gpu = any("gpu_peak_mib" in one.peaks for one in found.values())
    columns += ["GPU peak MiB", "x"] if on_gpu else []
    report.table(columns, [_speed_row(one, ours, tokens, on_gpu) for one in found.values()])


def _speed_row(one: Found, ours: Found, tokens: int, on_gpu: bool) -> list[str]:
    row = [one.entrant.title, one.facts.get("precision", one.entrant.precision)]
    epoch = timing(one.epochs)
    row += _timed(epoch, timing(ours.epochs))
    row += [f"{tokens / epoch.median:,.0f}" if epoch else NOTHING]
    row += _timed(timing(one.validations), timing(ours.validations))
    row += _timed(timing(one.recommendations), timing(ours.recommendations))
    for name in ("peak_mib", "gpu_peak_mib") if on_gpu else ("peak_mib",):
        row += _sized(one.peaks.get(name), ours.peaks.get(name))
        if name == "peak_mib":
            row += [show(one.facts["peak_mib"]) if one.facts else NOTHING]
    return row


def check_table(report: Report, found: dict[str, Found]) -> None:
    columns = [
        "",
        "parameters",
        "items",
        "steps an epoch",
        "sequences",
        "loss, first and last epoch",
    ]
    columns += ["its own NDCG@10 / HR@10", "of its lists, by our function"]
    report.table(columns, [_check_row(one) for one in found.values()])
    versions = {one.entrant.library: one.versions for one in found.values() if one.versions}
    report.text("\n".join(f"- {library}: {text}" for library, text in versions.items()))


def _check_row(one: Found) -> list[str]:
    row = [one.entrant.title]
    row += [str(one.facts.get("parameters") or NOTHING), str(one.facts.get("items", NOTHING))]
    if not one.epochs:
        return [*row, *[NOTHING] * 5]
    first, last = one.epochs[0], one.epochs[-1]
    row += [str(last["steps"]), str(last["sequences"])]
    row += [f"{first['loss']:.3f} → {last['loss']:.3f} ({len(one.epochs)} epochs)"]
    return [*row, *(_pair(found) for found in (one.validations, one.recommendations))]


def quality_table(report: Report, found: dict[str, Found]) -> None:
    columns = ["", "precision", "NDCG@10", "HR@10", "epochs", "steps", "seconds trained"]
    rows = []
    for one in found.values():
        got = one.equal_time
        row = [one.entrant.title, one.facts.get("precision", one.entrant.precision)]
        if got:
            row += [f"{got[name]:.4f}" for name in ("ndcg@10", "hit@10")]
            row += [f"{got['epochs']:.2f}", str(got["steps"]), show(got["trained"])]
        rows.append(row if got else [*row, *[NOTHING] * 5])
    report.table(columns, rows)


def timing(answers: Iterable[dict[str, Any]]) -> Timing | None:
    """Of all but the first, which is the warm-up."""
    seconds = tuple(answer["seconds"] for answer in answers)[1:]
    return Timing(seconds) if seconds else None


def _timed(time: Timing | None, base: Timing | None) -> list[str]:
    if time is None:
        return [NOTHING, NOTHING]
    return [str(time), f"{time.median / base.median:.2f}" if base else NOTHING]


def _sized(size: float | None, base: float | None) -> list[str]:
    if size is None:
        return [NOTHING, NOTHING]
    return [show(size), f"{size / base:.2f}" if base else NOTHING]


def _pair(answers: list[dict[str, Any]]) -> str:
    if not answers:
        return NOTHING
    values = [statistics.median(a[name] for a in answers) for name in ("ndcg@10", "hit@10")]
    return " / ".join(f"{value:.4f}" for value in values)
