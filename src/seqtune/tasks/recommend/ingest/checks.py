"""Nulls and bad times: refused with their lines, or dropped and counted, as configured."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from seqtune.core.errors import DataError

from ..params import IngestConfig
from .engine import fill
from .loading import TIME_RAW, Loaded
from .sources import shown
from .times import TimeParser


@dataclass(frozen=True)
class Dropped:
    """Rows that were left out before anything was counted."""

    null: int
    bad_time: int


def check_rows(
    connection: duckdb.DuckDBPyConnection, loaded: Loaded, clock: TimeParser, config: IngestConfig
) -> Dropped:
    """Create the view `good(user_key, item_key, time, row)` of the rows that can be used."""
    is_null = any_null(loaded)
    is_bad_time = f"NOT ({is_null}) AND ({clock.is_bad})"
    counts = "SELECT count(*) FILTER ($null), count(*) FILTER ($bad) FROM raw"
    filled = fill(counts, null=is_null, bad=is_bad_time)
    num_null, num_bad = connection.execute(filled).fetchall()[0]
    if num_null and config.on_null == "error":
        raise null_fault(connection, loaded, config)
    if num_bad and config.on_bad_time == "error":
        raise _time_fault(connection, loaded, is_bad_time, num_bad, clock=clock, config=config)
    if num_null + num_bad == loaded.num_rows:
        raise DataError(
            f"{loaded.paths}: none of the {loaded.num_rows} rows can be used: {num_null} have an "
            f"empty field, {num_bad} no readable time; check recommend.ingest.columns and delimiter"
        )
    usable = f"NOT ({is_null}) AND NOT ({clock.is_bad})" if num_null + num_bad else "true"
    connection.execute(
        fill(
            "CREATE OR REPLACE VIEW good AS "
            "SELECT user_key, item_key, CAST($time AS BIGINT) AS time, rowid AS row FROM raw "
            "WHERE $usable",
            time=clock.value,
            usable=usable,
        )
    )
    return Dropped(null=num_null, bad_time=num_bad)


def any_null(loaded: Loaded) -> str:
    return " OR ".join(f"{column} IS NULL" for column in loaded.columns)


def example_rows(
    connection: duckdb.DuckDBPyConnection, loaded: Loaded, condition: str, *, limit: int
) -> list[int]:
    """Return the first rows of a table for which a condition holds."""
    query = "SELECT rowid FROM $table WHERE $condition ORDER BY rowid LIMIT $limit"
    filled = fill(query, table=loaded.table, condition=condition, limit=limit)
    return [row for (row,) in connection.execute(filled).fetchall()]


def count_rows(connection: duckdb.DuckDBPyConnection, loaded: Loaded, condition: str) -> int:
    query = fill(
        "SELECT count(*) FROM $table WHERE $condition", table=loaded.table, condition=condition
    )
    return int(connection.execute(query).fetchall()[0][0])


def null_fault(
    connection: duckdb.DuckDBPyConnection, loaded: Loaded, config: IngestConfig
) -> DataError:
    """Return the error that names the empty columns and their rows."""
    faults = []
    for column, name in loaded.columns.items():
        condition = f"{column} IS NULL"
        rows = example_rows(connection, loaded, condition, limit=config.max_examples)
        if rows:
            faults.append(
                f"column {name!r} is empty in {count_rows(connection, loaded, condition)} of "
                f"{loaded.num_rows} rows ({loaded.places(rows)})"
            )
    return DataError(
        f"{loaded.paths}: {'; '.join(faults)}. Every row needs all of its columns: fill them, or "
        "set recommend.ingest.on_null=drop to leave such rows out and count them. Ids such as NULL "
        "and nan count as empty too (recommend.ingest.null_values)"
    )


def _time_fault(
    connection: duckdb.DuckDBPyConnection,
    loaded: Loaded,
    condition: str,
    num_bad: int,
    *,
    clock: TimeParser,
    config: IngestConfig,
) -> DataError:
    rows = example_rows(connection, loaded, condition, limit=config.max_examples)
    query = "SELECT CAST(time_raw AS VARCHAR) FROM raw WHERE rowid = ?"
    values = [connection.execute(query, [row]).fetchall()[0][0] for row in rows]
    others = "dates" if clock.kind == "timestamp" else "numbers"
    if clock.unit:
        others = f"unix times in {clock.unit}"
    has_others = num_bad < loaded.num_rows
    rest = f"the other rows hold {others}" if has_others else "no row can be read"
    return DataError(
        f"{loaded.paths}: column {loaded.columns[TIME_RAW]!r} has no usable time in {num_bad} of "
        f"{loaded.num_rows} rows ({loaded.places(rows)}: {', '.join(map(shown, values))}; {rest}). "
        "Allowed are numbers from 0 on (unix time in one unit), or dates such as 2024-01-31 and "
        "2024-01-31 13:45:00+09:00, one kind per column. Correct them, set "
        "recommend.ingest.on_bad_time=drop to leave such rows out and count them, or "
        "recommend.ingest.columns.time=null to go by the order of the rows"
    )
