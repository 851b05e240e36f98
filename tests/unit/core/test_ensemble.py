"""The ensemble folder: complete, undamaged, and of the members it was made with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seqtune.core.ensemble import (
    MANIFEST,
    EnsembleManifest,
    Member,
    ensemble_fingerprint,
    is_ensemble,
    open_ensemble,
)
from seqtune.core.errors import ArtifactError

VALUES: dict[str, Any] = {
    "task": "recommend",
    "fingerprint": "f",
    "data_hash": "d",
    "assets_hash": "a",
    "reference": "r",
    "scale": "ranks",
    "method": "greedy",
    "metric": "valid ndcg@10",
    "findings": {},
    "versions": {},
}


def member(name: str, weight: float) -> Member:
    return Member(
        name=name, origin=name, fingerprint=name, weights_sha256=name, weight=weight, score=0.5
    )


def write(folder: Path, **values: Any) -> Path:
    manifest = EnsembleManifest(
        **{**VALUES, "members": (member("one", 1.0), member("two", 0.0)), **values}
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return folder


def test_members_without_a_share_are_named_but_not_used(tmp_path: Path) -> None:
    ensemble = open_ensemble(write(tmp_path))
    assert [one.name for one in ensemble.manifest.members] == ["one", "two"]
    assert ensemble.member_paths() == {"one": tmp_path / "members" / "one"}


def test_a_folder_without_a_manifest_is_no_ensemble(tmp_path: Path) -> None:
    assert not is_ensemble(tmp_path)
    with pytest.raises(ArtifactError, match=r"not a complete ensemble: no ensemble\.json"):
        open_ensemble(tmp_path)


def test_a_damaged_manifest_is_refused_by_the_key(tmp_path: Path) -> None:
    write(tmp_path)
    values = json.loads((tmp_path / MANIFEST).read_text())
    del values["scale"]
    (tmp_path / MANIFEST).write_text(json.dumps(values))
    with pytest.raises(ArtifactError, match=r"damaged: ensemble\.json, scale: Field required"):
        open_ensemble(tmp_path)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"weight": -3.0}, "members.0.weight: Input should be greater than or equal to 0"),
        ({"weight": float("nan")}, "members.0.weight: Input should be a"),
        ({"weight": float("inf")}, "members.0.weight: Input should be a finite number"),
        ({"name": "../../one"}, "members.0.name: .*is not a file of this folder"),
        ({"name": "/one"}, "members.0.name: .*is not a file of this folder"),
    ],
)
def test_members_without_a_valid_share_or_name_are_refused(
    tmp_path: Path, changed: dict[str, Any], says: str
) -> None:
    write(tmp_path)
    values = json.loads((tmp_path / MANIFEST).read_text())
    values["members"][0] |= changed
    (tmp_path / MANIFEST).write_text(json.dumps(values))
    with pytest.raises(ArtifactError, match=rf"damaged: ensemble\.json, {says}"):
        open_ensemble(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="has format 2; this version of seqtune reads format 1"):
        open_ensemble(write(tmp_path, format_version=2))


def test_the_fingerprint_goes_by_who_counts_and_how_much() -> None:
    base = ensemble_fingerprint({"a": 0.5, "b": 0.5}, scale="ranks", data_hash="d")
    same = ensemble_fingerprint({"b": 0.5, "c": 0.0, "a": 0.5}, scale="ranks", data_hash="d")
    others = {
        ensemble_fingerprint({"a": 0.4, "b": 0.6}, scale="ranks", data_hash="d"),
        ensemble_fingerprint({"a": 0.5, "b": 0.5}, scale="log_softmax", data_hash="d"),
        ensemble_fingerprint({"a": 0.5, "b": 0.5}, scale="ranks", data_hash="e"),
    }
    assert same == base
    assert len(others | {base}) == 4
