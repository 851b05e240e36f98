"""What does not belong in a page that is mailed around."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from seqtune.core.secrets import HIDDEN, is_secret, mask

DATABASE = re.compile(
    r"\b((?:postgres(?:ql)?|mysql|mariadb|mssql|oracle|redis|mongodb)(?:\+\w+)?)://[^\s\"'<>\\]*",
    re.IGNORECASE,
)


def redact(value: Any, *, root: str) -> Any:
    """The same value without addresses of databases, passwords, and the path to the project."""
    if isinstance(value, str):
        return discreet_text(value, root=root)
    if isinstance(value, Mapping):
        return {str(key): _discreet(str(key), child, root=root) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [redact(child, root=root) for child in value]
    return value


def _discreet(key: str, value: Any, *, root: str) -> Any:
    return HIDDEN if isinstance(value, str) and is_secret(key) else redact(value, root=root)


def discreet_text(text: str, *, root: str) -> str:
    if "://" in text:
        text = mask(DATABASE.sub(rf"\1://{HIDDEN}", text))
    return text.replace(f"{root}/", "") if root else text
