"""Remove secrets and local paths from a page that people send by mail."""

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
    """Return the value without database addresses, passwords, and the path of the project."""
    if isinstance(value, str):
        if "://" in value:
            value = mask(DATABASE.sub(rf"\1://{HIDDEN}", value))
        return value.replace(f"{root}/", "") if root else value
    if isinstance(value, Mapping):
        return {
            str(key): HIDDEN
            if isinstance(child, str) and is_secret(str(key))
            else redact(child, root=root)
            for key, child in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(child, root=root) for child in value]
    return value
