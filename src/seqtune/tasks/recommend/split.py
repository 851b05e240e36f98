"""Split interactions into the folder described in data.py.

Two passes over the Parquet file: the first measures every user's sequence, the second copies the
items to disk in batches. Memory grows with users and items, not with interactions.

Targets by position in a user's sequence:

    last_item  the last item is the test target and the one before it the validation target
               (test_items 0: the last is the validation target). A user keeps at least one
               training item: with two items only the last is a target, with one item none is.
    temporal   two cuts in time. A user's first item in a period is the target of that period, if
               earlier items exist. Training uses the items before the first cut.

Legend: U users, V items, N interactions, R rows of a batch.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seqtune.core.columns import ITEM, ITEM_ID, TIME, USER
from seqtune.core.errors import ConfigurationError
from seqtune.core.manifests import sum_files
from seqtune.core.resolve import require_made_with
from seqtune.core.task import Report

from .data import (
    ARRAYS,
    ITEMS_TABLE,
    MANIFEST,
    USERS_TABLE,
    Int32,
    Int64,
    SplitManifest,
    content_hash,
)
from .ingest import InteractionsManifest, read_manifest
from .ingest.engine import connect, fill, identifier, path_literal
from .ingest.manifest import INTERACTIONS, ITEMS, USERS, side_file
from .ingest.times import TimeKind, iso
from .params import RecommendConfig, SplitConfig
from .side_values import number_side

BATCH_ROWS = 1 << 20


@dataclass(frozen=True)
class Cuts:
    """Times at which the periods of a temporal split begin; None for no test period."""

    valid: int
    test: int | None


@dataclass(frozen=True)
class HistoryLengths:
    """Number of interactions of each user before each period begins."""

    valid: Int64  # [U]
    test: Int64  # [U]


@dataclass(frozen=True)
class Targets:
    """End of training and positions of the targets, by user."""

    train_end: Int32  # [U]
    valid_at: Int32  # [U], -1 for none
    test_at: Int32  # [U], -1 for none


def split(interactions: Path, config: RecommendConfig, *, out: Path) -> Report:
    """Hold out targets and write everything as flat arrays."""
    source = read_manifest(interactions)
    require_made_with(config, source.made_with, what=str(interactions))
    file = interactions / INTERACTIONS
    is_temporal = config.split.strategy == "temporal" and not config.split.use_full_data
    cuts = _find_cuts(file, source, config.split, temporary=out) if is_temporal else None
    lengths, before = measure(file, source.num_users, cuts)
    targets = hold_out(lengths, before, config.split)
    train_counts = _write_arrays(file, source, lengths, targets, out=out)
    kinds = config.ingest.sides.kinds
    sides = {
        name: number_side(
            interactions / side_file(name), name, kinds[name], source.num_items, out=out
        )
        for name in source.sides
    }
    shutil.copyfile(interactions / ITEMS, out / ITEMS_TABLE)
    shutil.copyfile(interactions / USERS, out / USERS_TABLE)
    manifest = SplitManifest(
        files=sum_files(out),
        num_users=source.num_users,
        num_items=source.num_items,
        num_interactions=source.num_interactions,
        content_hash=_hash_arrays(out, tuple(sides)),
        vocabulary_hash=vocabulary_hash(out / ITEMS_TABLE),
        sides=sides,
        use_full_data=config.split.use_full_data,
        made_with={**source.made_with, "split": config.split.model_dump(mode="json")},
    )
    report = _report(manifest, config.split, lengths, targets, train_counts)
    if cuts:
        report["cuts"] = {
            "valid_from": shown_time(source.time, cuts.valid),
            "test_from": None if cuts.test is None else shown_time(source.time, cuts.test),
        }
    report["warnings"] = _warnings(report, config.split)
    (out / MANIFEST).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
    return report


def batches(file: Path, columns: list[str]) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Yield the rows of a Parquet file in batches, as arrays [R]."""
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            yield {name: batch.column(name).to_numpy() for name in columns}


