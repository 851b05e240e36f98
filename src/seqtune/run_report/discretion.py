"""What does not belong in a page that is mailed around."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "(hidden)"
DATABASE = re.compile(
    r"\b((?:postgres(?:ql)?|mysql|mariadb|mssql|oracle|redis|mongodb)(?:\+\w+)?)://[^\s\"'<>\\]*",
    re.IGNORECASE,
)
WITH_PASSWORD = re.compile(r"\b([A-Za-z][A-Za-z0-9+.\-]*)://[^\s\"'<>\\/]*@[^\s\"'<>\\]*")
SECRET_KEY = re.compile(r"password|passwd|secret|token$|api_?key|credential", re.IGNORECASE)


def discreet(value: Any, *, root: str) -> Any:
    """The same value without addresses of databases, passwords, and the path to the project."""
    if isinstance(value, str):
        return discreet_text(value, root=root)
    if isinstance(value, Mapping):
        return {
            str(key): HIDDEN if _is_secret(key, child) else discreet(child, root=root)
            for key, child in value.items()
        }
    if isinstance(value, list | tuple):
        return [discreet(child, root=root) for child in value]
    return value


def discreet_text(text: str, *, root: str) -> str:
    if "://" in text:
        text = WITH_PASSWORD.sub(rf"\1://{HIDDEN}", DATABASE.sub(rf"\1://{HIDDEN}", text))
    return text.replace(f"{root}/", "") if root else text


def _is_secret(key: Any, value: Any) -> bool:
    return isinstance(value, str) and bool(SECRET_KEY.search(str(key)))
