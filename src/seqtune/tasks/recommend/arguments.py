"""Arguments of the Python API, checked before they are used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from seqtune.core.checkpoint import Which
from seqtune.core.errors import ConfigurationError, DataError

from .explain import ItemId


def path_of(path: Any) -> Path:
    if not isinstance(path, str | Path):
        raise ConfigurationError(
            f"path={path!r} must name the folder of a checkpoint or an ensemble, such as "
            "'data/06_models/recommend/checkpoint'"
        )
    return Path(path)


def weights_of(weights: Any) -> Which:
    if weights not in get_args(Which):
        allowed = " or ".join(map(repr, get_args(Which)))
        raise ConfigurationError(f"weights={weights!r} must be {allowed}")
    return weights  # type: ignore[no-any-return]


def positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigurationError(f"{name}={value!r} must be a whole number, 1 or more")
    return int(value)


def share(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ConfigurationError(f"{name}={value!r} must be a number, at least 0 and below 1")
    return float(value)


def flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise ConfigurationError(f"{name}={value!r} must be True or False")
    return bool(value)


def item_list(name: str, items: Any) -> list[ItemId]:
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        raise ConfigurationError(
            f"{name}={items!r} must be a list of item ids, such as {name}=['film-0001']"
        )
    return list(items)


def history_lists(histories: Any) -> list[list[ItemId]]:
    if isinstance(histories, str | bytes) or not isinstance(histories, Iterable):
        raise DataError(
            f"histories must be a list of lists of item ids, or a mapping of them, not "
            f"{histories!r}"
        )
    return [item_history(history) for history in histories]


def lists_of_each(name: str, lists: Any, histories: Any) -> list[list[ItemId]]:
    """Return a list for each history; the lists have the form of the histories."""
    if isinstance(histories, Mapping):
        if not isinstance(lists, Mapping) or not lists.keys() <= histories.keys():
            raise ConfigurationError(
                f"{name} must map some of the users of the histories to lists of item ids"
            )
        return [item_list(name, lists.get(user, ())) for user in histories]
    if isinstance(lists, str | bytes | Mapping) or not isinstance(lists, Iterable):
        raise ConfigurationError(f"{name}={lists!r} must be a list of lists of item ids")
    found = [item_list(name, one) for one in lists]
    if len(found) != len(histories):
        raise ConfigurationError(
            f"{name} has {len(found)} lists for {len(histories)} histories; give one for each"
        )
    return found


def item_history(history: Any) -> list[ItemId]:
    if isinstance(history, str | bytes | Mapping | set) or not isinstance(history, Iterable):
        raise DataError(
            f"a history must be a list of item ids, oldest first, not {history!r}; for a "
            "single user write recommend([[...]])"
        )
    return history.tolist() if hasattr(history, "tolist") else list(history)
