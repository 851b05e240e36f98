"""What is read is what was written: size and checksum of each file stand in the manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seqtune.core.errors import ArtifactError
from seqtune.core.manifests import FileSum, Manifest, file_checksum, read_manifest, sum_files

MANIFEST = "manifest.json"


def write(folder: Path, **values: object) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "items.npy").write_bytes(bytes(range(256)) * 10_000)  # more than one piece
    (folder / "deep" / "ids").write_text("a b c")
    manifest = Manifest(format_version=1, files=sum_files(folder)).model_copy(update=values)
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return folder


def read(folder: Path) -> Manifest:
    return read_manifest(
        folder, MANIFEST, Manifest, what="split", version=1, hint="run split again"
    )


def swap(file: Path) -> None:
    file.write_text("b a c")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("items.npy", Path.unlink, "it has no items.npy"),
        ("items.npy", lambda file: file.write_bytes(b""), "items.npy has 0 bytes, not the 2560000"),
        ("items.npy", flip, "the content of items.npy is not what was written"),
        ("deep/ids", swap, "the content of deep/ids is not what was written"),
    ],
)
def test_damage_is_one_error_that_says_what_and_what_next(
    tmp_path: Path, name: str, damage: Callable[[Path], None], says: str
) -> None:
    folder = write(tmp_path / "split")
    damage(folder / name)
    for _ in range(2):  # each time, not only the first
        with pytest.raises(ArtifactError, match=says) as caught:
            read(folder)
        message = str(caught.value)
        assert message.startswith(f"split {folder} is damaged: ")
        assert message.endswith("; run split again")


def test_what_was_not_written_with_it_is_not_compared(tmp_path: Path) -> None:
    folder = write(tmp_path / "split")
    (folder / "made").mkdir()
    assert set(read(folder).files) == {"items.npy", "deep/ids"}
    assert read(write(tmp_path / "old", files={})).files == {}


def test_files_are_compared_once_in_a_process(tmp_path: Path) -> None:
    folder = write(tmp_path / "split")
    read(folder)
    flip(folder / "items.npy")
    assert read(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "", "."])
def test_a_manifest_names_no_file_outside_its_folder(tmp_path: Path, name: str) -> None:
    files = {name: FileSum(num_bytes=1, crc32="00000000")}
    with pytest.raises(ArtifactError, match="is not a file of this folder; run split again"):
        read(write(tmp_path / "split", files=files))


def test_the_checksum_is_that_of_the_whole_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"123456789")
    assert file_checksum(tmp_path / "file") == "cbf43926"  # the check value of CRC-32