def _find_cuts(
    file: Path, source: InteractionsManifest, config: SplitConfig, *, temporary: Path
) -> Cuts:
    """Return times such that at least the wanted shares of interactions lie at or after them."""
    if source.time == "order":
        raise ConfigurationError(
            "recommend.split.strategy=temporal needs times, and the interactions have none; set "
            "recommend.ingest.columns.time to their column and run ingest again, or set "
            "recommend.split.strategy=last_item"
        )
    num_test = math.ceil(source.num_interactions * config.test_share)
    num_later = math.ceil(source.num_interactions * (config.valid_share + config.test_share))
    ranks = (source.num_interactions, num_later, max(num_test, 1))
    earliest, valid, test = _latest_times(file, ranks, temporary=temporary)
    cuts = Cuts(valid=valid, test=test if num_test else None)
    if valid == earliest or cuts.test == valid:
        times = [shown_time(source.time, time) for time in (earliest, valid, test)]
        raise ConfigurationError(
            f"recommend.split: valid_share={config.valid_share} and test_share="
            f"{config.test_share} of {source.num_interactions} interactions cannot be cut by time, "
            f"because too many have the same time: the log begins at {times[0]}, valid would begin "
            f"at {times[1]}, test at {times[2]}, so a part would be empty. Change the shares, or "
            "set recommend.split.strategy=last_item"
        )
    return cuts


def _latest_times(file: Path, ranks: tuple[int, ...], *, temporary: Path) -> list[int]:
    """Return the times at these ranks (from 1), latest first; spills to disk."""
    query = fill(
        "SELECT $time FROM read_parquet($path) ORDER BY 1 DESC LIMIT 1 OFFSET ?",
        time=identifier(TIME),
        path=path_literal(file),
    )
    with (
        tempfile.TemporaryDirectory(prefix=".split-", dir=temporary) as folder,
        connect(Path(folder)) as connection,
    ):
        return [connection.execute(query, [rank - 1]).fetchall()[0][0] for rank in ranks]


def shown_time(kind: TimeKind, time: int) -> str | int | float:
    """Return a time in readable form."""
    if kind == "timestamp":
        return iso(time)
    return time / 1e6 if kind == "fraction" else time


def measure(file: Path, num_users: int, cuts: Cuts | None) -> tuple[Int64, HistoryLengths | None]:
    """Return the length of every user's sequence [U], and where the periods begin in it."""
    lengths = np.zeros(num_users, dtype=np.int64)
    valid, test = np.zeros_like(lengths), np.zeros_like(lengths)
    for rows in batches(file, [USER, TIME] if cuts else [USER]):
        _count_users(rows[USER], None, lengths)
        if cuts:
            _count_users(rows[USER], rows[TIME] < cuts.valid, valid)
            _count_users(rows[USER], None if cuts.test is None else rows[TIME] < cuts.test, test)
    return lengths, HistoryLengths(valid=valid, test=test) if cuts else None


def _count_users(user: npt.NDArray[Any], which: npt.NDArray[Any] | None, counts: Int64) -> None:
    """Add the rows of a batch (sorted by user) to `counts`, in place."""
    first = int(user[0])
    found = np.bincount((user if which is None else user[which]) - first)
    counts[first : first + len(found)] += found


def hold_out(lengths: Int64, before: HistoryLengths | None, config: SplitConfig) -> Targets:
    """Return the position of each target, and where training ends."""
    train_end, valid, test = lengths, np.full_like(lengths, -1), np.full_like(lengths, -1)
    if before and not config.use_full_data:
        train_end = before.valid
        valid = np.where((before.valid > 0) & (before.valid < before.test), before.valid, -1)
        test = np.where((before.test > 0) & (before.test < lengths), before.test, -1)
    elif not config.use_full_data:
        num_targets = np.minimum(config.test_items + 1, lengths - 1)
        train_end = lengths - num_targets
        valid = np.where(num_targets >= 1, lengths - 1, -1)
        if config.test_items:
            valid, test = np.where(num_targets >= 2, lengths - 2, -1), valid
    return Targets(*(array.astype(np.int32) for array in (train_end, valid, test)))


