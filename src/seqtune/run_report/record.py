"""What is known of a run when it ends."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple


class NodeTime(NamedTuple):
    """How long a node took, its inputs and outputs included."""

    name: str
    seconds: float


class Failure(NamedTuple):
    """What ended a run early."""

    kind: str
    message: str
    node: str = ""


@dataclass(frozen=True)
class RunRecord:
    """One `kedro run`, as its hooks saw it."""

    version: str
    """The version under which it saved."""
    started: datetime
    seconds: float
    params: Mapping[str, Any]
    """Kedro's `run_params`: what was asked for."""
    nodes: Sequence[NodeTime] = ()
    loaded: Collection[str] = ()
    saved: Collection[str] = ()
    failure: Failure | None = None
