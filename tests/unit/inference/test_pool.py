"""What weighing requires, and the files that predictions are written to."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqtune.core.errors import ArtifactError, ConfigurationError, DataError
from seqtune.inference import PredictionFiles, require_pool, require_weighable, sample_rows


def split(*, has_validation: bool) -> Any:
    return SimpleNamespace(has_validation=has_validation, path=Path("split"))


def test_rows_of_a_pool_follow_from_the_seed_and_the_number_alone() -> None:
    assert sample_rows(5, 10, seed=1).tolist() == [0, 1, 2, 3, 4]
    few = sample_rows(100, 10, seed=1)
    assert few.tolist() == sorted(set(few.tolist()))
    assert few.tolist() == sample_rows(100, 10, seed=1).tolist()
    assert few.tolist() != sample_rows(100, 10, seed=2).tolist()


def test_a_pool_needs_held_out_rows_and_members() -> None:
    with pytest.raises(DataError, match=r"no valid part .* classify\.split\.use_full_data=false"):
        require_pool({}, split(has_validation=False), task="classify")
    with pytest.raises(ConfigurationError, match="at least one member; 0 were given"):
        require_pool({}, split(has_validation=True), task="classify")
    require_pool({"m": Path("m")}, split(has_validation=True), task="classify")


def test_a_member_of_another_split_is_not_weighed() -> None:
    member: Any = SimpleNamespace(data_hash="a" * 64, path=Path("m"))
    require_weighable("m", member, "a" * 64)
    with pytest.raises(ArtifactError, match=r"member m \(m\) was trained on another split"):
        require_weighable("m", member, "b" * 64)


def test_predictions_are_appended_to_both_files(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "score": [0.5]})
    with PredictionFiles(tmp_path, escape_formulas=False) as files:
        for _ in range(2):
            files.write(table, table.select(["id"]))
    assert pq.read_table(tmp_path / "predictions.parquet").num_rows == 2
    assert (tmp_path / "submission.csv").read_text().splitlines() == ['"id"', '"a"', '"a"']


@pytest.mark.parametrize("escape", [False, True])
def test_formulas_are_escaped_where_asked(escape: bool, tmp_path: Path) -> None:
    formulas = ["=cmd|'/c calc'!A1", "+1", "-1", "@SUM(1)", "\tx"]
    ids = pa.array([*formulas, "a=1", "", None])
    table = pa.table({"id": ids, "number": range(-4, 4)})
    with PredictionFiles(tmp_path, escape_formulas=escape) as files:
        files.write(table, table)
    with (tmp_path / "submission.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    assert [text for text, _ in rows[:5]] == [f"'{text}" if escape else text for text in formulas]
    assert rows[5:] == [["a=1", "1"], ["", "2"], ["", "3"]]
    assert pq.read_table(tmp_path / "predictions.parquet")["id"].to_pylist() == ids.to_pylist()
