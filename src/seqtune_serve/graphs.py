"""Run the ONNX graphs of an export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from .exports import Export, ExportError

Floats = npt.NDArray[np.floating[Any]]
PRECISIONS = ("fp32", "int8")


class Graph:
    """One network in memory."""

    def __init__(self, path: Path, *, num_threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # it keeps the most memory that any batch took
        options.enable_mem_pattern = False  # shapes differ from batch to batch
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, output: str, **inputs: npt.NDArray[Any]) -> Floats:
        """Return one output of the graph."""
        (found,) = self._session.run([output], inputs)
        values: Floats = found
        return values


def open_graphs(export: Export, precision: str, *, num_threads: int) -> dict[str, Graph]:
    """Open the graph of each member, by name."""
    made = export.manifest["precisions"]
    if precision not in made:
        raise ExportError(
            f"{export.path} has no graphs in {precision}, only in {', '.join(made)}; choose one of "
            "these, or export again with export.int8=true"
        )
    return {
        name: Graph(export.folder(name) / f"{precision}.onnx", num_threads=num_threads)
        for name in export.members
    }
