"""Raw files are found, in order, and their absence is explained; scratch is made on demand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kedro.io.core import DatasetError

from seqtune.datasets import RawFiles, Scratch


def test_patterns_and_lists_give_sorted_paths(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.txt"):
        (tmp_path / name).touch()
    dataset = RawFiles(filepath=[f"{tmp_path}/*.csv", f"{tmp_path}/c.txt"])
    assert [path.name for path in dataset.load()] == ["a.csv", "b.csv", "c.txt"]
    assert dataset.exists()


def test_a_name_with_a_bracket_is_a_name_if_such_a_file_exists(tmp_path: Path) -> None:
    (tmp_path / "data[1].csv").touch()
    assert len(RawFiles(filepath=f"{tmp_path}/data[1].csv").load()) == 1


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    dataset = RawFiles(filepath=f"{tmp_path}/x.csv", looks_like="a CSV with the column user")
    with pytest.raises(DatasetError, match=r"x\.csv.*a CSV with the column user.*make run"):
        dataset.load()
    assert not dataset.exists()


@pytest.mark.parametrize("optional", [False, True])
def test_what_is_no_file_is_named(optional: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.symlink_to(path)
    with pytest.raises(DatasetError, match=r"x\.csv is a link that leads to no file \(Too many"):
        RawFiles(filepath=str(path), optional=optional).load()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DatasetError, match=r"x\.csv is a pipe, a socket or a device"):
        RawFiles(filepath=str(path), optional=optional).load()


def test_an_optional_file_may_be_missing(tmp_path: Path) -> None:
    assert RawFiles(filepath=f"{tmp_path}/x.csv", optional=True).load() == ()


def test_raw_files_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="never written"):
        RawFiles(filepath=f"{tmp_path}/x.csv").save(())  # type: ignore[arg-type]


def test_scratch_makes_its_folder(tmp_path: Path) -> None:
    folder = Scratch(filepath=str(tmp_path / "a" / "b")).load()
    assert folder.is_dir()


def test_the_sample_of_a_task_is_named_by_its_own_command(tmp_path: Path) -> None:
    dataset = RawFiles(filepath=f"{tmp_path}/x.csv", sample="kedro run --pipelines classify.sample")
    with pytest.raises(DatasetError, match=r"`kedro run --pipelines classify\.sample` shows"):
        dataset.load()
