"""One searched parameter: what it may be, and when it exists. Optuna is imported on use only."""

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
"""In steps; the one by which Optuna decides whether a value lies on the grid."""


@dataclass(frozen=True)
class Parameter:
    """A range or a choice under the dotted key of the configuration (`training.lr`).

    `parsing` checks what is written in YAML. Code that builds one answers for low <= high, a step
    that divides the range, and distinct choices.
    """

    key: str
    kind: Kind
    low: float = 0.0
    """Inclusive, like `high`; an int where kind is int. Both without meaning for a categorical."""
    high: float = 0.0
    step: float | None = None
    """None for an int is 1."""
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
        """How many values it can take; None for a continuous one."""
        if self.kind == "categorical":
            return len(self.choices)
        if self.kind == "int":
            return int(self.high - self.low) // int(self.step or 1) + 1
        if self.step is None:
            return None
        return int((exact(self.high) - exact(self.low)) / exact(self.step)) + 1

    @property
    def is_single(self) -> bool:
        """Whether there is nothing to choose."""
        return len(self.choices) == 1 if self.kind == "categorical" else self.low == self.high

    @property
    def only_value(self) -> Value:
        """The value of a parameter that has one."""
        return self.choices[0] if self.kind == "categorical" else self.low

    def exists(self, values: Params) -> bool:
        """Whether its conditions hold under these values; a parent without a value: no."""
        return all(
            key in values and any(same(values[key], value) for value in wanted)
            for key, wanted in self.when.items()
        )

    def contains(self, value: Any) -> bool:
        """Whether the search could have given this value."""
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
        """A contained value in the type that the search gives it."""
        if self.kind == "categorical":
            return next(choice for choice in self.choices if same(value, choice))
        return int(value) if self.kind == "int" else float(value)

    def from_unit(self, coordinate: float) -> Value:
        """The value at this coordinate of [0, 1]; values of a grid share it equally."""
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
        """The same as Optuna says it."""
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
        """As it is written in YAML; what is as by default is left out."""
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
        """What it may be, for messages."""
        if self.kind == "categorical":
            return f"one of {', '.join(map(repr, self.choices))}"
        step = "" if self.step is None else f" in steps of {self.step:g}"
        return (
            f"{'an int' if self.kind == 'int' else 'a number'} in [{self.low}, {self.high}]{step}"
        )


def same(one: Any, other: Any) -> bool:
    """Equality that tells True from 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def sorted_choices(choices: tuple[Value, ...]) -> tuple[Value, ...]:
    """None, booleans, numbers, texts, each in their order: the one order of these choices."""

    def place(choice: Value) -> tuple[int, float, str]:
        if choice is None:
            return 0, 0.0, ""
        if isinstance(choice, str):
            return 3, 0.0, choice
        return (1 if isinstance(choice, bool) else 2), choice, ""

    return tuple(sorted(choices, key=place))


def in_order(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """Parents before their children, then by key: the order of a space, however it was written.

    Every parent is among them and none is its own ancestor.
    """
    by_key = {parameter.key: parameter for parameter in parameters}

    def depth(parameter: Parameter) -> int:
        return 1 + max((depth(by_key[parent]) for parent in parameter.when), default=-1)

    return tuple(sorted(by_key.values(), key=lambda one: (depth(one), one.key)))


def exact(number: float) -> Decimal:
    """The decimal that was written: 0.1 and not its nearest binary fraction."""
    return Decimal(str(number))


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
