"""Check the parameters of a space against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqtune.core.errors import did_you_mean

from .parameter import Parameter


def nesting_faults(parameters: Mapping[str, Parameter], root: str) -> list[str]:
    """Find parameters whose key is a group of others."""
    return [
        f"{root}.{key} is a parameter and cannot hold another, {other}"
        for key in parameters
        for other in parameters
        if other.startswith(f"{key}.")
    ]


def condition_faults(parameters: Mapping[str, Parameter], root: str) -> list[str]:
    """Find conditions on unsearched parameters or impossible values, and cycles."""
    faults = [
        f"{root}.{key}.when.{parent}: {fault}"
        for key, parameter in parameters.items()
        for parent, wanted in parameter.when.items()
        for fault in _parent_faults(parent, wanted, parameters)
    ]
    return faults or _cycle_faults(parameters, root)


def _parent_faults(
    parent: str, wanted: tuple[Any, ...], parameters: Mapping[str, Parameter]
) -> list[str]:
    if parent not in parameters:
        hint = did_you_mean(parent, list(parameters))
        return [f"{parent} is not searched, so the condition never changes; {hint}"]
    if parameters[parent].kind == "float":
        return [
            f"{parent} is a float, which is hardly ever exactly a value; give it choices, or "
            "condition on another parameter"
        ]
    return [
        f"{parent} never is {value!r}; it is {parameters[parent].describe()}"
        for value in wanted
        if not parameters[parent].contains(value)
    ]


def _cycle_faults(parameters: Mapping[str, Parameter], root: str) -> list[str]:
    """Report all parameters in cycles of conditions in one fault."""
    waiting = dict(parameters)
    while free := [k for k, one in waiting.items() if not set(one.when) & set(waiting)]:
        for key in free:
            del waiting[key]
    if not waiting:
        return []
    keys = ", ".join(sorted(waiting))
    return [f"{root}: the conditions (when) of {keys} form a cycle; remove one of them"]
