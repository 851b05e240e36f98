"""The rules of `Recommender.recommend`, in raw ids."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seqtune.core.errors import ConfigurationError

from . import arguments
from .ensemble import Scorer
from .explain import ItemId, unit_vectors
from .rules import Quota, Selection, pad_values

Values = Mapping[ItemId, Hashable | Iterable[Hashable]]


@dataclass(frozen=True)
class Rules:
    """How each list is chosen among the best items.

    genres = {"film-1": ["Drama", "War"], "film-2": "Drama"}
    recommender.recommend(histories, rules=Rules(quotas={2: genres}, diversity=0.2))
    """

    quotas: Mapping[int, Values] = field(default_factory=dict)
    """The values of items (one, or a list or set of them) by how many items of a list may have the
    same value."""
    diversity: float = 0.0
    """0 <= x < 1: weight of how different an item is from those before it, beside its score."""
    candidates: int = 100
    """Best items among which these rules choose."""

    def selection(self, loaded: Scorer, numbers: Mapping[ItemId, int]) -> Selection | None:
        """Return the rules in item numbers; None if there are none."""
        diversity = arguments.share("diversity", self.diversity)
        if not self.quotas and not diversity:
            return None
        return Selection(
            quotas=tuple(_quota(most, values, numbers) for most, values in self.quotas.items()),
            diversity=diversity,
            vectors=unit_vectors(loaded.heaviest()[0]) if diversity else None,
            num_candidates=arguments.positive("candidates", self.candidates),
        )


def _quota(most: int, values: Values, numbers: Mapping[ItemId, int]) -> Quota:
    if not isinstance(values, Mapping):
        raise ConfigurationError(
            f"quotas[{most}]={values!r} must map item ids to a value or a list of values"
        )
    known: dict[Hashable, int] = {}
    flat: list[int] = []
    lengths = np.zeros(len(numbers) + 1, np.int64)
    by_number = {numbers[item]: value for item, value in values.items() if item in numbers}
    for number in sorted(by_number):
        own = {known.setdefault(value, len(known) + 1) for value in _several(by_number[number])}
        flat += own
        lengths[number] = len(own)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Quota(pad_values(np.array(flat, np.int64), offsets), arguments.positive("quotas", most))


def _several(value: Any) -> Iterable[Hashable]:
    is_one = isinstance(value, str | bytes) or not isinstance(value, Iterable)
    return (value,) if is_one else value
