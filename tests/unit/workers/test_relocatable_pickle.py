"""Objects on their way to another process."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from seqtune.workers.relocatable_pickle import seal


def where_it_is_opened(sealed: object, cwd: Path) -> str:
    """The folder that another process is in, once it has opened it."""
    program = "import os, pickle, sys; pickle.load(sys.stdin.buffer).open(); print(os.getcwd())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(sealed),
        cwd=cwd,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


def test_relative_paths_mean_what_they_meant_where_it_was_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(project)
    sealed = seal("data/models/llama")
    assert where_it_is_opened(sealed, elsewhere) == str(project)
    unknown_there = replace(sealed, start=tmp_path / "only on the other machine")
    assert where_it_is_opened(unknown_there, elsewhere) == str(elsewhere)


def test_paths_below_a_folder_are_those_of_whoever_opens_it(tmp_path: Path) -> None:
    sealed = seal([tmp_path / "split" / "train.npy", tmp_path], tmp_path / "split")
    there = replace(sealed, folders={0: Path("/copies/abc")})
    assert there.open() == [Path("/copies/abc/train.npy"), tmp_path]
    assert sealed.open() == [tmp_path / "split" / "train.npy", tmp_path]
