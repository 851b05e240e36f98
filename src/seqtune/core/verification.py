"""What a verification found out: one `Check` a question, in words that a person can act on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """The answer to one question."""

    name: str
    status: Status
    message: str
    fix: str = ""
    """What to do about it; empty where nothing needs to be done."""

    @property
    def text(self) -> str:
        """The message with what to do."""
        return f"{self.message}; {self.fix}" if self.fix else self.message

    @property
    def line(self) -> str:
        """One line of a log."""
        return f"{self.status:<4} {self.name}: {self.text}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def failures(checks: Iterable[Check]) -> list[str]:
    """What has to be changed before anything goes on."""
    return [check.text for check in checks if check.status == "fail"]


def counted(checks: Iterable[Check]) -> dict[Status, int]:
    """How many checks ended how."""
    found: dict[Status, int] = {"ok": 0, "warn": 0, "fail": 0}
    for check in checks:
        found[check.status] += 1
    return found
