"""Ingest side tables: one row per (item, value), in columns named `columns.item` and as the table.

A side table always has a header, and its delimiter is detected: its format may differ from the log.
Ids are compared as text, so `7` in the log is `7` in the table, and `007` is not.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from seqtune.core.columns import ITEM, VALUE
from seqtune.core.errors import DataError
from seqtune.core.task import Report

from ..params import IngestConfig
from .checks import any_null, null_fault
from .engine import disk_errors, fill, identifier, literal
from .loading import TEXT, Loaded, load
from .manifest import side_file
from .numerals import INTEGER
from .sources import examine, same_columns, shown


def ingest_side(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    paths: tuple[Path, ...],
    config: IngestConfig,
    *,
    temporary: Path,
    out: Path,
) -> Report:
    """Check a side table and write its rows on the items of the log."""
    config = config.model_copy(update={"delimiter": None, "header": True})
    columns = {"item_key": config.columns.item, "value": name}
    sources = tuple(
        examine(
            path,
            config,
            wanted=tuple(columns.values()),
            settings=("recommend.ingest.columns.item", "named as the table"),
            temporary=temporary,
            connection=connection,
        )
        for path in paths
    )
    same_columns(sources)
    with disk_errors():
        loaded = load(connection, sources, columns, config, table="side")
        report = _match(connection, loaded, config)
        if config.sides.kinds[name] == "text":
            _require_one_text(connection, loaded, name, config)
        _write(connection, out / side_file(name))
    return report


def _match(connection: duckdb.DuckDBPyConnection, loaded: Loaded, config: IngestConfig) -> Report:
    """Create the view `matched(number, value, row)`; count the rows that it leaves out."""
    has_null = any_null(loaded)
    key = f"CAST(item_key AS {INTEGER})" if loaded.types["item_key"] == "DOUBLE" else "item_key"
    connection.execute(
        fill(
            "CREATE OR REPLACE VIEW matched AS "
            "SELECT i.number, CAST(s.value AS $text) AS value, s.rowid AS row "
            "FROM side s JOIN kept_items i ON CAST(i.id AS $text) = CAST($key AS $text) "
            "WHERE NOT ($null)",
            text=TEXT,
            key=key,
            null=has_null,
        )
    )
    counts = "SELECT count(*) FILTER ($null), count(DISTINCT item_key) FROM side"
    num_null, num_items = connection.execute(fill(counts, null=has_null)).fetchall()[0]
    if num_null and config.on_null == "error":
        raise null_fault(connection, loaded, config)
    matched = connection.execute(
        "SELECT count(*), count(DISTINCT number), count(DISTINCT (number, value)), "
        "count(DISTINCT value) FROM matched"
    ).fetchall()[0]
    num_rows, num_known, num_pairs, num_values = matched
    if num_rows == 0:
        raise _nothing_in_common(connection, loaded)
    if num_pairs < num_rows and config.on_duplicates == "error":
        raise _repeated(connection, loaded, num_rows - num_pairs, config)
    return {
        "rows_read": loaded.num_rows,
        "rows_kept": num_pairs,
        "rows_dropped": {
            "null": num_null,
            "duplicate": num_rows - num_pairs,
            "unknown_item": loaded.num_rows - num_null - num_rows,
        },
        "items": num_known,
        "items_unknown": num_items - num_known,
        "values": num_values,
    }


def _nothing_in_common(connection: duckdb.DuckDBPyConnection, loaded: Loaded) -> DataError:
    (here,) = connection.execute("SELECT CAST(min(item_key) AS VARCHAR) FROM side").fetchall()[0]
    (there,) = connection.execute("SELECT CAST(min(id) AS VARCHAR) FROM kept_items").fetchall()[0]
    return DataError(
        f"{loaded.paths}: column {loaded.columns['item_key']!r} has no item in common with the "
        f"interactions (here for example {shown(here)}, there {shown(there)}); write the ids as "
        "in the interactions, or take the file out of the catalog"
    )


def _repeated(
    connection: duckdb.DuckDBPyConnection, loaded: Loaded, num: int, config: IngestConfig
) -> DataError:
    rows = connection.execute(
        "SELECT row FROM (SELECT row, row_number() OVER (PARTITION BY number, value ORDER BY row) "
        "AS nth FROM matched) WHERE nth > 1 ORDER BY row LIMIT ?",
        [config.max_examples],
    ).fetchall()
    return DataError(
        f"{loaded.paths}: {num} rows repeat an earlier one "
        f"({loaded.places([row for (row,) in rows])}); remove them, or set "
        "recommend.ingest.on_duplicates=drop to keep the first of them and count the rest"
    )


def _require_one_text(
    connection: duckdb.DuckDBPyConnection, loaded: Loaded, name: str, config: IngestConfig
) -> None:
    rows = connection.execute(
        "SELECT max(row) FROM matched GROUP BY number HAVING count(DISTINCT value) > 1 ORDER BY 1"
    ).fetchall()
    if rows:
        examples = [row for (row,) in rows[: config.max_examples]]
        raise DataError(
            f"{loaded.paths}: {len(rows)} items have more than one {name} "
            f"({loaded.places(examples)}); an item has one {name}: keep one row for each, or "
            f"declare it as recommend.ingest.sides.{name}: category"
        )


def _write(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    connection.execute(
        fill(
            "COPY (SELECT number AS $item, value AS $value FROM matched GROUP BY ALL "
            "ORDER BY number, value) TO $path (FORMAT parquet)",
            item=identifier(ITEM),
            value=identifier(VALUE),
            path=literal(str(path)),
        )
    )
