"""Turn raw files into a folder of validated, numbered, ordered interactions (see manifest.py)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seqtune.core import manifests
from seqtune.core.columns import COUNT, ITEM, ITEM_ID, USER, USER_ID
from seqtune.core.errors import ConfigurationError, DataError
from seqtune.core.task import Report

from ..params import IngestConfig, RecommendConfig, side_names
from .engine import connect, fill, identifier, literal
from .ids import FIRST
from .log import Log, read_log
from .manifest import INTERACTIONS, ITEMS, USERS, InteractionsManifest
from .ordering import (
    PIECE_ROWS,
    InteractionsWriter,
    OrderingRules,
    cut_users,
    renumber_items,
    sort_pieces,
)
from .report import IngestCounts, build_report, length_summary
from .sides import ingest_side


def ingest(
    sources: Mapping[str, tuple[Path, ...]], config: RecommendConfig, *, out: Path
) -> Report:
    """Check, number and order the interactions and side tables; return the report."""
    side_files = {name: paths for name in side_names(config) if (paths := sources.get(name))}
    _require_files(sources, config)
    with (
        tempfile.TemporaryDirectory(prefix=".ingest-", dir=out) as folder,
        connect(Path(folder)) as connection,
    ):
        temporary = Path(folder)
        log = read_log(connection, sources["interactions"], config.ingest, temporary)
        tally = _write_log(connection, log, config.ingest, temporary, out)
        sides = {
            name: ingest_side(connection, name, paths, config.ingest, temporary=temporary, out=out)
            for name, paths in side_files.items()
        }
        num_repeats = 0
        if log.clock.kind == "order":
            pair = "(CAST(user AS BIGINT) << 32) | item"
            counts = fill("SELECT count(*) - count(DISTINCT $pair) FROM numbered", pair=pair)
            (num_repeats,) = connection.execute(counts).fetchall()[0]
    report = build_report(
        log,
        tally,
        duplicates_kept=config.ingest.on_duplicates == "keep",
        num_repeats=num_repeats,
        sides=sides,
        side_files=side_files,
    )
    InteractionsManifest(
        files=manifests.sum_files(out),
        num_users=report["users"],
        num_items=report["items"],
        num_interactions=tally.num_rows,
        user_id_type=log.users.type,
        item_id_type=log.items.type,
        time=log.clock.kind,
        sides={name: side["rows_kept"] for name, side in sides.items()},
        made_with={"ingest": config.ingest.model_dump(mode="json")},
    ).write(out)
    return report


def _require_files(sources: Mapping[str, tuple[Path, ...]], config: RecommendConfig) -> None:
    if not sources.get("interactions"):
        raise DataError("there is no file of interactions; see recommend.raw_interactions")
    faults = [
        f"{config.model.how_switched(name)}, but there is no file of it; put it where "
        "recommend.raw_sides in the catalog looks for it, or switch it off"
        for name in config.model.sides
        if not sources.get(name)
    ]
    if faults:
        raise ConfigurationError(faults)


def _write_log(
    connection: duckdb.DuckDBPyConnection,
    log: Log,
    config: IngestConfig,
    temporary: Path,
    out: Path,
) -> IngestCounts:
    """Write interactions, users and items."""
    rules = OrderingRules(
        min_interactions=config.min_interactions,
        find_duplicates=log.clock.kind != "order",
        drop_duplicates=config.on_duplicates != "keep",
    )
    lengths = connection.sql("SELECT num_rows FROM users ORDER BY number").to_arrow_table()
    ranges = cut_users(lengths["num_rows"].to_numpy(), piece_rows=PIECE_ROWS)
    tally = IngestCounts(num_items=log.items.num, min_interactions=config.min_interactions)
    with InteractionsWriter(out / INTERACTIONS) as writer:
        for piece in sort_pieces(connection, ranges, log.layout, rules):
            writer.write(piece)
            tally.add(piece)
    _require_rows(connection, log, tally, config)
    kept = np.flatnonzero(tally.item_counts).astype(np.int32)
    if len(kept) < log.items.num:
        numbers = np.cumsum(tally.item_counts > 0, dtype=np.int32)
        renumber_items(out / INTERACTIONS, numbers, temporary=temporary)
    users = np.concatenate(tally.users)
    _write_ids(connection, "users", users, names=(USER, USER_ID), out=out)
    counts = tally.item_counts[kept]
    _write_ids(connection, "items", kept, names=(ITEM, ITEM_ID, COUNT), counts=counts, out=out)
    return tally


def _require_rows(
    connection: duckdb.DuckDBPyConnection, log: Log, tally: IngestCounts, config: IngestConfig
) -> None:
    loaded = log.loaded
    if tally.num_duplicates and config.on_duplicates == "error":
        rows = connection.execute(
            "SELECT row FROM (SELECT row, row_number() OVER "
            "(PARTITION BY user, item, time ORDER BY row) AS nth FROM numbered) "
            "WHERE nth > 1 ORDER BY row LIMIT ?",
            [config.max_examples],
        ).fetchall()
        raise DataError(
            f"{loaded.paths}: {tally.num_duplicates} of {loaded.num_rows} rows repeat an earlier "
            f"one in user, item and time ({loaded.places([row for (row,) in rows])}); remove "
            "them, or set recommend.ingest.on_duplicates to drop (keep the first, count the rest) "
            "or keep"
        )
    num_users = sum(map(len, tally.lengths))
    if num_users >= 2:
        return
    summary = length_summary(np.concatenate(tally.all_lengths))
    lengths = ", ".join(f"{name} {value:g}" for name, value in summary.items())
    raise DataError(
        f"{loaded.paths}: {'none' if num_users == 0 else 'only one'} of the {log.users.num} users "
        f"has at least min_interactions={config.min_interactions} interactions, and 2 such users "
        f"are needed; interactions a user: {lengths}. Lower "
        "recommend.ingest.min_interactions, or check that "
        f"column {loaded.columns['user_key']!r} is the user"
    )


def _write_ids(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    kept: npt.NDArray[np.int32],
    *,
    names: Sequence[str],
    out: Path,
    counts: npt.NDArray[np.int64] | None = None,
) -> None:
    """Write the raw ids that were kept, also to the table `kept_<table>(number, id, count)`."""
    first = FIRST["user" if table == "users" else "item"]
    numbers = np.arange(first, first + len(kept), dtype=np.int32)
    counts = np.zeros(len(kept), dtype=np.int64) if counts is None else counts
    connection.register("kept", pa.table({"old": kept, "number": numbers, "count": counts}))
    connection.execute(
        fill(
            "CREATE TABLE kept_$table AS SELECT k.number, t.id, k.count "
            "FROM kept k JOIN $table t ON t.number = k.old ORDER BY k.number",
            table=table,
        )
    )
    connection.unregister("kept")
    columns = zip(("number", "id", "count"), names, strict=False)
    connection.execute(
        fill(
            "COPY (SELECT $columns FROM kept_$table ORDER BY number) TO $path (FORMAT parquet)",
            columns=", ".join(f"{column} AS {identifier(name)}" for column, name in columns),
            table=table,
            path=literal(str(out / {"users": USERS, "items": ITEMS}[table])),
        )
    )
