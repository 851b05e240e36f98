"""Every bad input gives one DataError with the file, the column, the lines and the next step."""

from __future__ import annotations

import csv
import errno
import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqtune.core.errors import DataError
from seqtune.tasks.recommend.ingest import ingest
from seqtune.tasks.recommend.ingest.engine import disk_errors
from seqtune.tasks.recommend.ingest.ordering import parquet_writer
from seqtune.tasks.recommend.params import RecommendConfig

HEADER = "user,item,time\n"
LOG = HEADER + "1,10,1\n1,11,2\n1,12,3\n2,10,4\n2,11,5\n2,12,6\n"


def fault_of(
    path: Path | tuple[Path, ...], *, sides: dict[str, Path] | None = None, **set_: Any
) -> str:
    """The message of the error that ingest ends with, having left nothing behind."""
    paths = path if isinstance(path, tuple) else (path,)
    out = paths[0].parent / "out"
    out.mkdir()
    sources = {"interactions": paths, **{name: (file,) for name, file in (sides or {}).items()}}
    with pytest.raises(DataError) as caught:
        ingest(sources, RecommendConfig.model_validate({"ingest": set_}), out=out)
    assert not (out / "manifest.json").exists()
    assert not list(out.glob(".ingest-*"))
    out.rename(out.with_name(f"out-{len(list(paths[0].parent.iterdir()))}"))
    assert str(paths[0]) in str(caught.value) or sides or len(paths) > 1
    return str(caught.value)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.csv"


def test_empty_file(log: Path) -> None:
    log.write_text("")
    assert "is empty" in fault_of(log)
    log.write_text("\n\n  \n")
    assert "is empty" in fault_of(log)
    log.write_bytes(gzip.compress(b""))
    assert "is empty" in fault_of(log)


def test_header_only(log: Path) -> None:
    log.write_text(HEADER)
    message = fault_of(log)
    assert "has a header ('user', 'item', 'time') but no rows" in message


def test_misspelt_column(log: Path) -> None:
    log.write_text(LOG.replace("user,", "usr,"))
    message = fault_of(log)
    assert "no column 'user' (recommend.ingest.columns.user), did you mean 'usr'? The " in message
    assert "columns found are 'usr', 'item', 'time'" in message


def test_a_wide_file_is_described_in_short(log: Path) -> None:
    log.write_text(",".join(f"c{n}" for n in range(5000)) + "\n")
    assert len(fault_of(log)) < 2000


def test_missing_time_says_how_to_do_without(log: Path) -> None:
    log.write_text("user,item\n1,2\n")
    assert "time: null if it has no times" in fault_of(log)


def test_column_twice(log: Path) -> None:
    log.write_text(LOG.replace(HEADER, "user,item,user\n"))
    assert "column 'user' occurs 2 times" in fault_of(log, columns={"time": None})


def test_no_header_after_all(log: Path) -> None:
    log.write_text(LOG.removeprefix(HEADER))
    assert "looks like data" in fault_of(log)
    assert "recommend.ingest.header=false" in fault_of(log)


def test_number_of_named_columns(log: Path) -> None:
    log.write_text(LOG.removeprefix(HEADER))
    message = fault_of(
        log, header=False, file_columns=["user", "item", "rating", "time"], delimiter=","
    )
    assert "names 4 columns" in message
    assert "',': 3" in message


def test_wrong_delimiter(log: Path) -> None:
    log.write_text(LOG.replace(",", "\t"))
    message = fault_of(log, delimiter=",")
    assert "Only one column was found" in message
    assert r"'user\titem\ttime'" in message
    assert "recommend.ingest.delimiter" in message


def test_undetectable_delimiter(log: Path) -> None:
    log.write_text(LOG.replace(",", "/"))
    message = fault_of(log)
    assert "delimiters tried: ',', '\\t', ';', '|', ' '" in message
    assert "'user/item/time'" in message


def test_nulls_with_lines(log: Path) -> None:
    log.write_text(LOG + ",10,7\n3,,8\n\n3,10,\n3,,9\n")
    message = fault_of(log)
    assert "column 'user' is empty in 1 of 10 rows (line 8)" in message
    assert "column 'item' is empty in 2 of 10 rows (lines 9, 12)" in message
    assert "column 'time' is empty in 1 of 10 rows (line 11)" in message
    assert "recommend.ingest.on_null=drop" in message


def test_lines_are_counted_through_quoted_line_breaks(log: Path) -> None:
    log.write_text(HEADER + '"a\nb",10,1\n"a\nb",11,2\nc,,3\n')
    assert "(line 6)" in fault_of(log)


