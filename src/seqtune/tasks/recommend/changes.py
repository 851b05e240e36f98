"""What changed between the data of a checkpoint and a split: sizes, lengths, items, popularity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.task import Report

from .data import PROFILE, SplitData, describe_sizes
from .vocabulary import item_ids

LISTED = 10


def describe_changes(checkpoint: Path, data: SplitData) -> Report:
    """Compare the training part of a split with that of a checkpoint."""
    assets = open_checkpoint(checkpoint).assets
    before, now = _sizes(assets), describe_sizes(data)
    items = _popularity(assets, data)
    gone, new = items["now"].isna(), items["before"].isna()
    items = items.fillna(0.0)
    shares = items / items.sum()
    moved = (shares["now"] - shares["before"]).sort_values()
    report = {
        "sizes": [
            {"name": name, "before": before.get(name), "now": value} for name, value in now.items()
        ],
        "new_items": int(new.sum()),
        "gone_items": int(gone.sum()),
        "gone_share": float(shares["before"][gone].sum()),
        "drift": _drift(shares),
        "gone": items["before"][gone].nlargest(LISTED).astype(int).to_dict(),
        "risers": _rows(shares, moved[moved > 0].index[::-1][:LISTED]),
        "fallers": _rows(shares, moved[moved < 0].index[:LISTED]),
    }
    return {"headline": list(_headline(report)), **report}


def _sizes(assets: Path) -> Mapping[str, float]:
    """Return what the checkpoint's data measured; empty for one of an older version."""
    file = assets / PROFILE
    sizes: dict[str, float] = json.loads(file.read_text()) if file.is_file() else {}
    return sizes


def _popularity(assets: Path, data: SplitData) -> pd.DataFrame:
    """Return how often each item occurred before and occurs now, by raw id; NaN: unknown."""
    counts = np.load(assets / "train_counts.npy")[1:]
    known = item_ids(assets, num_items=len(counts)).to_pylist()
    ids = item_ids(data.path, num_items=data.num_items).to_pylist()
    counted = {"before": (known, counts), "now": (ids, data.train_counts[1:])}
    return pd.DataFrame(
        {
            name: pd.Series(np.asarray(values, np.float64), index=[str(item) for item in items])
            for name, (items, values) in counted.items()
        }
    )


def _drift(shares: pd.DataFrame) -> float:
    """Return the Jensen-Shannon distance of both popularities: 0 equal, 1 nothing in common."""
    from scipy.spatial.distance import jensenshannon

    return float(jensenshannon(shares["before"], shares["now"], base=2))


def _rows(shares: pd.DataFrame, items: pd.Index[Any]) -> list[dict[str, Any]]:
    return [{"item": item, **shares.loc[item].to_dict()} for item in items]


def _headline(report: Report) -> list[str]:
    sizes = {row["name"]: row for row in report["sizes"]}
    changed = [
        f"{name} {row['before']:,.0f} -> {row['now']:,.0f}"
        for name in ("users", "items", "interactions")
        if (row := sizes[name])["before"] is not None
    ]
    items = (
        f"{report['new_items']:,} new items; {report['gone_items']:,} are gone, with "
        f"{report['gone_share']:.1%} of the interactions before"
    )
    return [*([", ".join(changed)] if changed else []), items]
