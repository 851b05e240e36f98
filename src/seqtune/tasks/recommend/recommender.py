"""The Python API: recommendations from a checkpoint or an ensemble, in raw ids.

    from seqtune import Recommender

    recommender = Recommender.load("data/06_models/recommend/checkpoint")
    lists = recommender.recommend([["Alien", "Brazil"], []], k=10, exclude=["Casablanca"])
    for item, score, source in lists[0]:
        ...

It needs the folder only: no split, no project, no training data.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar, overload

import numpy as np

from seqtune.core import checkpoint, ensemble
from seqtune.core.checkpoint import Which
from seqtune.core.columns import SOURCE_MODEL, SOURCE_POPULAR
from seqtune.core.errors import ArtifactError, ConfigurationError, DataError
from seqtune.core.files import is_version

from . import arguments
from .data import Int64
from .ensemble import Scorer, open_model
from .explain import Explanation, ItemId, Nearest, Neighbour, explain, nearest_items
from .list_rules import Rules as Rules
from .sequences import Bools, ListRequest, Sequences, recommend
from .vocabulary import item_ids

logger = logging.getLogger(__name__)

History = Sequence[ItemId]
NO_RULES = Rules()
UserT = TypeVar("UserT", bound=Hashable)

TRAIN_COUNTS = "train_counts.npy"
NUM_EXAMPLES = 10


class Recommended(NamedTuple):
    """One recommended item."""

    item: ItemId
    score: float
    source: str
    """"model", or "popular" for a user without any known item."""


@dataclass(frozen=True, eq=False)
class Recommender:
    """A loaded checkpoint or ensemble; create it with `Recommender.load(path)`."""

    loaded: Scorer
    ids: Sequence[ItemId]
    """Raw ids of items 1..V."""
    numbers: Mapping[ItemId, int]
    """Item numbers by raw id."""
    train_counts: Int64
    """How often each item occurred in training [V + 1]."""

    @classmethod
    def load(cls, path: str | Path, *, weights: Which = "best", device: str | None = None) -> Self:
        """Open a version of a checkpoint or an ensemble, or the newest one below `path`."""
        loaded = open_model(
            _newest(arguments.path_of(path)), arguments.weights_of(weights), device=device
        )
        ids = item_ids(loaded.assets, num_items=loaded.num_items).to_pylist()
        counts = _train_counts(loaded.assets / TRAIN_COUNTS, loaded.num_items)
        return cls(loaded, ids, {raw: n for n, raw in enumerate(ids, start=1)}, counts)

    @overload
    def recommend(
        self,
        histories: Mapping[UserT, History],
        k: int = ...,
        *,
        exclude: Iterable[ItemId] = ...,
        exclude_each: Mapping[UserT, Iterable[ItemId]] | None = ...,
        include_only: Iterable[ItemId] | None = ...,
        exclude_seen: bool = ...,
        rules: Rules = ...,
        batch_size: int = ...,
    ) -> dict[UserT, list[Recommended]]: ...

    @overload
    def recommend(
        self,
        histories: Sequence[History],
        k: int = ...,
        *,
        exclude: Iterable[ItemId] = ...,
        exclude_each: Sequence[Iterable[ItemId]] | None = ...,
        include_only: Iterable[ItemId] | None = ...,
        exclude_seen: bool = ...,
        rules: Rules = ...,
        batch_size: int = ...,
    ) -> list[list[Recommended]]: ...

    def recommend(
        self,
        histories: Sequence[History] | Mapping[UserT, History],
        k: int = 10,
        *,
        exclude: Iterable[ItemId] = (),
        exclude_each: Any = None,
        include_only: Iterable[ItemId] | None = None,
        exclude_seen: bool = True,
        rules: Rules = NO_RULES,
        batch_size: int = 512,
    ) -> list[list[Recommended]] | dict[UserT, list[Recommended]]:
        """Return the best `k` items after each history (oldest item first), best first.

        `exclude` are never recommended, and those of `exclude_each` not after the history in the
        same place (or under the same name); `include_only` restricts the candidates, and `rules`
        choose among them. Unknown items are skipped and logged. A history without known items gets
        popular items, marked by `source`.
        """
        if not isinstance(histories, Mapping):
            histories = arguments.history_lists(histories)
        wanted = ListRequest(
            top_k=arguments.positive("k", k),
            exclude_seen=arguments.flag("exclude_seen", exclude_seen),
            batch_size=arguments.positive("batch_size", batch_size),
            allowed=self._allowed(exclude, include_only),
            denied=None if exclude_each is None else self._denied(exclude_each, histories),
            selection=rules.selection(self.loaded, self.numbers),
        )
        if not isinstance(histories, Mapping):
            return self._lists(histories, wanted)
        lists = self._lists(arguments.history_lists(histories.values()), wanted)
        return dict(zip(histories, lists, strict=True))

    def _lists(self, histories: list[list[ItemId]], wanted: ListRequest) -> list[list[Recommended]]:
        sequences = self._sequences(histories, "histories")
        found = recommend(self.loaded, self.train_counts, sequences, wanted)
        lists = []
        for row, popular in enumerate(found.is_popular):
            source = SOURCE_POPULAR if popular else SOURCE_MODEL
            pairs = zip(found.items[row].tolist(), found.scores[row].tolist(), strict=True)
            lists.append([Recommended(self.ids[n - 1], score, source) for n, score in pairs if n])
        return lists

    def _denied(self, exclude_each: Any, histories: Any) -> Sequences:
        lists = arguments.lists_of_each("exclude_each", exclude_each, histories)
        return self._sequences(lists, "exclude_each")

    def _sequences(self, lists: list[list[ItemId]], what: str) -> Sequences:
        """Return the known items of all lists, by number."""
        lengths = np.array([len(one) for one in lists], np.int64)
        numbers = self._numbers(list(chain.from_iterable(lists)), what)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        known = np.concatenate([[0], np.cumsum(numbers > 0)])
        return Sequences(numbers[numbers > 0].astype(np.int32), known[ends])

    def _allowed(
        self, exclude: Iterable[ItemId], include_only: Iterable[ItemId] | None
    ) -> Bools | None:
        """Return which items may be recommended, bool [V]; None for all."""
        excluded = self._numbers(arguments.item_list("exclude", exclude), "exclude")
        if include_only is None and not len(excluded):
            return None
        allowed = np.full(len(self.ids) + 1, include_only is None)
        if include_only is not None:
            included = arguments.item_list("include_only", include_only)
            allowed[self._numbers(included, "include_only")] = True
        allowed[excluded] = False
        if not allowed[1:].any():
            raise ConfigurationError(
                f"exclude and include_only leave none of the {len(self.ids)} items to recommend"
            )
        return allowed[1:]

    def _numbers(self, raw: list[ItemId], what: str) -> Int64:
        """Return the item numbers of raw ids, 0 for unknown ones, which are logged."""
        numbers = np.array([self._number(item, what) or 0 for item in raw], np.int64)
        unknown = [raw[place] for place in np.flatnonzero(numbers == 0)]
        if unknown:
            logger.warning(
                "%d of %d items in %s are unknown to the model and skipped (%s%s)",
                len(unknown),
                len(raw),
                what,
                ", ".join(map(repr, dict.fromkeys(unknown[:NUM_EXAMPLES]))),
                self._type_hint(unknown[0]),
            )
        return numbers

    def _number(self, item: ItemId, what: str) -> int | None:
        try:
            return self.numbers.get(item)
        except TypeError as error:
            raise DataError(
                f"{what}: {item!r} is no item id, which is text or a whole number"
            ) from error

    def _type_hint(self, unknown: ItemId) -> str:
        """Point out ids of the wrong type, such as "5" for 5."""
        known = self.ids[0]
        if isinstance(known, str) == isinstance(unknown, str):
            return ""
        return f"; ids are {type(known).__name__} here, not {type(unknown).__name__}"

    def nearest(self, item: ItemId, k: int = 10) -> Nearest:
        """Return the items nearest to one by cosine similarity (see `explain.py`)."""
        number = self._number(item, "item")
        if number is None:
            raise DataError(
                f"item {item!r} is unknown to the model: it did not occur in the training data"
                f"{self._type_hint(item)}; choose one of Recommender.ids"
            )
        loaded, model = self.loaded.heaviest()
        numbers, similarities = nearest_items(loaded, number, arguments.positive("k", k))
        counts = self.train_counts
        pairs = zip(numbers.tolist(), similarities.tolist(), strict=True)
        near = tuple(Neighbour(self.ids[n - 1], s, int(counts[n])) for n, s in pairs)
        return Nearest(item, int(counts[number]), near, model)

    def explain(
        self,
        history: History,
        k: int = 5,
        *,
        exclude: Iterable[ItemId] = (),
        include_only: Iterable[ItemId] | None = None,
        exclude_seen: bool = True,
    ) -> Explanation:
        """Explain what `recommend` returns: by attention, and by the score of each listed item
        without each item of the history. Attention alone is no explanation (see `explain.py`)."""
        history = arguments.item_history(history)
        (rows,) = self.recommend(
            [history], k, exclude=exclude, include_only=include_only, exclude_seen=exclude_seen
        )
        targets = np.array([self.numbers[row.item] for row in rows], np.int64)
        loaded, model = self.loaded.heaviest()
        known = np.array([self.numbers[item] for item in history if item in self.numbers], np.int32)
        return explain(loaded, known, targets, ids=self.ids, model=model)


def _newest(path: Path) -> Path:
    """Return `path` if it is complete, else the newest version of Kedro below it."""
    manifests = (checkpoint.MANIFEST, ensemble.MANIFEST)
    if any((path / manifest).is_file() for manifest in manifests):
        return path
    found = [file.parent for manifest in manifests for file in path.glob(f"*/*/{manifest}")]
    return max((each for each in found if is_version(each.parent.name)), default=path)


def _train_counts(path: Path, num_items: int) -> Int64:
    try:
        return np.asarray(np.load(path, allow_pickle=False)).reshape(num_items + 1)
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} is missing or damaged ({error}); choose another version, or train again"
        ) from error