def test_no_more_examples_than_asked_for(log: Path) -> None:
    log.write_text(LOG + "3,,8\n" * 20)
    assert "20 of 26 rows (lines 8, 9)" in fault_of(log, max_examples=2)


@pytest.mark.parametrize("bad", ["soon", "-5", "nan", "inf", "1e400", "12:30"])
def test_bad_time_among_numbers(bad: str, log: Path) -> None:
    log.write_text(LOG + f"3,10,{bad}\n3,11,9\n")
    message = fault_of(log)
    assert "column 'time' has no usable time in 1 of 8 rows" in message
    assert f"(line 8: '{bad}'; the other rows hold numbers)" in message
    assert "recommend.ingest.on_bad_time=drop" in message


@pytest.mark.parametrize("bad", ["2024-13-01", "soon", "1700000000", "infinity"])
def test_bad_time_among_dates(bad: str, log: Path) -> None:
    log.write_text(HEADER + f"1,1,2024-01-01\n1,2,2024-01-02 10:00\n2,1,{bad}\n")
    assert f"(line 4: '{bad}'; the other rows hold dates)" in fault_of(log)


def test_no_time_can_be_read(log: Path) -> None:
    log.write_text(HEADER + "1,1,31.12.2023\n1,2,30.12.2023\n2,1,01.01.2024\n")
    message = fault_of(log)
    assert "in 3 of 3 rows" in message
    assert "no row can be read" in message
    assert "2024-01-31" in message
    assert "none of the 3 rows can be used" in fault_of(log, on_bad_time="drop")


def test_negative_time_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user": [1, 1, 2], "item": [1, 2, 1], "time": [3, -4, 5]}), path)
    assert "(row 2: '-4'" in fault_of(path)


@pytest.mark.parametrize("column", ["user", "item"])
@pytest.mark.parametrize("odd", ["abc", "7.5", " 7", "가"])
def test_mixed_id_types(column: str, odd: str, log: Path) -> None:
    log.write_text(LOG + (f"{odd},10,9\n" if column == "user" else f"2,{odd},9\n"))
    message = fault_of(log)
    assert f"column {column!r} mixes types" in message
    assert f"(line 8: {odd!r})" in message
    assert "recommend.ingest.id_type=string" in message


def test_integers_were_asked_for(log: Path) -> None:
    log.write_text(LOG.replace(",12,", ",012,"))
    message = fault_of(log, id_type="integer")
    assert "(lines 4, 7: '012', '012')" in message


def test_fractional_ids_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user": [1.0, 1.5, 2.0], "item": [1, 2, 1], "time": [3, 4, 5]}), path)
    message = fault_of(path)
    assert "not whole, or too large to be exact (from 2^53 on), in 1 of 3 rows (row 2)" in message
    large = pa.array([Decimal(10) ** 20, Decimal(1), Decimal(2)], pa.decimal128(21, 0))
    pq.write_table(pa.table({"user": [1, 1, 2], "item": large, "time": [3, 4, 5]}), path)
    assert "too large to be exact (from 2^53 on), in 1 of 3 rows (row 1)" in fault_of(path)


