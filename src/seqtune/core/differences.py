"""Two resolved configurations side by side, key by key.

They are compared as `Resolved.table()` writes them, so that a parameter that did not exist when
this was written cannot escape.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .parameters import RUNTIME
from .resolve import DEFAULT

Table = Mapping[str, Mapping[str, Any]]
"""Key -> {value, origin}."""
ABSENT = "no such key"


@dataclass(frozen=True)
class Difference:
    """A key that two configurations do not agree on."""

    key: str
    left: Any
    right: Any
    left_origin: str
    right_origin: str


def differences(left: Table, right: Table, *, ignore: Collection[str] = ()) -> list[Difference]:
    """Keys whose values differ, in order; one that only one side has is ABSENT on the other.

    A value counts as equal where its JSON is: 1 and 1.0 differ, and so do 1 and true.
    """
    return [
        Difference(
            key,
            _entry(left, key, "value"),
            _entry(right, key, "value"),
            _entry(left, key, "origin"),
            _entry(right, key, "origin"),
        )
        for key in sorted({*left, *right} - set(ignore))
        if _text(left, key) != _text(right, key)
    ]


def explain(
    difference: Difference,
    task: str,
    *,
    names: tuple[str, str] = ("tuning", "training"),
) -> str:
    """Key, both values with the places that set them, and what to change."""
    left, right = names
    sides = (
        f"{left} has {_placed(difference.left, difference.left_origin)}, "
        f"{right} has {_placed(difference.right, difference.right_origin)}"
    )
    return f"{task}.{difference.key}: {sides}; {_next_step(difference, task, names)}"


def shown(value: Any) -> str:
    """A value as it is typed in YAML."""
    return value if value == ABSENT else json.dumps(value, ensure_ascii=False)


def _placed(value: Any, origin: str) -> str:
    return ABSENT if value == ABSENT else f"{shown(value)} ({origin})"


def _next_step(difference: Difference, task: str, names: tuple[str, str]) -> str:
    key = f"{task}.{difference.key}"
    if ABSENT in (difference.left, difference.right):
        return (
            "the two come from different versions of seqtune or of its parameters; run both with "
            "the same one"
        )
    steps = [
        _how_to_change(origin, key, shown(value), side)
        for origin, value, side in (
            (difference.left_origin, difference.right, names[0]),
            (difference.right_origin, difference.left, names[1]),
        )
    ]
    return " or ".join(dict.fromkeys(steps))


def _how_to_change(origin: str, key: str, value: str, side: str) -> str:
    """How the side whose value comes from `origin` would get the other's value."""
    if origin == RUNTIME:
        return f"leave {key} out of {RUNTIME} (or give {value} there) for {side}"
    if origin == DEFAULT:
        return f"set {key}: {value} in conf/local for {side}"
    return f"change it to {value} for {side} ({origin})"


def _entry(table: Table, key: str, part: str) -> Any:
    return table[key].get(part) if key in table else ABSENT


def _text(table: Table, key: str) -> str:
    if key not in table:
        return ABSENT
    return json.dumps(table[key].get("value"), sort_keys=True, ensure_ascii=False, default=repr)
