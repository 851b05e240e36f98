"""Raw files -> a folder of validated, numbered, ordered interactions (see manifest.py)."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seqtune.contracts.columns import COUNT, ITEM, ITEM_ID, USER, USER_ID
from seqtune.contracts.errors import ConfigurationError, DataError
from seqtune.contracts.task import Report

from ..params import SIDES, IngestConfig, RecommendConfig
from .checks import Dropped, check_rows
from .engine import connect, fill, identifier, is_shortage, literal
from .ids import FIRST, Ids, number_ids
from .loading import TIME_RAW, WHOLE, Loaded, is_exact, load, plain_types
from .manifest import INTERACTIONS, ITEMS, USERS, InteractionsManifest
from .ordering import (
    PIECE_ROWS,
    InteractionsWriter,
    Rules,
    arrays,
    count_items,
    cut_users,
    pieces,
    renumber_items,
)
from .report import Tally, build_report, length_summary
from .sides import ingest_side
from .sources import Source, examine, same_columns
from .times import Clock, detect_clock
from .words import Layout, UserRange, find_layout

logger = logging.getLogger(__name__)

_SETTINGS = "recommend.ingest.columns"


@dataclass(frozen=True)
class Log:
    """The interactions as far as DuckDB takes them: `numbered(user, item, time, row)`."""

    loaded: Loaded
    clock: Clock
    dropped: Dropped
    users: Ids
    items: Ids
    layout: Layout
    is_view: bool
    """`numbered` is computed when it is read, and best cut by the users' own ids."""


def ingest(
    sources: Mapping[str, tuple[Path, ...]], config: RecommendConfig, *, out: Path
) -> Report:
    """Check, number and order the interactions and side tables; the report says what was found."""
    side_files = {name: paths for name in SIDES if (paths := sources.get(name, ()))}
    _require_files(sources, config)
    with (
        tempfile.TemporaryDirectory(prefix=".ingest-", dir=out) as temporary,
        connect(Path(temporary)) as connection,
    ):
        log = _read(connection, sources["interactions"], config.ingest, Path(temporary))
        tally, num_items = _write_log(connection, log, config.ingest, Path(temporary), out)
        sides = {
            name: ingest_side(
                connection, name, paths, config.ingest, temporary=Path(temporary), out=out
            )
            for name, paths in side_files.items()
        }
        num_repeats = 0 if TIME_RAW in log.loaded.types else _count_repeats(connection)
    report = build_report(
        log.loaded,
        dropped=log.dropped,
        tally=tally,
        users=log.users,
        items=log.items,
        num_items=num_items,
        time=log.clock.kind,
        duplicates_kept=config.ingest.on_duplicates == "keep",
        num_repeats=num_repeats,
        sides=sides,
        side_files=side_files,
    )
    InteractionsManifest(
        num_users=report["users"],
        num_items=num_items,
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
        f"recommend.model.use_{name}_emb=true needs the file of the catalog entry "
        f"recommend.raw_{name}, and there is none; put it there, or set the switch to false"
        for name in config.model.sides
        if not sources.get(name)
    ]
    if faults:
        raise ConfigurationError(faults)


def _read(
    connection: duckdb.DuckDBPyConnection,
    paths: tuple[Path, ...],
    config: IngestConfig,
    temporary: Path,
) -> Log:
    columns = {"user_key": config.columns.user, "item_key": config.columns.item}
    settings = [f"{_SETTINGS}.user", f"{_SETTINGS}.item"]
    if config.columns.time is not None:
        columns[TIME_RAW] = config.columns.time
        settings.append(f"{_SETTINGS}.time")
    names = tuple(columns.values())
    files = tuple(
        examine(
            path,
            config,
            wanted=names,
            settings=settings,
            temporary=temporary,
            connection=connection,
        )
        for path in paths
    )
    same_columns(files)
    if types := plain_types(files, columns, config):
        log = _number_plain(connection, files, columns, config, types)
        if log is not None:
            return log
        connection.execute("DROP VIEW IF EXISTS numbered")
        logger.info("not only whole numbers in %s: reading it as text", paths[0])
    return _number(connection, load(connection, files, columns, config, table="raw"), config)


def _number_plain(
    connection: duckdb.DuckDBPyConnection,
    files: tuple[Source, ...],
    columns: Mapping[str, str],
    config: IngestConfig,
    types: Mapping[str, str],
) -> Log | None:
    """The fast way; None where a file holds anything but canonical whole numbers."""
    try:
        loaded = load(connection, files, columns, config, table="raw", plain=types)
        log = _number(connection, loaded, config)
    except DataError:
        return None  # said again, in the file's own words, when it is read as text
    except duckdb.Error as error:
        if is_shortage(error):
            raise
        return None
    num_digits = log.users.num_digits + log.items.num_digits + _time_digits(connection, loaded)
    return log if is_exact(loaded, num_digits=num_digits) else None


def _time_digits(connection: duckdb.DuckDBPyConnection, loaded: Loaded) -> int:
    if TIME_RAW not in loaded.types:
        return 0
    low, high = connection.execute("SELECT min(time_raw), max(time_raw) FROM raw").fetchall()[0]
    if len(str(low)) == len(str(high)):
        return len(str(low)) * loaded.num_rows
    query = "SELECT sum(strlen(CAST(time_raw AS VARCHAR))) FROM raw"
    return int(connection.execute(query).fetchall()[0][0])


