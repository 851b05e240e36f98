"""What the rules of the preset `auto` go by."""

from __future__ import annotations

from .data import SplitData


def describe_data(data: SplitData) -> dict[str, float]:
    """Return the sizes of a split's training part, by the names of `params.DATA_FACTS`."""
    interactions = int(data.train_end.sum(dtype="int64"))
    return {
        "users": data.num_users,
        "items": data.num_items,
        "interactions": interactions,
        "mean_length": interactions / max(data.num_users, 1),
        "scores": interactions * data.num_items,
    }
