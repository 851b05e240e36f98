"""The ingest report: what was read, what was left out and why, what the log looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqtune.core.task import Report

from .loading import Loaded
from .log import Log
from .ordering import Int32, Int64, Piece
from .times import time_range

_QUANTILES = {"min": 0.0, "p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}


@dataclass
class IngestCounts:
    """Sums over all pieces."""

    num_items: int
    min_interactions: int
    num_rows: int = 0
    num_duplicates: int = 0
    short_rows: int = 0
    short_users: int = 0
    first_time: int = np.iinfo(np.int64).max
    last_time: int = np.iinfo(np.int64).min
    lengths: list[Int64] = field(default_factory=list)
    all_lengths: list[Int64] = field(default_factory=list)
    users: list[Int32] = field(default_factory=list)
    item_counts: Int64 = field(init=False)
    """How often each item 0..num_items was kept."""

    def __post_init__(self) -> None:
        self.item_counts = np.zeros(self.num_items + 1, dtype=np.int64)

    def add(self, piece: Piece) -> None:
        """Add a piece."""
        short = piece.all_lengths[piece.all_lengths < self.min_interactions]
        self.num_rows += len(piece.items)
        self.num_duplicates += piece.num_duplicates
        self.short_rows += int(short.sum())
        self.short_users += len(short)
        self.lengths.append(piece.lengths)
        self.all_lengths.append(piece.all_lengths)
        self.users.append(piece.users)
        self.item_counts += np.bincount(piece.items, minlength=self.num_items + 1)
        if len(piece.times):
            self.first_time = min(self.first_time, int(piece.times.min()))
            self.last_time = max(self.last_time, int(piece.times.max()))


def length_summary(lengths: npt.NDArray[np.int64]) -> dict[str, int | float]:
    """Return quantiles that occur in the data, and the mean."""
    values = np.quantile(lengths, list(_QUANTILES.values()), method="inverted_cdf")
    quantiles = dict(zip(_QUANTILES, map(int, values), strict=True))
    return {**quantiles, "mean": round(float(lengths.mean()), 2)}


def build_report(
    log: Log,
    tally: IngestCounts,
    *,
    duplicates_kept: bool,
    num_repeats: int,
    sides: Mapping[str, Report],
    side_files: Mapping[str, tuple[Path, ...]],
) -> Report:
    """Return the report, ready for JSON."""
    lengths = np.concatenate(tally.lengths)
    num_items = int(np.count_nonzero(tally.item_counts))
    rows_dropped = {
        "null": log.dropped.null,
        "bad_time": log.dropped.bad_time,
        "duplicate": 0 if duplicates_kept else tally.num_duplicates,
        "short_user": tally.short_rows,
    }
    return {
        "rows_read": log.loaded.num_rows,
        "rows_kept": tally.num_rows,
        "rows_dropped": rows_dropped,
        "users": len(lengths),
        "users_dropped": tally.short_users,
        "items": num_items,
        "items_dropped": log.items.num - num_items,
        "density": tally.num_rows / (len(lengths) * num_items),
        "length": length_summary(lengths),
        "time": time_range(log.clock.kind, tally.first_time, tally.last_time),
        "id_types": {"user": log.users.type, "item": log.items.type},
        "sides": dict(sides),
        "files": [*_log_files(log.loaded), *_side_files(side_files)],
        "warnings": [
            *log.users.notes,
            *log.items.notes,
            *log.clock.notes,
            *_warnings(rows_dropped, tally, duplicates_kept, num_repeats, log),
            *_side_warnings(sides, num_items),
        ],
    }


def _log_files(loaded: Loaded) -> list[Report]:
    return [
        {
            "role": "interactions",
            "path": str(source.path),
            "bytes": source.path.stat().st_size,
            "rows": loaded.starts[number + 1] - loaded.starts[number],
        }
        for number, source in enumerate(loaded.sources)
    ]


def _side_files(side_files: Mapping[str, tuple[Path, ...]]) -> list[Report]:
    return [
        {"role": name, "path": str(path), "bytes": path.stat().st_size}
        for name, paths in side_files.items()
        for path in paths
    ]


def _warnings(
    rows_dropped: Mapping[str, int],
    tally: IngestCounts,
    duplicates_kept: bool,
    num_repeats: int,
    log: Log,
) -> list[str]:
    texts = {
        "null": "rows with an empty field were left out (on_null=drop)",
        "bad_time": "rows without a usable time were left out (on_bad_time=drop)",
        "duplicate": "rows that repeat an earlier one were left out (on_duplicates=drop)",
        "short_user": f"rows of {tally.short_users} users below min_interactions were left out",
    }
    found = [f"{rows_dropped[why]} {text}" for why, text in texts.items() if rows_dropped[why]]
    if log.clock.kind != "order" and tally.first_time == tally.last_time:
        found.append("all times are equal, so the order of the rows counts")
    if duplicates_kept and tally.num_duplicates:
        found.append(f"{tally.num_duplicates} rows repeat an earlier one (on_duplicates=keep)")
    if num_repeats:
        found.append(
            f"{num_repeats} rows name an item that the user had before; without times they cannot "
            "be told from duplicates, and are kept"
        )
    num_rows = np.diff(log.loaded.starts)
    if (num_rows == 0).any():
        empty = [s.path for s, num in zip(log.loaded.sources, num_rows, strict=True) if num == 0]
        found.append(f"{len(empty)} files have a header but no rows: {', '.join(map(str, empty))}")
    return found


def _side_warnings(sides: Mapping[str, Report], num_items: int) -> list[str]:
    found = []
    for name, side in sides.items():
        for why, num in side["rows_dropped"].items():
            if num:
                found.append(f"{name}: {num} rows left out ({why.replace('_', ' ')})")
        if side["items"] < num_items:
            found.append(f"{name}: {num_items - side['items']} of {num_items} items have no value")
    return found
