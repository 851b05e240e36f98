"""Read the parameters of a space from YAML, and report every fault with its path."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from seqtune.core.errors import ConfigurationError, did_you_mean
from seqtune.core.resolve import flatten

from .conditions import condition_faults, nesting_faults
from .parameter import Parameter, exact, in_order, sorted_choices

KINDS = ("float", "int", "categorical")
RANGE_FIELDS = ("low", "high", "step", "log", "floor")
COMMON_FIELDS = ("type", "group", "when", "warn_below", "warn_above")
FIELDS = (*COMMON_FIELDS, *RANGE_FIELDS, "choices")
LARGEST_INT = 2**53
"""Optuna stores every number as a float, which cannot distinguish larger ones."""
_LOST_NUMBER = re.compile(r"[+-]?\d+[eE][+-]?\d+")
"""Numbers that YAML 1.1 reads as text because they have no dot: 8e-4."""


def parse_parameters(
    values: Mapping[str, Any] | None, *, root: str, known_keys: Collection[str] | None
) -> tuple[Parameter, ...]:
    """Read the parameters below `root` in order; one error reports all faults."""
    faults: list[str] = []
    parameters: dict[str, Parameter] = {}
    for key, written in _written(values or {}, "", faults, root):
        if known_keys is not None and key not in known_keys:
            hint = did_you_mean(key, list(known_keys))
            faults.append(f"{root}.{key} is not a parameter of the task; {hint}")
        if key in parameters:
            faults.append(f"{root}.{key} is given twice, nested and dotted; leave one out")
        reader = _Reader(f"{root}.{key}", written)
        parameters[key] = reader.parameter(key)
        faults += reader.faults
    if not faults:  # a condition on a faulty parameter cannot be checked
        faults = [*nesting_faults(parameters, root), *condition_faults(parameters, root)]
    if faults:
        raise ConfigurationError(faults)
    return in_order(parameters.values())


def _written(
    node: Any, prefix: str, faults: list[str], root: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (dotted key, fields) of every parameter; anything else but a group is a fault."""
    place = f"{root}.{prefix}".rstrip(".")
    if not isinstance(node, Mapping):
        faults.append(
            f"{place}={node!r} is not a parameter; write {{type: float, low: .., high: ..}}, or "
            "null to remove it"
        )
        return
    if prefix and "type" in node and not isinstance(node["type"], Mapping):
        yield prefix.removesuffix("."), node
        return
    if prefix and any(name in FIELDS and not isinstance(node[name], Mapping) for name in node):
        faults.append(f"{place} lacks `type`; give one of {', '.join(KINDS)}")
        return
    for name, child in node.items():
        if child is not None:
            yield from _written(child, f"{prefix}{name}.", faults, root)


