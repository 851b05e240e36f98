"""One searched parameter: its values, and when it exists. Imports Optuna on use only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal

from seqtune.core.trials import Params, Value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Kind = Literal["float", "int", "categorical"]
STEP_TOLERANCE = 1e-8
"""In steps; Optuna's tolerance for values on a grid."""


@dataclass(frozen=True)
class Parameter:
    """A range or choices under the dotted key of the configuration (`training.lr`).

    `parsing` checks YAML. Other code must ensure low <= high, a step that divides the range, and
    distinct choices.
    """

    key: str
    kind: Kind
    low: float = 0.0
    """Inclusive, like `high`; an int if kind is int. Unused for a categorical."""
    high: float = 0.0
    step: float | None = None
    """None means 1 for an int."""
    log: bool = False
    choices: tuple[Value, ...] = ()
    """Sorted by `sorted_choices`: their order is part of the distribution."""
    floor: float | None = None
    """Narrowing never goes below it."""
    warn_below: float | None = None
    warn_above: float | None = None
    group: str | None = None
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    """It exists only when each of these other parameters has one of these values."""

    @property
    def num_values(self) -> int | None:
        """The number of values; None for a continuous parameter."""
        if self.kind == "categorical":
            return len(self.choices)
        if self.kind == "int":
            return int(self.high - self.low) // int(self.step or 1) + 1
        if self.step is None:
            return None
        return int((exact(self.high) - exact(self.low)) / exact(self.step)) + 1

    @property
    def is_single(self) -> bool:
        """Whether it has only one value."""
        return len(self.choices) == 1 if self.kind == "categorical" else self.low == self.high

    @property
    def is_range(self) -> bool:
        """Whether it is a range with more than one value."""
        return self.kind != "categorical" and not self.is_single

    @property
    def only_value(self) -> Value:
        """The value of a single one."""
        return self.choices[0] if self.kind == "categorical" else self.low

    def exists(self, values: Params) -> bool:
        """Whether its conditions hold under these values; not if a parent has no value."""
        return all(
            key in values and any(same(values[key], value) for value in wanted)
            for key, wanted in self.when.items()
        )

    def contains(self, value: Any) -> bool:
        """Whether the search can propose this value."""
        if self.kind == "categorical":
            return any(same(value, choice) for choice in self.choices)
        number = Integral if self.kind == "int" else Real
        if isinstance(value, bool) or not isinstance(value, number):
            return False
        if not self.low <= float(value) <= self.high:  # NaN is never inside
            return False
        if self.step is None:
            return True
        steps = (float(value) - self.low) / self.step
        return abs(steps - round(steps)) < STEP_TOLERANCE

    def canonical(self, value: Any) -> Value:
        """Convert a contained value to the type that the search proposes."""
        if self.kind == "categorical":
            return next(choice for choice in self.choices if same(value, choice))
        return int(value) if self.kind == "int" else float(value)

    def from_unit(self, coordinate: float) -> Value:
        """Return the value at this coordinate of [0, 1]; values of a grid get equal shares."""
        if not 0.0 <= coordinate <= 1.0:
            raise ValueError(f"coordinate {coordinate!r} of {self.key} lies outside [0, 1]")
        if self.log:
            return self._from_unit_log(coordinate)
        if self.num_values is None:
            return _clip(self.low + coordinate * (self.high - self.low), self.low, self.high)
        index = min(int(coordinate * self.num_values), self.num_values - 1)
        if self.kind == "categorical":
            return self.choices[index]
        if self.kind == "int":
            return int(self.low) + index * int(self.step or 1)
        return float(exact(self.low) + index * exact(self.step or 0.0))

    def _from_unit_log(self, coordinate: float) -> Value:
        half = 0.5 if self.kind == "int" else 0.0  # each int is as wide as its rounding
        low, high = math.log(self.low - half), math.log(self.high + half)
        value = math.exp(low + coordinate * (high - low))
        if self.kind == "int":
            return int(_clip(round(value), self.low, self.high))
        return _clip(value, self.low, self.high)

    def distribution(self) -> BaseDistribution:
        """Return Optuna's distribution."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "categorical":
            return CategoricalDistribution(self.choices)
        if self.kind == "int":
            step = int(self.step or 1)
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=step)
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def suggest(self, trial: BaseTrial) -> Value:
        """Ask the trial for a value."""
        if self.kind == "categorical":
            return trial.suggest_categorical(self.key, self.choices)
        if self.kind == "int":
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return trial.suggest_int(self.key, low, high, step=step, log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log)

    def as_dict(self) -> dict[str, Any]:
        """Return the YAML form without default values."""
        written: dict[str, Any] = {"type": self.kind}
        if self.kind == "categorical":
            written["choices"] = list(self.choices)
        else:
            written |= {"low": self.low, "high": self.high, "step": self.step}
            written |= {"log": self.log or None, "floor": self.floor}
        written |= {"warn_below": self.warn_below, "warn_above": self.warn_above}
        written |= {"group": self.group}
        written["when"] = {key: list(wanted) for key, wanted in self.when.items()} or None
        return {name: value for name, value in written.items() if value is not None}

    def describe(self) -> str:
        """Describe its values for messages."""
        if self.kind == "categorical":
            return f"one of {', '.join(map(repr, self.choices))}"
        step = "" if self.step is None else f" in steps of {self.step:g}"
        return (
            f"{'an int' if self.kind == 'int' else 'a number'} in [{self.low}, {self.high}]{step}"
        )


def same(one: Any, other: Any) -> bool:
    """Compare values; True differs from 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def sorted_choices(choices: tuple[Value, ...]) -> tuple[Value, ...]:
    """Sort choices: None, booleans, numbers, texts, each in order."""

    def place(choice: Value) -> tuple[int, float, str]:
        if choice is None:
            return 0, 0.0, ""
        if isinstance(choice, str):
            return 3, 0.0, choice
        return (1 if isinstance(choice, bool) else 2), choice, ""

    return tuple(sorted(choices, key=place))


def in_order(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """Sort parents before children, then by key. All parents must be given, without cycles."""
    by_key = {parameter.key: parameter for parameter in parameters}

    def depth(parameter: Parameter) -> int:
        return 1 + max((depth(by_key[parent]) for parent in parameter.when), default=-1)

    return tuple(sorted(by_key.values(), key=lambda one: (depth(one), one.key)))


def exact(number: float) -> Decimal:
    """Return the decimal as written: 0.1 and not its nearest binary fraction."""
    return Decimal(str(number))


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
