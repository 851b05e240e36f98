"""The searched space: ordered parameters with conditions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from seqtune.core.errors import ConfigurationError, did_you_mean
from seqtune.core.resolve import flatten, unflatten
from seqtune.core.trials import Params, Value

from .parameter import Parameter, in_order
from .parsing import parse_parameters

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

__all__ = ["Parameter", "Space", "parse_space"]


def parse_space(
    values: Mapping[str, Any] | None, *, root: str, known_keys: Collection[str] | None = None
) -> Space:
    """Read the space below `root` of the YAML; one error reports all faults.

    A mapping with `type` is a parameter, any other a group; null removes one. `known_keys` are the
    dotted keys of the configuration; None leaves them unchecked. Order does not matter.
    """
    return Space(parse_parameters(values, root=root, known_keys=known_keys))


@dataclass(frozen=True)
class Space:
    """Parameters, parents before their children and then by key."""

    parameters: tuple[Parameter, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(parameter.key for parameter in self.parameters)

    @property
    def groups(self) -> tuple[str, ...]:
        """Sorted names of the groups."""
        return tuple(sorted({one.group for one in self.parameters if one.group is not None}))

    @property
    def is_conditional(self) -> bool:
        return any(parameter.when for parameter in self.parameters)

    def __getitem__(self, key: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.key == key:
                return parameter
        raise KeyError(f"{key} is not searched; {did_you_mean(key, self.keys)}")

    def suggest(self, trial: BaseTrial) -> dict[str, Value]:
        """Ask the trial for every parameter that exists under its earlier values."""
        values: dict[str, Value] = {}
        for parameter in self.parameters:
            if parameter.exists(values):
                values[parameter.key] = parameter.suggest(trial)
        return values

    def from_unit(self, point: Sequence[float]) -> dict[str, Value]:
        """Return the values at a point of the unit cube, with a coordinate for each parameter.

        Parameters that do not exist there have one too, so that a sequence fills the space.
        """
        if len(point) != len(self.parameters):
            raise ValueError(f"{len(point)} coordinates for {len(self.parameters)} parameters")
        values: dict[str, Value] = {}
        for parameter, coordinate in zip(self.parameters, point, strict=True):
            if parameter.exists(values):
                values[parameter.key] = parameter.from_unit(float(coordinate))
        return values

    def active(self, params: Params) -> tuple[Parameter, ...]:
        """Return the parameters that exist under these values."""
        seen: dict[str, Value] = {}
        found: list[Parameter] = []
        for parameter in self.parameters:
            if parameter.exists(seen):
                found.append(parameter)
                if parameter.key in params:
                    seen[parameter.key] = params[parameter.key]
        return tuple(found)

    def contains(self, params: Params) -> bool:
        """Whether the search can propose exactly these values."""
        active = self.active(params)
        return {one.key for one in active} == set(params) and all(
            one.contains(params[one.key]) for one in active
        )

    def checked(self, values: Mapping[str, Any], *, root: str) -> dict[str, Value]:
        """Check values of the queue, nested or dotted, and return them by dotted key.

        They need not be complete. Unknown keys, values outside the space, and parameters that do
        not exist under the other values are faults.
        """
        given = dict(flatten(values))
        active = {parameter.key for parameter in self.active(given)}
        faults = [
            fault for key, value in given.items() if (fault := self._fault(key, value, active))
        ]
        if faults:
            raise ConfigurationError([f"{root}.{fault}" for fault in faults])
        return {key: self[key].canonical(given[key]) for key in self.keys if key in given}

    def _fault(self, key: str, value: Any, active: Collection[str]) -> str | None:
        if key not in self.keys:
            return f"{key}={value!r} is not searched; {did_you_mean(key, self.keys)}"
        if not self[key].contains(value):
            return f"{key}={value!r} lies outside the space; give {self[key].describe()}"
        if key not in active:
            conditions = " and ".join(
                f"{parent} is {' or '.join(map(repr, wanted))}"
                for parent, wanted in self[key].when.items()
            )
            return f"{key}={value!r} exists only when {conditions}; give that too, or leave it out"
        return None

    def of_groups(self, names: Collection[str]) -> Space:
        """Return the space of these groups; `all` is every parameter."""
        if "all" in names:
            return self
        return self.without([one.key for one in self.parameters if one.group not in names])

    def without(self, keys: Collection[str]) -> Space:
        """Return the space without these parameters and conditions on them; see `given`."""
        left = [
            replace(one, when={k: wanted for k, wanted in one.when.items() if k not in keys})
            for one in self.parameters
            if one.key not in keys
        ]
        return Space(in_order(left))

    def given(self, values: Params) -> Space:
        """Return what is left to search when these values are fixed.

        A parameter that cannot exist under them is dropped with its children; one that exists loses
        its condition.
        """
        settled = dict(values)
        gone: set[str] = set()
        for parameter in self.parameters:
            parents = [key for key in parameter.when if key in settled or key in gone]
            known = replace(parameter, when={key: parameter.when[key] for key in parents})
            if parameter.key not in settled and not known.exists(settled):
                gone.add(parameter.key)
        return self.without({*settled, *gone})

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return Optuna's distributions by key."""
        return {parameter.key: parameter.distribution() for parameter in self.parameters}

    def as_dict(self) -> dict[str, Any]:
        """Return the YAML form, which `parse_space` reads back."""
        return unflatten({parameter.key: parameter.as_dict() for parameter in self.parameters})

    def identity(self) -> dict[str, Any]:
        """Return what identifies the space to a study: no floors, warnings or groups."""
        plain = [
            replace(one, floor=None, warn_below=None, warn_above=None, group=None)
            for one in self.parameters
        ]
        return Space(tuple(plain)).as_dict()
