"""Read users from a file of new rows as sequences of known items.

The file is read like the input of `ingest`, with the settings of the checkpoint. Without a time
column, row order counts. A row without an item is a user without history. DuckDB joins and sorts
out of core and writes a file of chunks of users.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb

from seqtune.batching import store_chunks
from seqtune.core.errors import DataError
from seqtune.core.task import Report

from .data import ITEMS_TABLE
from .ingest.checks import count_rows, example_rows
from .ingest.engine import connect, disk_errors, fill, path_literal
from .ingest.ids import id_text, number_ids
from .ingest.loading import TIME_RAW, Loaded, load
from .ingest.sources import examine, same_columns
from .ingest.times import detect_clock
from .params import IngestConfig
from .users import NewUsers

logger = logging.getLogger(__name__)

NUM_EXAMPLES = 10
USERS = """
    SELECT any_value(id) AS user_id,
           list(item ORDER BY time, row) FILTER (item IS NOT NULL) AS items
    FROM rows JOIN users ON key = user_key
    GROUP BY user_key ORDER BY min(row)
"""
"""Users in the order of their first rows, with their known items, oldest first."""

_SETTINGS = "recommend.ingest.columns"


@contextmanager
def open_new_users(
    files: tuple[Path, ...], config: IngestConfig, vocabulary: Path, *, scratch: Path, size: int
) -> Iterator[tuple[NewUsers, Report]]:
    """Read and check the files; yield users in the order of their first rows, in chunks of `size`,
    and a report. `vocabulary` is the folder of a table of items."""
    config = config.model_copy(
        update={"format": "auto", "delimiter": None if config.header else config.delimiter}
    )
    with ExitStack() as stack:
        with (
            tempfile.TemporaryDirectory(prefix=".new-users-", dir=scratch) as temporary,
            connect(Path(temporary)) as connection,
            disk_errors(),
        ):
            loaded = _load(connection, files, config, Path(temporary))
            _check_and_join(connection, loaded, config, vocabulary / ITEMS_TABLE)
            report = _report(connection, loaded)
            users = connection.sql(USERS).to_arrow_reader(size)
            chunks = stack.enter_context(store_chunks(users, users.schema, scratch=scratch))
        yield NewUsers(chunks), report


def _report(connection: duckdb.DuckDBPyConnection, loaded: Loaded) -> Report:
    """Report the number of rows, and the items unknown to the model."""
    query = "SELECT item_text, count(*) FROM rows WHERE is_unknown GROUP BY 1 ORDER BY min(row)"
    unknown = connection.execute(query).fetchall()
    rows, first = sum(count for _, count in unknown), [item for item, _ in unknown[:NUM_EXAMPLES]]
    if unknown:
        logger.warning(
            "%s: %d items in %d of %d rows are unknown to the model and skipped (%s)",
            *(loaded.paths, len(unknown), rows, loaded.num_rows, ", ".join(map(repr, first))),
        )
    found = {"rows": rows, "items": len(unknown), "first": first}
    return {"new_rows": loaded.num_rows, "unknown_items": found}


def _load(
    connection: duckdb.DuckDBPyConnection,
    files: tuple[Path, ...],
    config: IngestConfig,
    temporary: Path,
) -> Loaded:
    """Create the table `raw` as ingest does, with or without times."""
    columns = {"user_key": config.columns.user, "item_key": config.columns.item}
    sources = tuple(
        examine(
            path,
            config,
            wanted=tuple(columns.values()),
            settings=(f"{_SETTINGS}.user", f"{_SETTINGS}.item"),
            temporary=temporary,
            connection=connection,
        )
        for path in files
    )
    same_columns(sources)
    if config.columns.time in sources[0].names:
        columns[TIME_RAW] = str(config.columns.time)
    return load(connection, sources, columns, config, table="raw")


def _check_and_join(
    connection: duckdb.DuckDBPyConnection, loaded: Loaded, config: IngestConfig, items: Path
) -> None:
    """Create `users(key, id)` and `rows(user_key, item_text, item, is_unknown, time, row)`."""
    time = detect_clock(connection, loaded).expression
    _refuse(connection, loaded, "user_key IS NULL", "no user", config)
    _refuse(connection, loaded, f"item_key IS NOT NULL AND ({time}) IS NULL", "no time", config)
    connection.execute("CREATE VIEW good AS SELECT user_key FROM raw")
    number_ids(connection, loaded, "user", config)
    connection.execute(
        fill(
            """
            CREATE TABLE rows AS
            SELECT
                user_key, item_text, item, time, row,
                item_text IS NOT NULL AND item IS NULL AS is_unknown
            FROM (
                SELECT user_key, $item_text AS item_text, $time AS time, rowid AS row FROM raw
                $first_of_equals
            )
            LEFT JOIN (
                SELECT item, CAST(item_id AS VARCHAR) AS item_text FROM read_parquet($items)
            ) USING (item_text)
            """,
            item_text=id_text("item_key", loaded.types["item_key"]),
            time=time,
            first_of_equals="" if config.on_duplicates == "keep" else _FIRST_OF_EQUALS,
            items=path_literal(items),
        )
    )


_FIRST_OF_EQUALS = (
    "QUALIFY row_number() OVER (PARTITION BY user_key, item_text, time ORDER BY row) = 1"
)


def _refuse(
    connection: duckdb.DuckDBPyConnection,
    loaded: Loaded,
    condition: str,
    what: str,
    config: IngestConfig,
) -> None:
    rows = example_rows(connection, loaded, condition, limit=config.max_examples)
    if rows:
        raise DataError(
            f"{loaded.paths}: {count_rows(connection, loaded, condition)} of {loaded.num_rows} "
            f"rows have {what} that can be read ({loaded.places(rows)}). Every row needs a user, "
            "and every row with an item needs a time if the file has a time column"
        )
