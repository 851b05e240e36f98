"""Files are complete or not there; locks end with their process, and a signal ends the wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from seqtune.core import files
from seqtune.core.files import (
    atomic_write,
    claim_folder,
    lock,
    publish,
    remove_abandoned,
    write_json,
)

HOLD = """
import sys, time
from pathlib import Path
from seqtune.core.files import lock
with lock(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["alone", "shared"])
def holder(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock"), request.param],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_file_that_was_not_finished_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": "한"})

    def fails() -> None:
        with atomic_write(path) as partial:
            partial.write_text("half")
            raise ValueError("in between")

    with pytest.raises(ValueError, match="in between"):
        fails()
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]
    assert path.read_text("utf-8") == '{\n  "a": "한"\n}\n'


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_published_has_its_name_at_once(tmp_path: Path, kind: str) -> None:
    made, target = tmp_path / "made", tmp_path / "deep" / "target"
    if kind == "folder":
        made.mkdir()
    (made / "a" if kind == "folder" else made).write_text("a")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / ".target.partial").write_text("of a killed process")

    publish(made, target)

    assert (target / "a" if kind == "folder" else target).read_text() == "a"
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    assert not made.exists()


def test_who_comes_second_gets_it_when_the_first_was_killed(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with lock(tmp_path / "lock", wait_seconds=0.0) as is_held:
        assert not is_held
    holder.kill()
    with lock(tmp_path / "lock", wait_seconds=20.0) as is_held:
        assert is_held


@pytest.mark.parametrize("holder", ["shared"], indirect=True)
@pytest.mark.usefixtures("holder")
def test_those_who_share_do_not_wait(tmp_path: Path) -> None:
    with lock(tmp_path / "lock", shared=True, wait_seconds=0.0) as is_held:
        assert is_held


@pytest.mark.parametrize("holder", ["alone"], indirect=True)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.usefixtures("holder")
def test_a_signal_ends_the_wait(tmp_path: Path, shared: bool) -> None:
    def asked(*_: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, asked)
    begun = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(InterruptedError), lock(tmp_path / "lock", shared=shared):
            pass
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begun < 10


def test_a_folder_is_locked_without_a_file_in_it(tmp_path: Path) -> None:
    with lock(tmp_path) as is_held, lock(tmp_path, wait_seconds=0.0) as again:
        assert (is_held, again) == (True, False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_lets_everybody_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_descriptor: int, *, blocking: bool) -> bool:
        raise OSError(files.NO_LOCKS[0], os.strerror(files.NO_LOCKS[0]))

    monkeypatch.setattr(files, "lock_descriptor", none)
    with lock(tmp_path / "lock") as is_held:
        assert is_held


def test_only_folders_of_ended_processes_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys; from seqtune.core.files import *; claim_folder(Path(sys.argv[1]), 'split')"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    mine = claim_folder(tmp_path, "split")
    (tmp_path / "remote").mkdir()

    with monkeypatch.context() as patch:
        patch.setattr(files, "lock_descriptor", lambda *_, **__: True)  # a disk without locks
        remove_abandoned(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    remove_abandoned(tmp_path)
    assert set(tmp_path.iterdir()) == {mine, tmp_path / "remote"}


def test_a_claimed_folder_has_the_permissions_of_other_new_folders(tmp_path: Path) -> None:
    """It becomes the artefact, which a team reads."""
    umask = os.umask(0o027)
    try:
        with ExitStack() as claims:
            folder = claim_folder(tmp_path, "split", claims)
            assert folder.stat().st_mode & 0o777 == 0o750
            assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [folder.name]
    finally:
        os.umask(umask)
