"""MovieLens-1M as a split under protocol P1, and ensembles of what was trained on it, made
without DuckDB and Kedro.

P1: the file's own order; test = last item, valid = the one before, train = the rest.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from _harness import shared_data
from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.columns import COUNT, ITEM, ITEM_ID
from seqtune.core.ensemble import EnsembleManifest, Member, ensemble_fingerprint
from seqtune.tasks.recommend.data import (
    ARRAYS,
    ITEMS_TABLE,
    MANIFEST,
    SplitData,
    SplitManifest,
    content_hash,
)

FILE = "recommend/ml-1m.txt"
METRIC = "ndcg@10"
Integers = npt.NDArray[np.integer[Any]]


def ml1m_split(directory: Path, *, num_users: int | None = None) -> SplitData:
    """Write the split folder from `ml-1m.txt`, or from its first users, and open it."""
    source = shared_data() / FILE
    if not source.is_file():
        raise FileNotFoundError(f"{source} is missing; set SEQTUNE_DATA to the folder of data sets")
    rows = np.fromstring(source.read_text(), dtype=np.int64, sep=" ").reshape(-1, 2)
    users, items = rows[:, 0], rows[:, 1]
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    lengths = np.diff(np.append(starts, len(users)))[:num_users]
    raw_ids, dense = np.unique(items[: lengths.sum()], return_inverse=True)
    return write_split(directory, items=dense + 1, lengths=lengths, raw_ids=raw_ids)


def write_split(
    directory: Path, *, items: Integers, lengths: Integers, raw_ids: Integers
) -> SplitData:
    """Users one after another, split as `last_item` with one test item; all at least 3 long."""
    num_items = int(items.max())
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    in_training = np.arange(len(items)) - np.repeat(offsets[:-1], lengths) < np.repeat(
        lengths - 2, lengths
    )
    arrays = {
        "items": items,
        "offsets": offsets,
        "train_end": lengths - 2,
        "valid_at": lengths - 2,
        "test_at": lengths - 1,
        "train_counts": np.bincount(items[in_training], minlength=num_items + 1),
    }
    typed = {name: arrays[name].astype(dtype) for name, dtype in ARRAYS.items()}
    directory.mkdir(parents=True)
    for name, array in typed.items():
        np.save(directory / f"{name}.npy", array)
    write_items_table(directory / ITEMS_TABLE, raw_ids, arrays["train_counts"][1:])
    manifest = SplitManifest(
        num_users=len(lengths),
        num_items=num_items,
        num_interactions=len(items),
        content_hash=content_hash(typed),
        vocabulary_hash=content_hash({"items": np.arange(num_items + 1)}),
        sides={},
        use_full_data=False,
    )
    (directory / MANIFEST).write_text(manifest.model_dump_json())
    return SplitData.open(directory)


def write_items_table(path: Path, raw_ids: Integers, counts: Integers) -> None:
    """The vocabulary; on a machine without pyarrow an empty file, which training only copies."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        path.touch()
        return
    numbers = np.arange(1, len(raw_ids) + 1, dtype=np.int32)
    parquet.write_table(pa.table({ITEM: numbers, ITEM_ID: raw_ids, COUNT: counts}), path)


def write_ensemble(
    path: Path, members: dict[str, Path], weights: Any, scale: str, data: Any
) -> Path:
    """An ensemble folder, as the pipeline `ensemble` writes it."""
    described = []
    for name, weight in zip(members, weights, strict=True):
        manifest = open_checkpoint(members[name]).manifest
        described.append(
            Member(
                name=name,
                origin=name,
                fingerprint=manifest.fingerprint,
                weights_sha256=manifest.best.sha256,
                weight=weight,
                score=manifest.best.metrics[f"val_{METRIC}"],
            )
        )
        if weight > 0:
            shutil.copytree(members[name], path / "members" / name)
    shares = {member.weights_sha256: member.weight for member in described}
    made = EnsembleManifest(
        task="recommend",
        fingerprint=ensemble_fingerprint(shares, scale=scale, data_hash=data.content_hash),
        data_hash=data.content_hash,
        assets_hash=data.assets_hash,
        reference=described[0].fingerprint,
        scale=scale,
        method="benchmark",
        members=tuple(described),
        metric=METRIC,
        findings={},
        versions={},
    )
    (path / "ensemble.json").write_text(made.model_dump_json())
    return path
