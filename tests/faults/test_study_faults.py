"""A study file that is damaged, emptied, foreign, locked, or on a disk that is full."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "tuning"))

from toy_studies import begin, finish, run_one, toy_plan

from seqtune.core.errors import ArtifactError, StorageError
from seqtune.tuning.studies import storage_errors as storage_faults
from seqtune.tuning.studies.copies import backup
from seqtune.tuning.studies.records import count
from seqtune.tuning.studies.storage_errors import explained
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.study import load_study, open_study, study_name
from small_disks import fill, small_disk

PLAN = toy_plan()


@pytest.fixture
def ref(tmp_path: Path) -> StorageUrl:
    """A study file with three finished trials."""
    ref = StorageUrl(f"sqlite:///{tmp_path / 'studies.db'}")
    study = open_study(ref, PLAN).study
    for _ in range(3):
        run_one(study, PLAN)
    return ref


def overwrite(file: Path) -> None:
    file.write_text("<<<<<<< HEAD\nnot a database\n")


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def scribble(file: Path) -> None:
    """Pages in the middle, as after a fault of the disk."""
    with file.open("r+b") as stream:
        stream.seek(8192)
        stream.write(b"\xff" * 8192)


@pytest.mark.parametrize("damage", [overwrite, truncate, scribble])
def test_a_damaged_file_is_named_with_its_newest_backup(ref: StorageUrl, damage) -> None:
    first, newest = backup(ref, keep=5), _changed_and_backed_up(ref)
    assert first != newest
    damage(ref.file)
    content = ref.file.read_bytes()

    with pytest.raises(ArtifactError, match=r"the study file .*studies\.db is damaged") as caught:
        open_study(ref, PLAN)
    with pytest.raises(ArtifactError, match="is damaged"):
        backup(ref, keep=1)

    assert f"the newest backup is {newest}" in str(caught.value)
    assert "move the damaged file away" in str(caught.value)
    assert ref.file.read_bytes() == content
    assert newest.exists()

    _follow_the_advice(ref, newest)
    assert count(open_study(ref, PLAN).study).finished == 4


def _changed_and_backed_up(ref: StorageUrl) -> Path:
    run_one(load_study(ref, study_name(PLAN)), PLAN)
    made = backup(ref, keep=5)
    assert made is not None
    return made


def _follow_the_advice(ref: StorageUrl, newest: Path) -> None:
    for name in ("studies.db", "studies.db-wal", "studies.db-shm"):
        (ref.file.parent / name).unlink(missing_ok=True)
    shutil.copy(newest, ref.file)


def test_without_a_backup_the_advice_is_another(ref: StorageUrl) -> None:
    overwrite(ref.file)
    with pytest.raises(ArtifactError, match="there is no backup of it: move it away"):
        open_study(ref, PLAN)


def test_an_emptied_file_is_no_new_study(ref: StorageUrl) -> None:
    backup(ref, keep=5)
    ref.file.write_bytes(b"")
    with pytest.raises(ArtifactError, match="is empty, though it has backups"):
        open_study(ref, PLAN)


def test_an_empty_file_is_not_backed_up(tmp_path: Path) -> None:
    (tmp_path / "studies.db").touch()
    empty = StorageUrl(f"sqlite:///{tmp_path}/studies.db")
    assert backup(empty, keep=3) is None
    assert [path.name for path in tmp_path.iterdir()] == ["studies.db"]


def test_a_file_damaged_under_a_running_worker_is_named(ref: StorageUrl) -> None:
    study = open_study(ref, PLAN).study
    study.storage.engine.dispose()  # type: ignore[attr-defined]
    overwrite(ref.file)
    with pytest.raises(ArtifactError, match="is damaged"), explained(ref):
        study.ask()


def test_a_database_of_somebody_else_is_not_written_to(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE runs (id INTEGER)")
    content = file.read_bytes()
    with pytest.raises(ArtifactError, match=r"SQLite file without studies \(tables: runs\)"):
        open_study(StorageUrl(f"sqlite:///{file}"), PLAN)
    assert file.read_bytes() == content


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "studies.db").mkdir()
    with pytest.raises(StorageError, match=r"studies\.db: Is a directory"):
        open_study(StorageUrl(f"sqlite:///{tmp_path / 'studies.db'}"), PLAN)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "tuning").write_text("")
    with pytest.raises(StorageError, match="File exists"):
        open_study(StorageUrl(f"sqlite:///{tmp_path / 'tuning' / 'studies.db'}"), PLAN)


def test_a_lock_that_nobody_gives_back_is_explained(ref: StorageUrl, monkeypatch) -> None:
    monkeypatch.setattr("seqtune.tuning.studies.storage.LOCK_SECONDS", 0.2)
    study = load_study(ref, study_name(PLAN))
    with closing(sqlite3.connect(ref.file)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = pytest.raises(StorageError, match="another process has held it locked")
        with refused, explained(ref):
            study.set_user_attr("a", 1)


def test_a_full_disk_is_said_and_what_is_finished_stays(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", size="1m") as disk:
        _fill_and_free(disk)


def _fill_and_free(disk: Path) -> None:
    ref = StorageUrl(f"sqlite:///{disk / 'studies.db'}")
    study = open_study(ref, PLAN).study
    run_one(study, PLAN)
    filler = disk / "filler"
    fill(filler)

    def until_full() -> None:
        with explained(ref):
            for _ in range(200):
                finish(study, begin(study, PLAN))

    with pytest.raises(StorageError, match="no space is left on the disk"):
        until_full()
    with pytest.raises(StorageError, match="no space is left on the disk"):
        backup(ref, keep=5)

    filler.unlink()
    assert count(load_study(ref, study.study_name)).complete >= 1
    assert storage_faults.backups_of(ref.file) == []
