"""The folder of a split: one content hash, mapped tables, and a cache that several may fill."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from seqtune.core.errors import ArtifactError
from seqtune.text.split import (
    MADE,
    MANIFEST,
    Part,
    TextManifest,
    TextSplit,
    table_hash,
    write_split,
)

ROWS = pa.table({"text": ["a", "b", "가", None], "labels": [[0, 1], [1, 1], [], [0]]})


def written(folder: Path, train: pa.Table = ROWS, **options: Any) -> TextManifest:
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[Part, pa.Table] = {"train": train, "valid": ROWS.slice(0, 1)}
    settings = {"task": "classify", "assets_hash": "a", "facts": {"n": 1}, "made_with": {"s": {}}}
    return write_split(folder, parts, **{**settings, **options})


@pytest.fixture
def split(tmp_path: Path) -> TextSplit:
    written(tmp_path / "split")
    return TextSplit.open(tmp_path / "split")


def test_what_is_written_is_read(split: TextSplit) -> None:
    assert split.table("train").equals(ROWS)
    assert split.table("test").schema == ROWS.schema
    assert [split.num_rows(part) for part in ("train", "valid", "test")] == [4, 1, 0]
    assert (split.has_validation, split.has_test) == (True, False)
    assert split.manifest.facts == {"n": 1}
    assert split.made_with == {"s": {}}


def test_to_another_process_goes_the_path(split: TextSplit) -> None:
    assert len(pickle.dumps(split)) < 500
    assert pickle.loads(pickle.dumps(split)) == split


def test_the_hash_is_of_values_and_not_of_chunks(tmp_path: Path) -> None:
    chunked = pa.concat_tables([ROWS.slice(0, 1), ROWS.slice(1, 2), ROWS.slice(3)])
    assert chunked["text"].num_chunks == 3
    assert table_hash(chunked) == table_hash(ROWS)
    assert written(tmp_path / "a", chunked) == written(tmp_path / "b")


@pytest.mark.parametrize(
    "other",
    [
        ROWS.slice(1),
        ROWS.take([1, 0, 2, 3]),
        ROWS.rename_columns(["text", "label"]),
        ROWS.set_column(0, "text", pa.array(["a", "b", "가", "None"])),
        ROWS.set_column(0, "text", pa.array(["a;'b'", "", "가", None])),
    ],
)
def test_the_hash_follows_every_value(tmp_path: Path, other: pa.Table) -> None:
    assert written(tmp_path / "a", other).content_hash != written(tmp_path / "b").content_hash


def test_labels_are_part_of_the_content(tmp_path: Path) -> None:
    hashes = {written(tmp_path / name, assets_hash=name).content_hash for name in "ab"}
    assert len(hashes) == 2


def test_tables_are_mapped_into_memory(tmp_path: Path) -> None:
    large = pa.table({"text": ["word " * 200] * 10_000, "labels": [[0, 1]] * 10_000})
    written(tmp_path / "split", large)
    del large
    split = TextSplit.open(tmp_path / "split")
    before = pa.total_allocated_bytes()
    table = split.table("train")
    assert table.nbytes > 10_000_000
    assert pa.total_allocated_bytes() - before < 100_000
    assert table["text"][9_999].as_py() == "word " * 200


class TestDamage:
    def test_no_manifest(self, split: TextSplit) -> None:
        (split.path / MANIFEST).unlink()
        with pytest.raises(ArtifactError, match=r"(?s)split.*stage split of its task again"):
            TextSplit.open(split.path)

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"task": "classify"}'])
    def test_a_damaged_manifest(self, split: TextSplit, text: str) -> None:
        (split.path / MANIFEST).write_text(text)
        with pytest.raises(ArtifactError, match="stage split of its task again"):
            TextSplit.open(split.path)

    def test_a_manifest_of_another_version(self, split: TextSplit) -> None:
        manifest = json.loads((split.path / MANIFEST).read_text())
        (split.path / MANIFEST).write_text(json.dumps({**manifest, "format_version": 99}))
        with pytest.raises(ArtifactError, match="99"):
            TextSplit.open(split.path)

    @pytest.mark.parametrize("keep", [0, 40, -60])
    def test_a_cut_table(self, split: TextSplit, keep: int) -> None:
        path = split.path / "train.arrow"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(ArtifactError, match=r"train\.arrow is missing or damaged"):
            split.table("train")

    def test_a_missing_table(self, split: TextSplit) -> None:
        (split.path / "train.arrow").unlink()
        with pytest.raises(ArtifactError, match=r"train\.arrow is missing or damaged"):
            split.table("train")


class TestMade:
    def test_once_for_each_key(self, split: TextSplit) -> None:
        calls: list[int] = []

        def write(out: Path) -> None:
            calls.append(1)
            (out / "file").write_text("x")

        folder = split.made("tokens", {"a": 1, "b": 2}, write)
        assert folder == split.made("tokens", {"b": 2, "a": 1}, write)
        assert len(calls) == 1
        assert split.made("tokens", {"a": 2, "b": 2}, write) != folder
        assert split.made("floor", {"a": 1, "b": 2}, write) != folder
        assert folder.parent == split.path / MADE

    def test_a_failure_leaves_nothing(self, split: TextSplit) -> None:
        def write(out: Path) -> None:
            (out / "half").write_text("x")
            raise RuntimeError("stopped")

        with pytest.raises(RuntimeError, match="stopped"):
            split.made("tokens", {}, write)
        assert list((split.path / MADE).iterdir()) == []

    def test_whoever_is_second_takes_what_the_first_made(self, split: TextSplit) -> None:
        def first(out: Path) -> None:
            (out / "file").write_text("first")

        def second(out: Path) -> None:
            split.made("tokens", {}, first)
            (out / "file").write_text("second")

        folder = split.made("tokens", {}, second)
        assert (folder / "file").read_text() == "first"
        assert [path.name for path in folder.parent.iterdir()] == [folder.name]

    def test_two_processes_at_once(self, split: TextSplit) -> None:
        script = (
            "import sys, time, pathlib\n"
            "from seqtune.text.split import TextSplit\n"
            "split = TextSplit.open(pathlib.Path(sys.argv[1]))\n"
            "def write(out):\n"
            "    for n in range(20):\n"
            "        (out / str(n)).write_text('x' * 1000); time.sleep(0.005)\n"
            "print('ready', flush=True); sys.stdin.readline()\n"
            "folder = split.made('tokens', {}, write)\n"
            "print(sorted(len(p.read_text()) for p in folder.iterdir()) == [1000] * 20)\n"
        )
        started = [
            subprocess.Popen(
                [sys.executable, "-c", script, split.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=60)[0].strip() for process in started]
        assert answers == ["True"] * 3
        assert len(list((split.path / MADE).iterdir())) == 1

    def test_others_may_read_it(self, split: TextSplit) -> None:
        folder = split.made("tokens", {}, lambda out: (out / "file").touch())
        assert folder.stat().st_mode == split.path.stat().st_mode
