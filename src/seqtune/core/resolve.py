"""Merge layers of values into one configuration that records the origin of each value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from .config import RunConfig, Section
from .errors import ConfigurationError, did_you_mean

ConfigT = TypeVar("ConfigT", bound=BaseModel)
SectionT = TypeVar("SectionT", bound=Section)

DEFAULT = "default"


@dataclass(frozen=True)
class Layer:
    """Values from one source. `origins` names the source of single keys if known."""

    name: str
    values: Mapping[str, Any]
    origins: Mapping[str, str] | None = None
    is_searched: bool = False
    """Whether a search chose these values."""

    def leaves(self) -> Iterator[tuple[str, Any, str]]:
        """Yield dotted key, value and origin of each value."""
        for key, value in flatten(self.values):
            yield key, value, (self.origins or {}).get(key, self.name)


@dataclass(frozen=True)
class Resolved(Generic[SectionT]):
    """A configuration and the origin of each of its values, by dotted key."""

    config: SectionT
    origins: Mapping[str, str]

    def table(self) -> dict[str, dict[str, Any]]:
        """Return every key with its value and origin, as in the catalog."""
        return {
            key: {"value": value, "origin": self.origins.get(key, DEFAULT)}
            for key, value in flatten(self.config.model_dump(mode="json"))
        }

    def replace(self, key: str, value: Any, *, origin: str) -> Resolved[SectionT]:
        """Replace one value, with the same checks."""
        values = unflatten({**dict(flatten(self.config.model_dump())), key: value})
        config = type(self.config).model_validate(values)
        return Resolved(config, {**self.origins, key: origin})


def require_made_with(
    config: RunConfig, made_with: Mapping[str, Mapping[str, Any]], *, what: str
) -> None:
    """Refuse parameters of earlier stages that differ from those that `what` was made with.

    `made_with` holds sections of the configuration, by stage.
    """
    now = dict(flatten(config.model_dump(mode="json")))
    faults = [
        f"{config.task}.{key}={now.get(key)!r} has no effect any more: {what} was made with "
        f"{before!r}. Run `kedro run --pipelines {key.split('.')[0]}` again and what follows it, "
        "or set it back"
        for key, before in flatten(made_with)
        if now.get(key) != before
    ]
    if faults:
        raise ConfigurationError(faults)


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a nested mapping as dotted key and value."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Build the nested mapping with these leaves."""
    nested: dict[str, Any] = {}
    for key, value in leaves.items():
        *parents, last = key.split(".")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigurationError(f"{key}: {parent} is a value, and no group of parameters")
        node[last] = value
    return nested


def resolve(config_class: type[SectionT], *layers: Layer, root: str) -> Resolved[SectionT]:
    """Merge the layers, later over earlier, and raise all faults together.

    A null means "not set here" unless the field allows it as a value (`columns.time: null`).
    """
    leaves = [(layer, *leaf) for layer in layers for leaf in layer.leaves()]
    selected = {key: layer for layer, key, value, _ in leaves if value is not None}
    chosen = {key: value for _, key, value, _ in leaves if value is not None}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer, key, value, origin in leaves:
        place = locate(config_class, key, chosen)
        if value is None and place.is_left_open_by_null:
            continue
        if place.other_variant and (
            value is None
            or layer.is_searched
            or is_general(origin)
            or selected.get(place.selector, layer).is_searched
        ):
            continue  # not set for the variant that was selected
        values[key], origins[key] = value, origin
    return Resolved(validated(config_class, values, origins, root=root), origins)


def is_general(origin: str) -> bool:
    """Whether this origin sets values for all variants: a preset, or the file with the defaults."""
    return origin.startswith("preset ") or Path(origin).parts[1:2] == ("base",)


def validated(
    model: type[ConfigT], leaves: Mapping[str, Any], origins: Mapping[str, str], *, root: str
) -> ConfigT:
    """Build a `model` from dotted leaves, or raise one error with every fault."""
    unknown = {key: hint for key in leaves if (hint := locate(model, key, leaves).fault)}
    faults = [
        f"{root}.{key} is not a parameter; {hint} (set in {origins.get(key, DEFAULT)})"
        for key, hint in unknown.items()
    ]
    try:
        config = model.model_validate(
            unflatten({key: value for key, value in leaves.items() if key not in unknown})
        )
    except ValidationError as error:
        faults += [_fault(item, origins, root=root) for item in error.errors()]
        raise ConfigurationError(faults) from error
    if faults:
        raise ConfigurationError(faults)
    return config


class FieldPath(NamedTuple):
    """The target of a dotted key: a name in a section; section None below a single value."""

    section: type[BaseModel] | None
    path: str
    name: str

    @property
    def field(self) -> FieldInfo | None:
        return self.section.model_fields.get(self.name) if self.section else None

    @property
    def is_left_open_by_null(self) -> bool:
        """Whether null means "not set": the parameter exists and None is not a value of it."""
        return self.field is not None and type(None) not in get_args(self.field.annotation)

    @property
    def other_variant(self) -> str:
        """The other variant of the section that has this field; empty: none."""
        if self.field or not (self.section and issubclass(self.section, Section)):
            return ""
        return self.section.other_variant(self.name)

    @property
    def selector(self) -> str:
        return self.path + getattr(self.section, "selector", "")

    @property
    def fault(self) -> str:
        """What is wrong with the key; empty for a parameter."""
        if self.section is None:
            return "its parent takes a single value"
        if self.field or self.section.model_config.get("extra") == "allow":
            return ""
        if other := self.other_variant:
            selector = self.selector.rpartition(".")[2]
            own = self.section.model_fields[selector].default
            return (
                f"it belongs to {selector}={other}, but {selector} is {own}; take it out, or "
                "change that"
            )
        return did_you_mean(self.name, list(self.section.model_fields))


def locate(model: type[BaseModel], key: str, leaves: Mapping[str, Any]) -> FieldPath:
    """Follow a dotted key, through the variants of sections that `leaves` select."""
    node, path = model, ""
    *parents, name = key.split(".")
    for parent in parents:
        if parent not in node.model_fields:
            return FieldPath(node, path, parent)
        annotation: Any = node.model_fields[parent].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return FieldPath(None, path, name)
        node, path = annotation, f"{path}{parent}."
        if issubclass(node, Section) and node.selector:
            node = node.variant({node.selector: leaves.get(path + node.selector)})
    return FieldPath(node, path, name)


def _fault(item: Any, origins: Mapping[str, str], *, root: str) -> str:
    """Format one pydantic error: key, value, what is allowed, where it was set."""
    names = [part for part in item["loc"] if isinstance(part, str)]
    key = ".".join(names)
    while names and key not in origins:  # a union's branches are in `loc` too
        names.pop()
        key = ".".join(names)
    message = str(item["msg"]).removeprefix("Value error, ")
    if not key:  # a rule over several fields names them itself
        place = ".".join([root, *(part for part in item["loc"] if isinstance(part, str))])
        return f"{message} ({place})"
    return f"{root}.{key}={item['input']!r}: {message} (set in {origins[key]})"
