"""`RawTables`: files of tables that parameters name."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.io.core import DatasetError

from seqtune.core.errors import DataError
from seqtune.datasets import RawTables


def test_a_table_is_found_by_its_name_or_where_it_is_said_to_be(tmp_path: Path) -> None:
    for name in ("brand.csv", "g.csv", "other.csv"):
        (tmp_path / name).write_text("item\n")
    dataset = RawTables(
        filepath=f"{tmp_path}/{{name}}.csv",
        tables={"genre": {"filepath": f"{tmp_path}/g.csv"}},
    )
    assert dataset.load()(("brand", "genre", "title")) == {
        "brand": (tmp_path / "brand.csv",),
        "genre": (tmp_path / "g.csv",),
        "title": (),
    }


def test_a_table_that_nobody_declared_is_refused(tmp_path: Path) -> None:
    tables = {"brnad": {"filepath": f"{tmp_path}/b.csv"}}
    dataset = RawTables(filepath=f"{tmp_path}/{{name}}.csv", tables=tables)
    with pytest.raises(DataError, match=r"'brnad', which is not declared.*'?brand"):
        dataset.load()(("genre", "brand"))


def test_a_table_said_to_be_elsewhere_must_be_there(tmp_path: Path) -> None:
    dataset = RawTables(
        filepath=f"{tmp_path}/{{name}}.csv",
        tables={"brand": {"filepath": f"{tmp_path}/missing.csv"}},
        looks_like="a file with a column {name}",
    )
    with pytest.raises(DatasetError, match=r"missing\.csv.*a column brand"):
        dataset.load()(("brand",))


def test_the_pattern_must_have_a_place_for_the_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not contain"):
        RawTables(filepath=f"{tmp_path}/side.csv")
    with pytest.raises(DatasetError, match="never written"):
        RawTables(filepath=f"{tmp_path}/{{name}}.csv").save({})  # type: ignore[arg-type]
