"""Splits and checkpoints made by hand: folders as `split` and `training` write them."""

import json
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

import ensemble_folders
from seqtune.tasks.recommend.data import ARRAYS, SplitData, SplitManifest, content_hash
from seqtune.tasks.recommend.models import build_model
from seqtune.tasks.recommend.models.base import SequenceModel
from seqtune.tasks.recommend.params import RecommendConfig


def write_split(
    path: Path,
    sequences: Sequence[Sequence[int]],
    *,
    user_ids: Sequence[object] | None = None,
    item_ids: Sequence[object],
) -> SplitData:
    """Sequences of item numbers 1..V; the last is test, the one before valid."""
    path.mkdir(parents=True)
    lengths = np.array([len(sequence) for sequence in sequences])
    train_end = np.maximum(lengths - 2, 0).astype(np.int32)
    held_out = lengths >= 2
    trained = np.concatenate([np.array(s[: max(len(s) - 2, 0)], np.int64) for s in sequences])
    arrays = {
        "items": np.concatenate([np.array(s, np.int32) for s in sequences]),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "train_end": train_end,
        "valid_at": np.where(held_out, train_end, -1).astype(np.int32),
        "test_at": np.where(held_out, train_end + 1, -1).astype(np.int32),
        "train_counts": np.bincount(trained, minlength=len(item_ids) + 1).astype(np.int64),
    }
    assert set(arrays) == set(ARRAYS)
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    user_ids = list(range(100, 100 + len(sequences))) if user_ids is None else list(user_ids)
    _write_ids(path / "users.parquet", {"user": range(len(user_ids)), "user_id": user_ids})
    _write_ids(
        path / "items.parquet",
        {
            "item": range(1, len(item_ids) + 1),
            "item_id": list(item_ids),
            "count": arrays["train_counts"][1:],
        },
    )
    manifest = SplitManifest(
        num_users=len(sequences),
        num_items=len(item_ids),
        num_interactions=int(lengths.sum()),
        content_hash=content_hash(arrays),
        vocabulary_hash=sha256(json.dumps(list(item_ids)).encode()).hexdigest(),
        sides={},
        use_full_data=False,
    )
    (path / "split.json").write_text(manifest.model_dump_json())
    return SplitData.open(path)


def split_of(sequences: Sequence[Sequence[int]], *, num_items: int) -> SplitData:
    """A split with nothing on disk; the last item is test, the one before valid."""
    lengths = np.array([len(sequence) for sequence in sequences])
    items = np.concatenate(sequences).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    train_end = (lengths - 2).astype(np.int32)
    trained = np.concatenate([s[:-2] for s in sequences]).astype(np.int64)
    arrays = {
        "items": items,
        "offsets": offsets,
        "train_end": train_end,
        "valid_at": train_end,
        "test_at": train_end + 1,
        "train_counts": np.bincount(trained, minlength=num_items + 1),
    }
    return SplitData(
        path=Path("nowhere"),
        manifest=SplitManifest(
            num_users=len(sequences),
            num_items=num_items,
            num_interactions=len(items),
            content_hash=content_hash(arrays),
            vocabulary_hash="0",
            sides={},
            use_full_data=False,
        ),
        sides={},
        **arrays,
    )


def _write_ids(path: Path, columns: dict[str, object]) -> None:
    pq.write_table(pa.table({name: pa.array(list(v)) for name, v in columns.items()}), path)


def tiny_config(**model: object) -> RecommendConfig:
    return RecommendConfig.model_validate(
        {
            "model": {
                "hidden_units": 8,
                "num_heads": 2,
                "num_layers": 1,
                "max_len": 6,
                "init_std": 0.5,
                **model,
            },
            "training": {"precision": "fp32", "accelerator": "cpu"},
            "evaluation": {"batch_size": 4, "num_sampled_negatives": 3},
        }
    )


def random_model(config: RecommendConfig, data: SplitData, *, seed: int = 0) -> SequenceModel[Any]:
    torch.manual_seed(seed)
    return build_model(config.model, num_items=data.num_items, sides=data.sides).eval()


def favouring(
    item: int, *others: int, data: SplitData, config: RecommendConfig
) -> SequenceModel[Any]:
    """A model that ranks the given items first for everybody, and the rest by their number."""
    model = random_model(config, data)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.item_bias.copy_(-torch.arange(data.num_items).float())
        for place, number in enumerate((item, *others)):
            model.item_bias[number - 1] = 100.0 - place
    return model


def write_checkpoint(
    path: Path, model: SequenceModel[Any], config: RecommendConfig, data: SplitData
) -> Path:
    """A checkpoint folder whose best and last weights are this model's."""
    path.mkdir(parents=True)
    save_file({f"model.{k}": v for k, v in model.state_dict().items()}, path / "best.safetensors")
    save_file({f"model.{k}": v for k, v in model.state_dict().items()}, path / "last.safetensors")
    data.write_assets(path / "assets")
    return ensemble_folders.write_manifest(path, data, config)


write_ensemble = partial(
    ensemble_folders.write_ensemble, task="recommend", metric="valid ndcg@10", scale="log_softmax"
)
"""`write_ensemble(path, {checkpoint: share}, scale=..., **manifest)`."""