def _write_arrays(
    file: Path, source: InteractionsManifest, lengths: Int64, targets: Targets, *, out: Path
) -> Int64:
    """Write the arrays of data.py; return how often each item occurs in training [V + 1]."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])  # [U + 1]
    train_counts = np.zeros(source.num_items + 1, dtype=np.int64)
    with open_array(out, "items", source.num_interactions) as items:
        position = 0
        for rows in batches(file, [USER, ITEM]):
            user, item = rows[USER], rows[ITEM]
            place = np.arange(position, position + len(user)) - offsets[user]  # [R]
            seen = np.bincount(item[place < targets.train_end[user]])
            train_counts[: len(seen)] += seen
            position += len(user)
            items.write(item.tobytes())
    small = {
        "offsets": offsets,
        "train_end": targets.train_end,
        "valid_at": targets.valid_at,
        "test_at": targets.test_at,
        "train_counts": train_counts,
    }
    for name, array in small.items():
        np.save(out / f"{name}.npy", array.astype(ARRAYS[name]), allow_pickle=False)
    return train_counts


@contextmanager
def open_array(out: Path, name: str, length: int) -> Iterator[IO[bytes]]:
    """Open an .npy file of known length, to be filled in order.

    Not a memory map: writing one on a full disk kills the process by SIGBUS instead of raising.
    """
    dtype = np.dtype(ARRAYS[name])
    header = {"descr": dtype.str, "fortran_order": False, "shape": (length,)}
    with (out / f"{name}.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        yield file


def _hash_arrays(out: Path, sides: tuple[str, ...]) -> str:
    names = [*ARRAYS, *(f"side_{side}_{part}" for side in sides for part in ("values", "offsets"))]
    return content_hash(
        {name: np.load(out / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
    )


def vocabulary_hash(items: Path) -> str:
    """Return the sha256 of the raw item ids, in the order of their numbers, and their type."""
    ids = pq.read_table(items, columns=[ITEM_ID]).column(ITEM_ID)
    is_integer = pa.types.is_integer(ids.type)
    digest = sha256(b"integer;" if is_integer else b"string;")
    if is_integer:
        digest.update(ids.to_numpy().astype("<i8").tobytes())
        return digest.hexdigest()
    texts = [text.encode() for text in ids.to_pylist()]
    digest.update(np.array([len(text) for text in texts], dtype="<i8").tobytes())
    digest.update(b"".join(texts))
    return digest.hexdigest()


def _report(
    manifest: SplitManifest,
    config: SplitConfig,
    lengths: Int64,
    targets: Targets,
    train_counts: Int64,
) -> Report:
    """Report the number of targets, the training part and the hashes."""
    parts = {"valid": targets.valid_at, "test": targets.test_at}
    num_targets = {name: int((position >= 0).sum()) for name, position in parts.items()}
    num_train = int(targets.train_end.sum(dtype=np.int64))
    is_last_item = config.strategy == "last_item" and not config.use_full_data
    num_too_short = int((lengths < config.test_items + 2).sum()) if is_last_item else 0
    return {
        "strategy": "use_full_data" if config.use_full_data else config.strategy,
        "users": manifest.num_users,
        "items": manifest.num_items,
        "interactions": manifest.num_interactions,
        "users_with_target": num_targets,
        "train_interactions": num_train,
        "train_share": num_train / manifest.num_interactions,
        "users_without_training": int((targets.train_end == 0).sum()),
        "items_without_training": int((train_counts[1:] == 0).sum()),
        "users_too_short": num_too_short,
        "sides": dict(manifest.sides),
        "content_hash": manifest.content_hash,
        "vocabulary_hash": manifest.vocabulary_hash,
    }


def _warnings(report: Report, config: SplitConfig) -> list[str]:
    found = []
    if report["users_too_short"]:
        found.append(
            f"{report['users_too_short']} users have fewer than {config.test_items + 2} "
            "interactions: they keep one training item and have fewer targets, or none"
        )
    if not config.use_full_data and not report["users_with_target"]["valid"]:
        found.append("no user has a validation target, so validation can select nothing")
    if report["items_without_training"]:
        found.append(
            f"{report['items_without_training']} items do not occur in the training part: as "
            "targets they can hardly be hit"
        )
    if report["users_without_training"]:
        found.append(f"{report['users_without_training']} users begin after the first cut")
    found += [f"{name}: no values" for name, num in report["sides"].items() if not num]
    return found
