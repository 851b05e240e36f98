"""Hide passwords and tokens in everything that a run writes or shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "(hidden)"
_IN_ADDRESS = re.compile(r"\b([A-Za-z][\w+.\-]*://)[^\s\"'<>\\]*@")
_IN_QUERY = re.compile(
    r"((?:password|passwd|pwd|secret|token|api_?key|credentials?)\s*[=:]\s*)[^\s&;,\"'<>]+",
    re.IGNORECASE,
)
_NAMES = re.compile(r"password|passwd|secret|token$|api_?key|credential", re.IGNORECASE)


def mask(text: str) -> str:
    """Hide the user and password of addresses, and values with the name of a secret."""
    return _IN_QUERY.sub(rf"\1{HIDDEN}", _IN_ADDRESS.sub(rf"\1{HIDDEN}@", text))


def masked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping with texts masked and secrets hidden."""
    return {key: _masked(str(key), value) for key, value in values.items()}


def is_secret(name: str) -> bool:
    """Whether a key is named like a secret."""
    return bool(_NAMES.search(name))


def _masked(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return masked(value)
    if isinstance(value, str):
        return HIDDEN if is_secret(key) else mask(value)
    if isinstance(value, list | tuple):
        return [_masked(key, each) for each in value]
    return value
