"""The results of a verification: one `Check` for each question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    status: Status
    message: str
    fix: str = ""
    """What to do about it; empty if nothing."""

    @property
    def text(self) -> str:
        """The message with its fix."""
        return f"{self.message}; {self.fix}" if self.fix else self.message

    @property
    def line(self) -> str:
        """A line for the log."""
        return f"{self.status:<4} {self.name}: {self.text}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def failures(checks: Iterable[Check]) -> list[str]:
    """Return the texts of the failed checks."""
    return [check.text for check in checks if check.status == "fail"]


def counted(checks: Iterable[Check]) -> dict[Status, int]:
    """Count the checks by status."""
    count = Counter(check.status for check in checks)
    return {"ok": count["ok"], "warn": count["warn"], "fail": count["fail"]}
