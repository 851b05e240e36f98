"""Read the interactions into DuckDB, check them, number users and items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from seqtune.core.errors import DataError

from ..params import IngestConfig
from .checks import Dropped, check_rows
from .engine import fill
from .ids import Ids, number_ids
from .loading import TEXT, TIME_RAW, Loaded, load
from .numerals import find_number_types
from .ordering import WordLayout, find_word_layout
from .sources import examine, same_columns
from .times import TimeParser, detect_clock

_SETTINGS = "recommend.ingest.columns"


@dataclass(frozen=True)
class Log:
    """The interactions as the table `numbered(user, item, time, row)`."""

    loaded: Loaded
    clock: TimeParser
    dropped: Dropped
    users: Ids
    items: Ids
    layout: WordLayout


def read_log(
    connection: duckdb.DuckDBPyConnection,
    paths: tuple[Path, ...],
    config: IngestConfig,
    temporary: Path,
) -> Log:
    """Fill the tables `numbered`, `users` and `items`."""
    loaded = _load(connection, paths, config, temporary)
    clock = detect_clock(connection, loaded)
    dropped = check_rows(connection, loaded, clock, config)
    users = number_ids(connection, loaded, "user", config)
    items = number_ids(connection, loaded, "item", config)
    for ids in (users, items):
        if ids.num < 2:
            raise DataError(
                f"{loaded.paths}: column {loaded.columns[f'{ids.role}_key']!r} holds one "
                f"{ids.role} only; recommending needs at least 2 {ids.role}s. Is it the right "
                f"column ({_SETTINGS}.{ids.role})? If it is, add rows of another {ids.role}"
            )
    layout = find_word_layout(connection, "good", num_items=items.num)
    _join_numbers(connection, loaded)
    return Log(loaded, clock, dropped, users, items, layout)


def _load(
    connection: duckdb.DuckDBPyConnection,
    paths: tuple[Path, ...],
    config: IngestConfig,
    temporary: Path,
) -> Loaded:
    columns = {"user_key": config.columns.user, "item_key": config.columns.item}
    settings = [f"{_SETTINGS}.user", f"{_SETTINGS}.item"]
    if config.columns.time is not None:
        columns[TIME_RAW] = config.columns.time
        settings.append(f"{_SETTINGS}.time")
    sources = tuple(
        examine(
            path,
            config,
            wanted=tuple(columns.values()),
            settings=settings,
            temporary=temporary,
            connection=connection,
        )
        for path in paths
    )
    same_columns(sources)
    types = find_number_types(sources, columns)
    return load(connection, sources, columns, config, table="raw", number_types=types)


def _join_numbers(connection: duckdb.DuckDBPyConnection, loaded: Loaded) -> None:
    """Create `numbered`: a table if text is to be joined, which is slow; else a view."""
    is_text = TEXT in (loaded.types["user_key"], loaded.types["item_key"])
    connection.execute(
        fill(
            "CREATE $what numbered AS "
            "SELECT u.number AS user, i.number AS item, g.time, g.row FROM good g "
            "JOIN users u ON u.key = g.user_key JOIN items i ON i.key = g.item_key",
            what="TABLE" if is_text else "VIEW",
        )
    )
    if is_text:
        connection.execute("DROP VIEW good")
        connection.execute("DROP TABLE raw")
