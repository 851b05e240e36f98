"""The split as arrays, written by `split` and memory-mapped by later stages.

One flat array holds all interactions, user after user, each in order of time:

    items[offsets[u] : offsets[u] + train_end[u]]     the training part of user u
    position valid_at[u] of the user's sequence       the validation target, -1 for none
    position test_at[u]  of the user's sequence       the test target, -1 for none

To predict a target, the model sees the sequence before it and nothing from it on.

The folder:

    items.npy int32 [N]    offsets.npy int64 [U+1]
    train_end.npy, valid_at.npy, test_at.npy int32 [U]
    train_counts.npy int64 [V+1]      how often each item occurs in the training part
    side_<name>_values.npy int32, side_<name>_offsets.npy int64 [V+2]    a side table, by item;
                                      values count from 1; item 0 (padding) has none
    items.parquet, users.parquet      raw ids: (item, item_id, count), (user, user_id)
    split.json                        the manifest, written last
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from seqtune.core.errors import ArtifactError
from seqtune.core.files import write_json
from seqtune.core.manifests import Manifest, read_manifest

FORMAT_VERSION = 1
MANIFEST = "split.json"
_AGAIN = "run `kedro run --pipelines split` again"
ITEMS_TABLE = "items.parquet"
USERS_TABLE = "users.parquet"
PROFILE = "profile.json"
ARRAYS: Mapping[str, str] = {
    "items": "int32",
    "offsets": "int64",
    "train_end": "int32",
    "valid_at": "int32",
    "test_at": "int32",
    "train_counts": "int64",
}

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class SplitManifest(Manifest):
    """The contents of `split.json`."""

    format_version: int = FORMAT_VERSION
    num_users: int
    num_items: int
    num_interactions: int
    content_hash: str
    """Hash of all arrays: equal hashes mean equal training and evaluation data."""
    vocabulary_hash: str
    """Hash of the raw item ids in order: equal hashes mean equal item numbers."""
    sides: dict[str, int]
    """Number of distinct values by side table."""
    use_full_data: bool
    made_with: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """The configuration sections that determined it; empty if `split` did not make it."""


@dataclass(frozen=True)
class Side:
    """A side table; the values of item i are values[offsets[i] : offsets[i + 1]]."""

    values: Int32
    offsets: Int64
    num_values: int  # distinct values, numbered from 1


@dataclass(frozen=True)
class SplitData:
    """An opened split."""

    path: Path
    manifest: SplitManifest
    items: Int32
    offsets: Int64
    train_end: Int32
    valid_at: Int32
    test_at: Int32
    train_counts: Int64
    sides: Mapping[str, Side]

    @classmethod
    def open(cls, path: Path) -> SplitData:
        """Memory-map a split folder."""
        manifest = read_manifest(
            path, MANIFEST, SplitManifest, what="split", version=FORMAT_VERSION, hint=_AGAIN
        )
        arrays = {name: _open_array(path, name, dtype) for name, dtype in ARRAYS.items()}
        sides = {
            name: Side(
                values=_open_array(path, f"side_{name}_values", "int32"),
                offsets=_open_array(path, f"side_{name}_offsets", "int64"),
                num_values=num_values,
            )
            for name, num_values in manifest.sides.items()
        }
        return cls(path=path, manifest=manifest, sides=sides, **arrays)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path only; another process maps the same pages."""
        return SplitData.open, (self.path,)

    @property
    def num_users(self) -> int:
        return self.manifest.num_users

    @property
    def num_items(self) -> int:
        return self.manifest.num_items

    @property
    def mask_token(self) -> int:
        """Id of [MASK]; 0 is padding, 1..num_items are items."""
        return self.num_items + 1

    @property
    def content_hash(self) -> str:
        return self.manifest.content_hash

    @property
    def assets_hash(self) -> str:
        return self.manifest.vocabulary_hash

    @property
    def made_with(self) -> Mapping[str, Mapping[str, Any]]:
        return self.manifest.made_with

    @property
    def has_validation(self) -> bool:
        return bool((self.valid_at >= 0).any())

    @property
    def has_test(self) -> bool:
        return bool((self.test_at >= 0).any())

    def chunks_of_users(self, num_interactions: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of users, each with about so many interactions."""
        edges = np.arange(0, int(self.offsets[-1]), num_interactions)
        return pairwise(np.unique([*np.searchsorted(self.offsets, edges), self.num_users]))

    def training_items(self, users: Int64) -> tuple[Int64, Int64]:
        """Return the training items of users, one user after another, and their places in the
        histories."""
        lengths = self.train_end[users].astype(np.int64)
        places = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        items = self.items[np.repeat(self.offsets[users], lengths) + places]
        return items.astype(np.int64), places

    @property
    def test_hash(self) -> str:
        return self.content_hash

    def write_assets(self, directory: Path, _config: Any = None) -> None:
        """Write the vocabulary and item counts, which a checkpoint needs to work with raw ids, and
        the sizes of the data, to compare later data with."""
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.path / ITEMS_TABLE, directory / ITEMS_TABLE)
        np.save(directory / "train_counts.npy", self.train_counts)
        write_json(directory / PROFILE, describe_sizes(self))


def describe_sizes(data: SplitData) -> dict[str, float]:
    """Return the sizes of the training part, and quantiles of the lengths of its histories."""
    quantiles = {"median_length": 0.5, "length_90": 0.9, "longest": 1.0}
    return {
        "users": data.num_users,
        "items": data.num_items,
        "interactions": int(data.train_end.sum(dtype=np.int64)),
        **{name: float(np.quantile(data.train_end, q)) for name, q in quantiles.items()},
    }


def content_hash(arrays: Mapping[str, npt.NDArray[np.generic]]) -> str:
    """Return the sha256 of named arrays, their types and shapes."""
    digest = sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def _open_array(path: Path, name: str, dtype: str) -> npt.NDArray[Any]:
    file = path / f"{name}.npy"
    try:
        array: npt.NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{file} is missing or damaged ({error}); {_AGAIN}") from error
    if array.dtype != np.dtype(dtype) or array.ndim != 1:
        raise ArtifactError(
            f"{file} holds {array.dtype} with {array.ndim} dimensions, not flat {dtype}; {_AGAIN}"
        )
    return array
