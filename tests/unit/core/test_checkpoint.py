"""A checkpoint is complete, undamaged and of these data, or it is refused with the reason."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from seqtune.core.checkpoint import (
    MANIFEST,
    Checkpoint,
    CheckpointManifest,
    Weights,
    file_hash,
    open_checkpoint,
)
from seqtune.core.errors import ArtifactError

CONTENT = {"best": b"best weights", "last": b"last weights"}


def weights(which: str, *, epoch: int) -> Weights:
    digest = sha256(CONTENT[which]).hexdigest()
    return Weights(file=f"{which}.safetensors", sha256=digest, epoch=epoch, metrics={"loss": 0.5})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    manifest = CheckpointManifest(
        task="recommend",
        fingerprint="f" * 16,
        data_hash="d" * 64,
        assets_hash="a" * 64,
        config={"task": "recommend"},
        versions={"torch": "2.13.0"},
        best=weights("best", epoch=3),
        last=weights("last", epoch=5),
        epochs_planned=10,
        stopped="early stopping",
        seconds=1.5,
    )
    for which, content in CONTENT.items():
        (tmp_path / f"{which}.safetensors").write_bytes(content)
    (tmp_path / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
    return tmp_path


def change(folder: Path, **values: Any) -> None:
    path = folder / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**manifest, **values}), encoding="utf-8")


def test_complete_checkpoint_opens(folder: Path) -> None:
    checkpoint = open_checkpoint(folder)

    assert isinstance(checkpoint, Checkpoint)
    assert checkpoint.manifest.weights("best").epoch == 3
    assert checkpoint.manifest.weights("last").epoch == 5
    assert checkpoint.weights_path("last").read_bytes() == CONTENT["last"]
    assert checkpoint.assets == folder / "assets"


def test_folder_without_manifest_is_incomplete(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"is not a complete checkpoint: no checkpoint.json"):
        open_checkpoint(tmp_path)


def test_cut_manifest_is_damaged(folder: Path) -> None:
    text = (folder / MANIFEST).read_text(encoding="utf-8")
    (folder / MANIFEST).write_text(text[: len(text) // 2], encoding="utf-8")

    with pytest.raises(ArtifactError, match=r"is damaged: checkpoint.json, the file: Invalid JSON"):
        open_checkpoint(folder)


def test_wrong_value_in_the_manifest_is_named(folder: Path) -> None:
    change(folder, epochs_planned="many")

    with pytest.raises(ArtifactError, match=r"checkpoint.json, epochs_planned: Input should be"):
        open_checkpoint(folder)


def test_weights_outside_the_folder_are_refused(folder: Path) -> None:
    change(folder, best={**json.loads(weights("best", epoch=3).model_dump_json()), "file": "../x"})

    with pytest.raises(ArtifactError, match=r"best\.file: .*'\.\./x' is not a file of this folder"):
        open_checkpoint(folder)


def test_format_of_another_version_is_refused(folder: Path) -> None:
    change(folder, format_version=99)

    with pytest.raises(
        ArtifactError, match="has format 99; this version of seqtune reads format 1"
    ):
        open_checkpoint(folder)


def test_one_flipped_bit_in_the_weights_is_noticed(folder: Path) -> None:
    path = folder / "best.safetensors"
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(bytes(content))

    with pytest.raises(
        ArtifactError, match=r"content of best\.safetensors is not what was written"
    ):
        open_checkpoint(folder).weights_path("best")


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / "last.safetensors").unlink()

    with pytest.raises(ArtifactError, match=r"has no last.safetensors; .*--load-versions"):
        open_checkpoint(folder).weights_path("last")


def test_checkpoint_of_other_data_is_refused(folder: Path) -> None:
    checkpoint = open_checkpoint(folder)
    checkpoint.require_assets("a" * 64, what="the split")

    with pytest.raises(
        ArtifactError, match=r"another data set than the split \(.* has the hash aaaaaaa"
    ):
        checkpoint.require_assets("b" * 64, what="the split")


def test_hash_is_that_of_the_whole_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000  # more than one piece
    (tmp_path / "file").write_bytes(content)

    assert file_hash(tmp_path / "file") == sha256(content).hexdigest()
