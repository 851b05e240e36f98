"""Where studies are kept is known to tuning and shown to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.io.core import DatasetError

from seqtune.datasets import StudyStorage

URL = "postgresql://me:hush" + "@db.example/studies"


def test_a_file_where_no_database_is_named(tmp_path: Path) -> None:
    dataset = StudyStorage(filepath=str(tmp_path / "deep" / "studies.db"))
    assert dataset.load() == f"sqlite:///{tmp_path / 'deep' / 'studies.db'}"
    assert (tmp_path / "deep").is_dir()
    assert not dataset.exists()


@pytest.mark.parametrize("nothing", [None, {}, {"url": None}, {"url": ""}])
def test_empty_credentials_mean_the_file(tmp_path: Path, nothing: dict[str, str] | None) -> None:
    dataset = StudyStorage(filepath=str(tmp_path / "s.db"), credentials=nothing)
    assert dataset.load().startswith("sqlite:///")


def test_a_database_wins_and_its_password_is_never_shown(tmp_path: Path) -> None:
    dataset = StudyStorage(filepath=str(tmp_path / "s.db"), credentials={"url": URL})
    assert dataset.load() == URL
    assert "hush" not in repr(dataset) + str(dataset) + str(dataset._describe())


def test_studies_are_not_saved_through_the_catalog(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="written by tuning alone"):
        StudyStorage(filepath=str(tmp_path / "s.db")).save("x")
