"""Choose the GPU of a worker, without torch and without touching CUDA."""

from __future__ import annotations

import os
from collections.abc import Mapping

from seqtune.core.gpus import list_gpus

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    given = environment.get(VARIABLE)
    if given is None:
        return list_gpus()
    names = [name.strip() for name in given.split(",")]
    # CUDA reads the list up to the first invalid name
    end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
    return tuple(names[:end])


def pick_gpu(index: int, gpus: tuple[str, ...]) -> str | None:
    """Return the GPU of worker `index`; None without GPUs."""
    return gpus[index % len(gpus)] if gpus else None
