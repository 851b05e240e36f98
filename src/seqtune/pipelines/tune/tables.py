"""Trials and decisions as tables of the catalog, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from seqtune.core.trials import Trial

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


def trials_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """Build a table of one row per trial; mappings and lists become JSON."""
    import pandas as pd

    columns = [field.name for field in fields(Trial)]
    return pd.DataFrame([trial.row() for trial in trials], columns=columns)


def read_trials_table(table: pd.DataFrame) -> list[Trial]:
    rows = table.astype(object).where(table.notna(), None).to_dict(orient="records")
    return [Trial.from_row({str(key): value for key, value in row.items()}) for row in rows]


def plain(value: T) -> T:
    """Convert to types that JSON and YAML know: no tuples, no NumPy."""
    converted: T = json.loads(json.dumps(value, default=_as_plain))
    return converted


def _as_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return value.item() if hasattr(value, "item") else str(value)
