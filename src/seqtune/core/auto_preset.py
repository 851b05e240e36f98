"""The preset `auto`: rules in YAML that set values by facts of the data, each with its reason.

auto:
  - because: it was the best on all data sets
    model: {hidden_units: 64}
  - when: {mean_length: {below: 20}}
    because: short histories are learned by heart without it
    model: {dropout_rate: 0.5}
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .errors import ConfigurationError, did_you_mean
from .resolve import Layer, Resolved, flatten, unflatten

COMPARISONS = {"at_least": operator.ge, "below": operator.lt}
NAME = "preset auto"


class AutoRule(NamedTuple):
    """Values that are set where all conditions hold."""

    because: str
    when: Mapping[str, Mapping[str, float]]
    """By fact: at_least, below."""
    values: Mapping[str, Any]

    def holds(self, facts: Mapping[str, float]) -> bool:
        return all(
            COMPARISONS[comparison](facts[fact], bound)
            for fact, bounds in self.when.items()
            for comparison, bound in bounds.items()
        )


def auto_layer(rules: Sequence[AutoRule], facts: Mapping[str, float]) -> Layer:
    """Return the values of all rules that hold, later over earlier."""
    return _merged(rule for rule in rules if rule.holds(facts))


def possible_layers(rules: Sequence[AutoRule]) -> list[Layer]:
    """Return what `auto` may give while the data are unknown: each rule beside the general ones."""
    general = [rule for rule in rules if not rule.when]
    conditional = [rule for rule in rules if rule.when]
    return [_merged([*general, rule]) for rule in conditional] or [_merged(general)]


def explain(resolved: Resolved[Any]) -> Iterator[str]:
    """Yield a line for each rule whose values count, with these values."""
    values: dict[str, list[str]] = {}
    for key, row in resolved.table().items():
        if str(row["origin"]).startswith(NAME):
            values.setdefault(row["origin"], []).append(f"{key}={row['value']}")
    for origin, shown in values.items():
        yield f"{origin}: {', '.join(shown)}"


def parse_rules(task: str, values: Any, facts: Collection[str]) -> tuple[AutoRule, ...]:
    """Check the rules of a task, or raise one error with all faults."""
    if values is None:
        return ()
    if not isinstance(values, list):
        raise ConfigurationError(
            f"{task}.auto={values!r} is not a list of rules; write each as `- because: ...` with "
            "the values it sets below it"
        )
    faults = [
        f"{task}.auto, rule {number}: {fault}"
        for number, rule in enumerate(values, start=1)
        for fault in _faults(rule, facts)
    ]
    if faults:
        raise ConfigurationError(faults)
    return tuple(
        AutoRule(
            because=rule["because"],
            when=rule.get("when") or {},
            values={k: v for k, v in rule.items() if k not in ("because", "when")},
        )
        for rule in values
    )


def _faults(rule: Any, facts: Collection[str]) -> Iterator[str]:
    if not isinstance(rule, Mapping):
        yield f"{rule!r} is not a group of values"
        return
    if not isinstance(rule.get("because"), str):
        yield "`because` is missing; say why these values are set"
    when = rule.get("when") or {}
    if not isinstance(when, Mapping):
        yield f"when={when!r} is not a group; write for example `when: {{users: {{below: 1000}}}}`"
        return
    for fact, bounds in when.items():
        if fact not in facts:
            yield f"{fact!r} is not known of the data; {did_you_mean(str(fact), list(facts))}"
        elif not isinstance(bounds, Mapping) or not bounds:
            yield f"when.{fact}={bounds!r} is no condition; give at_least, below or both"
        else:
            yield from _bound_faults(fact, bounds)


def _bound_faults(fact: str, bounds: Mapping[str, Any]) -> Iterator[str]:
    for comparison, bound in bounds.items():
        if comparison not in COMPARISONS:
            yield f"when.{fact}.{comparison}: {did_you_mean(str(comparison), list(COMPARISONS))}"
        elif isinstance(bound, bool) or not isinstance(bound, int | float):
            yield f"when.{fact}.{comparison}={bound!r} is not a number"


def _merged(rules: Iterable[AutoRule]) -> Layer:
    leaves, origins = dict[str, Any](), dict[str, str]()
    for rule in rules:
        for key, value in flatten(rule.values):
            leaves[key], origins[key] = value, f"{NAME}, because {rule.because}"
    return Layer(NAME, unflatten(leaves), origins)
