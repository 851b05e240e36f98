"""Arrange facts for the templates, where Python is simpler than Jinja."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from seqtune.core.format import format_value

from ._numbers import is_number

STATES = ("complete", "pruned", "infeasible", "failed", "lost", "running", "waiting")
BASE_ORIGINS = ("conf/base", "default", "task")
SHORT, LONG = 40, 80
"""Characters of a cell."""
WORST = ("bad", "warn", "unknown", "ok")


def as_yaml(task: str, values: Any) -> str:
    """Write values as conf/local/parameters_<task>.yml needs them."""
    settings: dict[str, Any] = {
        "sort_keys": False,
        "default_flow_style": False,
        "allow_unicode": True,
    }
    return str(yaml.safe_dump({task: values}, **settings)).strip()


def short(key: Any) -> str:
    return str(key).rpartition(".")[2]


def varied(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the parameters in which these trials differ."""
    params = [row.get("params") or {} for row in rows]
    keys = dict.fromkeys(key for each in params for key in each)
    return [key for key in keys if len({str(each.get(key)) for each in params}) > 1]


def counted(counts: Any) -> list[dict[str, Any]]:
    """Count trials by state, with the share of each, in a fixed order."""
    known = [(state, num) for state in STATES if (num := (counts or {}).get(state))]
    total = sum(num for _, num in known)
    return [{"state": state, "num": num, "share": 100 * num / total} for state, num in known]


def bars(values: Any) -> list[dict[str, Any]]:
    """Add to named numbers the length of a bar, in percent of the longest."""
    known = {name: value for name, value in (values or {}).items() if is_number(value)}
    longest = max((abs(value) for value in known.values()), default=0) or 1
    return [
        {"name": name, "value": value, "length": round(100 * abs(value) / longest, 1)}
        for name, value in known.items()
    ]


def ladder(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return bars of the baselines, the model and the ensemble, lowest first."""
    values = part.get("values") or {}
    rows = bars({**(part.get("floors") or {}), **values})
    rows = [{**row, "ours": row["name"] in values} for row in rows]
    return sorted(rows, key=lambda row: row["value"])


def worst_first(findings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(
        findings, key=lambda each: WORST.index(each["level"]) if each.get("level") in WORST else 1
    )


def is_of_a_space(key: Any) -> bool:
    """Return whether a parameter belongs to a search space."""
    return ".spaces." in str(key)


def within(entry: Any) -> str:
    """Format a range or a list of choices."""
    if not isinstance(entry, Mapping):
        return "–"
    if "choices" in entry:
        return "{" + ", ".join(format_value(choice) for choice in entry["choices"]) + "}"
    if "value" in entry:
        return f"= {format_value(entry['value'])}"
    if "low" in entry and "high" in entry:
        scale = " log" if entry.get("log") else ""
        return f"[{format_value(entry['low'])}, {format_value(entry['high'])}]{scale}"
    return ", ".join(f"{key} {format_value(value)}" for key, value in entry.items())


def settled(config: Any) -> dict[str, list[dict[str, Any]]]:
    """Split the values of a configuration: those not from conf/base, and the others."""
    found: dict[str, list[dict[str, Any]]] = {"set": [], "base": []}
    for key, entry in ((config or {}).get("values") or {}).items():
        if isinstance(entry, Mapping):
            is_base = str(entry.get("origin")).startswith(BASE_ORIGINS)
            found["base" if is_base else "set"].append({"key": key, **entry})
    return found


def tables(part: Any, *, first: str = "") -> list[dict[str, Any]]:
    """Return each group of metrics of a part as a table: metrics by model and baseline."""
    found = []
    for group, rows in (part or {}).items():
        if not isinstance(rows, Mapping):
            continue
        if not all(isinstance(row, Mapping) for row in rows.values()):
            continue
        columns = list(dict.fromkeys(who for row in rows.values() for who in row))
        ordered = sorted(rows, key=lambda name: (name != first, _kind(name)))
        body = [{"metric": name, "values": rows[name], "first": name == first} for name in ordered]
        found.append({"group": group, "columns": columns, "rows": body})
    return found


def _kind(name: str) -> tuple[str, int]:
    """Sort by the kind of metric, then by cut-off."""
    kind, _, cut = name.partition("@")
    return kind, int(cut) if cut.isdigit() else 0


def is_long(table: Any) -> bool:
    """Return whether a table holds texts to read rather than numbers to compare."""
    return any(len(str(cell)) > LONG for row in table.get("rows") or () for cell in row)


def records(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Split each row of a table of texts into its short and its long values."""
    columns = table.get("columns") or []
    rows = [dict(zip(columns, row, strict=True)) for row in table.get("rows") or []]
    long = {name for row in rows for name, value in row.items() if len(str(value)) > SHORT}
    return [
        {
            "short": {name: value for name, value in row.items() if name not in long},
            "long": {name: value for name, value in row.items() if name in long},
        }
        for row in rows
    ]


def decided(decision: Any) -> list[dict[str, Any]]:
    """Return the named numbers that an ensemble chose with its weights, by kind."""
    groups = (decision or {}).items()
    return [{"kind": k, "values": v} for k, v in groups if isinstance(v, Mapping) and v]


_ALL: tuple[Callable[..., Any], ...] = (as_yaml, short, varied, counted, bars, ladder, within)
_ALL += (worst_first, settled, tables, is_long, records, decided)
FUNCTIONS = {function.__name__: function for function in _ALL}
