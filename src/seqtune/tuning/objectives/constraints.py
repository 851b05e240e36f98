"""Refuse combinations declared in YAML before training. No code is evaluated."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from seqtune.core.errors import did_you_mean

from ..config import ForbiddenConfig
from ..spaces.parameter import same

OPERATORS = ("above", "below")


def forbidden_reason(values: Mapping[str, Any], rules: Sequence[ForbiddenConfig]) -> str | None:
    """Name the first rule whose conditions all hold, with the values; None if no rule does.

    `values` is the whole configuration by dotted key, not only the searched part.
    """
    for rule in rules:
        if all(key in values and _holds(values[key], wanted) for key, wanted in rule.when.items()):
            shown = ", ".join(f"{key}={values[key]!r}" for key in rule.when)
            return f"forbidden by {rule.name!r}: {shown}"
    return None


def check_forbidden(
    rules: Sequence[ForbiddenConfig], known_keys: Collection[str] | None, root: str
) -> list[str]:
    """List the faults of the rules with their paths; `known_keys` None leaves keys unchecked."""
    names = [rule.name for rule in rules]
    faults = [
        f"{root}: {name!r} is the name of several rules; give each its own"
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    for rule in rules:
        place = f"{root}.{rule.name}.when"
        if not rule.when:
            faults.append(f"{place} is empty and would forbid everything; name a condition")
        for key, wanted in rule.when.items():
            if known_keys is not None and key not in known_keys:
                faults.append(f"{place}.{key} is not a parameter; {_nearest(key, known_keys)}")
            else:
                faults += [f"{place}.{key}: {fault}" for fault in _condition_faults(wanted)]
    return faults


def _holds(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        low, high = wanted.get("above", -math.inf), wanted.get("below", math.inf)
        return is_number(value) and bool(low < value < high)
    if isinstance(wanted, (list, tuple)):
        return any(same(value, one) for one in wanted)
    return same(value, wanted)


def _nearest(key: str, known_keys: Collection[str]) -> str:
    inside = [known for known in known_keys if known.startswith(f"{key}.")]
    if inside:
        return f"write its keys dotted, such as {min(inside)}"
    return did_you_mean(key, list(known_keys))


def _condition_faults(wanted: Any) -> list[str]:
    if isinstance(wanted, Mapping):
        return _bounds_faults(wanted)
    if isinstance(wanted, (list, tuple)):
        if not wanted:
            return ["an empty list never holds; name the values that are forbidden"]
        if any(isinstance(value, (list, tuple, Mapping)) for value in wanted):
            return [f"{wanted!r} is not a list of single values"]
    return []


def _bounds_faults(wanted: Mapping[str, Any]) -> list[str]:
    if not wanted:
        return [f"an empty condition has no effect; give {' or '.join(OPERATORS)}"]
    faults = [
        f"{operator!r} is not an operator; {did_you_mean(str(operator), OPERATORS)}"
        for operator in wanted
        if operator not in OPERATORS
    ]
    faults += [
        f"{operator}={bound!r} is not a finite number"
        for operator, bound in wanted.items()
        if operator in OPERATORS and not (is_number(bound) and math.isfinite(bound))
    ]
    if not faults and set(wanted) == set(OPERATORS) and wanted["above"] >= wanted["below"]:
        faults.append(
            f"nothing is above {wanted['above']} and below {wanted['below']} at once; swap them"
        )
    return faults


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
