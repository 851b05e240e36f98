"""Nothing of a failed node stays, and a full disk is called one."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from seqtune.core.errors import StorageError
from seqtune.pipelines._scratch import scratch_folder


def test_folder_is_fresh_and_stays_for_the_catalog_to_publish(tmp_path: Path) -> None:
    with scratch_folder(tmp_path, "split") as first, scratch_folder(tmp_path, "split") as second:
        (first / "file").write_text("content", encoding="utf-8")

    assert first != second
    assert first.parent == tmp_path
    assert (first / "file").read_text(encoding="utf-8") == "content"
    assert list(second.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt()])
def test_nothing_stays_of_a_node_that_failed(tmp_path: Path, error: BaseException) -> None:
    def fail_halfway() -> None:
        with scratch_folder(tmp_path, "split") as folder:
            (folder / "half").write_text("written", encoding="utf-8")
            raise error

    with pytest.raises(type(error)):
        fail_halfway()

    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_called_one(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="no space is left on the disk"),
        scratch_folder(tmp_path, "split"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_system_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), scratch_folder(tmp_path, "split") as folder:
        (folder / "absent").read_bytes()
