"""Artifacts: published whole or not at all, versioned by Kedro, readable by Kedro-Viz."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pandas as pd
import pytest
from kedro.io.core import DatasetError, Version

from seqtune.datasets import Artifact

V1999 = "1999-01-01T00.00.00.000Z"
V2025 = "2025-01-01T00.00.00.000Z"
V2026 = "2026-01-01T00.00.00.000Z"
V2999 = "2999-01-01T00.00.00.000Z"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder that a node has finished in scratch."""
    folder = tmp_path / "scratch" / "made"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("content")
    return folder


def artifact(path: Path, *, save: str | None = None, load: str | None = None) -> Artifact:
    return Artifact(filepath=str(path), version=Version(load, save), made_by="ingest")


def test_saving_moves_the_folder_to_its_version(tmp_path: Path, made: Path) -> None:
    dataset = artifact(tmp_path / "data" / "folder", save=V2026)
    dataset.save(made)
    assert dataset.load() == tmp_path / "data" / "folder" / V2026 / "folder"
    assert (dataset.load() / "a.txt").read_text() == "content"
    assert not made.exists()
    assert [path.name for path in (tmp_path / "data" / "folder" / V2026).iterdir()] == ["folder"]


def test_the_newest_version_is_loaded_unless_one_is_named(tmp_path: Path) -> None:
    for version in (V2025, V2026):
        file = tmp_path / "new.csv"
        file.write_text(version)
        artifact(tmp_path / "x.csv", save=version).save(file)
    assert artifact(tmp_path / "x.csv").load().read_text() == V2026
    assert artifact(tmp_path / "x.csv", load=V2025).load().read_text() == V2025


def test_what_this_run_made_is_read_though_the_future_has_another(
    tmp_path: Path, made: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(made, tmp_path / "folder" / V2999 / "folder")
    dataset = artifact(tmp_path / "folder", save=V2026)
    dataset.save(made)
    assert dataset.load().parent.name == V2026
    assert artifact(tmp_path / "folder", save=V2025).load().parent.name == V2999
    (warning,) = caplog.messages
    assert f"{tmp_path}/folder has a version from the future, {V2999}" in warning


def test_a_folder_that_is_no_version_is_ignored_aloud(
    tmp_path: Path, made: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("zzz", f"{V2026} copy"):
        shutil.copytree(made, tmp_path / "folder" / name / "folder")
    assert not artifact(tmp_path / "folder").exists()
    artifact(tmp_path / "folder", save=V2025).save(made)
    assert artifact(tmp_path / "folder").exists()
    assert artifact(tmp_path / "folder").load().parent.name == V2025
    assert artifact(tmp_path / "folder", load="zzz").load().parent.name == "zzz"
    assert "zzz/folder is ignored: 'zzz' is not a version" in caplog.text


def test_it_exists_once_a_version_does(tmp_path: Path, made: Path) -> None:
    assert not artifact(tmp_path / "x").exists()
    artifact(tmp_path / "x", save=V2026).save(made)
    assert artifact(tmp_path / "x").exists()
    assert not artifact(tmp_path / "x", load="2025").exists()


def test_a_version_is_never_overwritten(tmp_path: Path, made: Path) -> None:
    artifact(tmp_path / "folder", save=V2026).save(made)
    made.mkdir(parents=True)
    with pytest.raises(DatasetError, match="must not exist"):
        artifact(tmp_path / "folder", save=V2026).save(made)


def test_without_versions_the_new_replaces_the_old(tmp_path: Path) -> None:
    dataset = Artifact(filepath=str(tmp_path / "x.csv"))
    for content in ("old", "new"):
        file = tmp_path / "scratch.csv"
        file.write_text(content)
        dataset.save(file)
    assert dataset.load().read_text() == "new"


def test_what_is_not_there_names_the_pipeline_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="run `kedro run --pipelines ingest` first"):
        artifact(tmp_path / "folder").load()


def test_an_optional_one_that_is_not_there_is_none(tmp_path: Path) -> None:
    dataset = Artifact(filepath=str(tmp_path / "x"), optional=True, version=Version(None, None))
    assert dataset.load() is None


def test_a_named_version_that_is_not_there_is_an_error_even_if_optional(tmp_path: Path) -> None:
    dataset = Artifact(filepath=str(tmp_path / "x"), optional=True, version=Version(V1999, None))
    with pytest.raises(DatasetError, match="1999"):
        dataset.load()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_preview_shows_the_first_rows_as_text(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"user": range(100), "item": [f"i{n}" for n in range(100)]})
    path = tmp_path / f"x{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    preview = Artifact(filepath=str(path)).preview()
    assert preview["columns"] == ["user", "item"]
    assert preview["data"][:2] == [["0", "i0"], ["1", "i1"]]
    assert len(preview["data"]) == 20


def test_it_can_be_sent_to_another_process(tmp_path: Path) -> None:
    dataset = pickle.loads(pickle.dumps(artifact(tmp_path / "x")))
    assert isinstance(dataset, Artifact)


def test_an_emptied_scratch_folder_goes_but_not_one_with_more_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "scratch" / "predict-1"
    folder.mkdir(parents=True)
    for name in ("a.csv", "b.csv"):
        (folder / name).touch()
    artifact(tmp_path / "a.csv", save=V2026).save(folder / "a.csv")
    assert folder.exists()
    artifact(tmp_path / "b.csv", save=V2026).save(folder / "b.csv")
    assert not folder.exists()
