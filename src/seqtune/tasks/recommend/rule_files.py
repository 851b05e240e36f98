"""Files of items to allow and to deny, for everybody or for each user.

Both have an item column, and may have a user column; rows without a user are for everybody. Rules
only take items away: a user with rows of their own among the allowed items gets no others, and of
these only those that are allowed for everybody, where such rows exist.

Shapes: U users to predict for, V items.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqtune.core.errors import ConfigurationError, DataError
from seqtune.core.task import Report, Sources

from .data import Int64, SplitData
from .ingest.engine import fill
from .known_ids import matched_file
from .params import IngestConfig
from .sequences import Bools, ListRequest, Sequences

logger = logging.getLogger(__name__)

ALLOW, DENY = "allow", "deny"
EVERYBODY, OTHER = -1, -2
"""In place of the position of a user."""
_ROWS = "SELECT coalesce(item, 0) AS item, $user AS user_text FROM matched"


@dataclass(frozen=True)
class FileRules:
    """What the files allow and deny. Picklable."""

    allowed: Bools | None = None  # [V]
    denied: Sequences | None = None  # of U users
    only: Sequences | None = None  # of U users

    def for_users(self, wanted: ListRequest, start: int, end: int) -> ListRequest:
        """Add the rules of some users to a request for their lists."""
        denied, only = _slice(self.denied, start, end), _slice(self.only, start, end)
        return replace(wanted, denied=denied, only=only)


def read_rules(
    sources: Sources,
    config: IngestConfig,
    data: SplitData,
    user_ids: pa.Array,  # [U]
    *,
    scratch: Path,
) -> tuple[FileRules, Report]:
    """Read the files; what is unknown is logged and counted."""
    found = {
        role: _read(sources[role], config, data, user_ids, scratch=scratch)
        for role in (ALLOW, DENY)
        if sources.get(role)
    }
    allowed = np.ones(data.num_items + 1, bool)
    if ALLOW in found and len(found[ALLOW].for_all):
        allowed[:] = False
        allowed[found[ALLOW].for_all] = True
    if DENY in found:
        allowed[found[DENY].for_all] = False
    allowed = allowed[1:]
    if not allowed.any():
        raise ConfigurationError(
            f"{_paths(sources)} leave none of the {data.num_items} items to recommend; take items "
            "out of the denied ones, or add some to the allowed ones"
        )
    rules = FileRules(
        allowed=None if allowed.all() else allowed,
        denied=found[DENY].known.of_users(len(user_ids)) if DENY in found else None,
        only=found[ALLOW].of_users(len(user_ids)) if ALLOW in found else None,
    )
    return rules, {role: each.facts for role, each in found.items()}


def _paths(sources: Sources) -> str:
    return " and ".join(str(path) for role in (ALLOW, DENY) for path in sources.get(role, ()))


def _slice(own: Sequences | None, start: int, end: int) -> Sequences | None:
    if own is None:
        return None
    offsets = own.offsets[start : end + 1]
    return Sequences(own.items[offsets[0] : offsets[-1]], offsets - offsets[0])


@dataclass(frozen=True)
class _Rows:
    """The rows of one kind of file."""

    users: Int64
    """Of each row the position among the users, or EVERYBODY."""
    items: Int64
    """0: unknown, which allows nothing."""
    facts: dict[str, int]

    @property
    def for_all(self) -> Int64:
        return np.asarray(self.items[self.users == EVERYBODY])

    @property
    def known(self) -> _Rows:
        return replace(self, users=self.users[self.items > 0], items=self.items[self.items > 0])

    def of_users(self, num_users: int) -> Sequences | None:
        own = self.users != EVERYBODY
        if not own.any():
            return None
        order = np.argsort(self.users[own], kind="stable")
        counts = np.bincount(self.users[own], minlength=num_users)
        items = self.items[own][order].astype(np.int32)
        return Sequences(items, np.concatenate([[0], np.cumsum(counts)]))


def _read(
    paths: tuple[Path, ...],
    config: IngestConfig,
    data: SplitData,
    user_ids: pa.Array,
    *,
    scratch: Path,
) -> _Rows:
    parts = [_read_file(path, config, data, user_ids, scratch=scratch) for path in paths]
    names = parts[0].facts
    return _Rows(
        np.concatenate([part.users for part in parts]),
        np.concatenate([part.items for part in parts]),
        {name: sum(part.facts[name] for part in parts) for name in names},
    )


def _read_file(
    path: Path, config: IngestConfig, data: SplitData, user_ids: pa.Array, *, scratch: Path
) -> _Rows:
    columns = {"required": ("item",), "optional": ("user",)}
    with matched_file(path, config, data, **columns, scratch=scratch) as found:
        if num_empty := found.count("item_text IS NULL"):
            raise DataError(
                f"{path}: {num_empty} of {found.loaded.num_rows} rows have no item "
                f"({found.places('item_text IS NULL')}). Every row needs one; a row without a user "
                "is for everybody"
            )
        if unknown := found.unknown("item"):
            logger.warning("%s: %s can be neither denied nor recommended", path, unknown)
        user = "user_text" if "user_key" in found.loaded.columns else "CAST(NULL AS VARCHAR)"
        rows = found.table(fill(_ROWS, user=user))
        num_rows = found.loaded.num_rows
    users, items = _positions(rows["user_text"], user_ids), np.asarray(rows["item"], np.int64)
    is_other = users == OTHER
    if is_other.any():
        logger.warning("%s: %d rows are skipped: their users are others", path, is_other.sum())
    facts = {
        "rows": num_rows,
        "unknown_items": int((items == 0).sum()),
        "other_users": int(is_other.sum()),
    }
    return _Rows(users[~is_other], items[~is_other], facts)


def _positions(texts: pa.ChunkedArray, user_ids: pa.Array) -> Int64:
    """Return the position of each user among `user_ids`."""
    known = pc.index_in(texts, value_set=pc.cast(user_ids, pa.string()))
    found = np.asarray(pc.fill_null(known, OTHER), np.int64)
    return np.where(np.asarray(pc.is_null(texts)), EVERYBODY, found)
