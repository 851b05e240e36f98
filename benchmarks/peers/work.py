"""The data of the comparison, and what lists of items are worth on it."""

from __future__ import annotations

import numpy as np

from _harness import shared_data

from ._serving import TOP_K, Data
from .errors import PeerError

FILE = "recommend/ml-1m.txt"


def movielens(num_users: int | None = None) -> Data:
    """MovieLens-1M in the order of the file, or its first users."""
    source = shared_data() / FILE
    if not source.is_file():
        raise FileNotFoundError(f"{source} is missing; set SEQTUNE_DATA to the folder of data sets")
    users, items = np.loadtxt(source, dtype=np.int64, unpack=True)
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    offsets = np.append(starts, len(users))[: None if num_users is None else num_users + 1]
    return Data(items[: offsets[-1]], offsets)


def real_tokens(data: Data, length: int) -> int:
    """Items that an epoch trains on: the last `length` of every user's training part."""
    return int(np.minimum(np.diff(data.offsets) - 2, length).sum())


def score(lists: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """One target a user: NDCG@10 is 1 / log2(rank + 1), HR@10 is 1, both 0 outside the list."""
    users, places = np.nonzero(lists == targets[:, None])
    gains = np.zeros(len(targets))
    gains[users] = 1 / np.log2(places + 2)
    return {"ndcg@10": float(gains.mean()), "hit@10": len(users) / len(targets)}


def require_sound(lists: np.ndarray, data: Data) -> None:
    """Refuse lists that are short, repeat an item, or hold what a user has seen."""
    if lists.shape != (data.num_users, TOP_K):
        raise PeerError(f"lists of shape {lists.shape}, not {(data.num_users, TOP_K)}")
    if (np.diff(np.sort(lists, axis=1), axis=1) == 0).any():
        raise PeerError("a list holds an item twice")
    if not np.isin(lists, data.catalogue).all():
        raise PeerError("a list holds what is no item")
    histories = zip(lists, data.train(), strict=True)
    if num := sum(bool(np.isin(best, seen).any()) for best, seen in histories):
        raise PeerError(f"the lists of {num} users hold items that they have seen")
