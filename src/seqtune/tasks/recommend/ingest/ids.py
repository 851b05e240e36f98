"""Find the type of the ids and number them without gaps, in the order of the ids.

Sorted ids make the numbers depend on the content alone: not on threads, not on the order of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import duckdb

from seqtune.core.errors import DataError

from ..params import IngestConfig
from .checks import count_rows, example_rows
from .engine import fill, literal
from .loading import INVISIBLE, TEXT, Loaded, normalized
from .numerals import INTEGER
from .sources import shown

IdType = Literal["integer", "string"]
Role = Literal["user", "item"]

FIRST: dict[Role, int] = {"user": 0, "item": 1}
"""The first number of each role; item 0 is padding."""

_CANONICAL = "CAST(TRY_CAST(key AS BIGINT) AS VARCHAR) IS NOT DISTINCT FROM key"
_NUMERAL = "regexp_full_match(key, '-?[0-9]+')"
_DOUBTFUL = "strlen(key) <> length(key) OR key <> trim(key)"  # not ASCII, or with spaces around it
LONGEST_ID = 4096
"""Characters."""


def id_text(column: str, stored: str) -> str:
    """Return SQL for ids of a column as the text that they have in the vocabulary.

    Whole numbers with nulls are read as DOUBLE.
    """
    if stored == TEXT:
        return column
    if stored == INTEGER:
        return f"CAST({column} AS VARCHAR)"
    is_whole = f"{column} = trunc({column}) AND abs({column}) < 9007199254740992"
    whole = f"CAST(CAST({column} AS BIGINT) AS VARCHAR)"
    return f"CASE WHEN {is_whole} THEN {whole} ELSE CAST({column} AS VARCHAR) END"


@dataclass(frozen=True)
class Ids:
    """The ids of one role, in the table `users` or `items` (key, id, number, num_rows).

    Numbers have no gaps, rise with the ids, and begin at 0 for users and 1 for items.
    """

    role: Role
    type: IdType
    num: int
    notes: tuple[str, ...] = ()


def number_ids(
    connection: duckdb.DuckDBPyConnection, loaded: Loaded, role: Role, config: IngestConfig
) -> Ids:
    """Create the table `users` or `items`."""
    stored = loaded.types[f"{role}_key"]
    query = (
        "CREATE OR REPLACE TABLE keys AS "
        "SELECT $key AS key, count(*) AS num_rows FROM good GROUP BY 1"
    )
    connection.execute(fill(query, key=f"{role}_key"))
    if stored == TEXT:
        kind, notes = _judge_text(connection, loaded, role, config)
    else:
        kind, notes = _judge_numbers(connection, loaded, role, stored, config), ()
    raw_id = "key" if kind == "string" and stored == TEXT else "CAST(key AS BIGINT)"
    connection.execute(
        fill(
            "CREATE OR REPLACE TABLE $table AS "
            "SELECT *, CAST(row_number() OVER (ORDER BY id) + $first - 1 AS INTEGER) AS number "
            "FROM (SELECT key, CAST($id AS $cast) AS id, num_rows FROM keys) ORDER BY number",
            table=f"{role}s",
            id=raw_id,
            cast=INTEGER if kind == "integer" else TEXT,
            first=FIRST[role],
        )
    )
    num = connection.table(f"{role}s").shape[0]
    return Ids(role, kind, num, notes)


def _judge_numbers(
    connection: duckdb.DuckDBPyConnection,
    loaded: Loaded,
    role: Role,
    stored: str,
    config: IngestConfig,
) -> IdType:
    """Return the type of ids that are stored as numbers; refuse fractions."""
    if stored == "DOUBLE":
        condition = f"NOT ({role}_key = trunc({role}_key) AND abs({role}_key) < 9007199254740992)"
        rows = example_rows(connection, loaded, condition, limit=config.max_examples)
        if rows:
            name = loaded.columns[f"{role}_key"]
            raise DataError(
                f"{loaded.paths}: column {name!r} holds numbers that are not whole, or too large "
                f"to be exact (from 2^53 on), in {count_rows(connection, loaded, condition)} of "
                f"{loaded.num_rows} rows ({loaded.places(rows)}); ids are whole numbers or text. "
                "Is it the right column? Set recommend.ingest.columns, or write the ids as text"
            )
    return "string" if config.id_type == "string" else "integer"


def _judge_text(
    connection: duckdb.DuckDBPyConnection, loaded: Loaded, role: Role, config: IngestConfig
) -> tuple[IdType, tuple[str, ...]]:
    """Return integer if all are, string if they are meant as text; refuse a mixture."""
    counts = (
        "SELECT count(*), count(*) FILTER ($canonical), count(*) FILTER ($numeral), "
        "count(*) FILTER ($doubtful), coalesce(max(length(key)), 0) FROM keys"
    )
    filled = fill(counts, canonical=_CANONICAL, numeral=_NUMERAL, doubtful=_DOUBTFUL)
    (found,) = connection.execute(filled).fetchall()
    num, num_canonical, num_numeral, num_doubtful, longest = found
    name = loaded.columns[f"{role}_key"]
    if longest > LONGEST_ID:
        rows = example_rows(
            connection, loaded, f"length({role}_key) > {LONGEST_ID}", limit=config.max_examples
        )
        raise DataError(
            f"{loaded.paths}: column {name!r} holds ids of up to {longest:,} characters "
            f"({loaded.places(rows)}); an id has at most {LONGEST_ID:,}. Is it the right column? "
            "Set recommend.ingest.columns, or give shorter ids"
        )
    if config.id_type == "integer" and num_canonical < num:
        raise _mixed(connection, loaded, role, _CANONICAL, num - num_canonical, config=config)
    if config.id_type == "integer" or (
        config.id_type == "auto" and loaded.from_text and num_canonical == num
    ):
        return "integer", ()
    notes = []
    if config.id_type == "auto" and loaded.from_text:
        if num_numeral < num and num_canonical * 2 >= num:
            raise _mixed(connection, loaded, role, _NUMERAL, num - num_numeral, config=config)
        if num_numeral == num:
            notes.append(
                f"column {name!r}: {num - num_canonical} of {num} ids have leading zeros or more "
                "digits than 64 bits hold, so all are kept as text ('007' is not '7')"
            )
        elif num_canonical:
            notes.append(
                f"column {name!r}: {num_canonical} of {num} ids look like integers, the others do "
                "not; all are kept as text"
            )
    if num_doubtful:
        notes += _doubtful_notes(connection, name)
    return "string", tuple(notes)


def _doubtful_notes(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    """Describe ids whose difference from others cannot be seen."""
    query = (
        "SELECT count(*) FILTER (key <> trim(key)), count(*) FILTER ($visible <> key), "
        "count(*) - count(DISTINCT $normalized) FROM keys"
    )
    visible = f"translate(key, {literal(INVISIBLE)}, '')"
    filled = fill(query, visible=visible, normalized=normalized("key"))
    texts = (
        "begin or end with a space, which is kept as a part of the id",
        "hold characters that cannot be seen (a no-break or zero-width space, a byte order mark)",
        "differ from another one only in such spaces or characters, or in Unicode form (NFC, NFD); "
        "recommend.ingest.normalize_ids=true makes them one",
    )
    counts = zip(connection.execute(filled).fetchall()[0], texts, strict=True)
    return [f"column {name!r}: {num} ids {text}" for num, text in counts if num]


def _mixed(
    connection: duckdb.DuckDBPyConnection,
    loaded: Loaded,
    role: Role,
    allowed: str,
    num_odd: int,
    *,
    config: IngestConfig,
) -> DataError:
    examples = connection.execute(
        fill(
            "SELECT rowid, $key FROM raw WHERE $key IN (SELECT key FROM keys WHERE NOT ($allowed)) "
            "ORDER BY rowid LIMIT $limit",
            key=f"{role}_key",
            allowed=allowed,
            limit=config.max_examples,
        )
    ).fetchall()
    name = loaded.columns[f"{role}_key"]
    values = ", ".join(shown(value) for _, value in examples)
    hint = (
        "Correct them, or set recommend.ingest.id_type=string if they are ids like the others"
        if config.id_type == "auto"
        else "Correct them, or set recommend.ingest.id_type to auto or string"
    )
    return DataError(
        f"{loaded.paths}: column {name!r} mixes types: most ids are integers, but {num_odd} "
        f"different ones are not ({loaded.places([row for row, _ in examples])}: {values}). {hint}"
    )
