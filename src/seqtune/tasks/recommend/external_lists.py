"""Lists of another system, and the ranks of held-out items in them.

A file has one row per user and item, with a column `rank` (1 is best) or `score` (highest is best);
`rank` counts if it has both. Candidates are those of the full ranking: listed items of the history
are passed over, ties count against the system, and what is not listed contributes nothing.

Shapes: N listed items, U users with a held-out item.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from seqtune.core.bootstrap import Bools, Floats
from seqtune.core.errors import DataError
from seqtune.core.task import Report

from .batches import Part, evaluation
from .data import Int64, SplitData
from .ingest.engine import fill
from .known_ids import MatchedFile, matched_file
from .params import IngestConfig
from .user_metrics import HeldOutItems

CHUNK_USERS = 1 << 16
UNLISTED = np.iinfo(np.int64).max
"""The rank of an item that is not listed: beyond every K."""
RANK, SCORE = "rank", "score"
_NEXT = (
    "Every row needs a user and an item of the split and a finite rank or score, once for each "
    "pair: leave out what `ingest` dropped, and write ids as in your interactions"
)
_REPEATED = (
    "row IN (SELECT row FROM matched WHERE user IS NOT NULL AND item IS NOT NULL "
    "QUALIFY row_number() OVER (PARTITION BY user, item ORDER BY row) > 1)"
)


@dataclass(frozen=True)
class ExternalLists:
    """The lists of one system."""

    path: str
    users: Int64  # [N], rising
    items: Int64  # [N]
    order: Floats  # [N], lowest is best

    @classmethod
    def read(cls, path: Path, config: IngestConfig, data: SplitData, *, scratch: Path) -> Self:
        """Read and check a file; raise one error with all faults."""
        columns = {"required": ("user", "item"), "optional": (RANK, SCORE)}
        with matched_file(path, config, data, **columns, scratch=scratch) as found:
            by = next((name for name in (RANK, SCORE) if name in found.loaded.columns), None)
            if by is None:
                raise DataError(
                    f"{found.path} has no column {RANK} and none {SCORE}; one of them must say in "
                    f"which order the items of a user are listed ({RANK} 1 or highest {SCORE} best)"
                )
            _refuse_faults(found, by)
            order = by if by == RANK else f"-{by}"
            query = "SELECT user, item, $order AS place FROM matched ORDER BY user, place, item"
            rows = found.table(fill(query, order=order))
            users, items = (np.asarray(rows[name], np.int64) for name in ("user", "item"))
            return cls(found.path, users, items, np.asarray(rows["place"], np.float64))

    def ranks(self, data: SplitData, part: Part, *, exclude_seen: bool) -> tuple[Int64, Report]:
        """Return the rank of each held-out item [U], and facts for the report."""
        held_out = HeldOutItems.of(data, part)
        rows = np.searchsorted(held_out.users, self.users)  # [N]
        known = rows < len(held_out.users)
        known[known] = held_out.users[rows[known]] == self.users[known]
        rows, items, order = rows[known], self.items[known], self.order[known]
        is_target = items == held_out.targets[rows]
        seen = ~is_target & _in_history(data, part, rows, items)
        is_listed = np.bincount(rows[is_target], minlength=len(held_out.users)) > 0
        limits = np.full(len(held_out.users), -np.inf)
        limits[rows[is_target]] = order[is_target]
        before = ~is_target & (order <= limits[rows])
        if exclude_seen:
            before &= ~seen
        ranks = np.bincount(rows[before], minlength=len(held_out.users))
        lengths = np.bincount(rows, minlength=len(held_out.users))
        return np.where(is_listed, ranks, UNLISTED), {
            "path": self.path,
            "users_without_list": int((lengths == 0).sum()),
            "longest_list": int(lengths.max(initial=0)),
            "items_of_the_history": int(seen.sum()),
            "listed_targets": int(is_listed.sum()),
        }


def _in_history(data: SplitData, part: Part, rows: Int64, items: Int64) -> Bools:
    """Mark the items [N] that the users of these rows [N] of a part had before their target."""
    histories = evaluation(data, part, max_len=2).histories
    width = data.num_items + 1
    found = np.zeros(len(rows), bool)
    for start in range(0, len(histories), CHUNK_USERS):
        users = np.arange(start, min(start + CHUNK_USERS, len(histories)))
        first, last = np.searchsorted(rows, [users[0], users[-1] + 1])
        of, had = histories.flat(users)
        keys = (of + start) * width + had
        found[first:last] = np.isin(rows[first:last] * width + items[first:last], keys)
    return found


def _refuse_faults(found: MatchedFile, by: str) -> None:
    rows = found.loaded.num_rows
    conditions = {
        "no user": "user_text IS NULL",
        "no item": "item_text IS NULL",
        f"no finite {by}": f"{by} IS NULL OR NOT isfinite({by})",
        "a user and an item that were listed before": _REPEATED,
    }
    faults = [
        f"{number} of {rows} rows have {what} ({found.places(condition)})"
        for what, condition in conditions.items()
        if (number := found.count(condition))
    ]
    faults = [*filter(None, (found.unknown("user"), found.unknown("item"))), *faults]
    if faults:
        raise DataError(f"{found.path}: {'; '.join(faults)}. {_NEXT}")
