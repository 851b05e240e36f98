"""YAML that people edit, and JSON: both may not be there yet."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.io.core import DatasetError, Version

from seqtune.datasets import OptionalJSON, OptionalYAML, Store


def dataset(folder: Path, load: str | None = None, save: str | None = None) -> OptionalYAML:
    return OptionalYAML(filepath=str(folder / "best.yml"), version=Version(load, save))


def test_none_where_there_is_no_file(tmp_path: Path) -> None:
    assert dataset(tmp_path).load() is None
    assert OptionalYAML(filepath=str(tmp_path / "plain.yml")).load() is None


def test_the_newest_version_comes_back_with_its_keys_in_order(tmp_path: Path) -> None:
    dataset(tmp_path, save="1").save({"old": 1})
    dataset(tmp_path, save="2").save({"z": 1, "a": {"두": [1, 2]}})
    loaded = dataset(tmp_path).load()
    assert loaded == {"z": 1, "a": {"두": [1, 2]}}
    assert list(loaded) == ["z", "a"]


def test_a_version_that_was_asked_for_and_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        dataset(tmp_path, load="1999-01-01T00.00.00.000Z").load()


def test_json_of_a_stage_that_did_not_run_is_none(tmp_path: Path) -> None:
    path = str(tmp_path / "top.json")
    assert OptionalJSON(filepath=path, version=Version(None, None)).load() is None
    OptionalJSON(filepath=path, version=Version(None, "1")).save([{"두": 1}])
    assert OptionalJSON(filepath=path, version=Version(None, None)).load() == [{"두": 1}]
    with pytest.raises(DatasetError):
        OptionalJSON(filepath=path, version=Version("2", None)).load()


def test_a_store_is_a_folder_that_is_there_and_is_never_saved(tmp_path: Path) -> None:
    store = Store(filepath=str(tmp_path / "members"))
    assert store.load().is_dir()
    with pytest.raises(DatasetError, match="a folder to add to"):
        store.save(tmp_path)  # type: ignore[arg-type]