def _number(connection: duckdb.DuckDBPyConnection, loaded: Loaded, config: IngestConfig) -> Log:
    clock = detect_clock(connection, loaded)
    dropped = check_rows(connection, loaded, clock, config)
    users = number_ids(connection, loaded, "user", config)
    items = number_ids(connection, loaded, "item", config)
    for ids, others in ((users, "another user"), (items, "another item")):
        if ids.num < 2:
            raise DataError(
                f"{loaded.paths}: column {loaded.columns[f'{ids.role}_key']!r} holds one "
                f"{ids.role} only; recommending needs at least 2 {ids.role}s. Is it the right "
                f"column ({_SETTINGS}.{ids.role})? If it is, add rows of {others}"
            )
    is_view = loaded.types["user_key"] in WHOLE and loaded.types["item_key"] in WHOLE
    connection.execute(
        fill(
            "CREATE OR REPLACE $what numbered AS "
            "SELECT $user AS user, $item AS item, g.time, g.row$key FROM good g $joins",
            what="VIEW" if is_view else "TABLE",
            user=_numbered(users),
            item=_numbered(items),
            key=", g.user_key" if is_view else "",
            joins=" ".join(
                f"JOIN {ids.role}s ON {ids.role}s.key = g.{ids.role}_key"
                for ids in (users, items)
                if ids.offset is None
            ),
        )
    )
    if not is_view:  # text is dear to join and to hold, so that is done once
        connection.execute("DROP VIEW good")
        connection.execute("DROP TABLE raw")
    times = "good" if is_view else "numbered"
    layout = find_layout(connection, times, num_items=items.num, kind=clock.kind)
    return Log(loaded, clock, dropped, users, items, layout, is_view)


def _numbered(ids: Ids) -> str:
    if ids.offset is None:
        return f"{ids.role}s.number"
    return f"CAST(CAST(g.{ids.role}_key AS BIGINT) - ({ids.offset}) AS INTEGER)"


def _write_log(
    connection: duckdb.DuckDBPyConnection,
    log: Log,
    config: IngestConfig,
    temporary: Path,
    out: Path,
) -> tuple[Tally, int]:
    """Write interactions, users and items; returns the tally and the number of items."""
    rules = Rules(
        min_interactions=config.min_interactions,
        find_duplicates=log.clock.kind != "order",
        drop_duplicates=config.on_duplicates != "keep",
    )
    tally = Tally()
    path = out / INTERACTIONS
    with InteractionsWriter(path) as writer:
        ranges = _ranges(connection, log)
        for piece in pieces(connection, ranges, log.layout, rules, temporary=temporary):
            writer.write(piece)
            tally.add(piece, min_interactions=config.min_interactions)
    _require_rows(connection, log, tally, config)
    item_counts = _item_counts(connection, log, tally, path)
    kept = np.flatnonzero(item_counts).astype(np.int32)
    if len(kept) < log.items.num:
        renumber_items(path, np.cumsum(item_counts > 0, dtype=np.int32), temporary=temporary)
    users = np.concatenate(tally.users)
    _write_ids(connection, "users", users, names=(USER, USER_ID), out=out)
    counts = item_counts[kept]
    _write_ids(connection, "items", kept, names=(ITEM, ITEM_ID, COUNT), counts=counts, out=out)
    return tally, len(kept)


def _item_counts(
    connection: duckdb.DuckDBPyConnection, log: Log, tally: Tally, path: Path
) -> npt.NDArray[np.int64]:
    """How often each item was written: as when it was numbered, unless rows were left out since."""
    numbered = arrays(connection.execute("SELECT num_rows FROM items ORDER BY number"))["num_rows"]
    if numbered.sum() == tally.num_rows:
        return np.concatenate([[0], numbered])
    return count_items(path, log.items.num)


def _ranges(connection: duckdb.DuckDBPyConnection, log: Log) -> list[UserRange]:
    """Pieces of whole users; a view is cut by what is in its files, to join less."""
    users = arrays(connection.execute("SELECT key, num_rows FROM users ORDER BY number"))
    keys = users["key"] if log.is_view else range(log.users.num)
    column = "user_key" if log.is_view else "user"
    return cut_users(
        users["num_rows"],
        layout=log.layout,
        piece_rows=PIECE_ROWS,
        condition=lambda first, last: f"{column} BETWEEN {keys[first]} AND {keys[last]}",
    )


def _require_rows(
    connection: duckdb.DuckDBPyConnection, log: Log, tally: Tally, config: IngestConfig
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
    raise DataError(
        f"{loaded.paths}: {'none' if num_users == 0 else 'only one'} of the {log.users.num} users "
        f"has at least min_interactions={config.min_interactions} interactions, and 2 such users "
        f"are needed; interactions a user: {_spelled(summary)}. Lower "
        "recommend.ingest.min_interactions, or check that "
        f"column {loaded.columns['user_key']!r} is the user"
    )


def _spelled(summary: Mapping[str, int | float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in summary.items())


def _write_ids(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    kept: npt.NDArray[np.int32],
    *,
    names: Sequence[str],
    out: Path,
    counts: npt.NDArray[np.int64] | None = None,
) -> None:
    """Write the raw ids of what was kept, also to the table `kept_<table>(number, id, count)`."""
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


def _count_repeats(connection: duckdb.DuckDBPyConnection) -> int:
    query = "SELECT count(*) - count(DISTINCT (CAST(user AS BIGINT) << 32) | item) FROM numbered"
    return int(connection.execute(query).fetchall()[0][0])
