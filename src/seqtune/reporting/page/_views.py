"""What templates ask of the facts: small arrangements that are easier said in Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from seqtune.core.format import format_value

from ._numbers import is_number

FINISHED = ("complete", "pruned")
UNFINISHED = ("infeasible", "failed", "lost", "running", "waiting")
OWN = ("default", "task")
SHORT, LONG = 40, 80
"""Characters of a cell."""
WORST = ("bad", "warn", "unknown", "ok")


def as_yaml(task: str, values: Any) -> str:
    """Values as they have to stand in conf/local/parameters_<task>.yml."""
    text: str = yaml.safe_dump(
        {task: values}, sort_keys=False, default_flow_style=False, allow_unicode=True
    )
    return text.strip()


def short(key: Any) -> str:
    return str(key).rpartition(".")[2]


def varied(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Parameters in which these trials differ; what all share is no column."""
    listed = list(rows)
    keys = list(dict.fromkeys(key for row in listed for key in row.get("params") or {}))
    return [
        key for key in keys if len({str((row.get("params") or {}).get(key)) for row in listed}) > 1
    ]


def counted(counts: Any) -> list[dict[str, Any]]:
    """How trials ended, with the share of each, in a steady order."""
    known = {
        state: counts[state] for state in (*FINISHED, *UNFINISHED) if (counts or {}).get(state)
    }
    total = sum(known.values())
    return [
        {"state": state, "num": num, "share": 100 * num / total} for state, num in known.items()
    ]


def bars(values: Any) -> list[dict[str, Any]]:
    """Named numbers with the length of a bar, in percent of the longest."""
    known = {name: value for name, value in (values or {}).items() if is_number(value)}
    longest = max((abs(value) for value in known.values()), default=0) or 1
    return [
        {"name": name, "value": value, "length": round(100 * abs(value) / longest, 1)}
        for name, value in known.items()
    ]


def ladder(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Floors, the model, and the ensemble, from the lowest to the highest bar."""
    floors, values = part.get("floors") or {}, part.get("values") or {}
    rows = bars({**floors, **values})
    return sorted(
        ({**row, "ours": row["name"] in values} for row in rows), key=lambda row: row["value"]
    )


def worst_first(findings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(
        findings, key=lambda each: WORST.index(each["level"]) if each.get("level") in WORST else 1
    )


def is_of_a_space(key: Any) -> bool:
    """Whether a parameter says what is searched."""
    return ".spaces." in str(key)


def within(entry: Any) -> str:
    """A range or a list of choices, as the narrowing writes it."""
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
    """The values of a configuration: those that conf/base did not set, and the rest."""
    values = (config or {}).get("values") or {}
    rows = [{"key": key, **entry} for key, entry in values.items() if isinstance(entry, Mapping)]
    set_by_base = [str(row.get("origin")).startswith(("conf/base", *OWN)) for row in rows]
    return {
        "set": [row for row, is_base in zip(rows, set_by_base, strict=True) if not is_base],
        "base": [row for row, is_base in zip(rows, set_by_base, strict=True) if is_base],
    }


def tables(part: Any, *, first: str = "") -> list[dict[str, Any]]:
    """Every group of metrics of a part as a table: a row a metric, a column for each rival."""
    found = []
    for group, rows in (part or {}).items():
        if not isinstance(rows, Mapping) or not all(
            isinstance(row, Mapping) for row in rows.values()
        ):
            continue
        columns = list(dict.fromkeys(who for row in rows.values() for who in row))
        ordered = sorted(rows, key=lambda name: (name != first, _kind(name)))
        body = [{"metric": name, "values": rows[name], "first": name == first} for name in ordered]
        found.append({"group": group, "columns": columns, "rows": body})
    return found


def _kind(name: str) -> tuple[str, int]:
    """Metrics of one kind together, by their cut-off."""
    kind, _, cut = name.partition("@")
    return kind, int(cut) if cut.isdigit() else 0


def is_long(table: Any) -> bool:
    """Whether its rows are texts to be read, rather than numbers to be compared."""
    return any(len(str(cell)) > LONG for row in table.get("rows") or () for cell in row)


def records(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of a table of texts: what is short in one line, what is long under its name."""
    columns, rows = table.get("columns") or [], table.get("rows") or []
    long = {
        name
        for place, name in enumerate(columns)
        if any(len(str(row[place])) > SHORT for row in rows)
    }
    found = []
    for row in rows:
        named = dict(zip(columns, row, strict=True))
        found.append(
            {
                "short": {name: value for name, value in named.items() if name not in long},
                "long": {name: value for name, value in named.items() if name in long},
            }
        )
    return found


def decided(decision: Any) -> list[dict[str, Any]]:
    """What belongs to the weights of an ensemble: named numbers by what they are."""
    return [
        {"kind": kind, "values": values}
        for kind, values in (decision or {}).items()
        if isinstance(values, Mapping) and values
    ]


FUNCTIONS = {
    "as_yaml": as_yaml,
    "short": short,
    "varied": varied,
    "counted": counted,
    "bars": bars,
    "ladder": ladder,
    "within": within,
    "worst_first": worst_first,
    "settled": settled,
    "tables": tables,
    "is_long": is_long,
    "records": records,
    "decided": decided,
}
