"""Columns that stand in the path of a Parquet file, as Spark and Hive write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqtune.core.errors import DataError, InfeasibleError
from seqtune.tasks.recommend.ingest import ingest
from seqtune.tasks.recommend.ingest.partitions import partitions_of
from seqtune.tasks.recommend.params import RecommendConfig

ROWS = {"user": [1, 1, 2, 2], "item": [10, 20, 20, 30], "time": [1, 2, 3, 4]}


@pytest.fixture(autouse=True)
def _out(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()


def part(file: Path, *, without: str = "", **columns: list[Any]) -> Path:
    """A Parquet file with other columns, or without one."""
    rows = {name: values for name, values in {**ROWS, **columns}.items() if name != without}
    file.parent.mkdir(parents=True)
    pq.write_table(pa.table(rows), file)
    return file


def run(folder: Path, *files: Path, **settings: Any) -> dict[str, Any]:
    config = RecommendConfig.model_validate({"ingest": {"min_interactions": 1, **settings}})
    return ingest({"interactions": files}, config, out=folder / "out")


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / "out" / f"{name}.parquet").to_pylist()
    return found


def test_keys_are_read_off_a_path() -> None:
    path = Path("log/date=2024-01-31/place=a%2Fb%20c/=/none=__HIVE_DEFAULT_PARTITION__/x=1.parquet")
    assert partitions_of(path) == {"date": "2024-01-31", "place": "a/b c", "none": None}


def test_a_time_may_stand_in_the_path_alone(tmp_path: Path) -> None:
    files = [
        part(tmp_path / f"date=2024-01-0{day}" / "a.parquet", without="time", item=[day] * 4)
        for day in (2, 1)
    ]
    report = run(tmp_path, *files, columns={"time": "date"}, on_duplicates="keep")
    assert report["time"] == {
        "kind": "timestamp",
        "first": "2024-01-01T00:00:00+00:00",
        "last": "2024-01-02T00:00:00+00:00",
    }
    assert [row["item"] for row in rows_of(tmp_path, "interactions")] == [1, 1, 2, 2] * 2


def test_ids_of_a_path_are_whole_numbers_where_all_are(tmp_path: Path) -> None:
    files = [part(tmp_path / f"user={n}" / "a.parquet", without="user") for n in (10, 9)]
    report = run(tmp_path, *files)
    assert report["id_types"] == {"user": "integer", "item": "integer"}
    assert [row["user_id"] for row in rows_of(tmp_path, "users")] == [9, 10]


def test_ids_of_a_path_are_text_where_one_is(tmp_path: Path) -> None:
    files = [part(tmp_path / f"user={n}" / "a.parquet", without="user") for n in ("10", "it's")]
    assert run(tmp_path, *files)["id_types"]["user"] == "string"
    assert [row["user_id"] for row in rows_of(tmp_path, "users")] == ["10", "it's"]


def test_a_column_of_the_file_wins_over_its_path(tmp_path: Path) -> None:
    report = run(tmp_path, part(tmp_path / "user=7" / "time=9" / "a.parquet"))
    assert report["users"] == 2
    assert (report["time"]["first"], report["time"]["last"]) == (1, 4)


def test_keys_that_nobody_wants_are_no_columns(tmp_path: Path) -> None:
    files = [
        part(tmp_path / "region=eu" / "a.parquet"),
        part(tmp_path / "plain" / "b.parquet", user=[3, 3, 4, 4]),
    ]
    assert run(tmp_path, *files)["rows_kept"] == 8


def test_a_value_that_is_missing_is_a_null(tmp_path: Path) -> None:
    good = part(tmp_path / "user=1" / "a.parquet", without="user")
    more = part(tmp_path / "user=2" / "a.parquet", without="user")
    null = part(tmp_path / "user=__HIVE_DEFAULT_PARTITION__" / "a.parquet", without="user")
    with pytest.raises(DataError, match=r"column 'user' is empty in 4 of 12 rows"):
        run(tmp_path, good, more, null)
    assert run(tmp_path, good, more, null, on_null="drop")["rows_dropped"]["null"] == 4


def test_a_file_without_the_column_is_refused(tmp_path: Path) -> None:
    good = part(tmp_path / "user=1" / "a.parquet", without="user")
    bad = part(tmp_path / "b" / "a.parquet", without="user")
    with pytest.raises(DataError, match=r"b/a\.parquet: there is no column 'user'"):
        run(tmp_path, good, bad)


def test_too_little_memory_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqtune.tasks.recommend.ingest.engine.MEMORY_LIMIT", "1MiB")
    rows = "".join(f"u{n},i{n % 7},{n}\n" for n in range(200_000))
    file = tmp_path / "log.csv"
    file.write_text("user,item,time\n" + rows)
    with pytest.raises(InfeasibleError, match=r"more memory than the 1MiB.*Nothing is wrong"):
        run(tmp_path, file)
    assert not list((tmp_path / "out").iterdir())
