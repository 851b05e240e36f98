"""YAML files that people write: read strictly, with the line of each key."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .errors import ConfigurationError

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml if installed; PyYAML is ten times as slow but explains errors better."""
MAX_NODES = 10_000
MAX_DEPTH = 64
MERGE = "<<"


class Refused(yaml.MarkedYAMLError):
    """What YAML allows and a file must not contain."""


class YamlFile(NamedTuple):
    """A mapping, and where it was written."""

    origin: str
    """The file as a user knows it, such as `conf/local/catalog.yml`."""
    values: Mapping[str, Any]
    lines: Mapping[str, int]
    """By dotted key."""

    def place(self, key: str) -> str:
        """Return file and line of a dotted key, or of the nearest one above it."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{self.origin}, line {self.lines[key]}" if key else self.origin


def read_yaml(file: Path, origin: str) -> YamlFile:
    """Read a mapping; refuse what a YAML parser would accept, drop or choke on."""
    lines: dict[str, int] = {}
    try:
        text = file.read_text(encoding="utf-8")
        values = _construct(text, lines)
    except OSError as error:
        raise ConfigurationError(
            f"{origin} cannot be read ({error.strerror}); nothing in it would count. Make it "
            "readable, or take it away"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{origin}, line {line}: not UTF-8 text (byte {error.object[error.start]:#x}); save "
            "the file as UTF-8"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        if not isinstance(error, Refused):
            hint = "look for a bracket, a quote or an indentation there"
            problem = f"invalid YAML ({problem}); {hint}"
        raise ConfigurationError(f"{origin}{where}: {problem}") from error
    if not isinstance(values, Mapping | None):
        raise ConfigurationError(
            f"{origin}: the file must contain `name: value` lines, not a {type(values).__name__}"
        )
    return YamlFile(origin, values or {}, lines)


def _construct(text: str, lines: dict[str, int]) -> Any:
    if not _is_shallow(text):
        raise Refused(problem=f"more than {MAX_DEPTH} levels")
    try:
        node = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        return None
    if _count(node, "", (), lines, {}) > MAX_NODES:
        raise _fault(node, f"its aliases (*name) expand to more than {MAX_NODES} values")
    return LOADER("").construct_document(node)


def _is_shallow(text: str) -> bool:
    """Whether nesting leaves the stack of a parser alone, which libyaml would overflow."""
    depth = 0
    with suppress(yaml.YAMLError):
        for event in yaml.parse(text, Loader=LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                return False
    return True


def _count(
    node: Any, prefix: str, above: tuple[Any, ...], lines: dict[str, int], known: dict[Any, int]
) -> int:
    """Count the values below a node, aliases expanded; note lines, refuse equal keys and cycles."""
    if node in above:
        raise _fault(node, "a value that contains itself")
    if node in known:
        return known[node]
    num_nodes = 1
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = f"{prefix}{key.value}"
            if not prefix and not key.tag.endswith(":str") and key.value != MERGE:
                raise _fault(key, f"the key {key.value} is no text; write it in quotes")
            if name in seen:
                raise _fault(key, f"the key {name} stands there twice")
            seen.add(name)
            lines.setdefault(name, key.start_mark.line + 1)
            num_nodes += 1 + _count(value, f"{name}.", (*above, node), lines, known)
    elif isinstance(node, yaml.SequenceNode):
        num_nodes += sum(_count(each, prefix, (*above, node), lines, known) for each in node.value)
    known[node] = num_nodes
    return num_nodes


def _fault(at: Any, problem: str) -> Refused:
    return Refused(problem=problem, problem_mark=at.start_mark)