class _Reader:
    """Reads the fields of one parameter and collects the faults."""

    def __init__(self, path: str, written: Mapping[str, Any]) -> None:
        self.path = path
        # null means "not given", so that an environment can remove a field
        self.fields = {name: value for name, value in written.items() if value is not None}
        self.faults: list[str] = []

    def parameter(self, key: str) -> Parameter:
        """Read the parameter, which is valid only if no fault was found."""
        kind = self.fields.get("type")
        if kind not in KINDS:
            self._fault(f"type={kind!r} does not exist; {did_you_mean(str(kind), KINDS)}")
            return Parameter(key, "categorical")
        self._check_names(kind)
        common: dict[str, Any] = {"group": self._group(), "when": self._when()}
        common |= {name: self._number(name) for name in ("warn_below", "warn_above")}
        if kind == "categorical":
            choices = self._choices()
            self._check_warnings(choices)
            return Parameter(key, "categorical", choices=choices, **common)
        return Parameter(key, kind, **self._range(whole=kind == "int"), **common)

    def _fault(self, message: str) -> None:
        self.faults.append(f"{self.path}: {message}")

    def _check_names(self, kind: str) -> None:
        allowed = (*COMMON_FIELDS, *(("choices",) if kind == "categorical" else RANGE_FIELDS))
        for name in self.fields:
            if name not in FIELDS:
                self._fault(f"{name} is not a field; {did_you_mean(str(name), allowed)}")
            elif name not in allowed:
                self._fault(f"{name} has no effect on type={kind}; remove it, or set it to null")

    def _group(self) -> str | None:
        group = self.fields.get("group")
        if group is not None and (not isinstance(group, str) or not group or group == "all"):
            self._fault(f"group={group!r} is not a name; give a text other than 'all'")
        return group

    def _range(self, *, whole: bool) -> dict[str, Any]:
        for name in ("low", "high"):
            if name not in self.fields:
                self._fault(f"{name} is missing; a range needs low and high, both inclusive")
        low, high, step = (self._number(name, whole=whole) for name in ("low", "high", "step"))
        floor = self._number("floor", whole=whole)
        log = self.fields.get("log", False)
        if not isinstance(log, bool):
            self._fault(f"log={log!r} is neither true nor false")
        if whole and step == 1:
            step = None  # the default
        if low is not None and high is not None:
            self._check_range(low, high, log=bool(log))
            self._check_step(low, high, step, log=bool(log))
            if floor is not None and floor > high:  # below low is valid: stages share the floor
                self._fault(f"floor={floor} is above high={high}; lower it, or raise the range")
        ends = {"low": low or 0, "high": high or 0}
        if not whole:
            ends = {name: float(end) for name, end in ends.items()}
        return {**ends, "step": step, "floor": floor, "log": bool(log)}

    def _number(self, name: str, *, whole: bool = False) -> Any:
        """Read a finite number, for `whole` an int; None if missing or wrong."""
        value = self.fields.get(name)
        if value is None:
            return None
        wanted = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted):
            self._fault(
                f"{name}={value!r} is not {'an int' if whole else 'a number'}{_hint(value)}"
            )
            return None
        if not math.isfinite(value) or (whole and abs(value) > LARGEST_INT):
            self._fault(f"{name}={value!r} is too large; give a finite number a search can reach")
            return None
        return value if whole else float(value)

    def _check_range(self, low: float, high: float, *, log: bool) -> None:
        if low > high:
            self._fault(f"low={low} is above high={high}; swap them")
        if log and low <= 0:
            self._fault(
                f"log with low={low}: a logarithmic range begins above 0; raise low, or set log "
                "to false"
            )

    def _check_step(self, low: float, high: float, step: float | None, *, log: bool) -> None:
        if step is None:
            return
        if log:
            self._fault(f"log and step={step} exclude each other; remove one of them")
        if step <= 0:
            self._fault(f"step={step} must be above 0")
        elif low < high and exact(step) > exact(high) - exact(low):
            self._fault(f"step={step} is larger than the range {low} .. {high}")
        elif low < high and (rest := (exact(high) - exact(low)) % exact(step)):
            below = type(high)(exact(high) - rest)
            above = type(high)(exact(high) - rest + exact(step))
            self._fault(
                f"step={step} does not reach high={high} from low={low}; set high to {below} or "
                f"{above}"
            )

    def _choices(self) -> tuple[Any, ...]:
        choices = self.fields.get("choices")
        if not isinstance(choices, Sequence) or isinstance(choices, str):
            self._fault(
                "choices are missing; give a list of values"
                if choices is None
                else f"choices={choices!r} is not a list of values"
            )
            return ()
        if not choices:
            self._fault("choices are empty; give at least one value, or null for the parameter")
        wrong = [fault for choice in choices if (fault := _choice_fault(choice))]
        for fault in wrong:
            self._fault(fault)
        if wrong:
            return ()
        for one, other in combinations(choices, 2):
            if repr(one) == repr(other):
                self._fault(f"choice {one!r} is given twice")
            elif one == other:
                self._fault(f"choices {one!r} and {other!r} are equal to a study; keep one of them")
        return sorted_choices(tuple(choices))

    def _check_warnings(self, choices: tuple[Any, ...]) -> None:
        names = [name for name in ("warn_below", "warn_above") if name in self.fields]
        if names and any(isinstance(one, (str, bool)) or one is None for one in choices):
            self._fault(f"{' and '.join(names)} have no effect: not every choice is a number")

    def _when(self) -> dict[str, tuple[Any, ...]]:
        written = self.fields.get("when", {})
        if not isinstance(written, Mapping):
            self._fault(f"when={written!r} is not a mapping; write {{other.key: [value, ..]}}")
            return {}
        conditions: dict[str, tuple[Any, ...]] = {}
        for parent, wanted in flatten(written):
            values = tuple(wanted) if isinstance(wanted, (list, tuple)) else (wanted,)
            if not values:
                self._fault(f"when.{parent} is empty; name the values under which it exists")
            if any(isinstance(value, (list, tuple)) for value in values):
                self._fault(f"when.{parent}={wanted!r} is not a list of single values")
                continue
            conditions[parent] = sorted_choices(tuple(dict.fromkeys(values)))
        return conditions


def _hint(value: Any) -> str:
    """Suggest how to write a value of the wrong type."""
    if isinstance(value, str) and _LOST_NUMBER.fullmatch(value):
        number, _, power = value.lower().partition("e")
        return f" but a text to YAML; write {number}.0e{power}"
    if isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    return ""


def _choice_fault(choice: Any) -> str | None:
    if choice is not None and not isinstance(choice, (str, bool, int, float)):
        return (
            f"choice {choice!r} is not a single value; a study cannot read lists back, so give "
            "each one a name"
        )
    if isinstance(choice, float) and not math.isfinite(choice):
        return f"choice {choice!r} is not a finite number"
    if isinstance(choice, str) and _LOST_NUMBER.fullmatch(choice):
        return f"choice {choice!r} is not a number{_hint(choice)}"
    return None
