"""Tables as a person reads them: JSON in columns of its own, no number of sixteen digits."""

from __future__ import annotations

import json
from typing import Any

MOST_COLUMNS = 12
"""A JSON column with more keys is cut and not spread."""
LONGEST_CELL = 60
DIGITS = 5

Table = dict[str, Any]


def readable(table: Table) -> Table:
    """The preview of a table: `index`, `columns`, and `data` row by row."""
    names: list[str] = []
    columns: list[list[Any]] = []
    for number, name in enumerate(table["columns"]):
        cells = [row[number] for row in table["data"]]
        spread = _spread(cells)
        names += spread or [name]
        columns += spread.values() if spread else [cells]
    rows = [[_short(column[row]) for column in columns] for row in range(len(table["data"]))]
    return {**table, "columns": names, "data": rows}


def _spread(cells: list[Any]) -> dict[str, list[Any]]:
    """Columns from a column of JSON objects; empty where it is none, or has too many keys."""
    objects = [_object(cell) for cell in cells]
    if not objects or any(one is None for one in objects):
        return {}
    keys = list(dict.fromkeys(key for one in objects for key in one or ()))
    if len(keys) > MOST_COLUMNS or not all("." in key for key in keys):
        return {}
    return {key: [(one or {}).get(key, "") for one in objects] for key in keys}


def _object(cell: Any) -> dict[str, Any] | None:
    if not isinstance(cell, str) or not cell.startswith("{"):
        return None
    try:
        value = json.loads(cell)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _short(cell: Any) -> Any:
    if isinstance(cell, float):
        return float(f"{cell:.{DIGITS}g}")
    if isinstance(cell, str) and len(cell) > LONGEST_CELL:
        return cell[: LONGEST_CELL - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return cell
