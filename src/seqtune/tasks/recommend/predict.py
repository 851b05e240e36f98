"""Write top-K recommendations for all users, chunk by chunk.

Users keep their order. Memory is bounded by a chunk of users. Chunks are independent, so any
process can compute one.

Shapes: U users of a chunk, K length of a list.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from seqtune.core.columns import ITEM, RANK, SCORE, SOURCE, SOURCE_MODEL, SOURCE_POPULAR, USER
from seqtune.core.execution import ParallelMap, map_serially
from seqtune.core.task import Report, Sources
from seqtune.inference import PredictionFiles

from .data import SplitData
from .ensemble import describe_model, open_model
from .new_users import open_new_users
from .params import IngestConfig, PredictConfig
from .rule_files import FileRules, read_rules
from .rules import Selection
from .selection import cost_on_valid, describe_cost, wanted_selection
from .sequences import ListRequest, Recommendations, recommend
from .users import KnownUsers, Users
from .vocabulary import item_ids

logger = logging.getLogger(__name__)

CHUNK_BATCHES = 16
"""Batches of a chunk, whose users are bucketed by length together."""
SECONDS_BETWEEN_LINES = 20.0
"""Interval of progress messages in the log."""


def predict(
    checkpoint: Path,
    data: SplitData,
    settings: PredictConfig,
    *,
    new_rows: tuple[Path, ...],
    out: Path,
    spread: ParallelMap = map_serially,
    sources: Sources | None = None,
) -> Report:
    """Recommend to all users of the split, or to the users of `new_rows` instead.

    `checkpoint` may be the folder of an ensemble; `sources` are files to allow and deny items.
    """
    info = describe_model(checkpoint, settings.weights)
    info.require_assets(data.assets_hash, what=str(data.path))
    size = CHUNK_BATCHES * settings.batch_size
    with ExitStack() as stack:
        users: Users = KnownUsers(data, size)
        found: Report = {}
        if new_rows:
            ingest = info.config.ingest
            opened = open_new_users(new_rows, ingest, data.path, scratch=out, size=size)
            users, found = stack.enter_context(opened)
        rules, rule_facts = _read_rules(sources or {}, info.config.ingest, data, users, out)
        cost, cost_lines = _measure_cost(checkpoint, data, settings, rules)
        ids = item_ids(data.path, num_items=data.num_items)
        writer = stack.enter_context(ListWriter(out, ids, settings))
        lists = spread(RecommendChunk(checkpoint, data, settings, users, rules), users.num_chunks)
        _write_all(users, lists, writer)
    return {
        "headline": [*_headline(settings, writer.counts), *cost_lines],
        **info.identity(),
        "top_k": settings.top_k,
        "exclude_seen": settings.exclude_seen,
        "users_from": [str(path) for path in new_rows or (data.path,)],
        "rules": {**rule_facts, **cost},
        **writer.counts,
        **found,
    }


def _measure_cost(
    checkpoint: Path, data: SplitData, settings: PredictConfig, rules: FileRules
) -> tuple[Report, list[str]]:
    """Measure on valid what quotas and diversity cost, if there are any; return a line on it."""
    limits, diversity = settings.quotas.limits, settings.diversity
    if not limits and not diversity:
        return {}, []
    loaded = open_model(checkpoint, settings.weights)
    wanted = _request(settings, wanted_selection(settings, data, loaded), rules)
    cost = cost_on_valid(loaded, data, wanted)
    line = describe_cost(cost)
    logger.info("%s", line)
    return {"quotas": limits, "diversity": diversity, "cost": cost}, [line]


def _read_rules(
    sources: Sources, config: IngestConfig, data: SplitData, users: Users, out: Path
) -> tuple[FileRules, Report]:
    if not any(sources.values()):
        return FileRules(), {}
    ids = pa.chunked_array(list(users.ids()))
    return read_rules(sources, config, data, ids, scratch=out)


def _request(settings: PredictConfig, selection: Selection | None, rules: FileRules) -> ListRequest:
    """Return what is the same for all users."""
    return ListRequest(
        settings.top_k,
        settings.exclude_seen,
        settings.batch_size,
        allowed=rules.allowed,
        selection=selection,
    )


@dataclass(frozen=True)
class RecommendChunk:
    """Computes the lists of a chunk of users, in any process."""

    checkpoint: Path
    data: SplitData
    settings: PredictConfig
    users: Users
    rules: FileRules

    def __call__(self) -> Callable[[int], Recommendations]:
        settings = self.settings
        loaded = open_model(self.checkpoint, settings.weights)
        wanted = _request(settings, wanted_selection(settings, self.data, loaded), self.rules)

        def make(number: int) -> Recommendations:
            histories, start = self.users.histories(number), self.users.start(number)
            own = self.rules.for_users(wanted, start, start + len(histories.offsets) - 1)
            return recommend(loaded, self.data.train_counts, histories, own)

        return make


def _write_all(users: Users, lists: Iterable[Recommendations], writer: ListWriter) -> None:
    """Write all chunks, and log the progress."""
    start = logged = time.monotonic()
    for user_ids, found in zip(users.ids(), lists, strict=True):
        writer.add(user_ids, found)
        if (now := time.monotonic()) - logged >= SECONDS_BETWEEN_LINES:
            logged, num_users = now, writer.counts["users"]
            logger.info("%d users so far, %.0f a second", num_users, num_users / (now - start))


class ListWriter(PredictionFiles):
    """Writes lists to Parquet and to a CSV for submission, and counts them."""

    def __init__(self, out: Path, ids: pa.Array, settings: PredictConfig) -> None:
        super().__init__(out, escape_formulas=settings.escape_formulas)
        self._ids = ids  # [V]
        self._top_k = settings.top_k
        self.counts = {"users": 0, "rows": 0, "cold_users": 0, "short_lists": 0}

    def add(self, user_ids: pa.Array, lists: Recommendations) -> None:
        """Write the lists of some users [U]."""
        listed = lists.items > 0  # [U, K]
        rows, places = np.nonzero(listed)
        sources = pa.array([SOURCE_MODEL, SOURCE_POPULAR])
        table = pa.table(
            {
                USER: user_ids.take(pa.array(rows)),
                ITEM: self._ids.take(pa.array(lists.items[listed] - 1)),
                RANK: pa.array((places + 1).astype(np.int32)),
                SCORE: pa.array(lists.scores[listed]),
                SOURCE: sources.take(pa.array(lists.is_popular[rows].astype(np.int8))),
            }
        )
        self.write(table, table.select([USER, ITEM]))
        self.counts["users"] += len(user_ids)
        self.counts["rows"] += len(rows)
        self.counts["cold_users"] += int(lists.is_popular.sum())
        self.counts["short_lists"] += int((listed.sum(axis=1) < self._top_k).sum())


def _headline(settings: PredictConfig, counts: Mapping[str, int]) -> list[str]:
    lines = [f"{counts['rows']} recommendations for {counts['users']} users"]
    if cold := counts["cold_users"]:
        lines.append(f"{cold} users without history got the most popular items")
    if short := counts["short_lists"]:
        lines.append(
            f"{short} lists are shorter than {settings.top_k}: no unseen items were left that the "
            "rules allow"
        )
    return lines