def test_types_that_are_no_ids_or_times(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user": [[1], [2]], "item": [1, 2], "time": [1, 2]}), path)
    assert "column 'user' has the type BIGINT[]" in fault_of(path)
    pq.write_table(pa.table({"user": [1, 2], "item": [1, 2], "time": [True, False]}), path)
    assert "column 'time' has the type BOOLEAN" in fault_of(path)
    seconds = pa.array([1, 2], pa.duration("s"))
    pq.write_table(pa.table({"user": [1, 2], "item": [1, 2], "time": seconds}), path)
    assert "column 'time' has the type INTERVAL" in fault_of(path)


def test_cp949_given_as_utf8(log: Path) -> None:
    log.write_bytes((HEADER + "1,10,1\n1,가나,2\n2,다라,3\n").encode("cp949"))
    message = fault_of(log)
    assert "is not encoded in utf-8: the byte at offset 24 (line 3)" in message
    assert "would fit cp949" in message
    assert "recommend.ingest.encoding" in message


def test_cp949_header_given_as_utf8(log: Path) -> None:
    log.write_bytes("사용자,item,time\n1,10,1\n".encode("cp949"))
    message = fault_of(log, columns={"user": "사용자"})
    assert "offset 0 (line 1)" in message
    assert "would fit cp949" in message


def test_utf16_given_as_utf8(log: Path) -> None:
    log.write_bytes(LOG.encode("utf-16"))
    assert "is text in UTF-16; set recommend.ingest.encoding to utf-16" in fault_of(log)
    log.write_bytes(LOG.encode("utf-16-le"))
    assert "or UTF-16 without its byte order mark" in fault_of(log)
    assert "has no byte order mark of UTF-16" in fault_of(log, encoding="utf-16")


def test_utf8_given_as_cp949(log: Path) -> None:
    log.write_bytes((HEADER + "1,10,1\n" + "1,가나다각,2\n" * 3).encode())
    message = fault_of(log, encoding="cp949")
    assert "is not encoded in cp949" in message
    assert "(line 3)" in message
    assert "would fit utf-8" in message


def test_one_user_only(log: Path) -> None:
    log.write_text(HEADER + "1,10,1\n1,11,2\n1,12,3\n")
    assert "column 'user' holds one user only" in fault_of(log)


def test_one_item_only(log: Path) -> None:
    log.write_text(HEADER + "1,10,1\n2,10,2\n3,10,3\n")
    assert "column 'item' holds one item only" in fault_of(log)


def test_all_users_below_the_minimum(log: Path) -> None:
    log.write_text(LOG)
    message = fault_of(log, min_interactions=4)
    assert "none of the 2 users has at least min_interactions=4" in message
    assert "p50 3" in message
    log.write_text(LOG + "2,13,9\n")
    assert "only one of the 2 users" in fault_of(log, min_interactions=4)


def test_duplicates_where_they_are_errors(log: Path) -> None:
    log.write_text(LOG + "2,11,5\n1,10,1\n2,11,7\n")
    message = fault_of(log, on_duplicates="error")
    assert "2 of 9 rows repeat an earlier one in user, item and time (lines 8, 9)" in message


def test_a_line_of_megabytes(log: Path) -> None:
    log.write_text(LOG + f"3,{'9' * 3_000_000},7\n")
    message = fault_of(log)
    assert "line 8 holds more than 2,000,000 bytes, of which column 'item' has 3,000,000" in message
    assert len(message) < 1000


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("num", [5000, 200_000, 20_000_000])
def test_long_ids(num: int, header: bool, log: Path) -> None:
    csv.field_size_limit(1 << 17)  # as in a fresh process
    rows = LOG.removeprefix(HEADER)
    long = f"{'x' * num},10,1\n"
    log.write_text(HEADER + rows + long if header else long + rows)
    names = {} if header else {"header": False, "file_columns": ["user", "item", "time"]}
    message = fault_of(log, **names)
    line = 8 if header else 1
    if num > 1_000_000 and not header:
        assert "recommend.ingest.file_columns names 3 columns" in message
    elif num < 1_000_000:
        assert f"column 'user' holds ids of up to {num:,} characters (line {line})" in message
        assert "at most 4,096" in message
    else:
        assert f"the row that begins on line {line}" in message
    assert len(message) < 1000


def test_ragged_rows(log: Path) -> None:
    log.write_text(LOG + "3,10\n3,11,8,9\n")
    message = fault_of(log)
    assert "2 rows do not have the 3 fields of the header (line 8 has 2, line 9 has 4)" in message

    log.write_text(LOG + "3,10\n")
    assert "1 row does not have the 3 fields of the header (line 8 has 2)" in fault_of(log)


def test_open_quote(log: Path) -> None:
    log.write_text(LOG + '3,"10,8\n3,11,9\n')
    assert "the row that begins on line 8 has a quote that is not closed" in fault_of(log)
    log.write_text(LOG + '3,"say \\"10\\"",8\n3,11,9\n')
    assert "the row that begins on line 8" in fault_of(log)


def test_mixed_line_ends(log: Path) -> None:
    log.write_bytes(LOG.encode() + b"3,x,7\r\n3,y,8\r\n3,z,9\n")
    message = fault_of(log)
    assert "2 lines end with \\r\\n and 8 with \\n" in message


@pytest.mark.parametrize("cut", [30, 40, -9, -4])
def test_cut_gzip(cut: int, log: Path) -> None:
    whole = gzip.compress(LOG.encode())
    log.write_bytes(whole[:cut])
    assert "is not a complete gzip file" in fault_of(log)


def test_damaged_gzip(log: Path) -> None:
    whole = bytearray(gzip.compress(LOG.encode()))
    whole[20] ^= 0xFF
    log.write_bytes(bytes(whole))
    assert "is not a complete gzip file" in fault_of(log)


def test_damaged_parquet(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user": [1, 2], "item": [1, 2], "time": [1, 2]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot be read as Parquet" in fault_of(path)
    path.write_text(LOG)
    assert "recommend.ingest.format=csv" in fault_of(path)


def test_parquet_damaged_inside(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    data = {"user": list(range(5000)), "item": list(range(5000)), "time": list(range(5000))}
    pq.write_table(pa.table(data), path)
    content = bytearray(path.read_bytes())
    content[4:60] = b"\xff" * 56
    path.write_bytes(bytes(content))
    assert "cannot be read as Parquet" in fault_of(path)


def test_formats_that_are_not_what_was_said(log: Path) -> None:
    pq.write_table(pa.table({"user": [1]}), log)
    assert "is a Parquet file, but recommend.ingest.format=csv" in fault_of(log, format="csv")
    log.write_bytes(b"PK\x03\x04rest")
    assert "zip archive" in fault_of(log)


@pytest.mark.parametrize("line", ["# exported 2024", "sep=,"])
def test_a_note_before_the_header(line: str, log: Path) -> None:
    log.write_text(f"{line}\n{LOG}")
    assert f"the first line, {line!r}, is a note and not the header" in fault_of(log)


NULLS = ["NULL", "null", "None", "nan", "NaN", "NA", "<NA>", "N/A", "#N/A", "\\N"]


@pytest.mark.parametrize("column", ["user", "item"])
@pytest.mark.parametrize("text", [*NULLS, '""'])
def test_ids_that_mean_missing(text: str, column: str, log: Path) -> None:
    log.write_text(LOG + (f"{text},10,9\n" if column == "user" else f"2,{text},9\n"))
    message = fault_of(log)
    assert f"column {column!r} is empty in 1 of 7 rows (line 8)" in message
    assert "recommend.ingest.null_values" in message


@pytest.mark.parametrize(("seconds", "factor"), [(1_600_000_000, 1000), (1_600_000_000.5, 10**9)])
def test_two_units_of_time(seconds: float, factor: int, log: Path) -> None:
    rows = [f"{n % 3},{n},{seconds + n}\n" for n in range(9)]
    rows[4] = f"1,4,{int(seconds + 4) * factor}\n"
    log.write_text(HEADER + "".join(rows))
    message = fault_of(log)
    assert "column 'time' has no usable time in 1 of 9 rows (line 6: '16000000040" in message
    assert "the other rows hold unix times in s" in message


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "log.csv").mkdir()
    assert "is a folder" in fault_of(tmp_path / "log.csv")


def test_files_with_other_columns(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text(LOG)
    second.write_text(LOG.replace("time", "time,rating", 1).replace("\n1,", "\n1,5,", 1))
    message = fault_of((first, second))
    assert message.startswith(str(second))
    assert "has the columns 'user', 'item', 'time', 'rating'" in message


def test_places_in_several_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text(LOG + "3,,8\n")
    second.write_text(HEADER + "3,10,8\n3,,9\n")
    message = fault_of((first, second))
    assert f"({first}, line 8; {second}, line 3)" in message


def test_side_tables_are_checked_alike(log: Path) -> None:
    log.write_text(LOG)
    genre = log.with_name("genre.csv")
    genre.write_text("item,genres\n10,x\n")
    assert "did you mean 'genres'?" in fault_of(log, sides={"genre": genre})
    genre.write_text("item,genre\n10,x\n11,\n")
    assert "column 'genre' is empty in 1 of 2 rows (line 3)" in fault_of(
        log, sides={"genre": genre}
    )
    genre.write_text("item,genre\n70,x\n")
    message = fault_of(log, sides={"genre": genre})
    assert "no item in common" in message
    assert "here for example '70', there '10'" in message
    genre.write_text("item,genre\n10,x\n10,x\n")
    message = fault_of(log, sides={"genre": genre}, on_duplicates="error")
    assert "1 rows repeat an earlier one (line 3)" in message


def test_an_item_has_one_title(log: Path) -> None:
    log.write_text(LOG)
    title = log.with_name("title.csv")
    title.write_text("item,title\n10,one\n11,two\n10,three\n")
    assert "1 items have more than one title (line 4)" in fault_of(log, sides={"title": title})


def test_a_full_disk_is_an_oserror() -> None:
    """From DuckDB, which has no errno, as from pyarrow, which has one."""
    with pytest.raises(OSError, match="No space left") as caught, disk_errors():
        duckdb.connect().execute("COPY (SELECT * FROM range(100000)) TO '/dev/full' (FORMAT csv)")
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space left") as caught:
        parquet_writer(Path("/dev/full")).close()
    assert caught.value.errno == errno.ENOSPC


def test_other_errors_of_duckdb_stay_what_they_are() -> None:
    with pytest.raises(duckdb.ParserException), disk_errors():
        duckdb.connect().execute("SELEC 1")
