"""Documents: written whole or not at all, and what is not whole is refused."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kedro.io.core import DatasetError, Version

from seqtune.datasets import Document, Scratch, Store, StudyStorage, YAMLDocument

V1, V2 = (f"2026-01-0{day}T00.00.00.000Z" for day in (1, 2))
TABLE = pd.DataFrame({"a": [1, 2], "b": ["x", "두"]})
FORMATS: dict[str, tuple[str, Any]] = {
    "x.json": ("json.JSONDataset", {"두": [1, 2]}),
    "x.csv": ("pandas.CSVDataset", TABLE),
    "x.parquet": ("pandas.ParquetDataset", TABLE),
    "x.html": ("text.TextDataset", "<p>두</p>"),
}


def document(path: Path, load: str | None = None, save: str | None = None) -> Document:
    entry: dict[str, Any] = {"type": FORMATS[path.name][0]}
    if path.suffix == ".csv":
        entry["save_args"] = {"index": False}
    return Document(filepath=str(path), format=entry, version=Version(load, save), made_by="tune")


def best_config(folder: Path, load: str | None = None, save: str | None = None) -> YAMLDocument:
    path, version = str(folder / "best.yml"), Version(load, save)
    return YAMLDocument(filepath=path, version=version, optional=True, made_by="tune")


@pytest.mark.parametrize("name", FORMATS)
def test_the_newest_version_comes_back(tmp_path: Path, name: str) -> None:
    value, path = FORMATS[name][1], tmp_path / name
    assert not document(path).exists()
    document(path, save=V1).save(value[:1] if isinstance(value, pd.DataFrame) else value)
    document(path, save=V2).save(value)
    loaded = document(path).load()
    assert loaded.equals(value) if isinstance(value, pd.DataFrame) else loaded == value
    assert [file.name for file in (path / V2).iterdir()] == [name]


def test_yaml_keeps_its_keys_in_order(tmp_path: Path) -> None:
    best_config(tmp_path, save=V1).save({"z": 1, "a": {"두": [1, 2]}})
    assert list(best_config(tmp_path).load()) == ["z", "a"]
    (file,) = tmp_path.glob("best.yml/*/*")
    assert file.read_text() == "---\nz: 1\na:\n  두:\n  - 1\n  - 2\n...\n"


def test_what_is_absent_is_none_or_says_how_it_is_made(tmp_path: Path) -> None:
    assert best_config(tmp_path).load() is None
    with pytest.raises(
        DatasetError, match=r"there is no .*x\.json; run `kedro run --pipelines tune`"
    ):
        document(tmp_path / "x.json").load()
    for load in (best_config(tmp_path, load=V1), document(tmp_path / "x.json", load=V1)):
        with pytest.raises(DatasetError, match=V1):
            load.load()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.json", b"", "Expecting value"),
        ("x.json", b'{"a": [1,', "Expecting value"),
        ("x.json", b"null", "it is empty"),
        ("x.csv", b"", "No columns"),
        ("x.parquet", b"", "Parquet"),
        ("x.parquet", b"PAR1 and more PAR1", "Parquet|footer|magic"),
        ("best.yml", b"", "it is empty"),
        ("best.yml", b"---\na: 1\nb: 2\n", "has no line ... at its end"),
        ("best.yml", b"---\na: 1\nb:", "has no line ... at its end"),
        ("best.yml", b"a:\n\t- 1", "cannot start any token"),
        ("best.yml", b"\x00\x80\xff", "unacceptable character"),
        ("best.yml", b"--- !!python/object/apply:os.system ['exit 1']\n...\n", "constructor"),
    ],
)
def test_what_is_cut_off_is_refused(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    file = tmp_path / name / V1 / name
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    dataset = best_config(tmp_path) if name == "best.yml" else document(tmp_path / name)
    with pytest.raises(DatasetError, match=says) as caught:
        dataset.load()
    message = str(caught.value.__cause__)
    assert message.startswith(f"{file} is cut off or damaged (")
    assert message.endswith("or make it again (`kedro run --pipelines tune`)")
    assert "\n" not in message


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "best.yml" / V1 / "best.yml").mkdir(parents=True)
    with pytest.raises(DatasetError, match="is cut off or damaged"):
        best_config(tmp_path).load()


@pytest.mark.parametrize("text", ["a: 1\n", "---\na: 1\n...\n# mine\n", "---\r\na: 1\r\n...\r\n"])
def test_yaml_that_people_wrote_is_read(tmp_path: Path, text: str) -> None:
    file = tmp_path / "best.yml" / V1 / "best.yml"
    file.parent.mkdir(parents=True)
    file.write_bytes(text.encode())
    assert best_config(tmp_path).load() == {"a": 1}


@pytest.mark.parametrize(("name", "value"), [("x.json", {"a": object()}), ("x.html", 5)])
def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, name: str, value: Any) -> None:
    dataset = document(tmp_path / name, save=V1)
    with pytest.raises(DatasetError):
        dataset.save(value)
    assert not dataset.exists()
    assert not list((tmp_path / name / V1).iterdir())


def test_a_process_killed_while_it_writes_leaves_no_version(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
import os, signal
from kedro.io.core import Version
from seqtune.datasets import Document

class Killing(dict):
    def items(self):
        yield from super().items()
        os.kill(os.getpid(), signal.SIGKILL)

path = {str(tmp_path / "x.json")!r}
format = {{"type": "json.JSONDataset", "save_args": {{"indent": 1}}}}
Document(filepath=path, format=format, version=Version(None, {V1!r})).save(Killing(a="x" * 100_000))
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert any(file.stat().st_size for file in tmp_path.rglob("x.json") if file.is_file())
    assert not document(tmp_path / "x.json").exists()


@pytest.mark.parametrize(("name", "kind"), [("x.json", "JSONPreview"), ("x.csv", "TablePreview")])
def test_previews_are_those_of_the_format(tmp_path: Path, name: str, kind: str) -> None:
    dataset = document(tmp_path / name, save=V1)
    dataset.save(FORMATS[name][1])
    assert inspect.signature(dataset.preview).return_annotation == kind
    assert dataset.preview()
    assert not hasattr(document(tmp_path / "x.html", save=V1), "preview")


def test_a_store_is_a_folder_that_is_there_and_is_never_saved(tmp_path: Path) -> None:
    store = Store(filepath=str(tmp_path / "members"))
    assert store.load().is_dir()
    with pytest.raises(DatasetError, match="a folder to add to"):
        store.save(tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (Path.touch, "is a file, where a folder is needed; move it away"),
        (lambda path: path.symlink_to("nowhere"), "is a link that leads nowhere"),
    ],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda path: Scratch(filepath=str(path / "deep")).load(),
        lambda path: StudyStorage(filepath=str(path / "studies.db")).load(),
        lambda path: document(path / "x.json", save=V1).save({}),
    ],
)
def test_what_stands_in_the_way_of_a_folder_is_named(
    tmp_path: Path, block: Callable[[Path], None], use: Callable[[Path], Any], says: str
) -> None:
    block(tmp_path / "data")
    with pytest.raises(DatasetError, match=f"{tmp_path}/data {says}"):
        use(tmp_path / "data")
