"""Whether everything below a data folder opens and holds what its hashes say.

Every file is read by the library of its format, so that a reader of ours cannot hide its own fault;
hashes are compared with their manifests.
"""

from __future__ import annotations

import json
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import yaml
from safetensors import safe_open

from seqtune.core.checkpoint import file_hash, open_checkpoint
from seqtune.core.ensemble import open_ensemble
from seqtune.tasks.recommend.data import SplitData, content_hash
from seqtune.tasks.recommend.split import vocabulary_hash

VERSION = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z")
STORES = ("06_models/*/members/*", "08_reporting/*/test_results/*.json")
DATABASES = ("06_models/*/studies.db", "06_models/*/backups/*.db")


def damaged(data: Path) -> list[str]:
    """Return what is wrong with the versions, stores and databases, by path."""
    found = []
    for path in sorted(_published(data)):
        try:
            _check(path)
        except Exception as error:  # noqa: BLE001  # whatever a library raises is a finding
            reason = re.sub(r" at 0x\w+", "", " ".join(str(error).split()))[:200]
            found.append(f"{path.relative_to(data)}: {type(error).__name__}: {reason}")
    return found


def versions(data: Path) -> Iterator[Path]:
    """Yield the content of every version: data/.../name/<version>/name."""
    for folder in data.glob("0[2-9]_*/*/*/*"):
        if VERSION.fullmatch(folder.name) and (path := folder / folder.parent.name).exists():
            yield path


def _published(data: Path) -> Iterator[Path]:
    yield from versions(data)
    for pattern in (*STORES, *DATABASES):
        yield from (path for path in data.glob(pattern) if not path.name.startswith("."))


def _check(path: Path) -> None:
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            CHECKS.get(file.suffix, _nothing)(file)
            FOLDER_CHECKS.get(file.name, _nothing)(file.parent)


def _nothing(_path: Path) -> None: ...


def _check_json(path: Path) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    listed = found.get("files") if isinstance(found, dict) and "format_version" in found else {}
    for name, written in (listed or {}).items():
        content = (path.parent / name).read_bytes()
        _require(len(content) == written["num_bytes"], f"size of {name}")
        _require(f"{zlib.crc32(content):08x}" == written["crc32"], f"checksum of {name}")


def _check_yaml(path: Path) -> None:
    if yaml.safe_load(path.read_text(encoding="utf-8")) is None:
        raise ValueError("empty")


def _check_page(path: Path) -> None:
    if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise ValueError("cut off")


def _check_table(path: Path) -> None:
    if not path.read_bytes().endswith(b"\n"):
        raise ValueError("cut off")
    pd.read_csv(path, dtype=str)


def _check_weights(path: Path) -> None:
    with safe_open(path, framework="np") as tensors:
        for name in tensors.keys():  # noqa: SIM118  # no mapping
            tensors.get_slice(name).get_shape()


def _check_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        (said,) = database.execute("pragma integrity_check").fetchone()
        num_studies = database.execute("select count(*) from studies").fetchone()
    _require(said == "ok" and num_studies is not None, f"integrity_check: {said}")


def _check_checkpoint(folder: Path) -> None:
    manifest = open_checkpoint(folder).manifest
    for weights in (manifest.best, manifest.last):
        _require(file_hash(folder / weights.file) == weights.sha256, f"hash of {weights.file}")
    if (items := folder / "assets" / "items.parquet").exists():
        _require(vocabulary_hash(items) == manifest.assets_hash, "hash of the vocabulary")


def _check_ensemble(folder: Path) -> None:
    open_ensemble(folder).checkpoints()


def _check_split(folder: Path) -> None:
    if not (folder / "items.npy").exists():
        return  # of a task on texts
    split = SplitData.open(folder)
    arrays: dict[str, Any] = {
        name: getattr(split, name)
        for name in ("items", "offsets", "train_end", "valid_at", "test_at", "train_counts")
    }
    for name, side in split.sides.items():
        arrays |= {f"side_{name}_values": side.values, f"side_{name}_offsets": side.offsets}
    _require(content_hash(arrays) == split.content_hash, "hash of the arrays")
    _require(vocabulary_hash(folder / "items.parquet") == split.assets_hash, "hash of the items")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{what} is not what was written")


CHECKS: dict[str, Callable[[Path], Any]] = {
    ".json": _check_json,
    ".yml": _check_yaml,
    ".html": _check_page,
    ".csv": _check_table,
    ".db": _check_database,
    ".parquet": lambda path: pq.read_table(path),
    ".npy": lambda path: np.load(path, allow_pickle=False),
    ".safetensors": _check_weights,
}
FOLDER_CHECKS: dict[str, Callable[[Path], None]] = {
    "checkpoint.json": _check_checkpoint,
    "ensemble.json": _check_ensemble,
    "split.json": _check_split,
}
