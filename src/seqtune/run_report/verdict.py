"""Judge whether the results of a run can be trusted: the first section of its page.

Only the content of reports is judged; a missing report gives no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from seqtune.core.metrics import values_of
from seqtune.core.task import OURS

Level = Literal["ok", "warn", "bad"]
PARTS = ("test", "valid")
MODEL, ENSEMBLE = OURS, "ensemble"


class Signal(NamedTuple):
    """One reason to trust the numbers, or not to; `key` names a text of the page."""

    level: Level
    key: str
    values: dict[str, Any]
    section: str


def answer(documents: Mapping[str, Any]) -> dict[str, Any]:
    """Return the monitored metric on every part, its baselines, and the signs of trust."""
    metric, mode = monitored(documents)
    rows = {part: _part(documents, part, metric) for part in PARTS}
    parts = {part: row for part, row in rows.items() if row["values"]}
    best = documents.get("best_config") or {}
    return {
        "metric": metric,
        "mode": mode,
        "parts": parts,
        "search": {"metric": best.get("metric"), "score": best.get("score")} if best else None,
        "signs": [sign._asdict() for sign in _signs(documents, metric, mode, parts)],
    }


def monitored(documents: Mapping[str, Any]) -> tuple[str, str]:
    """Return the metric without its part (`ndcg@10`), and whether max or min is better."""
    values = (documents.get("config") or {}).get("values") or {}
    name = (values.get("training.monitor") or {}).get("value")
    for document in ("best_config", "medium_analysis", "quick_analysis"):
        name = name or (documents.get(document) or {}).get("metric")
    mode = (values.get("training.monitor_mode") or {}).get("value") or "max"
    return str(name or "").removeprefix("val_"), mode


def _part(documents: Mapping[str, Any], part: str, metric: str) -> dict[str, Any]:
    single = values_of(documents.get("metrics"), part, metric)
    combined = values_of(documents.get("ensemble_metrics"), part, metric)
    whole = combined.get(ENSEMBLE, combined.get(MODEL))
    floors = {k: v for k, v in {**combined, **single}.items() if k not in (MODEL, ENSEMBLE)}
    values = {MODEL: single[MODEL]} if MODEL in single else {}
    return {"values": values | ({} if whole is None else {ENSEMBLE: whole}), "floors": floors}


def _signs(
    documents: Mapping[str, Any], metric: str, mode: str, parts: Mapping[str, Any]
) -> Iterator[Signal]:
    yield from _verified(documents.get("verify_report"))
    yield from _above_floors(parts, metric, mode)
    yield from _same_data(documents)
    yield from _overfitting(documents)
    yield from _search(documents.get("rerank_report"))
    yield from _beyond_noise(documents.get("rerank_report"))
    yield from _stable(documents.get("validate_report"))
    yield from _better_together(documents.get("ensemble_metrics"), mode)
    yield from _opened_once(documents.get("ensemble_metrics"))


def _verified(report: Any) -> Iterator[Signal]:
    counts = (report or {}).get("counts")
    if counts:
        level: Level = "bad" if counts.get("fail") else "warn" if counts.get("warn") else "ok"
        yield Signal(level, f"sign.verify_{level}", dict(counts), "verify")


def _above_floors(parts: Mapping[str, Any], metric: str, mode: str) -> Iterator[Signal]:
    part = next((part for part in PARTS if part in parts), None)
    if part is None or not parts[part]["floors"]:
        return
    values, floors = parts[part]["values"], parts[part]["floors"]
    value = values.get(MODEL, values.get(ENSEMBLE))
    best = max if mode == "max" else min
    floor = best(floors, key=floors.__getitem__)
    is_better = value > floors[floor] if mode == "max" else value < floors[floor]
    shown = {"metric": metric, "part": part, "value": value, "floor": floor, "at": floors[floor]}
    yield Signal("ok" if is_better else "bad", f"sign.floor_{is_better}".lower(), shown, "metrics")


def _same_data(documents: Mapping[str, Any]) -> Iterator[Signal]:
    """Warn if the metrics belong to another split or checkpoint than the newest."""
    metrics, split = documents.get("metrics") or {}, documents.get("split_report") or {}
    made_with, now = metrics.get("data_hash"), split.get("content_hash")
    if made_with and now and made_with != now:
        yield Signal("warn", "sign.other_data", {}, "data")
    trained = ((documents.get("checkpoint") or {}).get("manifest") or {}).get("fingerprint")
    measured = metrics.get("fingerprint")
    if trained and measured and trained != measured:
        yield Signal("warn", "sign.other_model", {}, "metrics")


def _overfitting(documents: Mapping[str, Any]) -> Iterator[Signal]:
    for stage in ("medium", "quick"):
        findings = (documents.get(f"{stage}_analysis") or {}).get("overfitting")
        if findings:
            levels = [finding.get("level") for finding in findings]
            level: Level = "bad" if "bad" in levels else "warn" if "warn" in levels else "ok"
            num = sum(each in ("warn", "bad") for each in levels)
            yield Signal(level, f"sign.overfit_{level}", {"num": num}, "overfitting")
            return


def _search(report: Any) -> Iterator[Signal]:
    """Say what the search brought over the default on valid, and what of its score was luck."""
    gain, rows = (report or {}).get("gain"), (report or {}).get("rows") or ()
    best = next((row for row in rows if row.get("rank_before") == 1), None)
    if not gain or best is None or best["mean"] is None:
        return
    level: Level = "ok" if gain["mean"] > gain["error"] else "warn"
    shown = {"gain": gain["mean"], "error": gain["error"], "num": best["num"]}
    shown |= {"single": best["single"], "mean": best["mean"], "luck": report["inflation"]}
    yield Signal(level, f"sign.search_{level}", shown, "rerank")


def _beyond_noise(report: Any) -> Iterator[Signal]:
    beyond = (report or {}).get("is_beyond_noise")
    if beyond is not None:
        level: Level = "ok" if beyond else "warn"
        yield Signal(level, f"sign.noise_{level}", {}, "rerank")


def _stable(report: Any) -> Iterator[Signal]:
    stable = (report or {}).get("stable")
    if stable is not None:
        level: Level = "ok" if stable else "bad"
        shown = {"max_std": report.get("max_std"), "num": len(report.get("runs") or ())}
        yield Signal(level, f"sign.stable_{level}", shown, "metrics")


def _better_together(metrics: Any, mode: str) -> Iterator[Signal]:
    """Judge whether the gain of the ensemble on valid carried over to test."""
    parts = ((metrics or {}).get("beside_single") or {}).get("parts") or {}
    part = next((part for part in PARTS if part in parts), None)
    if part is None:
        return
    gain = parts[part]["gain"] if mode == "max" else -parts[part]["gain"]
    level: Level = "ok" if gain >= 0 else "warn"
    yield Signal(level, f"sign.ensemble_{level}", {"part": part, **parts[part]}, "ensemble")


def _opened_once(metrics: Any) -> Iterator[Signal]:
    openings, closed = ((metrics or {}).get(f"test_{name}") for name in ("openings", "closed_by"))
    if closed:
        yield Signal("warn", "sign.closed", {"when": closed.get("when")}, "ensemble")
    if openings and (openings > 1 or not closed):
        level: Level = "ok" if openings == 1 else "warn"
        yield Signal(level, f"sign.opened_{level}", {"num": openings}, "ensemble")
