"""Exports made by hand: a graph that looks the scores up by the last item, and real manifests."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

VERSION = "2026-01-0{}T00.00.00.000Z"
IDS = ("a", "b", "c", "d")
TABLE = [[0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1], [1, 2, 3, 0]]
"""Scores of all items after each: after "a", "d" is the best."""


def write_export(
    root: Path,
    *,
    number: int = 1,
    ids: Sequence[object] = IDS,
    tables: Mapping[str, Sequence[Sequence[float]]] | None = None,
    counts: Mapping[str, Any] | None = None,
    **manifest: Any,
) -> Path:
    """A version below `root`; every member scores by its own table."""
    out = root / VERSION.format(number) / "export"
    tables = tables or {"model": TABLE}
    for name, table in tables.items():
        folder = out / "members" / name
        folder.mkdir(parents=True)
        onnx.save(lookup(np.array(table, np.float32)), folder / "fp32.onnx")
    (out / "items.json").write_text(json.dumps(list(ids)), encoding="utf-8")
    np.save(out / "train_counts.npy", np.array([0, 1, 3, 2, 0][: len(ids) + 1]))
    member = {"share": 1 / len(tables), "max_len": 4, "counts": counts}
    values = {
        "format_version": 1,
        "task": "recommend",
        "fingerprint": f"print{number}",
        "precisions": ["fp32"],
        "scale": "log_softmax",
        "members": dict.fromkeys(tables, member),
        "settings": {"top_k": 3, "exclude_seen": True},
        **manifest,
    }
    finish(out, values)
    return out


def finish(out: Path, values: Mapping[str, Any]) -> None:
    """Write the manifest of the files that are there."""
    files = {
        file.relative_to(out).as_posix(): {
            "num_bytes": file.stat().st_size,
            "crc32": f"{zlib.crc32(file.read_bytes()):08x}",
        }
        for file in sorted(out.rglob("*"))
        if file.is_file() and file.name != "export.json"
    }
    (out / "export.json").write_text(json.dumps({**values, "files": files}), encoding="utf-8")


def lookup(table: np.ndarray[Any, Any]) -> onnx.ModelProto:
    """items [B, T] that end in [MASK] -> scores [B, V] after the item before it."""
    rows = np.concatenate([np.zeros((1, table.shape[1]), np.float32), table])
    items = helper.make_tensor_value_info("items", TensorProto.INT64, ["b", "t"])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["b", table.shape[1]])
    nodes = [
        helper.make_node("Gather", ["items", "place"], ["last"], axis=1),
        helper.make_node("Gather", ["rows", "last"], ["scores"], axis=0),
    ]
    constants = [
        numpy_helper.from_array(rows, "rows"),
        numpy_helper.from_array(np.array(-2, np.int64), "place"),
    ]
    graph = helper.make_graph(nodes, "lookup", [items], [scores], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
