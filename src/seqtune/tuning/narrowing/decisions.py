"""The decisions of narrowing with their reasons, as values for tables, figures and YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from seqtune.core.trials import Params

from ..spaces.space import Parameter, Space

Action = Literal["keep", "narrow", "fix", "choices", "widen", "untouched", "drop"]
"""keep: as wide as the policy allows. narrow: narrower. fix: one value left. choices: some choices
left. widen: wider again, because the best lies at an end. untouched: the medium space as written.
drop: not searched in the medium stage."""


@dataclass(frozen=True)
class Decision:
    """The decision on one parameter between the quick and the medium stage."""

    key: str
    importance: float | None
    action: Action
    before: Mapping[str, Any]
    """The quick range: low, high and log, or choices; empty if not searched."""
    after: Mapping[str, Any]
    """The medium range, likewise."""
    top: Mapping[str, Any]
    """Of the top trials: min, mean, max, num and values, or choices and counts."""
    reason: str

    def row(self) -> dict[str, Any]:
        """Return one row of a table."""
        return {
            "parameter": self.key,
            "importance": "" if self.importance is None else f"{self.importance:.3f}",
            "action": self.action,
            "quick": _range_text(self.before),
            "top trials": _top_text(self.top),
            "medium": _range_text(self.after),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Narrowed:
    """The space of the medium stage and how it came about."""

    space: Space
    decisions: tuple[Decision, ...]
    refused: str = ""
    """Why nothing was narrowed; empty if something was."""
    queue: tuple[Params, ...] = ()
    """Best configurations of the quick stage, moved into the space; they run first."""
    notes: tuple[str, ...] = ()
    """Values that were moved, bounds to widen by hand."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; `space` as in YAML."""
        return {
            "space": self.space.as_dict(),
            "decisions": [asdict(decision) for decision in self.decisions],
            "refused": self.refused,
            "queue": [dict(params) for params in self.queue],
            "notes": list(self.notes),
        }


def extent(parameter: Parameter | None) -> dict[str, Any]:
    """Return range or choices of a parameter as plain values."""
    if parameter is None:
        return {}
    if parameter.kind == "categorical":
        return {"choices": list(parameter.choices)}
    return {"low": parameter.low, "high": parameter.high, "log": parameter.log}


def _range_text(extent: Mapping[str, Any]) -> str:
    if not extent:
        return "-"
    if "choices" in extent:
        return "{" + ", ".join(map(str, extent["choices"])) + "}"
    return f"[{extent['low']:.4g}, {extent['high']:.4g}]" + (" log" if extent["log"] else "")


def _top_text(top: Mapping[str, Any]) -> str:
    if not top:
        return "-"
    if "choices" in top:
        pairs = zip(top["choices"], top["counts"], strict=True)
        return ", ".join(f"{choice}: {count}" for choice, count in pairs)
    return f"{top['min']:.4g} / {top['mean']:.4g} / {top['max']:.4g}"
