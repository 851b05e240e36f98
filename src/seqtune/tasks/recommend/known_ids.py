"""Match raw ids of users and items in a file with their numbers in a split.

Files are read like the input of `ingest`, with the same settings. Ids are compared as text, so `7`
in a file is `7` in the split.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from .data import ITEMS_TABLE, USERS_TABLE, SplitData
from .ingest.engine import connect, disk_errors, fill, path_literal
from .ingest.ids import id_text
from .ingest.loading import Loaded, load
from .ingest.sources import Source, examine
from .params import IngestConfig

USER_KEY, ITEM_KEY = "user_key", "item_key"
_COLUMNS = "recommend.ingest.columns"
_TABLES = {USER_KEY: (USERS_TABLE, "user"), ITEM_KEY: (ITEMS_TABLE, "item")}
NUM_EXAMPLES = 5


class MatchedFile:
    """A file whose rows are in the table `matched`: for each of its keys the id as text
    (`user_text`) and its number (`user`, null if it is unknown), and its other columns."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, loaded: Loaded, split: Path) -> None:
        self._connection = connection
        self._split = split
        self.loaded = loaded

    @property
    def path(self) -> str:
        return self.loaded.paths

    def count(self, condition: str) -> int:
        query = fill("SELECT count(*) FROM matched WHERE $condition", condition=condition)
        return int(self._query(query)[0][0])

    def places(self, condition: str) -> str:
        """Return the first rows for which a condition holds, as lines of the file."""
        template = "SELECT row FROM matched WHERE $condition ORDER BY row LIMIT $most"
        query = fill(template, condition=condition, most=NUM_EXAMPLES)
        return self.loaded.places([row for (row,) in self._query(query)])

    def unknown(self, role: str) -> str:
        """Say how many ids of a role are unknown, and which; empty if none is."""
        query = (
            "SELECT $text, count(*) FROM matched "
            "WHERE $text IS NOT NULL AND $number IS NULL GROUP BY 1 ORDER BY min(row)"
        )
        found = self._query(fill(query, text=f"{role}_text", number=role))
        if not found:
            return ""
        rows = sum(num for _, num in found)
        shown = ", ".join(repr(text) for text, _ in found[:NUM_EXAMPLES])
        return (
            f"{len(found)} unknown {role}s in {rows} of {self.loaded.num_rows} rows ({shown}; "
            f"known is {self._known(role)!r}, for example)"
        )

    def _known(self, role: str) -> str:
        """Return the first id of a role in the split, as text."""
        table, number = _TABLES[f"{role}_key"]
        query = "SELECT CAST($number_id AS VARCHAR) FROM read_parquet($path) LIMIT 1"
        path = path_literal(self._split / table)
        return str(self._query(fill(query, number_id=f"{number}_id", path=path))[0][0])

    def table(self, query: str) -> pa.Table:
        return self._connection.sql(query).to_arrow_table()

    def _query(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()


@contextmanager
def matched_file(
    path: Path,
    config: IngestConfig,
    data: SplitData,
    *,
    required: tuple[str, ...],
    optional: tuple[str, ...] = (),
    scratch: Path,
) -> Iterator[MatchedFile]:
    """Read a file with the `required` columns and those of the `optional` ones that it has.

    user and item stand for the columns of `recommend.ingest.columns`, and are matched.
    """
    config = config.model_copy(update={"format": "auto", "delimiter": None, "header": True})
    names = {"user": config.columns.user, "item": config.columns.item}
    with (
        tempfile.TemporaryDirectory(prefix=".matched-", dir=scratch) as temporary,
        connect(Path(temporary)) as connection,
        disk_errors(),
    ):
        source = examine(
            path,
            config,
            wanted=[names.get(role, role) for role in required],
            settings=[f"{_COLUMNS}.{role}" for role in required],
            temporary=Path(temporary),
            connection=connection,
        )
        found = [role for role in optional if names.get(role, role) in source.names]
        yield _match(connection, source, [*required, *found], names, config, data)


def _match(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    roles: list[str],
    names: Mapping[str, str],
    config: IngestConfig,
    data: SplitData,
) -> MatchedFile:
    keys = {role: f"{role}_key" if role in names else role for role in roles}
    columns = {keys[role]: names.get(role, role) for role in roles}
    loaded = load(connection, (source,), columns, config, table="raw")
    fields, joins = ["raw.rowid AS row"], []
    for role, key in keys.items():
        if key not in _TABLES:
            fields.append(f"TRY_CAST({key} AS DOUBLE) AS {key}")
            continue
        table, number = _TABLES[key]
        text = id_text(key, loaded.types[key])
        fields += [f"{text} AS {role}_text", f"{role}s.{number} AS {role}"]
        joins.append(
            fill(
                "LEFT JOIN (SELECT $number, CAST($number_id AS VARCHAR) AS id "
                "FROM read_parquet($path)) $table ON $table.id = $text",
                number=number,
                number_id=f"{number}_id",
                path=path_literal(data.path / table),
                table=f"{role}s",
                text=text,
            )
        )
    query = "CREATE TABLE matched AS SELECT $fields FROM raw $joins"
    connection.execute(fill(query, fields=", ".join(fields), joins=" ".join(joins)))
    return MatchedFile(connection, loaded, data.path)
