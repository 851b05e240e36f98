"""Exports are found by their versions, and what is not complete and unchanged is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from seqtune_serve import ExportError, newest_export, open_model, read_export

from .toy_exports import VERSION, write_export


def test_the_newest_version_is_taken_and_its_name_told(tmp_path: Path) -> None:
    write_export(tmp_path, number=2)
    newest = write_export(tmp_path, number=3)
    (tmp_path / "notes" / "export").mkdir(parents=True)
    shutil.copytree(newest, tmp_path / VERSION.format(4) / ".export.partial")  # under way

    assert read_export(tmp_path).path == newest
    assert read_export(tmp_path).version == VERSION.format(3)
    assert newest_export(newest) == newest


def test_a_folder_without_exports_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"has no export; make one with `kedro run --pipelines"):
        read_export(tmp_path)


def test_changed_and_missing_files_are_refused_by_name(tmp_path: Path) -> None:
    path = write_export(tmp_path)
    items = path / "items.json"
    items.write_text(items.read_text().replace("a", "x"))
    with pytest.raises(ExportError, match=r"the content of items\.json is not what was written"):
        read_export(path)
    items.unlink()
    with pytest.raises(ExportError, match=r"it has no items\.json"):
        read_export(path)


def test_a_broken_manifest_and_another_format_are_refused(tmp_path: Path) -> None:
    path = write_export(tmp_path, format_version=9)
    with pytest.raises(ExportError, match="has format 9, and this version of seqtune-serve reads"):
        read_export(path)
    (path / "export.json").write_text("{")
    with pytest.raises(ExportError, match=r"export\.json cannot be read"):
        read_export(path)


def test_a_precision_that_was_not_exported_is_refused(tmp_path: Path) -> None:
    export = read_export(write_export(tmp_path))
    with pytest.raises(ExportError, match=r"has no graphs in int8, only in fp32; choose one"):
        open_model(export, precision="int8")


def test_a_task_that_is_not_served_is_refused(tmp_path: Path) -> None:
    export = read_export(write_export(tmp_path, task="summarize"))
    with pytest.raises(ExportError, match="of the task summarize; served are recommend and class"):
        open_model(export)


def test_a_manifest_is_json_that_a_person_can_read(tmp_path: Path) -> None:
    manifest = json.loads((write_export(tmp_path) / "export.json").read_text())
    assert manifest["members"]["model"]["max_len"] == 4
