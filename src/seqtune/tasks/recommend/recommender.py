"""The Python API: recommendations from a checkpoint or an ensemble, in the user's own ids.

    from seqtune import Recommender

    recommender = Recommender.load("data/06_models/recommend/checkpoint")
    lists = recommender.recommend([["Alien", "Brazil"], []], k=10, exclude=["Casablanca"])
    for item, score, source in lists[0]:
        ...

It needs nothing but the folder: no split, no project, no file that the model was trained on.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Self, TypeVar, overload

import numpy as np

from seqtune.core import checkpoint, ensemble
from seqtune.core.checkpoint import Which
from seqtune.core.columns import SOURCE_MODEL, SOURCE_POPULAR
from seqtune.core.errors import ArtifactError, ConfigurationError, DataError

from .data import Int64
from .ensemble import Scorer, open_model
from .explain import Explanation, Nearest, Neighbour, explain, nearest_items
from .loading import LoadedModel
from .sequences import Bools, ListRequest, Sequences, recommend
from .vocabulary import item_ids

logger = logging.getLogger(__name__)

ItemId = int | str
History = Sequence[ItemId]
UserT = TypeVar("UserT", bound=Hashable)

TRAIN_COUNTS = "train_counts.npy"
NUM_EXAMPLES = 10


class Recommended(NamedTuple):
    """One line of a list."""

    item: ItemId
    score: float
    source: str
    """"model", or "popular" for a user without any known item."""


@dataclass(frozen=True, eq=False)
class Recommender:
    """A loaded checkpoint or ensemble. `Recommender.load(path)` makes one."""

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
        loaded = open_model(_newest(Path(path)), weights, device=device)
        assets = loaded.assets
        ids = item_ids(assets).to_pylist()
        counts = _train_counts(assets / TRAIN_COUNTS)
        if not len(ids) == len(counts) - 1 == loaded.num_items:
            raise ArtifactError(
                f"{loaded.path} is damaged: its weights know "
                f"{loaded.num_items} items, its assets {len(ids)}; choose another version"
            )
        return cls(loaded, ids, {raw: n for n, raw in enumerate(ids, start=1)}, counts)

    @overload
    def recommend(
        self,
        histories: Mapping[UserT, History],
        k: int = ...,
        *,
        exclude: Iterable[ItemId] = ...,
        include_only: Iterable[ItemId] | None = ...,
        exclude_seen: bool = ...,
        batch_size: int = ...,
    ) -> dict[UserT, list[Recommended]]: ...

    @overload
    def recommend(
        self,
        histories: Sequence[History],
        k: int = ...,
        *,
        exclude: Iterable[ItemId] = ...,
        include_only: Iterable[ItemId] | None = ...,
        exclude_seen: bool = ...,
        batch_size: int = ...,
    ) -> list[list[Recommended]]: ...

    def recommend(
        self,
        histories: Sequence[History] | Mapping[UserT, History],
        k: int = 10,
        *,
        exclude: Iterable[ItemId] = (),
        include_only: Iterable[ItemId] | None = None,
        exclude_seen: bool = True,
        batch_size: int = 512,
    ) -> list[list[Recommended]] | dict[UserT, list[Recommended]]:
        """The best `k` items after each history (oldest item first), best first.

        `exclude` are never recommended, `include_only` are all that may be. Unknown items are
        skipped and reported once in the log. A history without a known item gets popular items,
        marked by their source.
        """
        wanted = ListRequest(
            top_k=_at_least_1(k),
            exclude_seen=exclude_seen,
            batch_size=batch_size,
            allowed=self._allowed(exclude, include_only),
        )
        if not isinstance(histories, Mapping):
            return self._lists(histories, wanted)
        lists = self._lists(list(histories.values()), wanted)
        return dict(zip(histories, lists, strict=True))

    def _lists(self, histories: Sequence[History], wanted: ListRequest) -> list[list[Recommended]]:
        sequences = self._sequences(histories)
        found = recommend(self.loaded, self.train_counts, sequences, wanted)
        rows = zip(found.items.tolist(), found.scores.tolist(), found.is_popular, strict=True)
        return [self._list(numbers, scores, popular) for numbers, scores, popular in rows]

    def _list(self, numbers: list[int], scores: list[float], popular: bool) -> list[Recommended]:
        source = SOURCE_POPULAR if popular else SOURCE_MODEL
        pairs = zip(numbers, scores, strict=True)
        return [Recommended(self.ids[n - 1], score, source) for n, score in pairs if n]

    def _sequences(self, histories: Sequence[History]) -> Sequences:
        """Known items of all histories, by number."""
        for history in histories:
            _refuse_no_list(history)
        lengths = np.array([len(history) for history in histories], np.int64)
        numbers = self._numbers(chain.from_iterable(histories), "histories")
        ends = np.concatenate([[0], np.cumsum(lengths)])
        known = np.concatenate([[0], np.cumsum(numbers > 0)])
        return Sequences(numbers[numbers > 0].astype(np.int32), known[ends])

    def _allowed(
        self, exclude: Iterable[ItemId], include_only: Iterable[ItemId] | None
    ) -> Bools | None:
        """Which items may be recommended, bool [V]; None for all."""
        excluded = self._numbers(exclude, "exclude")
        if include_only is None and not len(excluded):
            return None
        allowed = np.full(len(self.ids) + 1, include_only is None)
        if include_only is not None:
            allowed[self._numbers(include_only, "include_only")] = True
        allowed[excluded] = False
        if not allowed[1:].any():
            raise ConfigurationError(
                f"exclude and include_only leave none of the {len(self.ids)} items to recommend"
            )
        return allowed[1:]

    def _numbers(self, raw: Iterable[ItemId], what: str) -> Int64:
        """Item numbers of raw ids, 0 for unknown ones, which are reported."""
        raw = list(raw)
        numbers = np.array([self.numbers.get(item, 0) for item in raw], np.int64)
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

    def _type_hint(self, unknown: ItemId) -> str:
        """Many unknown items come from ids as text where the model knows whole numbers."""
        known = self.ids[0]
        if isinstance(known, str) == isinstance(unknown, str):
            return ""
        return f"; ids are {type(known).__name__} here, not {type(unknown).__name__}"

    def nearest(self, item: ItemId, k: int = 10) -> Nearest:
        """The items nearest to one, as the model holds them (cosine; see `explain.py`)."""
        number = self.numbers.get(item)
        if number is None:
            raise DataError(
                f"item {item!r} is unknown to the model: it never occurred in the data that it "
                f"was trained on{self._type_hint(item)}; give one of Recommender.ids"
            )
        loaded, model = self._looked_at()
        numbers, similarities = nearest_items(loaded, number, _at_least_1(k))
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
        """Why `recommend` gives these items: where the model looked, and each list item's score
        without each item of the history. Attention alone is no explanation (see `explain.py`)."""
        (rows,) = self.recommend(
            [history], k, exclude=exclude, include_only=include_only, exclude_seen=exclude_seen
        )
        targets = np.array([self.numbers[row.item] for row in rows], np.int64)
        loaded, model = self._looked_at()
        known = np.array([self.numbers[item] for item in history if item in self.numbers], np.int32)
        return explain(loaded, known, targets, ids=self.ids, model=model)

    def _looked_at(self) -> tuple[LoadedModel, str]:
        """The model that is looked into, and its name."""
        return self.loaded.heaviest()


def _newest(path: Path) -> Path:
    """`path` itself where it is complete, else the newest of Kedro's versions below it."""
    manifests = (checkpoint.MANIFEST, ensemble.MANIFEST)
    if any((path / manifest).is_file() for manifest in manifests):
        return path
    found = [file.parent for manifest in manifests for file in path.glob(f"*/*/{manifest}")]
    return max(found, default=path)


def _train_counts(path: Path) -> Int64:
    try:
        counts: Int64 = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} is missing or damaged ({error}); choose another version, or train again"
        ) from error
    return counts


def _refuse_no_list(history: History) -> None:
    if isinstance(history, str) or not (
        isinstance(history, Sequence) or hasattr(history, "tolist")
    ):
        raise DataError(
            f"a history is a list of item ids, oldest first, not {history!r}; for a single user "
            "write recommend([[...]])"
        )


def _at_least_1(k: int) -> int:
    if k < 1:
        raise ConfigurationError(f"k={k} asks for no item; give 1 or more")
    return k
