"""Addresses beyond this machine, as far as nobody needs to be asked there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kedro.io.core import DatasetError

from seqtune.datasets import Artifact, RawFiles, Scratch, Store, StudyStorage

ADDRESS = "s3://bucket/x"


def test_a_folder_gives_its_parquet_files_in_order(tmp_path: Path) -> None:
    for name in ("day=2/b.parquet", "day=1/c.parquet", "day=1/a.pq", "_SUCCESS", "notes.txt"):
        (tmp_path / "log" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "log" / name).touch()
    for pattern in ("log", "lo*", "log/day=*"):
        found = RawFiles(filepath=f"{tmp_path}/{pattern}").load()
        assert [path.name for path in found] == ["a.pq", "c.parquet", "b.parquet"]


def test_a_pattern_that_matches_files_takes_no_folders(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.parquet").touch()
    (tmp_path / "new.parquet").touch()
    found = RawFiles(filepath=f"{tmp_path}/*").load()
    assert [path.name for path in found] == ["new.parquet"]


def test_a_folder_without_parquet_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no Parquet file in the folder"):
        RawFiles(filepath=str(tmp_path)).load()


def test_pages_are_no_object_storage(tmp_path: Path) -> None:
    dataset = RawFiles(filepath="https://host/a.csv?token=hunter2", cache=str(tmp_path))
    with pytest.raises(DatasetError, match=r"https:// is not object storage.*s3://") as caught:
        dataset.load()
    assert "hunter2" not in str(caught.value) + repr(dataset)


def test_an_address_needs_a_cache() -> None:
    with pytest.raises(DatasetError, match=r"`cache: data/00_scratch/remote`"):
        RawFiles(filepath=ADDRESS).load()
    with pytest.raises(Exception, match="`cache: data/00_scratch/remote`"):
        Artifact(filepath=ADDRESS)
    with pytest.raises(Exception, match="a cache must be on a file system"):
        Artifact(filepath=ADDRESS, cache=ADDRESS)


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        (Scratch(filepath=ADDRESS), "set `scratch` in conf/local/globals.yml"),
        (Store(filepath=ADDRESS), "a folder that all machines share"),
        (StudyStorage(filepath=ADDRESS), "SEQTUNE_STUDY_URL"),
    ],
)
def test_what_has_to_be_a_folder_refuses_object_storage(
    dataset: Scratch | StudyStorage, says: str
) -> None:
    with pytest.raises(DatasetError, match="not in object storage") as caught:
        dataset.load()
    assert says in str(caught.value)


def test_studies_in_a_database_need_no_file() -> None:
    dataset = StudyStorage(filepath=ADDRESS, credentials={"url": "postgresql://host/x"})
    assert dataset.load() == "postgresql://host/x"


def test_nothing_of_object_storage_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, seqtune.datasets; "
        "print(*({'s3fs', 'botocore', 'aiobotocore', 'aiohttp'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert found.stdout.split() == []
